//! A check joins what it reads: rows that do not fit each other are found, each with its backups and its path.

use bytes::Bytes;
use repo::{
    CheckDepth, EntryRecord, EntryRow, ExtentRecord, ExtentRow, InodeRecord, InodeRow, Location, ObjectNumber,
    SealedObject,
};
use site::Operation;
use types::{Epoch, FileKind, Lin, Name, Timestamp};

use crate::world::{ROOT, SET, Tree, World, check};

/// The rows of a small tree. Every block lies in one object, the rows in another, so that they can say anything.
struct Rows {
    epoch: u64,
    inodes: Vec<InodeRow>,
    entries: Vec<EntryRow>,
    extents: Vec<ExtentRow>,
    block: ExtentRecord,
}

impl Rows {
    /// `/home` with a directory that holds a file and a second name of another, and a symbolic link.
    fn sound(block: ExtentRecord) -> Self {
        let mut rows = Self { epoch: 1, inodes: vec![], entries: vec![], extents: vec![], block };
        rows.inode(1, FileKind::Directory, 3, 3);
        rows.inode(2, FileKind::Directory, 2, 2);
        rows.inode(10, FileKind::File, 300, 2);
        rows.inode(11, FileKind::Symlink, 6, 1);
        rows.inode(12, FileKind::File, 200, 1);
        rows.entry(1, "d", 2, FileKind::Directory);
        rows.entry(1, "file", 10, FileKind::File);
        rows.entry(1, "link", 11, FileKind::Symlink);
        rows.entry(2, "again", 10, FileKind::File);
        rows.entry(2, "deep", 12, FileKind::File);
        rows.extent(10, 0, 100);
        rows.extent(10, 150, 50);
        rows.extent(12, 100, 100);
        rows
    }

    fn nothing(epoch: u64, block: ExtentRecord) -> Self {
        Self { epoch, inodes: vec![], entries: vec![], extents: vec![], block }
    }

    fn inode(&mut self, lin: u64, kind: FileKind, size: u64, nlink: u32) {
        let (time, target) = (Timestamp::default(), if kind == FileKind::Symlink { "target" } else { "" });
        let (atime, mtime, ctime, target) = (time, time, time, Bytes::from(target));
        let (mode, uid, gid, xattrs) = (0o600, 0, 0, vec![]);
        let inode = InodeRecord { kind, mode, uid, gid, nlink, size, atime, mtime, ctime, target, xattrs };
        self.inodes.push(self.inode_row(lin, Some(inode)));
    }

    fn inode_row(&self, lin: u64, inode: Option<InodeRecord>) -> InodeRow {
        InodeRow { set: SET, lin: Lin(lin), from: Epoch(self.epoch), seq: ObjectNumber::OWN, inode }
    }

    fn entry(&mut self, parent: u64, name: &str, lin: u64, kind: FileKind) {
        self.entries.push(self.entry_row(parent, name, Some(EntryRecord { lin: Lin(lin), kind })));
    }

    fn entry_row(&self, parent: u64, name: &str, entry: Option<EntryRecord>) -> EntryRow {
        let (parent, name) = (Lin(parent), Name::new(name.to_owned()).unwrap());
        EntryRow { set: SET, parent, name, from: Epoch(self.epoch), seq: ObjectNumber::OWN, entry }
    }

    fn extent(&mut self, lin: u64, offset: u64, length: u32) {
        let (lin, from, extent) = (Lin(lin), Epoch(self.epoch), Some(ExtentRecord { length, ..self.block }));
        self.extents.push(ExtentRow { set: SET, lin, offset, from, seq: ObjectNumber::OWN, extent });
    }

    fn record(&mut self, lin: u64) -> &mut InodeRecord {
        self.inodes.iter_mut().find(|row| row.lin == Lin(lin)).unwrap().inode.as_mut().unwrap()
    }

    fn location(&mut self) -> &mut Location {
        &mut self.extents[2].extent.as_mut().unwrap().location
    }

