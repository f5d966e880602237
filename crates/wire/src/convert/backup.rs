use types::{
    CommitReference, CommitTicket, Epoch, Fence, Generation, Job, JobId, JobPhase, JobTotals, Lin, NodeId,
    ObjectReport, Policy, PolicyId, RepositoryId, Root, SetId, Shrinkage, Site, SiteId, SiteState, SnapshotId,
};

use crate::invalid::{bytes32, optional_time, required, time, uuid};
use crate::v1::job_phase::Phase;
use crate::{InvalidMessage, v1};

impl From<CommitReference> for v1::CommitReference {
    fn from(commit: CommitReference) -> Self {
        Self { number: commit.number, name: commit.name }
    }
}

impl From<v1::CommitReference> for CommitReference {
    fn from(commit: v1::CommitReference) -> Self {
        Self { number: commit.number, name: commit.name }
    }
}

impl From<SiteState> for v1::SiteState {
    fn from(state: SiteState) -> Self {
        Self {
            epoch: state.epoch.0,
            fence: state.fence.0,
            head: state.head.map(Into::into),
            pending_job: state.pending.map(JobId::get),
            kit_exported: state.kit_exported,
        }
    }
}

impl From<v1::SiteState> for SiteState {
    fn from(state: v1::SiteState) -> Self {
        Self {
            epoch: Epoch(state.epoch),
            fence: Fence(state.fence),
            head: state.head.map(Into::into),
            pending: state.pending_job.map(JobId),
            kit_exported: state.kit_exported,
        }
    }
}

impl From<Site> for v1::Site {
    fn from(site: Site) -> Self {
        Self {
            id: site.id.0,
            name: site.name,
            url: site.url,
            organisation: site.organisation,
            location: site.location,
            repository: site.repository.to_string(),
            generation: site.generation.0,
            data_key_public: site.data_key_public.to_vec().into(),
            keys_fingerprint: site.keys_fingerprint.to_vec().into(),
            state: Some(site.state.into()),
        }
    }
}

impl TryFrom<v1::Site> for Site {
    type Error = InvalidMessage;

    fn try_from(site: v1::Site) -> Result<Self, InvalidMessage> {
        Ok(Self {
            id: SiteId(site.id),
            name: site.name,
            url: site.url,
            organisation: site.organisation,
            location: site.location,
            repository: RepositoryId(uuid("repository", &site.repository)?),
            generation: Generation(site.generation),
            data_key_public: bytes32("data_key_public", &site.data_key_public)?,
            keys_fingerprint: bytes32("keys_fingerprint", &site.keys_fingerprint)?,
            state: required("site.state", site.state)?.into(),
        })
    }
}

impl From<Root> for v1::Root {
    fn from(root: Root) -> Self {
        Self { lin: root.lin.0, path: root.path }
    }
}

impl From<v1::Root> for Root {
    fn from(root: v1::Root) -> Self {
        Self { lin: Lin(root.lin), path: root.path }
    }
}

impl From<Policy> for v1::Policy {
    fn from(policy: Policy) -> Self {
        Self {
            id: policy.id.0,
            name: policy.name,
            set: policy.set.0,
            roots: policy.roots.into_iter().map(Into::into).collect(),
            site: policy.site.0,
            base: policy.base.map(Epoch::get),
            base_snapshot: policy.base_snapshot.map(SnapshotId::get),
            base_lins: policy.base_lins,
        }
    }
}

impl From<v1::Policy> for Policy {
    fn from(policy: v1::Policy) -> Self {
        Self {
            id: PolicyId(policy.id),
            name: policy.name,
            set: SetId(policy.set),
            roots: policy.roots.into_iter().map(Into::into).collect(),
            site: SiteId(policy.site),
            base: policy.base.map(Epoch),
            base_snapshot: policy.base_snapshot.map(SnapshotId),
            base_lins: policy.base_lins,
        }
    }
}

impl From<JobTotals> for v1::JobTotals {
    fn from(totals: JobTotals) -> Self {
        let by_node = totals.bytes_by_node.into_iter();
        Self {
            lins_nominated: totals.lins_nominated,
            lins_changed: totals.lins_changed,
            lins_in_set: totals.lins_in_set,
            bytes_plain: totals.bytes_plain,
            bytes_uploaded: totals.bytes_uploaded,
            objects: totals.objects,
            units_done: totals.units_done,
            units: totals.units,
            bytes_by_node: by_node.map(|(node, bytes)| v1::NodeBytes { node: node.0, bytes }).collect(),
        }
    }
}

