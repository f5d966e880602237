use bytes::Bytes;
use types::{CommitReference, Generation, PolicyId, RepositoryId, Revision, SetId, SiteId, SnapshotState};
use uuid::Uuid;

use super::*;

const NOW: Timestamp = Timestamp { seconds: 100, nanoseconds: 0 };
const LATER: Timestamp = Timestamp { seconds: 200, nanoseconds: 0 };
const FIRST_BASE: SnapshotId = SnapshotId(11);

fn site() -> Site {
    let mut site = Site::proposed("s".into(), "file:///s".into(), RepositoryId(Uuid::nil()), Generation(1));
    site.id = SiteId(4);
    site.state.epoch = Epoch(6);
    site.state.fence = Fence(9);
    site.state.head = Some(reference(3));
    site
}

fn policy() -> Policy {
    Policy {
        id: PolicyId(5),
        name: "daily".into(),
        set: SetId(5),
        roots: Vec::new(),
        site: SiteId(4),
        base: Some(Epoch(6)),
        base_snapshot: Some(FIRST_BASE),
        base_lins: 70,
    }
}

fn reference(number: u64) -> CommitReference {
    CommitReference { number, name: format!("commits/{number}") }
}

fn ticket(number: u64) -> CommitTicket {
    CommitTicket { commit: reference(number), bytes: Bytes::from_static(b"sealed") }
}

fn started() -> Records {
    let snapshot = Snapshot {
        id: SnapshotId(20),
        name: snapshot_name(JobId(20), &policy(), &site()),
        revision: Revision(20),
        created: NOW,
        state: SnapshotState::Live,
        pins: 0,
    };
    start(JobId(20), NodeId(1), Shrinkage::Refuse, &snapshot, site(), policy()).records
}

