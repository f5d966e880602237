//! Jobs whose owner has no keys for their repository: they go to a node that has them.

use std::sync::Arc;
use std::time::Duration;

use backup::{Desk, Desks, Pull, Pulled, UnitSpool, WorkerId};
use runtime::{Clock, Files};
use types::{Fence, Incarnation, Job, JobPhase};

use crate::cluster::is_over;
use crate::tree::small;
use crate::{check, with_policy};

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_without_keys_gives_the_job_of_a_dead_owner_to_a_node_that_has_them() {
    let (mut cluster, data, policy) = with_policy().await;
    let [leader, owner, heir] = cluster.nodes[..] else { panic!("three nodes") };
    cluster.shared.faults.take_keys(leader);
    cluster.shared.faults.stall(heir);
    cluster.start_all(small());
    let job = cluster.start_job(&policy, owner);
    cluster.wait(&job, |_| cluster.shared.faults.units_given(heir) > 0).await;
    cluster.kill(owner).await;
    cluster.shared.faults.recover(heir);
    cluster.restart(heir, small()).await;
    let done = cluster.succeed(&job).await;
    assert_eq!(done.coordinator, heir);
    check(&cluster, &done, &cluster.view(), data).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_starts_at_a_node_without_keys_goes_to_one_that_has_them() {
    let (mut cluster, data, policy) = with_policy().await;
    let keyless = cluster.nodes[0];
    cluster.shared.faults.take_keys(keyless);
    cluster.start_all(small());
    let job = cluster.start_job(&policy, keyless);
    let done = cluster.succeed(&job).await;
    assert_ne!(done.coordinator, keyless);
    check(&cluster, &done, &cluster.view(), data).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_keys_are_not_those_of_the_site_neither_owns_a_job_nor_packs() {
    let (mut cluster, data, policy) = with_policy().await;
    let [wrong, heir, _] = cluster.nodes[..] else { panic!("three nodes") };
    cluster.shared.faults.change_keys(wrong);
    cluster.start_all(small());
    let job = cluster.start_job(&policy, wrong);
    let done = cluster.succeed(&job).await;
    assert_eq!(done.coordinator, heir);
    assert!(done.totals.bytes_by_node.iter().all(|(node, _)| *node != wrong), "{:?}", done.totals);
    check(&cluster, &done, &cluster.view(), data).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_waits_for_the_only_node_that_has_its_keys() {
    let (mut cluster, data, policy) = with_policy().await;
    let [first, second, with_keys] = cluster.nodes[..] else { panic!("three nodes") };
    [first, second].iter().for_each(|node| cluster.shared.faults.take_keys(*node));
    cluster.start_all(small());
    cluster.kill(with_keys).await;
    let job = cluster.start_job(&policy, first);
    let waits = cluster.wait(&job, |job| is_over(job) || cluster.shared.faults.asked_for_keys() > 3).await;
    assert_eq!((waits.phase, waits.fence), (JobPhase::Packing, job.fence), "nobody else takes it");
    cluster.revive(with_keys, small());
    let done = cluster.succeed(&job).await;
    assert_eq!(done.coordinator, with_keys);
    check(&cluster, &done, &cluster.view(), data).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_keys_no_node_has_fails_and_says_so() {
    let (mut cluster, _, policy) = with_policy().await;
    cluster.nodes.iter().for_each(|node| cluster.shared.faults.take_keys(*node));
    cluster.start_all(small());
    let job = cluster.start_job(&policy, cluster.nodes[0]);
    let reason = cluster.fail(&job).await;
    assert!(reason.contains("no node has the keys"), "{reason}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_ends_late_leaves_the_desk_of_its_successor_open() {
    let (cluster, _, policy) = with_policy().await;
    let node = cluster.nodes[0];
    let around = cluster.surroundings(node, Incarnation(1));
    let earlier = cluster.start_job(&policy, node);
    let later = Job { fence: Fence(earlier.fence.0 + 1), ..earlier.clone() };
    let spool = UnitSpool::create(&Files::real(), &cluster.folder.path().join("units")).unwrap();
    let desks = Desks::new(node);
    let open = |job: &Job| desks.open(Arc::new(Desk::new(around.clone(), job, spool.reader(), &[])));
    let first = open(&earlier);
    let _second = open(&later);
    drop(first);
    let worker = WorkerId { node, incarnation: Incarnation(1), start: 0 };
    let pull = Pull { job: later.id, fence: later.fence, worker, number: 0 };
    let pulled = Clock::real().timeout(Duration::from_secs(20), desks.pull(pull)).await.unwrap();
    assert_eq!(pulled.unwrap(), Pulled::Later);
    cluster.stop().await;
}