impl From<v1::JobTotals> for JobTotals {
    fn from(totals: v1::JobTotals) -> Self {
        let by_node = totals.bytes_by_node.into_iter();
        Self {
            lins_nominated: totals.lins_nominated,
            lins_changed: totals.lins_changed,
            lins_in_set: totals.lins_in_set,
            bytes_plain: totals.bytes_plain,
            bytes_uploaded: totals.bytes_uploaded,
            objects: totals.objects,
            units_done: totals.units_done,
            units: totals.units,
            bytes_by_node: by_node.map(|entry| (NodeId(entry.node), entry.bytes)).collect(),
        }
    }
}

impl From<JobPhase> for v1::JobPhase {
    fn from(phase: JobPhase) -> Self {
        let phase = match phase {
            JobPhase::Packing => Phase::Packing(v1::Nothing {}),
            JobPhase::Coalescing => Phase::Coalescing(v1::Nothing {}),
            JobPhase::Committing(ticket) => {
                Phase::Committing(v1::CommitTicket { commit: Some(ticket.commit.into()), bytes: ticket.bytes })
            }
            JobPhase::Succeeded(commit) => Phase::Succeeded(commit.into()),
            JobPhase::Failed(reason) => Phase::Failed(reason),
            JobPhase::Cancelled => Phase::Cancelled(v1::Nothing {}),
        };
        Self { phase: Some(phase) }
    }
}

impl TryFrom<v1::JobPhase> for JobPhase {
    type Error = InvalidMessage;

    fn try_from(phase: v1::JobPhase) -> Result<Self, InvalidMessage> {
        Ok(match required("phase", phase.phase)? {
            Phase::Packing(v1::Nothing {}) => Self::Packing,
            Phase::Coalescing(v1::Nothing {}) => Self::Coalescing,
            Phase::Committing(ticket) => Self::Committing(CommitTicket {
                commit: required("committing.commit", ticket.commit)?.into(),
                bytes: ticket.bytes,
            }),
            Phase::Succeeded(commit) => Self::Succeeded(commit.into()),
            Phase::Failed(reason) => Self::Failed(reason),
            Phase::Cancelled(v1::Nothing {}) => Self::Cancelled,
        })
    }
}

impl From<Job> for v1::Job {
    fn from(job: Job) -> Self {
        Self {
            id: job.id.0,
            policy: job.policy.0,
            site: job.site.0,
            set: job.set.0,
            epoch: job.epoch.0,
            fence: job.fence.0,
            coordinator: job.coordinator.0,
            snapshot: job.snapshot.0,
            base: job.base.map(Epoch::get),
            base_snapshot: job.base_snapshot.map(SnapshotId::get),
            accept_shrunk: job.shrinkage == Shrinkage::Accept,
            phase: Some(job.phase.into()),
            totals: Some(job.totals.into()),
            started: Some(job.started.into()),
            finished: job.finished.map(Into::into),
        }
    }
}

impl TryFrom<v1::Job> for Job {
    type Error = InvalidMessage;

    fn try_from(job: v1::Job) -> Result<Self, InvalidMessage> {
        Ok(Self {
            id: JobId(job.id),
            policy: PolicyId(job.policy),
            site: SiteId(job.site),
            set: SetId(job.set),
            epoch: Epoch(job.epoch),
            fence: Fence(job.fence),
            coordinator: NodeId(job.coordinator),
            snapshot: SnapshotId(job.snapshot),
            base: job.base.map(Epoch),
            base_snapshot: job.base_snapshot.map(SnapshotId),
            shrinkage: if job.accept_shrunk { Shrinkage::Accept } else { Shrinkage::Refuse },
            phase: required("job.phase", job.phase)?.try_into()?,
            totals: required("job.totals", job.totals)?.into(),
            started: time("started", job.started)?,
            finished: optional_time(job.finished)?,
        })
    }
}

impl From<ObjectReport> for v1::ObjectReport {
    fn from(report: ObjectReport) -> Self {
        Self {
            name: report.name,
            size: report.size,
            hash: report.hash.to_vec().into(),
            node: report.node.0,
            bytes_plain: report.bytes_plain,
            units: report.units,
        }
    }
}

impl TryFrom<v1::ObjectReport> for ObjectReport {
    type Error = InvalidMessage;

    fn try_from(report: v1::ObjectReport) -> Result<Self, InvalidMessage> {
        Ok(Self {
            name: report.name,
            size: report.size,
            hash: bytes32("hash", &report.hash)?,
            node: NodeId(report.node),
            bytes_plain: report.bytes_plain,
            units: report.units,
        })
    }
}