    fn without_inode(&mut self, lin: u64) {
        self.inodes.retain(|row| row.lin != Lin(lin));
    }

    fn without_entry(&mut self, name: &str) {
        self.entries.retain(|row| row.name.as_bytes() != name.as_bytes());
    }
}

/// A repository whose first backup has such rows.
struct Small {
    world: World,
    blocks: SealedObject,
    block: ExtentRecord,
}

impl Small {
    async fn new() -> Self {
        let world = World::new(25).await;
        let mut object = world.object(1, 0);
        let (digest, location) = object.add_inline(&[7; 100]).unwrap();
        let blocks = object.finish().unwrap();
        let location = blocks.locate(location, ObjectNumber::new(Epoch(1), 0).unwrap());
        Self { block: ExtentRecord { length: 100, digest, block_offset: 0, location }, world, blocks }
    }

    async fn back_up(&self, rows: Rows) {
        let epoch = rows.epoch;
        let mut object = self.world.object(epoch, 1);
        rows.inodes.into_iter().for_each(|row| object.add_inode(row));
        rows.entries.into_iter().for_each(|row| object.add_entry(row));
        rows.extents.into_iter().for_each(|row| object.add_extent(row));
        let mut reports = vec![];
        if epoch == 1 {
            reports.push(self.world.put(&self.blocks).await);
        }
        reports.push(self.world.put(&object.finish().unwrap()).await);
        self.world.commit(epoch, None, &reports).await;
    }

    /// What a check finds, as text.
    async fn told(&self) -> Vec<String> {
        let repository = self.world.open().await.list().await.unwrap();
        let report = check(&repository, CheckDepth::Structure).await.unwrap();
        assert_eq!(report.findings_total, report.findings.len() as u64);
        report.findings.iter().map(ToString::to_string).collect()
    }
}

/// Makes one backup of the sound tree with such a fault.
async fn told_of(fault: impl FnOnce(&mut Rows)) -> Vec<String> {
    let small = Small::new().await;
    let mut rows = Rows::sound(small.block);
    fault(&mut rows);
    small.back_up(rows).await;
    small.told().await
}

#[tokio::test]
async fn a_sound_tree_has_no_findings() {
    assert_eq!(told_of(|_| {}).await, [] as [&str; 0]);
}

#[tokio::test]
async fn names_and_inodes_that_do_not_fit_are_found() {
    let missing = told_of(|rows| rows.without_inode(12)).await;
    let of_content = "backup 1, extents, /home/d/deep: it has an extent at 100, and no inode";
    let of_name = "backup 1, entries, /home/d/deep: the name stands for inode 12, which is missing";
    assert_eq!(missing, [of_content, of_name]);

    let unreached = told_of(|rows| {
        rows.without_entry("deep");
        rows.record(2).size = 1;
    });
    assert_eq!(unreached.await, ["backup 1, inodes, inode 12: no name leads to it"]);

    let kind = told_of(|rows| rows.entries[4].entry.as_mut().unwrap().kind = FileKind::Symlink).await;
    let what = "the name says that it is a symbolic link, the inode that it is a file";
    assert_eq!(kind, [format!("backup 1, entries, /home/d/deep: {what}")]);

    let links = told_of(|rows| rows.record(10).nlink = 3).await;
    assert_eq!(links, ["backup 1, inodes, /home/file: its link count is 3, the names make it 2"]);

    let target = told_of(|rows| rows.record(11).size = 5).await;
    assert_eq!(target, ["backup 1, inodes, /home/link: it says that its target has 5 bytes, it has 6"]);
}

