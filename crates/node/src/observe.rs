//! The figures of the node for Prometheus, taken at intervals from Raft and from the volumes.

use std::sync::Arc;
use std::time::Duration;

use runtime::metrics::{Family, Gauge, Labels};
use types::{Job, JobPhase};

use crate::NodeError;
use crate::member::Member;
use crate::volumes::Condition;

/// Scrapers come every fifteen seconds or so.
const PERIOD: Duration = Duration::from_secs(5);

/// The gauges of a node.
struct Gauges {
    leader: Gauge,
    term: Gauge,
    voters: Gauge,
    nodes: Gauge,
    placement_groups: Gauge,
    volume_blocks: Gauge,
    volume_free: Gauge,
    volumes_failed: Gauge,
    files: Gauge,
    bytes: Gauge,
    time_jump: Gauge,
    jobs: Family<Labels, Gauge>,
    last_success: Family<Labels, Gauge>,
    newest: Family<Labels, Gauge>,
    last_duration: Family<Labels, Gauge>,
}

impl Gauges {
    fn new(member: &Member) -> Self {
        let metrics = &member.platform.metrics;
        Self {
            leader: metrics.gauge("raft_leader", "The number of the leader that this node follows; 0 without one"),
            term: metrics.gauge("raft_term", "The term"),
            voters: metrics.gauge("raft_voters", "Members with a vote"),
            nodes: metrics.gauge("cluster_nodes", "Nodes that have joined"),
            placement_groups: metrics.gauge("cluster_placement_groups", "Placement groups"),
            volume_blocks: metrics.gauge("node_block_bytes", "Stored bytes of the blocks on this node"),
            volume_free: metrics.gauge("node_free_bytes", "Free bytes of this node's volumes"),
            volumes_failed: metrics.gauge(
                "node_failed_volumes",
                "Volumes of this node that did not open, take no writes or do not answer",
            ),
            files: metrics.gauge("namespace_inodes", "Files, directories and links at the head"),
            bytes: metrics.gauge("namespace_bytes", "Plain bytes of the files at the head"),
            time_jump: metrics.gauge(
                "cluster_time_jump_seconds",
                "How far the leader's clock is ahead of state time because it is not believed; 0 if it is",
            ),
            jobs: metrics.gauges("backup_open_jobs", "Backup jobs that have not ended, by policy"),
            last_success: metrics.gauges(
                "backup_last_success_timestamp_seconds",
                "When a policy's last successful backup ended, in Unix time, by policy",
            ),
            newest: metrics.gauges(
                "backup_newest_timestamp_seconds",
                "The moment that a policy's newest committed backup shows, in Unix time, by policy",
            ),
            last_duration: metrics.gauges(
                "backup_last_duration_seconds",
                "How long a policy's last job took, however it ended, by policy",
            ),
        }
    }
}

/// Runs until the member stops.
pub async fn run(member: Arc<Member>) {
    let gauges = Gauges::new(&member);
    let shutdown = member.front.shutdown();
    while !shutdown.is_cancelled() {
        if let Some(Err(error)) = shutdown.unless_cancelled(Box::pin(look(&member, &gauges))).await {
            tracing::info!(%error, "cannot take the node's figures now");
        }
        shutdown.unless_cancelled(member.platform.clock.sleep(PERIOD)).await;
    }
}

async fn look(member: &Arc<Member>, gauges: &Gauges) -> Result<(), NodeError> {
    let raft = member.consensus.status();
    set(&gauges.leader, raft.leader.map_or(0, types::NodeId::get));
    set(&gauges.term, raft.term);
    set(&gauges.voters, raft.voters().count() as u64);
    let Condition { room, failed, .. } = member.volumes.condition().await;
    set(&gauges.volume_blocks, room.block_bytes);
    set(&gauges.volume_free, room.free_bytes);
    set(&gauges.volumes_failed, failed.len() as u64);
    let records = member.read_local(Records::read).await?;
    set(&gauges.nodes, records.nodes);
    set(&gauges.placement_groups, records.placement_groups);
    set(&gauges.files, records.inodes);
    set(&gauges.bytes, records.bytes);
    set(&gauges.time_jump, records.time_jump_seconds);
    for policy in records.policies {
        let labels: Labels = vec![("policy", policy.name)];
        set(&gauges.jobs.get_or_create(&labels), policy.open_jobs);
        let shown = [
            (&gauges.last_success, policy.last_success_seconds),
            (&gauges.newest, policy.newest_seconds),
            (&gauges.last_duration, policy.last_duration_seconds),
        ];
        for (family, seconds) in shown {
            if let Some(seconds) = seconds {
                family.get_or_create(&labels).set(seconds);
            }
        }
    }
    Ok(())
}

