//! The cluster's records and whole backup jobs.

use bytes::Bytes;
use types::{
    CommitReference, CommitTicket, Epoch, Fence, Generation, Incarnation, Job, JobId, JobOperation, JobPhase, Lin,
    NewNode, NodeId, ObjectReport, Operation, OperationError, Outcome, Policy, PolicyId, Registration, RepositoryId,
    Request, RequestKey, Root, Shrinkage, Site, SiteId, SnapshotId, SnapshotState,
};
use uuid::Uuid;

use crate::world::World;

fn register(world: &mut World, registration: Registration) -> Result<Outcome, OperationError> {
    world.run(Operation::Register(registration))
}

fn step(world: &mut World, operation: JobOperation) -> Result<Job, OperationError> {
    match world.run(Operation::Job(operation))? {
        Outcome::Job(job) => Ok(job),
        other => panic!("{other:?}"),
    }
}

fn add_site(world: &mut World) -> Site {
    let site = Site::proposed("cloud".into(), "file:///cloud".into(), RepositoryId(Uuid::nil()), Generation(1));
    match register(world, Registration::AddSite(site)) {
        Ok(Outcome::Site(site)) => site,
        other => panic!("{other:?}"),
    }
}

fn add_policy(world: &mut World, site: SiteId) -> Policy {
    let roots = vec![Root { lin: Lin::ROOT, path: "/".into() }];
    match register(world, Registration::CreatePolicy { name: "daily".into(), roots, site }) {
        Ok(Outcome::Policy(policy)) => policy,
        other => panic!("{other:?}"),
    }
}

/// A world with a site, a policy and the node that coordinates.
fn prepared() -> (World, SiteId, PolicyId) {
    let mut world = World::new();
    world.add_node(1);
    world.add_node(2);
    let site = add_site(&mut world).id;
    let policy = add_policy(&mut world, site).id;
    register(&mut world, Registration::KitExported { site }).unwrap();
    (world, site, policy)
}

fn start(world: &mut World, policy: PolicyId) -> Result<Job, OperationError> {
    step(world, JobOperation::Start { policy, coordinator: NodeId(1), shrinkage: Shrinkage::Refuse })
}

fn ticket(number: u64) -> CommitTicket {
    CommitTicket {
        commit: CommitReference { number, name: format!("commits/{number}") },
        bytes: Bytes::from_static(b"sealed"),
    }
}

fn object(name: &str) -> ObjectReport {
    let units = vec!["unit".into()];
    ObjectReport { name: name.into(), size: 1, hash: [1; 32], node: NodeId(1), bytes_plain: 1, units }
}

/// Runs a job from its start to its end; the commit follows its parent.
fn back_up(world: &mut World, policy: PolicyId, parent: Option<u64>) -> Job {
    let Job { id: job, fence, .. } = start(world, policy).unwrap();
    step(world, JobOperation::Seal { job, fence }).unwrap();
    let ticket = ticket(parent.map_or(1, |parent| parent + 1));
    step(world, JobOperation::FixCommit { job, fence, parent, ticket }).unwrap();
    step(world, JobOperation::Confirm { job, fence }).unwrap()
}

#[test]
fn a_node_keeps_its_number_and_every_start_gets_a_new_one() {
    let mut world = World::new();
    let first = world.add_node(1);
    let second = world.add_node(2);
    assert_eq!(first, NodeId(1), "the log needs a member before it has an entry");
    assert_eq!(world.add_node(1), first, "the same key is the same node");
    assert_ne!(first, second);
    let start = |world: &mut World, node| match register(world, Registration::StartNode { node, address: "n:1".into() })
    {
        Ok(Outcome::Incarnation(incarnation)) => incarnation,
        other => panic!("{other:?}"),
    };
    let one = start(&mut world, second);
    assert!(one > Incarnation(0) && start(&mut world, second) > one);
    assert_eq!(world.view().node(second).unwrap().address, "n:1");
    let fingerprint = world.view().node(second).unwrap().key_fingerprint;
    assert_eq!(world.view().node_by_fingerprint(&fingerprint).unwrap().unwrap().id, second);
    let missing = register(&mut world, Registration::StartNode { node: NodeId(99), address: String::new() });
    assert_eq!(missing, Err(OperationError::NoNode { node: NodeId(99) }));
    world.check();
}

