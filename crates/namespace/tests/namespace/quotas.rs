//! What quotas count and refuse.

use bytes::Bytes;
use namespace::View;
use types::{
    Account, AttributeChanges, Change, Clearing, Content, Create, ErrorKind, FileKind, Limits, Lin, Operation,
    OperationError, Outcome, QuotaOperation, QuotaState, RenameMode, Resource,
};

use crate::world::{Answer, World, attributes, create, extent, name, new_inode};

const OWNER: u32 = 1;

fn bytes(limit: u64) -> Limits {
    Limits { bytes: Some(limit), inodes: None }
}

fn inodes(limit: u64) -> Limits {
    Limits { bytes: None, inodes: Some(limit) }
}

fn set(world: &mut World, account: Account, limits: Limits) {
    world.run(Operation::Quota(QuotaOperation::Set { account, limits })).unwrap();
}

fn remove(world: &mut World, account: Account) -> Answer {
    world.run(Operation::Quota(QuotaOperation::Remove { account }))
}

fn count(world: &mut World, entries_max: u32) -> u64 {
    match world.run(Operation::Quota(QuotaOperation::Count { entries_max })) {
        Ok(Outcome::Remaining(left)) => left,
        other => panic!("{other:?}"),
    }
}

fn count_all(world: &mut World) {
    while count(world, 1000) > 0 {}
}

fn resize(world: &mut World, lin: Lin, size: u64) -> Answer {
    world.change(Change::SetAttributes { lin, changes: AttributeChanges { size: Some(size), ..Default::default() } })
}

/// A file of so many bytes, all of them a hole.
fn sized(world: &mut World, parent: Lin, name: &str, size: u64) -> Lin {
    let lin = world.file(parent, name);
    resize(world, lin, size).unwrap();
    lin
}

/// Bytes and inodes.
fn used(view: &View, account: Account) -> (u64, u64) {
    let quota = view.quota(account).unwrap();
    (quota.used_bytes, quota.used_inodes)
}

fn over(answer: &Answer) -> (Account, Resource, u64, u64, u64) {
    match answer {
        Err(refused @ OperationError::OverQuota { account, resource, used, needed, limit }) => {
            assert_eq!(refused.kind(), ErrorKind::OverQuota);
            (*account, *resource, *used, *needed, *limit)
        }
        other => panic!("{other:?}"),
    }
}

fn crosses(answer: &Answer) {
    assert!(matches!(answer, Err(OperationError::CrossesQuota { .. })), "{answer:?}");
}

#[test]
fn what_is_appended_counts_and_is_refused_like_any_other_bytes() {
    let (mut world, session) = World::with_pool();
    let user = Account::User(OWNER);
    let lin = world.file(Lin::ROOT, "log");
    set(&mut world, user, bytes(10_000));
    let some = |length| Content::Inline(vec![7; length].into());
    for (length, used_then) in [(4000, 4000), (5000, 9000), (1000, 10_000)] {
        world.append(lin, some(length)).unwrap();
        assert_eq!(used(&world.view(), user).0, used_then, "inline, as a tail of its own, as part of one");
    }
    let before = world.view().runs(lin, 0, 10).unwrap();
    assert_eq!(over(&world.append(lin, some(1))), (user, Resource::Bytes, 10_000, 1, 10_000));
    assert_eq!(over(&world.append(lin, Content::Extents(vec![extent(session, 1, 0, 1)]))).3, 1);
    assert_eq!(world.view().runs(lin, 0, 10).unwrap(), before);
    world.check();
}

#[test]
fn a_user_is_refused_what_is_over_quota_and_told_how_much_that_is() {
    let mut world = World::new();
    let user = Account::User(OWNER);
    let file = sized(&mut world, Lin::ROOT, "a", 600);
    set(&mut world, user, bytes(1000));
    assert_eq!(used(&world.view(), user), (600, 1), "what is owned already is known at once");
    assert_eq!(over(&resize(&mut world, file, 1001)), (user, Resource::Bytes, 600, 401, 1000));
    resize(&mut world, file, 1000).unwrap();
    let content = Content::Inline(Bytes::from_static(b"x"));
    let inode = types::NewInode { content, size: 1, ..new_inode(FileKind::File) };
    let one_more = Create { parent: Lin::ROOT, name: name("b"), inode, replace: false };
    assert_eq!(over(&world.change(Change::Create(one_more.clone()))).2, 1000);
    let replaced = Create { name: name("a"), replace: true, ..one_more };
    world.change(Change::Create(replaced)).unwrap();
    assert_eq!(used(&world.view(), user), (1, 1), "what is replaced makes room for what replaces it");
    world.check();
}