#[tokio::test]
async fn directories_that_do_not_fit_are_found() {
    let size = told_of(|rows| rows.record(2).size = 3).await;
    assert_eq!(size, ["backup 1, inodes, /home/d: it says that it holds 3 names, it holds 2"]);

    let links = told_of(|rows| rows.record(1).nlink = 2).await;
    assert_eq!(links, ["backup 1, inodes, /home: its link count is 2, the names make it 3"]);

    let missing = told_of(|rows| rows.without_inode(2)).await;
    let of_names = "backup 1, inodes, /home/d: 2 names lie in it, and it has no inode";
    assert_eq!(missing, ["backup 1, entries, /home/d: the name stands for inode 2, which is missing", of_names]);

    let root = told_of(|rows| rows.without_inode(1)).await;
    let of_names = "backup 1, inodes, /home: 3 names lie in it, and it has no inode";
    assert_eq!(root, ["backup 1, inodes, /home: it is a root of the backup, and has no inode", of_names]);

    let file = told_of(|rows| {
        rows.entry(12, "below", 11, FileKind::Symlink);
        rows.record(11).nlink = 2;
    });
    assert_eq!(file.await, ["backup 1, inodes, /home/d/deep: 1 names lie in it, and it is no directory"]);

    let twice = told_of(|rows| {
        rows.entry(1, "e", 2, FileKind::Directory);
        (rows.record(1).size, rows.record(1).nlink) = (4, 4);
    });
    assert_eq!(twice.await, ["backup 1, inodes, /home/d: it is a directory, and has 2 names"]);
}

#[tokio::test]
async fn directories_that_lie_below_themselves_are_found() {
    let circle = told_of(|rows| {
        rows.inode(20, FileKind::Directory, 1, 3);
        rows.inode(21, FileKind::Directory, 2, 3);
        rows.inode(22, FileKind::File, 0, 1);
        rows.entry(21, "round", 20, FileKind::Directory);
        rows.entry(20, "and round", 21, FileKind::Directory);
        rows.entry(21, "on board", 22, FileKind::File);
    });
    let told = |lin| format!("backup 1, entries, inode {lin}: the directories above it lie below themselves");
    let mut circle = circle.await;
    circle.sort();
    assert_eq!(circle, [told(20), told(21)]);
}

#[tokio::test]
async fn extents_that_do_not_fit_their_file_are_found() {
    let told = |path: &str, what: &str| [format!("backup 1, extents, /home/{path}: {what}")];
    let overlap = told_of(|rows| rows.extent(10, 99, 20)).await;
    assert_eq!(overlap, told("file", "its extent at 99 overlaps the one before it"));
    let beyond = told_of(|rows| rows.record(12).size = 199).await;
    assert_eq!(beyond, told("d/deep", "its extent at 100 goes beyond its end"));
    let link = told_of(|rows| rows.extent(11, 0, 6)).await;
    assert_eq!(link, told("link", "it has an extent at 0, and is no file"));
    let block = told_of(|rows| rows.extents[2].extent.as_mut().unwrap().block_offset = 1).await;
    assert_eq!(block, told("d/deep", "its extent at 100 goes beyond the end of its block"));
}

#[tokio::test]
async fn extents_that_point_to_no_block_are_found() {
    let told = |what: &str| [format!("backup 1, extents, /home/d/deep: {what}")];
    let unknown = told_of(|rows| rows.extents[2].extent.as_mut().unwrap().digest.0[0] ^= 1).await;
    assert_eq!(unknown, told("the block of its extent at 100 is not in the table of blocks"));
    let stale = told_of(|rows| rows.location().slot = 5).await;
    let where_it_is = "the table of blocks has the block in slot 0 of 1.0";
    assert_eq!(stale, told(&format!("the place of its extent at 100 is stale: {where_it_is}")));
    let hint = told_of(|rows| rows.location().stored_length -= 1).await;
    let disagree = "its extent at 100 and the table of blocks do not agree about slot and lengths of the block";
    assert_eq!(hint, told(disagree));

    let outside = told_of(|rows| rows.location().slot_offset += 1).await;
    let beyond = "its extent at 100 lies outside of the slots of object 1.0";
    assert_eq!(outside, [&told(beyond)[..], &told(disagree)].concat());
    let object = told_of(|rows| rows.location().object = ObjectNumber::new(Epoch(1), 9).unwrap()).await;
    let unknown = "its extent at 100 lies in object 1.9, which the repository does not have";
    let stale = format!("the place of its extent at 100 is stale: {where_it_is}");
    assert_eq!(object, [&told(unknown)[..], &told(&stale)].concat());
}