fn after(steps: &[Step<'_>]) -> Records {
    let taken = |records, taken: &Step<'_>| step(records, taken, LATER).expect("the steps are in order").records;
    steps.iter().fold(started(), taken)
}

fn committing() -> Records {
    after(&[Step::Seal, Step::FixCommit(Some(3), &ticket(4))])
}

#[test]
fn a_start_takes_the_next_epoch_and_fence_and_holds_snapshot_and_base() {
    let records = started();
    assert_eq!((records.job.epoch, records.job.fence), (Epoch(7), Fence(10)));
    assert_eq!((records.site.state.epoch, records.site.state.fence), (Epoch(7), Fence(10)));
    assert_eq!((records.job.base, records.job.base_snapshot), (Some(Epoch(6)), Some(FIRST_BASE)));
    assert_eq!(snapshot_name(JobId(20), &policy(), &site()), "backup-daily-7-job-20");
}

#[test]
fn a_taken_job_has_the_next_fence_and_keeps_its_phase() {
    for records in [after(&[]), after(&[Step::Seal]), committing()] {
        let taken = step(records.clone(), &Step::Take(NodeId(3)), LATER).unwrap().records;
        assert_eq!((taken.job.fence, taken.job.coordinator), (Fence(11), NodeId(3)));
        assert_eq!(taken.job.phase, records.job.phase);
        assert_eq!(check_fence(&taken.job, Fence(11)), Ok(()));
        let old = OperationError::Fenced { job: JobId(20), given: Fence(10), current: Fence(11) };
        assert_eq!(check_fence(&taken.job, Fence(10)), Err(old));
    }
}

#[test]
fn every_phase_allows_its_steps_and_no_others() {
    let totals = JobTotals::default();
    let ticket = ticket(4);
    let steps = [
        Step::Take(NodeId(2)),
        Step::Progress(&totals),
        Step::Seal,
        Step::FixCommit(Some(3), &ticket),
        Step::Confirm,
        Step::Fail("no room"),
        Step::Cancel,
    ];
    let succeeded = step(committing(), &Step::Confirm, LATER).unwrap().records;
    let table = [
        ("packing", after(&[]), [true, true, true, false, false, true, true]),
        ("coalescing", after(&[Step::Seal]), [true, false, true, true, false, true, true]),
        ("committing", committing(), [true, false, false, true, true, false, false]),
        ("succeeded", succeeded, [false, false, false, false, true, false, false]),
        ("failed", after(&[Step::Fail("no room")]), [false, false, false, false, false, true, false]),
        ("cancelled", after(&[Step::Cancel]), [false, false, false, false, false, false, true]),
    ];
    for (phase, records, allowed) in table {
        for (taken, allowed) in steps.iter().zip(allowed) {
            let outcome = step(records.clone(), taken, LATER);
            assert_eq!(outcome.is_ok(), allowed, "{phase}: {taken:?} gives {outcome:?}");
        }
    }
}

#[test]
fn a_confirmed_commit_is_the_head_and_its_snapshot_the_base() {
    let totals = JobTotals { lins_in_set: 80, ..JobTotals::default() };
    let counted = after(&[Step::Progress(&totals), Step::Seal, Step::FixCommit(Some(3), &ticket(4))]);
    let Transition { records, snapshots } = step(counted, &Step::Confirm, LATER).unwrap();
    assert_eq!(records.policy.base_lins, 80);
    assert_eq!(records.site.state.head, Some(reference(4)));
    assert_eq!(records.site.state.pending, None);
    assert_eq!((records.policy.base, records.policy.base_snapshot), (Some(Epoch(7)), Some(SnapshotId(20))));
    assert_eq!(records.job.phase, JobPhase::Succeeded(reference(4)));
    assert_eq!(records.job.finished, Some(LATER));
    assert_eq!(snapshots, [SnapshotStep::Unpin(FIRST_BASE), SnapshotStep::Release(FIRST_BASE)]);
}

#[test]
fn a_job_that_ends_without_a_commit_lets_its_snapshot_go_and_keeps_the_base() {
    for ending in [Step::Fail("no room"), Step::Cancel] {
        let Transition { records, snapshots } = step(after(&[Step::Seal]), &ending, LATER).unwrap();
        assert_eq!((records.policy.base, records.policy.base_snapshot), (Some(Epoch(6)), Some(FIRST_BASE)));
        assert_eq!(snapshots, [SnapshotStep::Release(SnapshotId(20)), SnapshotStep::Unpin(FIRST_BASE)]);
        assert_eq!(records.site.state.epoch, Epoch(7), "an epoch is never used twice");
    }
}

#[test]
fn a_step_taken_again_changes_nothing() {
    let fix = ticket(4);
    let confirmed = step(committing(), &Step::Confirm, LATER).unwrap().records;
    for (records, again) in [
        (after(&[Step::Seal]), Step::Seal),
        (committing(), Step::FixCommit(Some(3), &fix)),
        (confirmed, Step::Confirm),
        (after(&[Step::Cancel]), Step::Cancel),
    ] {
        let transition = step(records.clone(), &again, NOW).unwrap();
        assert_eq!(transition, Transition { records, snapshots: Vec::new() });
    }
}

#[test]
fn a_commit_is_refused_unless_it_goes_on_from_base_and_head() {
    let sealed = after(&[Step::Seal]);
    let refused = |records: Records, parent, number| {
        let error = step(records, &Step::FixCommit(parent, &ticket(number)), LATER).unwrap_err();
        assert!(matches!(error, OperationError::WrongPhase { .. }), "{error}");
        error.to_string()
    };
    let mut pending = sealed.clone();
    pending.site.state.pending = Some(JobId(19));
    assert!(refused(pending, Some(3), 4).contains("job 19 is not confirmed"));
    let mut moved = sealed.clone();
    moved.policy.base = Some(Epoch(8));
    assert!(refused(moved, Some(3), 4).contains("base is epoch 6, and the set is at 8"));
    assert!(refused(sealed.clone(), Some(2), 3).contains("parent is commit 2, and the head is 3"));
    assert!(refused(sealed.clone(), None, 1).contains("parent is commit none, and the head is 3"));
    assert!(refused(sealed, Some(3), 5).contains("commit 5 does not follow"));
    assert!(refused(after(&[]), Some(3), 4).contains("not all reported"));
    let error = step(committing(), &Step::FixCommit(Some(3), &ticket(5)), LATER).unwrap_err();
    assert!(error.to_string().contains("its commit is fixed"), "{error}");
}
