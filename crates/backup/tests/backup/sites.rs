//! Sites that are not what the cluster takes them for, or not on every node: a folder whose mount is gone or hangs, one
//! into which somebody else writes.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use backup::Options;
use bytes::Bytes;
use repo::Writer;
use repo::names::Name;
use runtime::{Clock, Files};
use site::{Flaky, Medium, Retry, Site};
use types::{Epoch, Fence, Generation, Incarnation, Job, JobPhase, NodeId, Policy};

use crate::cluster::{Cluster, REPOSITORY, is_over};
use crate::gate::Gate;
use crate::tree::small;
use crate::{check, with_policy};

/// The name of a commit that is newer than all of the cluster's.
fn strange_commit() -> String {
    let (generation, epoch, fence) = (Generation(1), Epoch(9), Fence(9));
    let writer = Writer { generation, epoch, fence, node: NodeId(9), incarnation: Incarnation(9), sequence: 9 };
    Name::Commit { number: 9, writer }.to_string()
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
    let done = cluster.succeed(&fixed).await;
    assert!(is_empty(&folder));
    assert_eq!(done.coordinator, mounted);
    check(&cluster, &done, &cluster.view(), data).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_owner_has_another_folder_goes_to_a_node_that_has_the_right_one() {
    let (mut cluster, data, policy) = with_policy().await;
    let [unmounted, too, mounted] = cluster.nodes[..] else { panic!("three nodes") };
    let folders = [unmounted, too].map(|node| unmount(&cluster, node));
    cluster.start_all(small());
    let job = cluster.start_job(&policy, unmounted);
    let done = cluster.succeed(&job).await;
    assert_eq!(done.coordinator, mounted);
    assert!(folders.iter().all(|folder| is_empty(folder)));
    check(&cluster, &done, &cluster.view(), data).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_fails_if_no_node_that_is_there_has_the_right_folder_and_says_what_each_has() {
    let (mut cluster, _, policy) = with_policy().await;
    let [first, second, gone] = cluster.nodes[..] else { panic!("three nodes") };
    let folders = [first, second].map(|node| unmount(&cluster, node));
    cluster.start_all(small());
    cluster.kill(gone).await;
    let job = cluster.start_job(&policy, first);
    let reason = cluster.fail(&job).await;
    let found = |node| format!("node {node}: {} holds no repository: it has no holdfast.json", cluster.site_record.url);
    for part in ["\"away\"", &REPOSITORY.to_string(), &found(first), &found(second), "mount there"] {
        assert!(reason.contains(part), "{part}: {reason}");
    }
    assert!(!reason.contains(&format!("node {gone}")), "{reason}");
    assert!(folders.iter().all(|folder| is_empty(folder)));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_waits_for_a_node_to_say_whether_it_can_use_the_site() {
    let (mut cluster, data, policy) = with_policy().await;
    let [unmounted, too, mounted] = cluster.nodes[..] else { panic!("three nodes") };
    for node in [unmounted, too] {
        unmount(&cluster, node);
    }
    cluster.shared.faults.mute(unmounted);
    cluster.start_all(small());
    let job = cluster.start_job(&policy, unmounted);
    let waits = cluster.wait(&job, |job| is_over(job) || cluster.shared.faults.asked_for_keys() > 6).await;
    assert_eq!((waits.phase, waits.fence), (JobPhase::Packing, job.fence));
    cluster.shared.faults.unmute(unmounted);
    let done = cluster.succeed(&job).await;
    assert_eq!(done.coordinator, mounted);
    check(&cluster, &done, &cluster.view(), data).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_every_node_only_says_it_can_end_goes_around_no_longer_than_it_may() {
    let (mut cluster, _, policy) = with_policy().await;
    let gate = Arc::new(Gate::closed("tables/"));
    cluster.decorate_site(|inner| gate.before(inner));
    cluster.start_all(Options { retries_max: 0, ..small() });
    let job = cluster.start_job(&policy, cluster.nodes[0]);
    let reason = cluster.fail(&job).await;
    assert!(reason.contains("the gate is closed"), "{reason}");
    assert!(cluster.view().job(job.id).unwrap().fence > Fence(job.fence.0 + 3));
    cluster.stop().await;
}

/// Runs a job whose site's path leads to an empty folder, as an unmount leaves it, from the moment on in which an object of
/// that prefix is put. It must fail, and the folder stay empty.
async fn lose_the_mount_at(prefix: &'static str) {
    let (mut cluster, _, policy) = with_policy().await;
    let gate = Arc::new(Gate::closed(prefix));
    cluster.decorate_site(|inner| gate.before(inner));
    cluster.start_all(small());
    let job = cluster.start_job(&policy, cluster.nodes[0]);
    cluster.wait(&job, |job| is_over(job) || gate.refused() > 0).await;
    let (files, site) = (Files::real(), cluster.folder.path().join("site"));
    files.rename(&site, &cluster.folder.path().join("elsewhere")).unwrap();
    files.create_dirs(&site).unwrap();
    gate.open();
    let reason = cluster.fail(&job).await;
    assert!(reason.contains("its mount was lost"), "{reason}");
    assert!(is_empty(&site));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_object_goes_into_the_folder_below_a_mount_that_is_lost_while_objects_are_packed() {
    lose_the_mount_at("objects/").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_commit_is_fixed_if_the_mount_went_away_after_objects_were_packed() {
    lose_the_mount_at("state/").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_owner_loses_its_mount_goes_on_at_another_node() {
    let (mut cluster, data, policy) = with_policy().await;
    let owner = cluster.nodes[0];
    let [mount, below] = ["mount", "below"].map(|name| cluster.folder.path().join(name));
    Files::real().create_dirs(&below).unwrap();
    symlink(cluster.folder.path().join("site"), &mount).unwrap();
    let site = Site::open(&format!("file://{}", mount.display())).unwrap();
    let gate = Arc::new(Gate::closed("objects/"));
    cluster.replace_site_of(owner, Site::over(site.url(), gate.before(site.medium())));
    cluster.start_all(small());
    let job = cluster.start_job(&policy, owner);
    cluster.wait(&job, |job| is_over(job) || gate.refused() > 0).await;
    Files::real().remove(&mount).unwrap();
    symlink(&below, &mount).unwrap();
    gate.open();
    let done = cluster.succeed(&job).await;
    assert_ne!(done.coordinator, owner);
    assert!(is_empty(&below));
    check(&cluster, &done, &cluster.view(), data).await;
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
async fn a_mount_that_hangs_on_every_node_fails_the_job_and_does_not_hold_it() {
    let (mut cluster, _, policy) = with_policy().await;
    cluster.nodes.iter().for_each(|node| cluster.shared.faults.hang_mount(*node));
    cluster.start_all(Options { retries_max: 1, ..small() });
    let job = cluster.start_job(&policy, cluster.nodes[0]);
    let reason = cluster.fail(&job).await;
    for node in &cluster.nodes {
        assert!(
            reason.contains(&format!("node {node}: {} did not answer within", cluster.site_record.url)),
            "{reason}"
        );
    }
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
    let reason = cluster.fail(&job).await;
    assert!(reason.contains(&strange_commit()), "{reason}");
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
    let done = cluster.succeed(&fixed).await;
    check(&cluster, &done, &cluster.view(), data).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_outlives_a_site_whose_every_request_fails_a_few_times() {
    let (mut cluster, data, policy) = with_policy().await;
    cluster.start_all(small());
    let done = cluster.back_up(&policy).await;
    let flaky = Arc::new(Flaky::new(Site::open(&cluster.site_record.url).unwrap().medium(), 2));
    let retry = Retry::new(&Clock::real(), 2, Duration::from_millis(1));
    let site = Site::over("flaky", Arc::clone(&flaky) as Arc<dyn Medium>).steady(Duration::from_mins(1), retry);
    cluster.decorate_site(|_| site.medium());
    check(&cluster, &done, &cluster.view(), data).await;
    assert!(flaky.failed() > 20, "{}", flaky.failed());
    cluster.stop().await;
}
