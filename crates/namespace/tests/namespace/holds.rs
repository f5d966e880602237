//! Files that sessions hold while their names go.

use bytes::Bytes;
use namespace::{ChangeFlags, LEASE_TICKS, StoredContent};
use types::{
    Account, AttributeChanges, Change, Content, Create, FileKind, Limits, Lin, Operation, OperationError, Outcome,
    QuotaOperation, RenameMode, RequestKey, SessionId, SnapshotId,
};

use crate::callers::Callers;
use crate::world::{Answer, attributes, create, extent, name, new_inode};

impl Callers {
    fn hold(&mut self, session: SessionId, lin: Lin) -> Answer {
        self.call(session, Change::Hold { lin })
    }

    fn release(&mut self, session: SessionId, lin: Lin) {
        assert_eq!(self.call(session, Change::Release { lin }), Ok(Outcome::Done));
    }

    /// Writes a block of 100 bytes, at the hundredfold of its number.
    fn write(&mut self, session: SessionId, lin: Lin, sequence: u64) -> Answer {
        let content = Content::Extents(vec![extent(session, sequence, sequence * 100, 100)]);
        self.call(session, Change::Write { lin, content, mtime: None })
    }

    fn is_there(&self, lin: Lin) -> bool {
        self.world.view().attributes(lin).is_ok()
    }

    /// How many blocks are freed.
    fn freed(&self) -> usize {
        let view = self.world.view();
        view.freed(view.nodes().unwrap()[0].id, None, usize::MAX).unwrap().len()
    }
}

#[test]
fn a_file_stays_until_the_last_session_that_holds_it_lets_go() {
    let (mut callers, first) = Callers::new();
    let second = callers.world.open_session();
    let lin = callers.world.file(Lin::ROOT, "a");
    callers.write(first, lin, 1).unwrap();
    for session in [first, second, first] {
        callers.hold(session, lin).unwrap();
    }
    callers.world.remove(Lin::ROOT, "a").unwrap();
    callers.world.check();
    let view = callers.world.view();
    assert_eq!((view.attributes(lin).unwrap().nlink, view.links(lin).unwrap().len()), (0, 0));
    assert_eq!(view.extents(lin, 0, 10).unwrap().len(), 1, "it is read by its LIN");
    callers.write(first, lin, 2).unwrap();
    callers.release(first, lin);
    callers.release(first, lin);
    assert!(callers.is_there(lin), "however often the other one lets go");
    let again = callers.call(second, Change::Link { lin, parent: Lin::ROOT, name: name("b") });
    assert_eq!(again, Err(OperationError::NoInode { lin }), "it gets no name again");
    callers.release(second, lin);
    assert!(!callers.is_there(lin));
    assert_eq!(callers.freed(), 2);
    callers.world.check();
}

#[test]
fn a_file_without_a_name_is_cut_and_changed_by_its_lin() {
    let (mut callers, session) = Callers::new();
    let lin = callers.world.file(Lin::ROOT, "a");
    callers.hold(session, lin).unwrap();
    callers.world.remove(Lin::ROOT, "a").unwrap();
    callers.write(session, lin, 1).unwrap();
    let changes = AttributeChanges { size: Some(50), mode: Some(0o600), ..AttributeChanges::default() };
    let cut = attributes(callers.world.change(Change::SetAttributes { lin, changes }));
    assert_eq!((cut.size, cut.mode, cut.nlink), (50, 0o600, 0));
    callers.world.check();
    assert_eq!(callers.freed(), 1, "what was cut off");
    callers.world.run(Operation::CloseSession { session }).unwrap();
    assert!(!callers.is_there(lin));
    callers.world.check();
}