#[test]
fn the_first_pool_is_formed_once() {
    let mut world = World::new();
    let nodes: Vec<NodeId> = (1..=3).map(|number| world.add_node(number)).collect();
    let form = |replicas, nodes: &[NodeId]| Registration::FormPool { replicas, groups: 6, nodes: nodes.to_vec() };
    assert!(matches!(register(&mut world, form(3, &nodes[..2])), Err(OperationError::OutOfRange { .. })));
    register(&mut world, form(3, &nodes)).unwrap();
    register(&mut world, form(1, &nodes)).unwrap();
    assert_eq!(world.view().pools().unwrap().len(), 1);
    assert_eq!(world.view().pools().unwrap()[0].replicas, 3);
    assert_eq!(world.view().placement_groups().unwrap().len(), 6);
    let empty = NewNode { address: "n9".into(), volumes: Vec::new(), key_fingerprint: "9".into() };
    register(&mut world, Registration::AddNode(empty)).unwrap();
}

#[test]
fn sites_and_policies_are_found_by_name_and_hold_each_other() {
    let (mut world, site, policy) = prepared();
    assert_eq!(world.view().site_by_name("cloud").unwrap().id, site);
    assert_eq!(world.view().policy_by_name("daily").unwrap().id, policy);
    let again = world.view().site(site).unwrap();
    assert!(matches!(register(&mut world, Registration::AddSite(again)), Err(OperationError::RecordExists { .. })));
    assert!(matches!(register(&mut world, Registration::RemoveSite { site }), Err(OperationError::InUse { .. })));
    let roots = vec![Root { lin: Lin(77), path: "/gone".into() }];
    let no_root = register(&mut world, Registration::CreatePolicy { name: "other".into(), roots, site });
    assert_eq!(no_root, Err(OperationError::NoInode { lin: Lin(77) }));
    register(&mut world, Registration::DeletePolicy { policy }).unwrap();
    register(&mut world, Registration::RemoveSite { site }).unwrap();
    assert!(world.view().sites().unwrap().is_empty() && world.view().policies().unwrap().is_empty());
    add_site(&mut world);
}

#[test]
fn no_backup_starts_before_the_recovery_kit_was_exported() {
    let mut world = World::new();
    world.add_node(1);
    let site = add_site(&mut world).id;
    let policy = add_policy(&mut world, site).id;
    let refused = OperationError::NoRecoveryKit { site: "cloud".into() };
    assert_eq!(start(&mut world, policy), Err(refused));
    assert_eq!(world.view().site(site).unwrap().state.epoch, Epoch(0));
    register(&mut world, Registration::KitExported { site }).unwrap();
    assert!(world.view().site(site).unwrap().state.kit_exported);
    start(&mut world, policy).unwrap();
}

#[test]
fn a_backup_moves_the_head_and_the_base_and_lets_the_old_base_go() {
    let (mut world, site, policy) = prepared();
    let first = back_up(&mut world, policy, None);
    world.file(Lin::ROOT, "f");
    let second = back_up(&mut world, policy, Some(1));
    assert_eq!((first.epoch, second.epoch), (Epoch(1), Epoch(2)));
    assert_eq!((second.base, second.base_snapshot), (Some(Epoch(1)), Some(first.snapshot)));
    let view = world.view();
    assert_eq!(view.site(site).unwrap().state.head.unwrap().number, 2);
    let stored = view.policy(policy).unwrap();
    assert_eq!((stored.base, stored.base_snapshot), (Some(Epoch(2)), Some(second.snapshot)));
    assert_eq!(view.snapshot(first.snapshot).unwrap().state, SnapshotState::Dying);
    let base = view.snapshot(second.snapshot).unwrap();
    let name = format!("backup-daily-2-job-{}", second.id);
    assert_eq!((base.state, base.pins, &base.name[..]), (SnapshotState::Live, 1, &name[..]));
    let pinned = world.change(types::Change::DeleteSnapshot { snapshot: second.snapshot });
    assert!(matches!(pinned, Err(OperationError::InUse { .. })));
    assert!(world.view().open_jobs().unwrap().is_empty());
    world.check();
    register(&mut world, Registration::DeletePolicy { policy }).unwrap();
    assert_eq!(world.view().snapshot(second.snapshot).unwrap().state, SnapshotState::Dying);
    assert!(world.view().jobs(None, 10).unwrap().is_empty());
}

