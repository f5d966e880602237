//! Every invariant that the check knows, broken behind the store's back: the check has to name the row.

mod holds;
mod locks;
mod pins;
mod world;

use bytes::Bytes;
use types::{Digest, FileKind, Lin, NodeId, Outcome, PgId, Revision, SessionId, SnapshotId, TAIL_LENGTH_MAX};

use self::world::{Rows, World, name};
use crate::family::Family;
use crate::history::{Moment, version};
use crate::keys::{
    ChangedKey, ContentKey, DeadKey, EntryKey, ExtentKey, FreedKey, Key as _, KeyRange, LinkKey, RememberedKey,
    ShortKey, XattrKey,
};
use crate::meta;
use crate::places::PlaceKey;
use crate::read::Read as _;
use crate::rows::{Body, ChangedRow, EntryRow, FreedRow, Present, RememberedRow, RunRow};
use crate::tables::{
    Blocks, Changes, Deadlist, Entries, Extents, Freed, Inodes, Links, References, Remembered, Short, Xattrs,
};

#[test]
fn a_block_in_use_counts_as_one_and_no_other_does() {
    let world = World::new();
    let reason = "its block does not count as one in use";
    world.break_rows(|rows| rows.delete::<Blocks>(&world.block(1)), Family::Extent, reason);
    world.break_rows(|rows| rows.delete::<Blocks>(&world.block(2)), Family::ExtentHistory, reason);
    let more = |rows: &mut Rows<'_>| rows.put::<Blocks>(&world.block(77), &Present);
    world.break_rows(more, Family::Block, "no extent uses it");
}

#[test]
fn the_places_of_a_cloned_block_are_its_references() {
    let world = World::new();
    for lin in [world.file, world.clone] {
        let place = world.place(lin);
        let reason = "its place is not among those of its block";
        world.break_rows(|rows| rows.delete::<References>(&place), Family::Extent, reason);
    }
    let both = [world.place(world.file), world.place(world.clone)];
    let none = |rows: &mut Rows<'_>| both.iter().for_each(|place| rows.delete::<References>(place));
    world.break_rows(none, Family::Block, "it has 2 places, and none of them is named");
    let elsewhere = PlaceKey { start: both[0].start + 1, ..both[0] };
    let more = |rows: &mut Rows<'_>| rows.put::<References>(&elsewhere, &Present);
    world.break_rows(more, Family::Reference, "no extent uses the block there");
    let of_another = PlaceKey { block: world.block(3), ..both[0] };
    let more = |rows: &mut Rows<'_>| rows.put::<References>(&of_another, &Present);
    world.break_rows(more, Family::Extent, "its place is not among those of its block");
}

#[test]
fn entries_and_links_belong_together() {
    let world = World::new();
    let (f, file, directory) = (world.entry("f"), world.file, world.directory);
    let link = |lin| LinkKey { lin, parent: directory, name: name("f") };
    world.break_rows(|rows| rows.delete::<Entries>(&f), Family::Link, "it has no entry");
    world.break_rows(|rows| rows.delete::<Links>(&link(file)), Family::Dentry, "it has no link");
    let missing = "its inode is of another kind or missing";
    world.break_rows(|rows| rows.edit::<Entries>(&f, |entry| entry.row.lin = Lin(999)), Family::Dentry, missing);
    let kind = FileKind::Pipe;
    world.break_rows(|rows| rows.edit::<Entries>(&f, |entry| entry.row.kind = kind), Family::Dentry, missing);
    let lost = |rows: &mut Rows<'_>| rows.put_head::<Links>(&link(Lin(999)), Revision(1), Present);
    world.break_rows(lost, Family::Link, "its inode is not there");
    let in_file = EntryKey { parent: file, name: name("x") };
    let entry = EntryRow { lin: file, kind: FileKind::File };
    let inside = |rows: &mut Rows<'_>| rows.put_head::<Entries>(&in_file, Revision(1), entry);
    world.break_rows(inside, Family::Dentry, "its parent is no directory");
    let alone = |rows: &mut Rows<'_>| rows.put_head::<Xattrs>(&xattr(Lin(999)), Revision(1), Bytes::new());
    world.break_rows(alone, Family::Xattr, "its inode is not there");
}

fn xattr(lin: Lin) -> XattrKey {
    XattrKey { lin, name: Bytes::from_static(b"user.x") }
}