#[test]
fn what_is_replaced_stays_for_its_holder_too() {
    let (mut callers, session) = Callers::new();
    let [old, other] = ["old", "other"].map(|text| callers.world.file(Lin::ROOT, text));
    for lin in [old, other] {
        callers.hold(session, lin).unwrap();
    }
    callers.world.file(Lin::ROOT, "new");
    callers.world.rename((Lin::ROOT, "new"), (Lin::ROOT, "old"), RenameMode::Replace).unwrap();
    let replace = Create { parent: Lin::ROOT, name: name("other"), inode: new_inode(FileKind::File), replace: true };
    callers.world.change(Change::Create(replace)).unwrap();
    assert!(callers.is_there(old) && callers.is_there(other));
    assert_eq!(callers.world.view().usage().inodes, 5, "the root, two with names, two without");
    callers.world.check();
    for lin in [old, other] {
        callers.release(session, lin);
        assert!(!callers.is_there(lin));
    }
    callers.world.check();
}

#[test]
fn a_file_with_names_stays_when_its_holder_lets_go() {
    let (mut callers, session) = Callers::new();
    let lin = callers.world.file(Lin::ROOT, "a");
    callers.hold(session, lin).unwrap();
    assert_eq!(callers.world.view().holders(lin).unwrap(), [session]);
    callers.release(session, lin);
    assert!(callers.is_there(lin) && callers.world.view().holders(lin).unwrap().is_empty());
    callers.world.remove(Lin::ROOT, "a").unwrap();
    assert!(!callers.is_there(lin));
    callers.world.check();
}

#[test]
fn a_directory_is_not_held_and_nobody_holds_without_a_session() {
    let (mut callers, session) = Callers::new();
    let directory = callers.world.directory(Lin::ROOT, "d");
    assert_eq!(callers.hold(session, directory), Err(OperationError::IsDirectory { lin: directory }));
    assert_eq!(callers.hold(session, Lin(99)), Err(OperationError::NoInode { lin: Lin(99) }));
    let lin = callers.world.file(Lin::ROOT, "a");
    for change in [Change::Hold { lin }, Change::Release { lin }] {
        assert!(matches!(callers.world.change(change), Err(OperationError::NoSession { .. })));
    }
}

#[test]
fn a_session_that_ends_lets_go_of_all_in_bounded_steps() {
    const FILES: usize = 40;
    let (mut callers, session) = Callers::new();
    let keeper = callers.world.open_session();
    let lins: Vec<Lin> = (0..FILES).map(|file| callers.world.file(Lin::ROOT, &format!("f{file}"))).collect();
    for &lin in &lins {
        callers.hold(session, lin).unwrap();
    }
    callers.hold(keeper, lins[FILES - 1]).unwrap();
    for file in 0..FILES {
        callers.world.remove(Lin::ROOT, &format!("f{file}")).unwrap();
    }
    let mut left = vec![callers.world.view().usage().inodes];
    let mut ended = Some(session);
    while let Some(session) = ended {
        callers.world.run(Operation::CloseSession { session }).unwrap();
        callers.world.check();
        assert!(matches!(callers.hold(session, lins[0]), Err(OperationError::NoSession { .. })), "it is over at once");
        left.push(callers.world.view().usage().inodes);
        ended = callers.world.view().ended_holder().unwrap();
    }
    assert_eq!(left, [41, 25, 9, 2], "a step removes sixteen files, but not what another session holds");
    callers.release(keeper, lins[FILES - 1]);
    assert_eq!(callers.world.view().usage().inodes, 1);
    callers.world.check();
}

#[test]
fn a_session_whose_lease_has_run_out_holds_until_it_is_ended() {
    let (mut callers, session) = Callers::new();
    let lin = callers.world.file(Lin::ROOT, "a");
    callers.hold(session, lin).unwrap();
    callers.world.tick(LEASE_TICKS + 1);
    callers.world.remove(Lin::ROOT, "a").unwrap();
    assert!(callers.is_there(lin));
    callers.world.run(Operation::CloseSession { session }).unwrap();
    assert!(!callers.is_there(lin));
    callers.world.check();
}