fn set(gauge: &Gauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

struct Records {
    nodes: u64,
    placement_groups: u64,
    inodes: u64,
    bytes: u64,
    time_jump_seconds: u64,
    policies: Vec<PolicyFigures>,
}

#[derive(Default)]
struct PolicyFigures {
    name: String,
    open_jobs: u64,
    last_success_seconds: Option<i64>,
    newest_seconds: Option<i64>,
    last_duration_seconds: Option<i64>,
}

impl PolicyFigures {
    /// Takes up a job of the policy, in the order of their starts.
    fn take_up(&mut self, job: &Job) {
        let Some(finished) = job.finished else { return };
        self.last_duration_seconds = Some(finished.seconds.saturating_sub(job.started.seconds));
        if matches!(job.phase, JobPhase::Succeeded(_)) {
            self.last_success_seconds = Some(finished.seconds);
            self.newest_seconds = Some(job.started.seconds);
        }
    }
}

impl Records {
    fn read(view: namespace::View) -> Result<Self, NodeError> {
        const PAGE: usize = 1024;
        let open = view.open_jobs()?;
        let mut policies = Vec::new();
        for policy in view.policies()? {
            let open_jobs = open.iter().filter(|job| job.policy == policy.id).count() as u64;
            policies.push((policy.id, PolicyFigures { name: policy.name, open_jobs, ..PolicyFigures::default() }));
        }
        let mut after = None;
        loop {
            let page = view.jobs(after, PAGE)?;
            let Some(last) = page.last().map(|job| job.id) else { break };
            after = Some(last);
            for job in page {
                if let Some((_, figures)) = policies.iter_mut().find(|(id, _)| *id == job.policy) {
                    figures.take_up(&job);
                }
            }
        }
        let usage = view.usage();
        Ok(Self {
            nodes: view.nodes()?.len() as u64,
            placement_groups: view.placement_groups()?.len() as u64,
            inodes: usage.inodes,
            bytes: usage.bytes,
            time_jump_seconds: view.time_jump().map_or(0, |jump| jump.shown.seconds_after(view.state_time())),
            policies: policies.into_iter().map(|(_, figures)| figures).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use types::{
        CommitReference, Epoch, Fence, JobId, JobTotals, NodeId, PolicyId, SetId, Shrinkage, SiteId, SnapshotId,
        Timestamp,
    };

    use super::*;

    fn job(started: i64, finished: Option<i64>, phase: JobPhase) -> Job {
        let at = |seconds| Timestamp { seconds, nanoseconds: 0 };
        Job {
            id: JobId(1),
            policy: PolicyId(1),
            site: SiteId(1),
            set: SetId(1),
            epoch: Epoch(1),
            fence: Fence(1),
            coordinator: NodeId(1),
            snapshot: SnapshotId(1),
            base: None,
            base_snapshot: None,
            shrinkage: Shrinkage::Refuse,
            phase,
            totals: JobTotals::default(),
            started: at(started),
            finished: finished.map(at),
        }
    }

    #[test]
    fn a_job_that_failed_leaves_the_age_of_the_newest_backup() {
        let commit = CommitReference { number: 1, name: "commits/1".into() };
        let mut figures = PolicyFigures::default();
        figures.take_up(&job(100, Some(130), JobPhase::Succeeded(commit)));
        figures.take_up(&job(200, Some(207), JobPhase::Failed("no room".into())));
        figures.take_up(&job(300, None, JobPhase::Packing));
        assert_eq!((figures.newest_seconds, figures.last_success_seconds), (Some(100), Some(130)));
        assert_eq!(figures.last_duration_seconds, Some(7));
    }
}