#[test]
fn a_directory_has_one_name_and_its_way_up_ends_at_the_root() {
    let world = World::new();
    let (directory, below) = (world.directory, world.below);
    let link = |lin, parent, text| LinkKey { lin, parent, name: name(text) };
    let again = |rows: &mut Rows<'_>| rows.put_head::<Links>(&link(below, Lin::ROOT, "b"), Revision(1), Present);
    world.break_rows(again, Family::Inode, "the directory has 2 names");
    let root = |rows: &mut Rows<'_>| rows.put_head::<Links>(&link(Lin::ROOT, below, "r"), Revision(1), Present);
    world.break_rows(root, Family::Inode, "the directory has 1 names");
    let move_to = |rows: &mut Rows<'_>, parent| {
        rows.delete::<Links>(&link(directory, Lin::ROOT, "d"));
        rows.put_head::<Links>(&link(directory, parent, "d"), Revision(1), Present);
    };
    world.break_rows(|rows| move_to(rows, below), Family::Link, "the way up is a cycle");
    world.break_rows(|rows| move_to(rows, Lin(999)), Family::Link, "the way up does not end at the root");
}

#[test]
fn what_an_inode_counts_is_there() {
    let world = World::new();
    let (directory, file) = (world.directory, world.file);
    let size = |rows: &mut Rows<'_>| rows.edit::<Inodes>(&directory, |inode| inode.row.size += 1);
    world.break_rows(size, Family::Inode, "entries");
    let nlink = |rows: &mut Rows<'_>| rows.edit::<Inodes>(&directory, |inode| inode.row.nlink += 1);
    world.break_rows(nlink, Family::Inode, "it has 1 subdirectories");
    let nlink = |rows: &mut Rows<'_>| rows.edit::<Inodes>(&file, |inode| inode.row.nlink += 1);
    world.break_rows(nlink, Family::Inode, "it has 2 links");
    let usage = |rows: &mut Rows<'_>| rows.edit_progress(|progress| progress.usage.bytes += 1);
    world.break_rows(usage, Family::Meta, "the usage says");
    let orphans = |rows: &mut Rows<'_>| rows.edit_progress(|progress| progress.orphans += 1);
    world.break_rows(orphans, Family::Meta, "there are 0 orphans and not 1");
}

#[test]
fn the_body_is_that_of_the_kind() {
    let world = World::new();
    let reason = "its body is that of another kind, or of another length";
    let long = Bytes::from(vec![7; 5101]);
    for body in [Body::Nothing, Body::Target(Bytes::new()), Body::Inline(Bytes::new()), Body::Inline(long)] {
        let put = |rows: &mut Rows<'_>| rows.edit::<Inodes>(&world.file, |inode| inode.row.body = body);
        world.break_rows(put, Family::Inode, reason);
    }
    let link = version::<Entries>(&world.database, Moment::Head, &world.entry("link")).unwrap().unwrap().row.lin;
    let put = |rows: &mut Rows<'_>| rows.edit::<Inodes>(&link, |inode| inode.row.size += 1);
    world.break_rows(put, Family::Inode, reason);
}

#[test]
fn extents_lie_apart_within_their_file_and_their_block() {
    let world = World::new();
    let extents = world.extents(world.file);
    let (first, last) = (extents[0].0, extents.last().unwrap().0);
    let longer = |rows: &mut Rows<'_>, key, by| rows.edit_extent(key, |extent| extent.length += by);
    world.break_rows(|rows| longer(rows, first, 1), Family::Extent, "it does not lie within its block");
    let next = extents[1].0;
    let over = |rows: &mut Rows<'_>| longer(rows, next, 1);
    world.break_rows(over, Family::Extent, "it overlaps the one before it");
    let short = |rows: &mut Rows<'_>| rows.edit::<Inodes>(&world.file, |inode| inode.row.size = last.offset + 1);
    world.break_rows(short, Family::Extent, "it reaches beyond its file");
    let other = |rows: &mut Rows<'_>| {
        rows.edit::<Inodes>(&world.file, |inode| inode.row.body = Body::Extents(Revision(999)));
    };
    world.break_rows(other, Family::Extent, "it is of no file, and no orphan");
    let nowhere = |rows: &mut Rows<'_>| rows.edit_extent(first, |extent| extent.pg = PgId(99));
    world.break_rows(nowhere, Family::Extent, "its placement group is not there");
}

