//! Sites that are not what the cluster takes them for, or not on every node: a folder whose mount is gone or hangs, one
//! into which somebody else writes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use backup::Options;
use bytes::Bytes;
use repo::Writer;
use repo::names::Name;
use runtime::Files;
use site::Site;
use types::{Epoch, Fence, Generation, Incarnation, Job, JobPhase, Lin, NodeId, Policy};

use crate::cluster::{Cluster, is_over};
use crate::gate::Gate;
use crate::tree::small;
use crate::{check, grow};

/// The name of a commit that is newer than all of the cluster's.
fn strange_commit() -> String {
    let (generation, epoch, fence) = (Generation(1), Epoch(9), Fence(9));
    let writer = Writer { generation, epoch, fence, node: NodeId(9), incarnation: Incarnation(9), sequence: 9 };
    Name::Commit { number: 9, writer }.to_string()
}

async fn with_policy() -> (Cluster, Lin, Policy) {
    let mut cluster = Cluster::new().await;
    let data = grow(&mut cluster).await;
    let policy = cluster.policy("nightly", &[(data, "/data")]);
    (cluster, data, policy)
}

/// Takes the mount of the site away from a node: what it finds is the empty folder below. Gives the folder.
fn unmount(cluster: &Cluster, node: NodeId) -> PathBuf {
    let folder = cluster.folder.path().join(format!("mount-point-{node}"));
    Files::real().create_dirs(&folder).unwrap();
    cluster.replace_site_of(node, Site::open(&format!("file://{}", folder.display())).unwrap());
    folder
}

fn is_empty(folder: &Path) -> bool {
    Files::real().list(folder).unwrap().is_empty()
}

