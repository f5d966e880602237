//! Workers that lose an answer, their node, their process or their keys: no unit stays with them.

use std::time::Duration;

use backup::Options;
use runtime::Clock;
use types::{AttributeChanges, Change, Job, JobPhase, Lin, NodeId};

use crate::cluster::{Cluster, is_over};
use crate::tree::small;
use crate::{check, with_policy};

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_whose_answer_was_lost_is_given_to_its_worker_again() {
    let (mut cluster, data, policy) = with_policy().await;
    let owner = cluster.nodes[0];
    cluster.shared.faults.lose_answers(3);
    cluster.start_all(small());
    let job = cluster.start_job(&policy, owner);
    let done = cluster.succeed(&job).await;
    assert_eq!(cluster.shared.faults.answers_to_lose(), 0);
    check(&cluster, &done, &cluster.view(), data).await;
    cluster.stop().await;
}

/// Starts a job whose worker on the last node holds a unit and never ends it.
async fn with_a_stalled_worker(options: Options) -> (Cluster, Job, Lin, NodeId) {
    let (mut cluster, data, policy) = with_policy().await;
    let (owner, stalled) = (cluster.nodes[0], cluster.nodes[2]);
    cluster.shared.faults.stall(stalled);
    cluster.start_all(options);
    let job = cluster.start_job(&policy, owner);
    cluster.wait(&job, |job| cluster.shared.faults.units_given(stalled) > 0 || is_over(job)).await;
    let left = |job: &Job| job.totals.units - job.totals.units_done;
    let held = |job: &Job| job.totals.units > 0 && left(job) == cluster.shared.faults.units_given(stalled);
    let waits = cluster.wait(&job, |job| is_over(job) || held(job)).await;
    assert_eq!(waits.phase, JobPhase::Packing);
    (cluster, job, data, stalled)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_units_that_a_dead_worker_holds_are_packed_by_others() {
    let (mut cluster, job, data, stalled) = with_a_stalled_worker(small()).await;
    cluster.kill(stalled).await;
    let done = cluster.succeed(&job).await;
    check(&cluster, &done, &cluster.view(), data).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_units_of_a_process_come_back_when_its_successor_asks() {
    let (mut cluster, job, data, stalled) = with_a_stalled_worker(small()).await;
    // Too fast for anyone to take the node for dead.
    cluster.shared.faults.recover(stalled);
    cluster.restart(stalled, small()).await;
    let done = cluster.succeed(&job).await;
    check(&cluster, &done, &cluster.view(), data).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_units_of_a_process_come_back_though_its_successor_has_no_keys() {
    let (mut cluster, job, data, stalled) = with_a_stalled_worker(small()).await;
    cluster.shared.faults.take_keys(stalled);
    cluster.restart(stalled, small()).await;
    let done = cluster.succeed(&job).await;
    check(&cluster, &done, &cluster.view(), data).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_is_refused_for_good_costs_a_worker_and_not_the_job() {
    let (mut cluster, data, policy) = with_policy().await;
    cluster.shared.faults.refuse_first_object(cluster.nodes[1]);
    cluster.start_all(small());
    let job = cluster.start_job(&policy, cluster.nodes[0]);
    let done = cluster.succeed(&job).await;
    assert!(cluster.shared.faults.has_refused());
    check(&cluster, &done, &cluster.view(), data).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_many_empty_ranges_makes_no_report_without_bounds() {
    let mut cluster = Cluster::new().await;
    let data = cluster.mkdir(Lin::ROOT, "data");
    let sparse = cluster.file(data, "sparse", &[7; 5000]).await;
    let changes = AttributeChanges { size: Some(3_500_000), ..AttributeChanges::default() };
    cluster.change(Change::SetAttributes { lin: sparse, changes });
    let policy = cluster.policy("nightly", &[(data, "/data")]);
    let mut options = small();
    options.cut.range_length = 1000;
    options.cut.items_max = 1;
    cluster.start(cluster.nodes[0], options);
    let job = cluster.start_job(&policy, cluster.nodes[0]);
    let done = cluster.succeed(&job).await;
    assert!(done.totals.units > 3000, "{:?}", done.totals);
    let most = cluster.shared.faults.most_units_noted();
    assert!((1..=1000).contains(&most), "an object was noted with {most} units");
    check(&cluster, &done, &cluster.view(), data).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_units_of_a_worker_that_cannot_reach_the_owner_are_packed_by_others() {
    let silence = Duration::from_millis(500);
    let options = Options { worker_silence: silence, sign_of_life: silence / 10, ..small() };
    let (cluster, job, data, stalled) = with_a_stalled_worker(options).await;
    // The owner can reach its node, and so takes it for alive.
    cluster.shared.faults.mute(stalled);
    let done = cluster.succeed(&job).await;
    check(&cluster, &done, &cluster.view(), data).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_takes_long_keeps_its_units_while_it_gives_signs_of_life() {
    let silence = Duration::from_secs(3);
    let options = Options { worker_silence: silence, sign_of_life: silence / 100, ..small() };
    let (cluster, job, _, stalled) = with_a_stalled_worker(options).await;
    Clock::real().sleep(silence * 2).await;
    let now = cluster.view().job(job.id).unwrap();
    let given = cluster.shared.faults.units_given(stalled);
    assert_eq!((now.phase, now.totals.units - now.totals.units_done), (JobPhase::Packing, given));
    cluster.stop().await;
}