#[test]
fn an_old_base_that_is_read_goes_with_its_last_reader() {
    for reader_ends in [true, false] {
        let (mut world, _, policy) = prepared();
        let first = back_up(&mut world, policy, None);
        let session = world.open_session();
        let key = RequestKey { session, sequence: 1, low_water: 1 };
        let pin = types::Change::PinSnapshot { snapshot: first.snapshot, label: "reader".into() };
        world.run_in(key, Operation::Change(pin)).unwrap();
        back_up(&mut world, policy, Some(1));
        let state = |world: &World| world.view().snapshot(first.snapshot).unwrap().state;
        assert_eq!(state(&world), SnapshotState::Live);
        world.check();
        if reader_ends {
            world.run(Operation::CloseSession { session }).unwrap();
        } else {
            let unpin = types::Change::UnpinSnapshot { snapshot: first.snapshot };
            world.run_in(RequestKey { sequence: 2, ..key }, Operation::Change(unpin)).unwrap();
        }
        assert_eq!(state(&world), SnapshotState::Dying);
        world.check();
    }
}

#[test]
fn a_snapshot_of_a_user_does_not_keep_a_backup_from_starting() {
    let (mut world, _, policy) = prepared();
    for name in ["backup-daily-1", "backup-daily-2"] {
        world.change(types::Change::CreateSnapshot { name: name.into() }).unwrap();
    }
    assert_eq!(start(&mut world, policy).unwrap().epoch, Epoch(1));
    world.check();
}

#[test]
fn a_job_that_is_cancelled_leaves_no_snapshot_and_frees_its_policy() {
    let (mut world, site, policy) = prepared();
    let base = back_up(&mut world, policy, None);
    let job = start(&mut world, policy).unwrap();
    assert!(matches!(start(&mut world, policy), Err(OperationError::InUse { .. })), "one open job a policy");
    assert_eq!(world.view().snapshot(base.snapshot).unwrap().pins, 2);
    let cancelled = step(&mut world, JobOperation::Cancel { job: job.id }).unwrap();
    assert_eq!(cancelled.phase, JobPhase::Cancelled);
    assert_eq!(world.view().snapshot(job.snapshot).unwrap().state, SnapshotState::Dying);
    assert_eq!(world.view().snapshot(base.snapshot).unwrap().pins, 1);
    let next = start(&mut world, policy).unwrap();
    assert_eq!(next.epoch, Epoch(3), "an epoch is never used twice");
    // A late repetition for the old job leaves the new one open.
    step(&mut world, JobOperation::Cancel { job: job.id }).unwrap();
    assert_eq!(world.view().open_jobs().unwrap()[0].id, next.id);
    assert_eq!(world.view().site(site).unwrap().state.fence, Fence(3));
    world.check();
}

#[test]
fn an_owner_that_lost_its_job_can_do_nothing_to_it() {
    let (mut world, _, policy) = prepared();
    let Job { id: job, fence, .. } = start(&mut world, policy).unwrap();
    let nobody = step(&mut world, JobOperation::Take { job, fence, coordinator: NodeId(99) });
    assert_eq!(nobody, Err(OperationError::NoNode { node: NodeId(99) }));
    let second = world.view().nodes().unwrap()[1].id;
    let taken = step(&mut world, JobOperation::Take { job, fence, coordinator: second }).unwrap();
    assert_eq!((taken.fence, taken.coordinator), (Fence(2), second));
    let fenced = OperationError::Fenced { job, given: fence, current: Fence(2) };
    let report = JobOperation::Report { job, fence, object: object("objects/1") };
    assert_eq!(world.run(Operation::Job(report)), Err(fenced.clone()));
    assert_eq!(step(&mut world, JobOperation::Seal { job, fence }), Err(fenced.clone()));
    let failed = JobOperation::Fail { job, fence, reason: "late".into() };
    assert_eq!(step(&mut world, failed), Err(fenced));
    let missing = step(&mut world, JobOperation::Seal { job: JobId(99), fence });
    assert!(matches!(missing, Err(OperationError::NoRecord { .. })));
}