#[tokio::test]
async fn a_finding_tells_in_which_backups_its_rows_are() {
    let small = Small::new().await;
    small.back_up(Rows::sound(small.block)).await;
    let mut second = Rows::nothing(2, small.block);
    second.entries.push(second.entry_row(2, "deep", None));
    second.inode(2, FileKind::Directory, 1, 2);
    small.back_up(second).await;
    let mut third = Rows::nothing(3, small.block);
    third.inode(10, FileKind::File, 199, 2);
    small.back_up(third).await;
    let mut fourth = Rows::nothing(4, small.block);
    fourth.inode(10, FileKind::File, 300, 1);
    fourth.inodes.push(fourth.inode_row(12, None));
    small.back_up(fourth).await;
    let told = [
        "backup 3, extents, /home/file: its extent at 150 goes beyond its end",
        "backup 4, inodes, /home/file: its link count is 1, the names make it 2",
        "backups 2 to 3, inodes, inode 12: no name leads to it",
    ];
    assert_eq!(small.told().await, told);
}

/// A tree that changes in each of many backups.
async fn many_backups(backups: u64) -> World {
    let world = World::new(26).await;
    let mut before = Tree::default();
    before.mkdir(Lin(2));
    for number in 0..50 {
        before.files.insert(Lin(10 + number), vec![1; 100]);
        before.entries.insert((Lin(1 + number % 2), Name::new(number.to_string()).unwrap()), Lin(10 + number));
    }
    world.back_up(1, None, &Tree::default(), &before).await;
    for epoch in 2..=backups {
        let mut after = before.clone();
        after.files.insert(Lin(10), epoch.to_be_bytes().to_vec());
        after.files.insert(Lin(100 + epoch), vec![2; 10]);
        after.entries.insert((ROOT, Name::new(format!("new {epoch}")).unwrap()), Lin(100 + epoch));
        world.back_up(epoch, Some(epoch - 1), &before, &after).await;
        before = after;
    }
    world
}

#[tokio::test]
async fn each_row_is_read_once_however_many_backups_see_it() {
    let mut requests = vec![];
    for backups in [10, 20, 30] {
        let world = many_backups(backups).await;
        let repository = world.open().await.list().await.unwrap();
        let _ = world.recording.take();
        let report = check(&repository, CheckDepth::Structure).await.unwrap();
        assert!(report.is_clean(), "{:?}", report.findings);
        let rows = repository.head().unwrap().runs.iter().map(|run| run.rows).sum();
        assert_eq!((report.backups, report.rows), (backups, rows));
        requests.push(world.recording.take().of(Operation::GetRange));
    }
    let [ten, twenty, thirty] = requests[..] else { panic!("there are three") };
    assert_eq!(thirty - twenty, twenty - ten, "ten more backups cost the same, however many there are: {requests:?}");
}

#[tokio::test]
async fn a_backup_that_needs_a_damaged_run_is_told_and_the_others_are_joined() {
    for table in ["inodes", "entries", "extents"] {
        let (world, _) = World::with_three_backups(27).await;
        let prefix = format!("tables/{table}/");
        let of_third = |name: &&String| name.starts_with(&prefix) && name.contains("-0000000000000003-");
        let contents = world.memory.contents();
        let name = contents.keys().find(of_third).unwrap();
        let mut changed = contents[name].to_vec();
        changed[50] ^= 1;
        world.memory.replace(name, Some(changed.into()));
        let repository = world.open().await.list().await.unwrap();
        for depth in [CheckDepth::Structure, CheckDepth::Bytes] {
            let report = check(&repository, depth).await.unwrap();
            let named: Vec<_> = report.findings.iter().map(repo::Finding::name).collect();
            assert_eq!((report.backups, named), (2, vec![name.as_str(), repository.backups()[0].commit.as_str()]));
        }
    }
}