#[test]
fn whoever_is_over_quota_can_still_remove_cut_and_rename() {
    let mut world = World::new();
    let file = sized(&mut world, Lin::ROOT, "a", 600);
    world.file(Lin::ROOT, "b");
    set(&mut world, Account::User(OWNER), Limits { bytes: Some(10), inodes: Some(1) });
    over(&world.change(create(Lin::ROOT, "c", FileKind::Symlink)));
    world.rename((Lin::ROOT, "a"), (Lin::ROOT, "z"), RenameMode::Replace).unwrap();
    let fewer = AttributeChanges { mode: Some(0o600), size: Some(599), ..Default::default() };
    world.change(Change::SetAttributes { lin: file, changes: fewer }).unwrap();
    world.remove(Lin::ROOT, "b").unwrap();
    assert_eq!(used(&world.view(), Account::User(OWNER)), (599, 1));
    world.check();
}

#[test]
fn another_owner_takes_the_charge_along() {
    let mut world = World::new();
    let file = sized(&mut world, Lin::ROOT, "a", 600);
    set(&mut world, Account::User(7), bytes(500));
    let give = |lin, size| Change::SetAttributes {
        lin,
        changes: AttributeChanges { uid: Some(7), size, ..Default::default() },
    };
    assert_eq!(over(&world.change(give(file, None))).0, Account::User(7));
    world.change(give(file, Some(500))).unwrap();
    let view = world.view();
    assert_eq!((view.owned_by(OWNER).unwrap(), view.owned_by(7).unwrap()), ((0, 0), (1, 500)));
    assert_eq!(view.owned_by(0).unwrap(), (1, 0), "the root directory");
    world.check();
}

#[test]
fn nested_directories_count_for_every_quota_above_them() {
    let mut world = World::new();
    let outer = world.directory(Lin::ROOT, "outer");
    let inner = world.directory(outer, "inner");
    set(&mut world, Account::Directory(outer), bytes(1000));
    set(&mut world, Account::Directory(inner), inodes(2));
    count_all(&mut world);
    let below = world.directory(inner, "below");
    let file = sized(&mut world, below, "file", 900);
    assert_eq!(used(&world.view(), Account::Directory(inner)), (900, 2), "the directory itself does not count");
    assert_eq!(used(&world.view(), Account::Directory(outer)), (900, 3));
    let refused = over(&world.change(create(below, "third", FileKind::Pipe)));
    assert_eq!(refused, (Account::Directory(inner), Resource::Inodes, 2, 1, 2));
    assert_eq!(over(&resize(&mut world, file, 1001)).0, Account::Directory(outer));
    let tightest = |lin| world.view().tightest_quota(lin).unwrap().map(|quota| quota.account);
    assert_eq!(tightest(below), Some(Account::Directory(outer)), "the inner one limits no bytes");
    assert_eq!(tightest(Lin::ROOT), None);
    world.check();
}

#[test]
fn cuts_and_removals_give_back_and_a_punched_hole_does_not() {
    let mut world = World::new();
    let directory = world.directory(Lin::ROOT, "d");
    let account = Account::Directory(directory);
    set(&mut world, account, bytes(1000));
    let file = sized(&mut world, directory, "file", 1000);
    let clear = Change::ClearRange { lin: file, offset: 0, length: 900, clearing: Clearing::KeepLength, mtime: None };
    world.change(clear).unwrap();
    assert_eq!(used(&world.view(), account), (1000, 1), "a hole counts as its length");
    let longer = Change::ClearRange { lin: file, offset: 0, length: 1001, clearing: Clearing::Extend, mtime: None };
    over(&world.change(longer));
    resize(&mut world, file, 10).unwrap();
    assert_eq!(used(&world.view(), account), (10, 1));
    world.remove(directory, "file").unwrap();
    assert_eq!(used(&world.view(), account), (0, 0));
    world.check();
}

#[test]
fn what_is_there_when_a_quota_is_set_is_counted_in_steps_and_nothing_is_refused_before() {
    let mut world = World::new();
    let directory = world.directory(Lin::ROOT, "d");
    for part in 0..5 {
        let below = world.directory(directory, &format!("p{part}"));
        for file in 0..5 {
            sized(&mut world, below, &format!("f{file}"), 100);
        }
    }
    let account = Account::Directory(directory);
    set(&mut world, account, bytes(2000));
    let mut steps = 0;
    while count(&mut world, 7) > 0 {
        steps += 1;
        assert_eq!(world.view().quota(account).unwrap().state, QuotaState::Counting);
        sized(&mut world, directory, &format!("new{steps}"), 1);
        world.check();
    }
    assert!((4..20).contains(&steps), "{steps} steps of seven entries");
    let quota = world.view().quota(account).unwrap();
    assert_eq!((quota.state, quota.used_bytes, quota.used_inodes), (QuotaState::Enforced, 2500 + steps, 30 + steps));
    assert_eq!(over(&sized_answer(&mut world, directory, "more", 1)).2, 2500 + steps);
    remove(&mut world, account).unwrap();
    assert!(sized_answer(&mut world, directory, "more", 1).is_ok(), "at once");
    world.check();
    count_all(&mut world);
    world.check();
    assert!(remove(&mut world, account).is_err_and(|refused| refused.kind() == ErrorKind::NotFound));
}

