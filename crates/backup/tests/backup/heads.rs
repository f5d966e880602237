//! What lies among the commits at the site when a backup begins.

use std::path::PathBuf;

use runtime::Files;
use types::{Lin, Policy};

use crate::bytes;
use crate::cluster::Cluster;
use crate::tree::small;

/// A cluster with one backup, and the files that its next one would take.
async fn backed_up_once() -> (Cluster, Policy) {
    let mut cluster = Cluster::new().await;
    let data = cluster.mkdir(Lin::ROOT, "data");
    let policy = cluster.policy("nightly", &[(data, "/data")]);
    cluster.start_all(small());
    cluster.back_up(&policy).await;
    let content = bytes(&cluster, 200_000);
    cluster.file(data, "new", &content).await;
    (cluster, policy)
}

fn commits(cluster: &Cluster) -> PathBuf {
    cluster.folder.path().join("site/commits")
}

/// The file of the only commit.
fn only_commit(cluster: &Cluster) -> PathBuf {
    let names = Files::real().list(&commits(cluster)).unwrap();
    assert_eq!(names.len(), 1);
    commits(cluster).join(&names[0].name)
}

fn write(path: &std::path::Path, bytes: &[u8]) {
    Files::real().write_atomic(path, bytes, 0o600).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_among_the_commits_that_is_no_commits_is_passed_by() {
    let (cluster, policy) = backed_up_once().await;
    write(&commits(&cluster).join(".DS_Store"), b"somebody looked at the folder");
    cluster.back_up(&policy).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_twin_of_the_newest_commit_that_does_not_open_is_passed_by() {
    let (cluster, policy) = backed_up_once().await;
    let commit = only_commit(&cluster);
    let name = commit.file_name().unwrap().to_str().unwrap().to_owned();
    let before = format!("{}{:016x}", &name[..name.len() - 16], 0);
    write(&commit.with_file_name(before), &Files::real().read(&commit).unwrap());
    cluster.back_up(&policy).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_twins_of_the_newest_commit_than_anybody_writes_fail_the_job_until_they_are_gone() {
    let (cluster, policy) = backed_up_once().await;
    let commit = only_commit(&cluster);
    let name = commit.file_name().unwrap().to_str().unwrap().to_owned();
    let twins: Vec<_> = (1..=16_u64)
        .map(|twin| commit.with_file_name(format!("{}{:016x}", &name[..name.len() - 16], (1_u64 << 40) + twin)))
        .collect();
    twins.iter().for_each(|twin| write(twin, b"junk"));
    let reason = cluster.fail(&cluster.start_job(&policy, cluster.nodes[0])).await;
    assert!(reason.contains("more than 16 names among the commits have number 1"), "{reason}");

    twins.iter().for_each(|twin| Files::real().remove(twin).unwrap());
    cluster.back_up(&policy).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_head_is_told_before_anything_is_packed() {
    let (cluster, policy) = backed_up_once().await;
    let commit = only_commit(&cluster);
    let sound = Files::real().read(&commit).unwrap();
    let mut damaged = sound.clone();
    damaged[sound.len() / 2] ^= 1;
    write(&commit, &damaged);
    let fetched = cluster.blocks_fetched();
    let job = cluster.start_job(&policy, cluster.nodes[0]);
    let reason = cluster.fail(&job).await;
    let job = cluster.view().job(job.id).unwrap();
    let name = commit.file_name().unwrap().to_str().unwrap();
    assert!(reason.contains(name) && reason.contains("put it back from a copy"), "{reason}");
    assert_eq!((cluster.blocks_fetched() - fetched, job.totals.objects), (0, 0), "nothing was packed");

    write(&commit, &sound);
    cluster.back_up(&policy).await;
    cluster.stop().await;
}