#[test]
fn tails_have_bytes_and_lie_apart_within_their_file() {
    let world = World::new();
    let tails: Vec<_> = world.extents(world.tailed).into_iter().map(|(key, _)| key).collect();
    let hold = |rows: &mut Rows<'_>, key, length| {
        rows.edit::<Extents>(key, |version| version.row = RunRow::Tail(vec![0; length].into()));
    };
    let reason = "its bytes are none, or more than a tail has";
    world.break_rows(|rows| hold(rows, &tails[0], 0), Family::Extent, reason);
    world.break_rows(|rows| hold(rows, &tails[1], TAIL_LENGTH_MAX + 1), Family::Extent, reason);
    world.break_rows(|rows| hold(rows, &tails[0], 5001), Family::Extent, "it overlaps the one before it");
    world.break_rows(|rows| hold(rows, &tails[1], 8), Family::Extent, "it reaches beyond its file");
    let stray = ExtentKey { content: ContentKey { since: Revision(1), ..tails[0].content }, offset: 0 };
    let put = |rows: &mut Rows<'_>| rows.put_head::<Extents>(&stray, Revision(1), RunRow::Tail(vec![7].into()));
    world.break_rows(put, Family::Extent, "it is of no file, and no orphan");
}

#[test]
fn an_old_version_is_on_the_list_of_one_snapshot_which_is_the_last_that_sees_it() {
    let world = World::new();
    let dead = world.dead(Family::ExtentHistory);
    assert_eq!(dead.snapshot, world.first);
    let nobody = |rows: &mut Rows<'_>| rows.delete::<Deadlist>(&dead);
    world.break_rows(nobody, Family::ExtentHistory, "0 snapshots have it on their lists");
    let second = DeadKey { snapshot: world.second, ..dead.clone() };
    let both = |rows: &mut Rows<'_>| rows.put::<Deadlist>(&second, &Present);
    world.break_rows(both, Family::ExtentHistory, "2 snapshots have it on their lists");
    let (key, row) = world.extents(world.file).remove(0);
    let later = (key.content.since.0, world.second.0 + 1);
    let outlives = |rows: &mut Rows<'_>| {
        rows.put_old::<Extents>(&key, later, row.row);
        let (snapshot, key, birth) = (world.first, key.encode(), Revision(later.0));
        rows.put::<Deadlist>(&DeadKey { snapshot, family: Family::ExtentHistory, key, birth }, &Present);
    };
    world.break_rows(outlives, Family::ExtentHistory, "which sees it");
}

#[test]
fn a_list_belongs_to_a_snapshot_and_names_rows_that_are_there() {
    let world = World::new();
    let dead = world.dead(Family::ExtentHistory);
    let wrong = [
        (DeadKey { snapshot: SnapshotId(999), ..dead.clone() }, "its snapshot is not there"),
        (DeadKey { birth: Revision(dead.birth.0 - 1), ..dead.clone() }, "the row that it names is not there"),
        (DeadKey { birth: Revision(world.second.0), ..dead }, "its snapshot does not see the row"),
    ];
    for (key, reason) in wrong {
        world.break_rows(|rows| rows.put::<Deadlist>(&key, &Present), Family::Deadlist, reason);
    }
}

#[test]
fn the_versions_of_a_key_live_one_after_the_other() {
    let world = World::new();
    let dead = world.dead(Family::ExtentHistory);
    let key = ExtentKey::decode(&dead.key).unwrap();
    let (row, head) = (world.extents(world.file).remove(0).1.row, world.extents(world.file));
    let (birth, death) = (dead.birth.0, world.second.0);
    let within = |rows: &mut Rows<'_>| rows.put_old::<Extents>(&key, (birth + 1, death), row.clone());
    world.break_rows(within, Family::ExtentHistory, "it lives at the same time as the one before it");
    let backward = |rows: &mut Rows<'_>| rows.put_old::<Extents>(&key, (death, death), row.clone());
    world.break_rows(backward, Family::ExtentHistory, "it lives at the same time as the one before it");
    let (first, version) = &head[0];
    let with_head = (1, version.revision.0 + 1);
    let beside = |rows: &mut Rows<'_>| rows.put_old::<Extents>(first, with_head, row.clone());
    world.break_rows(beside, Family::ExtentHistory, "it lives at the same time as the row of the head");
}

#[test]
fn the_change_index_has_every_inode_where_it_is_looked_for() {
    let world = World::new();
    let lin = world.file;
    let revision = version::<Inodes>(&world.database, Moment::Head, &lin).unwrap().unwrap().row.changed;
    let key = ChangedKey { revision, lin };
    world.break_rows(|rows| rows.delete::<Changes>(&key), Family::Inode, "the change index does not have it");
    let early = ChangedKey { revision: Revision(world.first.0 - 1), lin };
    let row = ChangedRow { flags: 1 };
    world.break_rows(|rows| rows.put::<Changes>(&early, &row), Family::Changed, "the inode has another row");
    let moved = |rows: &mut Rows<'_>| {
        rows.delete::<Changes>(&key);
        rows.put::<Changes>(&early, &row);
        rows.edit::<Inodes>(&lin, |inode| inode.row.changed = early.revision);
    };
    world.break_rows(moved, Family::Inode, "who asks for what changed since a snapshot does not find it");
    let mourned = world.dead(Family::Changed);
    let forgotten = |rows: &mut Rows<'_>| rows.delete::<Deadlist>(&mourned);
    world.break_rows(forgotten, Family::Changed, "0 snapshots have it on their lists");
}