/// What making a file of so many bytes answers.
fn sized_answer(world: &mut World, parent: Lin, text: &str, size: u64) -> Answer {
    let inode = types::NewInode { size, ..new_inode(FileKind::File) };
    world.change(Change::Create(Create { parent, name: name(text), inode, replace: true }))
}

/// Two directories with quotas beside each other, and one without.
fn neighbours(world: &mut World) -> (Lin, Lin, Lin) {
    let [one, other, free] = ["one", "other", "free"].map(|text| world.directory(Lin::ROOT, text));
    set(world, Account::Directory(one), bytes(1000));
    set(world, Account::Directory(other), bytes(100));
    (one, other, free)
}

#[test]
fn a_file_or_an_empty_directory_moves_from_one_quota_to_another() {
    let mut world = World::new();
    let (one, other, free) = neighbours(&mut world);
    sized(&mut world, one, "file", 101);
    let refused = world.rename((one, "file"), (other, "file"), RenameMode::Replace);
    assert_eq!(over(&refused), (Account::Directory(other), Resource::Bytes, 0, 101, 100));
    world.rename((one, "file"), (free, "file"), RenameMode::Replace).unwrap();
    world.directory(one, "empty");
    world.rename((one, "empty"), (other, "empty"), RenameMode::Replace).unwrap();
    sized(&mut world, other, "small", 50);
    world.rename((free, "file"), (other, "small"), RenameMode::Exchange).unwrap_err();
    world.rename((free, "file"), (one, "file"), RenameMode::Replace).unwrap();
    let view = world.view();
    assert_eq!(used(&view, Account::Directory(one)), (101, 1));
    assert_eq!(used(&view, Account::Directory(other)), (50, 2));
    world.check();
}

#[test]
fn what_has_content_or_several_names_does_not_leave_its_quota() {
    let mut world = World::new();
    let (one, other, free) = neighbours(&mut world);
    let full = world.directory(one, "full");
    let file = sized(&mut world, full, "file", 10);
    crosses(&world.rename((one, "full"), (other, "full"), RenameMode::Replace));
    crosses(&world.rename((one, "full"), (free, "full"), RenameMode::Replace));
    crosses(&world.change(Change::Link { lin: file, parent: free, name: name("link") }));
    world.change(Change::Link { lin: file, parent: one, name: name("link") }).unwrap();
    crosses(&world.rename((one, "link"), (free, "link"), RenameMode::Replace));
    crosses(&world.rename((Lin::ROOT, "free"), (one, "link"), RenameMode::Exchange));
    world.rename((one, "full"), (one, "moved"), RenameMode::Replace).unwrap();
    assert_eq!(used(&world.view(), Account::Directory(one)), (10, 2));
    world.check();
}

#[test]
fn a_directory_with_a_quota_moves_with_all_that_it_holds() {
    let mut world = World::new();
    let (one, other, free) = neighbours(&mut world);
    let own = world.directory(free, "own");
    set(&mut world, Account::Directory(own), bytes(500));
    let deep = world.directory(own, "deep");
    sized(&mut world, deep, "file", 300);
    let refused = world.rename((free, "own"), (other, "own"), RenameMode::Replace);
    assert_eq!(over(&refused), (Account::Directory(other), Resource::Bytes, 0, 300, 100));
    world.rename((free, "own"), (one, "own"), RenameMode::Replace).unwrap();
    assert_eq!(used(&world.view(), Account::Directory(one)), (300, 3));
    assert_eq!(over(&sized_answer(&mut world, deep, "more", 201)).0, Account::Directory(own));
    over(&sized_answer(&mut world, one, "more", 701));
    world.check();
    world.rename((one, "own"), (free, "own"), RenameMode::Replace).unwrap();
    assert_eq!(used(&world.view(), Account::Directory(one)), (0, 0));
    world.check();
}

#[test]
fn a_directory_goes_with_its_quota() {
    let mut world = World::new();
    let directory = world.directory(Lin::ROOT, "d");
    set(&mut world, Account::Directory(directory), bytes(1));
    world.remove_directory(Lin::ROOT, "d").unwrap();
    assert!(world.view().quotas(None, 10).unwrap().is_empty());
    let file = world.file(Lin::ROOT, "f");
    let set = QuotaOperation::Set { account: Account::Directory(file), limits: bytes(1) };
    assert_eq!(world.run(Operation::Quota(set)), Err(OperationError::NotDirectory { lin: file }));
    world.check();
}

