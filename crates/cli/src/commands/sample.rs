//! Records for tests.

use types::{
    Epoch, Fence, Job, JobId, JobPhase, JobTotals, Lin, NodeId, Policy, PolicyId, Root, SetId, Shrinkage, SiteId,
    SnapshotId, Timestamp,
};

/// A policy whose last backup is that of [`job`].
pub fn policy() -> Policy {
    Policy {
        id: PolicyId(2),
        name: "nightly".to_owned(),
        set: SetId(2),
        roots: vec![Root { lin: Lin::ROOT, path: "/".to_owned() }],
        site: SiteId(1),
        base: Some(Epoch(3)),
        base_snapshot: None,
        base_lins: 0,
    }
}

/// A job in a phase; it took five seconds.
pub fn job(phase: JobPhase) -> Job {
    let time = |seconds| Timestamp { seconds, nanoseconds: 0 };
    Job {
        id: JobId(7),
        policy: PolicyId(2),
        site: SiteId(1),
        set: SetId(2),
        epoch: Epoch(3),
        fence: Fence(1),
        coordinator: NodeId(4),
        snapshot: SnapshotId(5),
        base: None,
        base_snapshot: None,
        shrinkage: Shrinkage::Refuse,
        phase,
        totals: JobTotals::default(),
        started: time(0),
        finished: Some(time(5)),
    }
}