/// Runs a job on one node until its commit is fixed, and loses the node before it can put it. Opening the gate lets
/// commits through.
async fn lost_before_its_commit(cluster: &mut Cluster, policy: &Policy, lost: NodeId) -> (Job, Arc<Gate>) {
    let gate = Arc::new(Gate::closed("commits/"));
    cluster.decorate_site(|inner| gate.before(inner));
    cluster.start(lost, small());
    let job = cluster.start_job(policy, lost);
    let fixed = cluster.wait(&job, |job| matches!(job.phase, JobPhase::Committing(_))).await;
    cluster.kill(lost).await;
    (fixed, gate)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixed_commit_does_not_go_into_a_folder_whose_mount_is_gone() {
    let (mut cluster, data, policy) = with_policy().await;
    let [unmounted, lost, mounted] = cluster.nodes[..] else { panic!("three nodes") };
    let (fixed, gate) = lost_before_its_commit(&mut cluster, &policy, lost).await;
    let folder = unmount(&cluster, unmounted);
    gate.open();
    cluster.start(unmounted, small());
    cluster.start(mounted, small());
    let done = cluster.wait(&fixed, is_over).await;
    assert!(matches!(done.phase, JobPhase::Succeeded(_)), "{:?}", done.phase);
    assert!(is_empty(&folder));
    assert_eq!(done.coordinator, mounted);
    check(&cluster, &done, &cluster.view(), data).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_owner_has_another_folder_fails_and_says_which_site_is_not_there() {
    let (mut cluster, _, policy) = with_policy().await;
    let unmounted = cluster.nodes[0];
    let folder = unmount(&cluster, unmounted);
    cluster.start_all(small());
    let job = cluster.start_job(&policy, unmounted);
    let failed = cluster.wait(&job, is_over).await;
    let JobPhase::Failed(reason) = &failed.phase else { panic!("{:?}", failed.phase) };
    for part in ["\"away\"", &cluster.site_record.url, "no holdfast.json", "mount"] {
        assert!(reason.contains(part), "{part}: {reason}");
    }
    assert!(is_empty(&folder));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_commit_is_fixed_if_the_mount_went_away_while_objects_were_packed() {
    let (mut cluster, _, policy) = with_policy().await;
    let gate = Arc::new(Gate::closed("state/"));
    cluster.decorate_site(|inner| gate.before(inner));
    cluster.start_all(small());
    let job = cluster.start_job(&policy, cluster.nodes[0]);
    cluster.wait(&job, |job| is_over(job) || gate.refused() > 0).await;
    let (files, folder) = (Files::real(), cluster.folder.path());
    files.rename(&folder.join("site"), &folder.join("elsewhere")).unwrap();
    files.create_dirs(&folder.join("site")).unwrap();
    gate.open();
    let failed = cluster.wait(&job, is_over).await;
    let says_so = |reason: &String| reason.contains("no holdfast.json");
    assert!(matches!(&failed.phase, JobPhase::Failed(reason) if says_so(reason)), "{:?}", failed.phase);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_mount_is_gone_leaves_the_work_to_the_others() {
    let (mut cluster, data, policy) = with_policy().await;
    let folder = unmount(&cluster, cluster.nodes[2]);
    cluster.start_all(small());
    let done = cluster.back_up(&policy).await;
    assert!(is_empty(&folder));
    check(&cluster, &done, &cluster.view(), data).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_cannot_put_its_commit_hands_the_job_on() {
    let (mut cluster, data, policy) = with_policy().await;
    let owner = cluster.nodes[0];
    let site = Site::open(&cluster.site_record.url).unwrap();
    let gate = Arc::new(Gate::closed("commits/"));
    cluster.replace_site_of(owner, Site::over(site.url(), gate.before(site.medium())));
    cluster.start_all(small());
    let done = cluster.back_up(&policy).await;
    assert_ne!(done.coordinator, owner);
    check(&cluster, &done, &cluster.view(), data).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn puts_that_hang_cost_time_and_nothing_else() {
    let (mut cluster, data, policy) = with_policy().await;
    let gate = Arc::new(Gate::with_hanging_puts("", 4));
    cluster.decorate_site(|inner| gate.before(inner));
    cluster.start_all(small());
    let done = cluster.back_up(&policy).await;
    assert_eq!(gate.puts_to_hang(), 0);
    check(&cluster, &done, &cluster.view(), data).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_that_hangs_fails_the_job_of_its_node_and_does_not_hold_it() {
    let (mut cluster, _, policy) = with_policy().await;
    cluster.shared.faults.hang_mount(cluster.nodes[0]);
    cluster.start_all(Options { retries_max: 1, ..small() });
    let job = cluster.start_job(&policy, cluster.nodes[0]);
    let failed = cluster.wait(&job, is_over).await;
    let says_so = |reason: &String| reason.contains("did not answer within");
    assert!(matches!(&failed.phase, JobPhase::Failed(reason) if says_so(reason)), "{:?}", failed.phase);
    cluster.shared.faults.recover_mounts();
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strange_commit_that_came_while_objects_were_packed_stops_the_job() {
    let (mut cluster, _, policy) = with_policy().await;
    let gate = Arc::new(Gate::closed("tables/"));
    cluster.decorate_site(|inner| gate.before(inner));
    cluster.start_all(small());
    let job = cluster.start_job(&policy, cluster.nodes[0]);
    cluster.wait(&job, |job| job.phase == JobPhase::Coalescing).await;
    let site = Site::open(&cluster.site_record.url).unwrap();
    site.put_new(&strange_commit(), Bytes::from_static(b"of another cluster")).await.unwrap();
    gate.open();
    let failed = cluster.wait(&job, is_over).await;
    assert!(
        matches!(&failed.phase, JobPhase::Failed(reason) if reason.contains(&strange_commit())),
        "{:?}",
        failed.phase
    );
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixed_commit_is_not_put_upon_a_strange_one() {
    let (mut cluster, data, policy) = with_policy().await;
    let [first, lost, second] = cluster.nodes[..] else { panic!("three nodes") };
    let (fixed, gate) = lost_before_its_commit(&mut cluster, &policy, lost).await;
    let site = Site::open(&cluster.site_record.url).unwrap();
    site.put_new(&strange_commit(), Bytes::from_static(b"of another cluster")).await.unwrap();
    gate.open();
    cluster.start(first, small());
    cluster.start(second, small());
    // The leader takes it, and hands it on when it finds the strange commit there again and again.
    let twice = Fence(fixed.fence.0 + 2);
    let waits = cluster.wait(&fixed, |job| is_over(job) || job.fence >= twice).await;
    assert_eq!(waits.phase, fixed.phase);
    site.delete(&strange_commit()).await.unwrap();
    let done = cluster.wait(&fixed, is_over).await;
    assert!(matches!(done.phase, JobPhase::Succeeded(_)), "{:?}", done.phase);
    check(&cluster, &done, &cluster.view(), data).await;
    cluster.stop().await;
}