#[test]
fn a_file_with_names_on_both_sides_counts_where_one_of_them_is() {
    let mut world = World::new();
    let (inside, outside) = (world.directory(Lin::ROOT, "in"), world.directory(Lin::ROOT, "out"));
    let file = sized(&mut world, inside, "a", 10);
    world.change(Change::Link { lin: file, parent: outside, name: name("b") }).unwrap();
    for (directory, limit) in [(inside, 5), (outside, 5)] {
        set(&mut world, Account::Directory(directory), bytes(limit));
        count_all(&mut world);
        world.check();
    }
    assert_eq!(used(&world.view(), Account::Directory(outside)), (10, 1), "where it was counted last");
    world.remove(outside, "b").unwrap();
    assert_eq!(used(&world.view(), Account::Directory(outside)), (0, 0));
    assert_eq!(used(&world.view(), Account::Directory(inside)), (10, 1), "no removal is refused");
    assert_eq!(attributes(resize(&mut world, file, 9)).nlink, 1);
    world.check();
}

#[test]
fn a_quota_changes_nothing_that_a_snapshot_sees() {
    let mut world = World::new();
    let directory = world.directory(Lin::ROOT, "d");
    sized(&mut world, directory, "file", 10);
    let before = world.snapshot("before");
    set(&mut world, Account::Directory(directory), bytes(100));
    set(&mut world, Account::User(OWNER), bytes(100));
    count_all(&mut world);
    let after = world.snapshot("after");
    let page = world.view().changed_since(Some(before.id), after.id, None, 100).unwrap();
    assert_eq!((page.changes.len(), page.rows_read), (0, 0), "and a backup has nothing to look at");
    world.remove(directory, "file").unwrap();
    assert_eq!(used(&world.view(), Account::Directory(directory)), (0, 0), "what a snapshot keeps is not charged");
    world.check();
}

#[test]
fn a_directory_that_moves_while_it_is_counted_is_counted_where_it_goes() {
    let mut world = World::new();
    let directory = world.directory(Lin::ROOT, "d");
    let parts = ["a", "b", "c"].map(|text| world.directory(directory, text));
    for part in parts {
        let below = world.directory(part, "below");
        sized(&mut world, below, "file", 100);
    }
    set(&mut world, Account::Directory(directory), bytes(1000));
    count(&mut world, 2);
    world.check();
    // The first two are counted, "c" is not; it goes to a name that the count has passed.
    world.rename((directory, "c"), (directory, "aa"), RenameMode::Replace).unwrap();
    crosses(&world.rename((parts[2], "below"), (Lin::ROOT, "away"), RenameMode::Replace));
    world.check();
    // Whatever else is done there does not show what is counted and what is not.
    let file = sized(&mut world, parts[2], "late", 7);
    for (parent, text) in [(directory, "up"), (parts[0], "across"), (parts[2], "beside")] {
        world.change(Change::Link { lin: file, parent, name: name(text) }).unwrap();
        world.check();
    }
    let below = world.view().lookup(parts[0], &name("below")).unwrap().lin;
    world.change(Change::Link { lin: file, parent: below, name: name("farther") }).unwrap();
    world.rename((parts[0], "across"), (below, "across"), RenameMode::Replace).unwrap();
    world.rename((parts[0], "below"), (parts[1], "moved"), RenameMode::Replace).unwrap();
    let outside = world.directory(Lin::ROOT, "outside");
    sized(&mut world, outside, "file", 1);
    world.rename((Lin::ROOT, "outside"), (directory, "inside"), RenameMode::Replace).unwrap();
    world.check();
    count_all(&mut world);
    world.check();
    assert_eq!(used(&world.view(), Account::Directory(directory)), (308, 12));
}

#[test]
fn quotas_are_listed_page_by_page() {
    let mut world = World::new();
    let directories = ["a", "b"].map(|text| world.directory(Lin::ROOT, text));
    let accounts: Vec<_> =
        directories.into_iter().map(Account::Directory).chain([5, u32::MAX].map(Account::User)).collect();
    for &account in accounts.iter().rev() {
        set(&mut world, account, inodes(3));
    }
    let view = world.view();
    let mut listed = Vec::new();
    while let Some(quota) = view.quotas(listed.last().copied(), 1).unwrap().pop() {
        assert_eq!((quota.limits, quota.state), (inodes(3), QuotaState::Enforced));
        listed.push(quota.account);
    }
    assert_eq!(listed, accounts);
}
