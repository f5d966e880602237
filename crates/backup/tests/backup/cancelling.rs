//! Jobs that an admin ends, in each of their phases.

use std::sync::Arc;

use types::{Job, JobOperation, JobPhase, Lin, Operation, OperationError, Policy};

use crate::cluster::{Cluster, is_over};
use crate::gate::Gate;
use crate::tree::small;
use crate::{check, with_policy};

fn cancel(cluster: &Cluster, job: &Job) -> Result<(), OperationError> {
    cluster.shared.try_apply(Operation::Job(JobOperation::Cancel { job: job.id })).map(drop)
}

/// The cancelled job stays cancelled and makes no backup; the next one of its policy does.
async fn check_cancelled(cluster: Cluster, job: &Job, policy: &Policy, data: Lin) {
    assert_eq!(cluster.view().job(job.id).unwrap().phase, JobPhase::Cancelled);
    cancel(&cluster, job).unwrap();
    let next = cluster.back_up(policy).await;
    check(&cluster, &next, &cluster.view(), data).await;
    assert_eq!(cluster.view().job(job.id).unwrap().phase, JobPhase::Cancelled);
    assert_eq!(cluster.repository().await.backups().len(), 1);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_units_are_with_workers_is_cancelled() {
    let (mut cluster, data, policy) = with_policy().await;
    let worker = cluster.nodes[2];
    cluster.shared.faults.stall(worker);
    cluster.start_all(small());
    let job = cluster.start_job(&policy, cluster.nodes[0]);
    cluster.wait(&job, |_| cluster.shared.faults.units_given(worker) > 0).await;
    cancel(&cluster, &job).unwrap();
    cluster.shared.faults.recover(worker);
    check_cancelled(cluster, &job, &policy, data).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_tables_are_being_merged_is_cancelled() {
    let (mut cluster, data, policy) = with_policy().await;
    let gate = Arc::new(Gate::closed("tables/"));
    cluster.decorate_site(|inner| gate.before(inner));
    cluster.start_all(small());
    let job = cluster.start_job(&policy, cluster.nodes[0]);
    let merging = cluster.wait(&job, |job| is_over(job) || job.phase == JobPhase::Coalescing).await;
    assert_eq!(merging.phase, JobPhase::Coalescing);
    cancel(&cluster, &job).unwrap();
    gate.open();
    check_cancelled(cluster, &job, &policy, data).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_commit_is_fixed_is_not_cancelled_any_more() {
    let (mut cluster, data, policy) = with_policy().await;
    let gate = Arc::new(Gate::closed("commits/"));
    cluster.decorate_site(|inner| gate.before(inner));
    cluster.start_all(small());
    let job = cluster.start_job(&policy, cluster.nodes[0]);
    cluster.wait(&job, |job| matches!(job.phase, JobPhase::Committing(_))).await;
    let refused = cancel(&cluster, &job).unwrap_err();
    let text = format!("job {} cannot be cancelled: its commit is fixed and must not be given up any more", job.id);
    assert_eq!(refused.to_string(), text);
    gate.open();
    let done = cluster.succeed(&job).await;
    check(&cluster, &done, &cluster.view(), data).await;
    assert!(matches!(cancel(&cluster, &job), Err(OperationError::WrongPhase { .. })));
    cluster.stop().await;
}