#[test]
fn a_snapshot_keeps_a_file_without_a_name_and_drops_it_whole() {
    let (mut callers, session) = Callers::new();
    let lin = callers.world.file(Lin::ROOT, "a");
    callers.write(session, lin, 1).unwrap();
    let named = callers.world.snapshot("named");
    callers.hold(session, lin).unwrap();
    callers.world.remove(Lin::ROOT, "a").unwrap();
    let nameless = callers.world.snapshot("nameless");
    callers.release(session, lin);
    let gone = callers.world.snapshot("gone");
    callers.world.check();

    let view = callers.world.view();
    let then = view.at(nameless.id).unwrap();
    assert_eq!((then.attributes(lin).unwrap().nlink, then.links(lin).unwrap().len()), (0, 0), "no entry names it");
    assert!(matches!(then.file(lin).unwrap().content, StoredContent::Extents));
    assert_eq!(then.extents(lin, 0, 10).unwrap().len(), 1);
    assert_eq!(view.at(named.id).unwrap().links(lin).unwrap().len(), 1);
    let flags = |base: SnapshotId, to: SnapshotId| {
        let page = view.changed_since(Some(base), to, None, 100).unwrap();
        page.changes.into_iter().find(|change| change.lin == lin).map(|change| change.flags)
    };
    let lost_name = flags(named.id, nameless.id).unwrap();
    assert!(lost_name.contains(ChangeFlags::LINKS) && !lost_name.contains(ChangeFlags::REMOVED), "{lost_name:?}");
    assert!(flags(nameless.id, gone.id).unwrap().contains(ChangeFlags::REMOVED));
    drop((then, view));

    for (dropped, freed) in [(named, 0), (nameless, 1), (gone, 1)] {
        callers.world.drop_snapshot(dropped.id, 3);
        callers.world.check();
        assert_eq!(callers.freed(), freed, "after {} was dropped", dropped.name);
    }
}

#[test]
fn what_has_no_name_counts_for_its_owner_alone() {
    let (mut callers, session) = Callers::new();
    let directory = callers.world.directory(Lin::ROOT, "d");
    let (place, owner) = (Account::Directory(directory), Account::User(1));
    for account in [place, owner] {
        let limits = Limits { bytes: Some(100), inodes: None };
        callers.world.run(Operation::Quota(QuotaOperation::Set { account, limits })).unwrap();
    }
    let lin = callers.world.file(directory, "a");
    let content = Content::Inline(Bytes::from_static(&[1; 60]));
    callers.call(session, Change::Write { lin, content: content.clone(), mtime: None }).unwrap();
    callers.hold(session, lin).unwrap();
    callers.world.remove(directory, "a").unwrap();
    callers.world.check();
    let used = |callers: &Callers, account| callers.world.view().quota(account).unwrap().used_bytes;
    assert_eq!((used(&callers, place), used(&callers, owner)), (0, 60));
    let other = callers.world.file(directory, "b");
    let refused = callers.world.write(other, content);
    assert!(matches!(refused, Err(OperationError::OverQuota { account, .. }) if account == owner), "{refused:?}");
    callers.world.remove(directory, "b").unwrap();
    callers.world.remove_directory(Lin::ROOT, "d").unwrap();
    callers.world.run(Operation::CloseSession { session }).unwrap();
    assert_eq!(used(&callers, owner), 0);
    callers.world.check();
}

#[test]
fn a_hold_that_is_repeated_gives_the_first_result_and_holds_nothing_anew() {
    let (mut callers, session) = Callers::new();
    let lin = callers.world.file(Lin::ROOT, "a");
    let key = RequestKey { session, sequence: 1, low_water: 1 };
    let hold = Operation::Change(Change::Hold { lin });
    let first = callers.world.run_in(key, hold.clone());
    let release = Operation::Change(Change::Release { lin });
    callers.world.run_in(RequestKey { sequence: 2, ..key }, release).unwrap();
    callers.world.change(create(Lin::ROOT, "b", FileKind::Pipe)).unwrap();
    assert_eq!(callers.world.run_in(key, hold), first);
    assert!(callers.world.view().holders(lin).unwrap().is_empty());
    callers.world.check();
}