#[test]
fn an_inode_is_saved_with_everything_that_is_its_own() {
    let world = World::new();
    let later = Revision(meta::progress(&world.database).unwrap().revision.0 + 1);
    let reason = "its inode was not saved with it";
    let file = world.file;
    let link = LinkKey { lin: file, parent: world.directory, name: name("f") };
    let extent = world.extents(file).remove(0).0;
    world.break_rows(
        |rows| rows.edit::<Entries>(&world.entry("f"), |row| row.revision = later),
        Family::Dentry,
        reason,
    );
    world.break_rows(|rows| rows.edit::<Links>(&link, |row| row.revision = later), Family::Link, reason);
    world.break_rows(|rows| rows.edit::<Extents>(&extent, |row| row.revision = later), Family::Extent, reason);
    let attribute = xattr(world.directory);
    world.break_rows(|rows| rows.edit::<Xattrs>(&attribute, |row| row.revision = later), Family::Xattr, reason);
}

#[test]
fn a_session_cannot_publish_a_block_in_use_again() {
    let world = World::new();
    let id = world.session;
    let forgets = |rows: &mut Rows<'_>| {
        rows.edit_session(id, |session| (session.block_mark, session.published) = (0, Vec::new()));
    };
    world.break_rows(forgets, Family::Block, "its session could publish it again");
    for published in [vec![(5, 5)], vec![(7, 8), (6, 7)], vec![(1, 2)], vec![(6, 8), (8, 9)]] {
        let put = |rows: &mut Rows<'_>| {
            rows.edit_session(id, |session| (session.block_mark, session.published) = (5, published));
        };
        world.break_rows(put, Family::Session, "its published blocks are not ranges above its mark");
    }
}

#[test]
fn all_extents_of_a_block_say_the_same_of_it() {
    let world = World::new();
    let reason = "another extent says something else of its block";
    for lin in [world.file, world.clone] {
        let key = world.extents(lin).remove(0).0;
        let lies = |rows: &mut Rows<'_>| rows.edit_extent(key, |extent| extent.digest = Digest([9; 32]));
        world.break_rows(lies, Family::Extent, reason);
    }
    // Of one place alone: what is left of the block around what was overwritten.
    let piece = world.extents(world.file).pop().unwrap().0;
    let lies = |rows: &mut Rows<'_>| rows.edit_extent(piece, |extent| extent.pg = PgId(2));
    world.break_rows(lies, Family::Extent, reason);
    let old = |rows: &mut Rows<'_>| rows.edit_extent(piece, |extent| extent.block_born = Revision(999));
    world.break_rows(old, Family::Extent, "it is older than its block");
}

#[test]
fn a_copy_is_made_or_deleted_and_only_where_there_is_reason_to() {
    let world = World::new();
    let (freed, _) = world.database.rows::<Freed>(KeyRange::all()).next().unwrap().unwrap();
    let (pg, block, holder) = (PgId(1), freed.block, freed.holder);
    let both = |rows: &mut Rows<'_>| rows.put::<Short>(&ShortKey { pg, block, holder }, &Present);
    world.break_rows(both, Family::Freed, "the copy is also missing");
    world.break_rows(both, Family::Short, "its block is not in use");
    let used = FreedKey { holder, block: world.block(1) };
    let row = FreedRow { pg, revision: Revision(1) };
    world.break_rows(|rows| rows.put::<Freed>(&used, &row), Family::Freed, "its block is in use");
    let stranger = ShortKey { pg, block: world.block(1), holder: NodeId(999) };
    let reason = "the node has no seat in the placement group";
    world.break_rows(|rows| rows.put::<Short>(&stranger, &Present), Family::Short, reason);
}

#[test]
fn a_session_remembers_what_lies_in_its_window_and_was_heard_of_before_now() {
    let world = World::new();
    let row = RememberedRow { result: Ok(Outcome::Done) };
    for (session, sequence) in [(world.session, 0), (world.session, 1025), (SessionId(999), 1)] {
        let key = RememberedKey { session, sequence };
        let put = |rows: &mut Rows<'_>| rows.put::<Remembered>(&key, &row);
        world.break_rows(put, Family::Remembered, "it is outside of its session's window");
    }
    let ahead = |rows: &mut Rows<'_>| rows.edit_session(world.session, |session| session.renewed = 1);
    world.break_rows(ahead, Family::Session, "it was heard of in a tick that is to come");
}