#[test]
fn an_object_is_noted_once_and_only_until_the_job_is_sealed() {
    let (mut world, _, policy) = prepared();
    let Job { id: job, fence, .. } = start(&mut world, policy).unwrap();
    let mut report = |object: ObjectReport| world.run(Operation::Job(JobOperation::Report { job, fence, object }));
    report(object("objects/1")).unwrap();
    report(object("objects/1")).unwrap();
    report(object("objects/2")).unwrap();
    let other = ObjectReport { hash: [2; 32], ..object("objects/1") };
    assert!(matches!(report(other), Err(OperationError::WrongPhase { .. })));
    let names = |world: &World, after: Option<&str>| {
        let objects = world.view().job_objects(job, after, 10).unwrap();
        objects.into_iter().map(|object| object.name).collect::<Vec<_>>()
    };
    assert_eq!(names(&world, None), ["objects/1", "objects/2"]);
    assert_eq!(names(&world, Some("objects/1")), ["objects/2"]);
    step(&mut world, JobOperation::Seal { job, fence }).unwrap();
    let mut report = |object: ObjectReport| world.run(Operation::Job(JobOperation::Report { job, fence, object }));
    report(object("objects/2")).unwrap();
    assert!(matches!(report(object("objects/3")), Err(OperationError::WrongPhase { .. })));
    step(&mut world, JobOperation::FixCommit { job, fence, parent: None, ticket: ticket(1) }).unwrap();
    step(&mut world, JobOperation::Confirm { job, fence }).unwrap();
    assert!(names(&world, None).is_empty(), "the commit names them now");
}

#[test]
fn the_objects_of_an_ended_job_are_forgotten_in_bounded_steps() {
    let (mut world, _, policy) = prepared();
    let Job { id: job, fence, .. } = start(&mut world, policy).unwrap();
    let report = |number: u32| {
        let object = object(&format!("objects/{number:05}"));
        Request { key: None, operation: Operation::Job(JobOperation::Report { job, fence, object }) }
    };
    world.apply((0..3500).map(report).collect());
    let left = |world: &World| world.view().job_objects(job, None, 10_000).unwrap().len();
    let forget = |world: &mut World| world.run(Operation::Job(JobOperation::ForgetObjects { job, rows_max: 1000 }));
    assert!(matches!(forget(&mut world), Err(OperationError::WrongPhase { .. })), "the job is open");
    assert_eq!((left(&world), world.view().forgotten_job().unwrap()), (3500, None));

    step(&mut world, JobOperation::Cancel { job }).unwrap();
    assert_eq!(left(&world), 2500, "its end takes a step, too");
    let other = start(&mut world, policy).unwrap();
    let open = JobOperation::Report { job: other.id, fence: other.fence, object: object("objects/1") };
    world.run(Operation::Job(open)).unwrap();
    assert_eq!(world.view().forgotten_job().unwrap(), Some(job));
    assert_eq!((forget(&mut world), left(&world)), (Ok(Outcome::Remaining(1)), 1500));
    assert_eq!((forget(&mut world), left(&world)), (Ok(Outcome::Remaining(1)), 500));
    assert_eq!((forget(&mut world), left(&world)), (Ok(Outcome::Remaining(0)), 0));
    assert_eq!(world.view().forgotten_job().unwrap(), None, "only an open job has objects");
    assert_eq!(forget(&mut world), Ok(Outcome::Remaining(0)));
    world.check();
}

#[test]
fn a_policy_keeps_its_newest_hundred_ended_jobs() {
    let (mut world, _, policy) = prepared();
    for _ in 0..103 {
        let job = start(&mut world, policy).unwrap();
        step(&mut world, JobOperation::Cancel { job: job.id }).unwrap();
        while world.change(types::Change::DropStep { snapshot: job.snapshot, rows_max: 100 })
            != Ok(Outcome::Remaining(0))
        {}
    }
    let jobs = world.view().jobs(None, 1000).unwrap();
    assert_eq!((jobs.len(), jobs[0].epoch, jobs[99].epoch), (100, Epoch(4), Epoch(103)));
    assert_eq!(world.view().jobs(Some(jobs[49].id), 20).unwrap().len(), 20);
    assert_eq!(
        world.view().snapshot(SnapshotId(jobs[0].snapshot.0)).map_err(|error| error.kind()),
        Err(types::ErrorKind::NotFound)
    );
    world.check();
}
