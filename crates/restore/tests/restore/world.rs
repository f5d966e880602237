//! A repository with one backup of a small tree that has everything a tree can have.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use repo::{
    CheckDepth, CheckOptions, CoalesceContext, CoalesceOptions, Commit, EntryRecord, EntryRow, ExtentRecord, ExtentRow,
    InodeRecord, InodeRow, KeyObject, Location, NewKeys, NewRepository, ObjectNumber, ObjectOptions, ObjectWriter,
    PassphraseCost, Repository, RootRecord, SealedObject, StoredBlock, Unlock, Writer,
};
use restore::{Existing, LocalTarget, Plan, Report, RestoreError, RestoreOptions, Selection, Source, Summary};
use runtime::{Files, Seed};
use site::Site;
use types::{
    ClusterId, Epoch, Fence, FileKind, Generation, Incarnation, Lin, Name, NodeId, ObjectReport, RepositoryId, SetId,
    Timestamp,
};
use uuid::Uuid;

const REPOSITORY: RepositoryId = RepositoryId(Uuid::from_u128(0xbeef));
const SET: SetId = SetId(9);
const EPOCH: Epoch = Epoch(4);

/// Length of a block of the large file.
pub const BLOCK: usize = 300_000;
/// Where the large file goes on after its hole.
pub const AFTER_HOLE: u64 = 5_000_000;

pub struct World {
    pub folder: tempfile::TempDir,
    pub site: Site,
    pub object: String,
    keys: NewKeys,
    seed: Seed,
}

/// Adds rows to an object.
pub struct Tree {
    object: ObjectWriter,
    inodes: Vec<InodeRow>,
    /// How many names each directory holds, and how many of them are directories.
    held: BTreeMap<Lin, (u64, u32)>,
    /// How many names each inode has.
    names: BTreeMap<Lin, u32>,
}

impl World {
    /// One that has the usual tree.
    pub async fn new() -> Self {
        Self::of(b"/srv/data", Tree::add).await
    }

    /// One that has such a tree, whose root the set has by that path.
    pub async fn of(root: &'static [u8], fill: impl FnOnce(&mut Tree)) -> Self {
        Self::with_roots(&[(1, root)], fill).await
    }

    /// One that has such a tree, whose roots the set has by those paths.
    pub async fn with_roots(roots: &[(u64, &'static [u8])], fill: impl FnOnce(&mut Tree)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("site");
        std::fs::create_dir(&place).unwrap();
        let site = Site::open(&format!("file://{}", place.display())).unwrap();
        let seed = Seed::fixed(5);
        let keys = KeyObject::create(REPOSITORY, "a long passphrase", PassphraseCost::LEAST, &seed).unwrap();
        let new = NewRepository {
            repository: REPOSITORY,
            cluster: ClusterId(Uuid::from_u128(1)),
            generation: Generation(1),
            keys: keys.object.clone(),
            random: 1,
        };
        Repository::create(&site, &new).await.unwrap();
        let mut world = Self { folder, site, object: String::new(), keys, seed };
        world.back_up(roots, fill).await;
        world
    }

    async fn back_up(&mut self, roots: &[(u64, &'static [u8])], fill: impl FnOnce(&mut Tree)) {
        let writer = Writer {
            generation: Generation(1),
            epoch: EPOCH,
            fence: Fence(1),
            node: NodeId(1),
            incarnation: Incarnation(1),
            sequence: 0,
        };
        let keys = &self.keys.keys.writer;
        let object = ObjectWriter::new(writer, REPOSITORY, keys, &self.seed, ObjectOptions::default()).unwrap();
        let (inodes, held, names) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let mut tree = Tree { object, inodes, held, names };
        fill(&mut tree);
        let sealed = tree.finish();
        self.site.put_same(&sealed.name, sealed.bytes.clone()).await.unwrap();
        self.object = sealed.name.clone();
        let report = ObjectReport {
            name: sealed.name,
            size: sealed.bytes.len() as u64,
            hash: sealed.hash,
            node: NodeId(1),
            bytes_plain: sealed.bytes_plain,
            units: Vec::new(),
        };
        let context = CoalesceContext {
            site: &self.site,
            repository: REPOSITORY,
            keys,
            seed: &self.seed,
            files: &Files::real(),
            folder: &self.folder.path().join("merge"),
        };
        let from = writer.with_sequence(1);
        let merged = repo::coalesce(context, from, &[report], CoalesceOptions::default()).await.unwrap();
        let commit = Commit {
            repository: REPOSITORY,
            number: 1,
            writer: writer.with_sequence(1000),
            parent: None,
            set: SET,
            policy: "data".into(),
            definition_hash: [0; 32],
            roots: roots.iter().map(root).collect(),
            snapshot_time: Timestamp::default(),
            base: None,
            runs: merged.runs,
            totals: merged.totals,
            voids: Vec::new(),
            state: None,
        };
        let bytes = commit.seal(keys, &self.seed).unwrap();
        self.site.put_same(&commit.name().to_string(), bytes).await.unwrap();
    }

    /// What a check of the repository finds.
    pub async fn findings(&self) -> Vec<String> {
        let unlock = Unlock::PrivateKey(self.keys.keys.private.clone());
        let repository = Repository::open(&self.site, unlock).await.unwrap().list().await.unwrap();
        let options = CheckOptions::new(CheckDepth::Blocks, Files::real(), self.folder.path().join("check"));
        repository.check(&options).await.unwrap().findings.iter().map(ToString::to_string).collect()
    }

    pub async fn plan(&self, path: Option<&str>, options: Options) -> Result<Plan, RestoreError> {
        let unlock = Unlock::PrivateKey(self.keys.keys.private.clone());
        let repository = Repository::open(&self.site, unlock).await.unwrap().list().await.unwrap();
        let source = Source { repository, set: SET, epoch: EPOCH };
        let selection = path.map_or(Selection::Everything, |path| Selection::Path(path.as_bytes().to_vec()));
        let spool = self.folder.path().join("spool");
        let mut settings = RestoreOptions::new(spool);
        if options == Options::Tiny {
            settings.names_in_memory = 1;
            settings.window_files = 1;
            settings.window_bytes = BLOCK as u64;
            settings.range_length = 1000;
        }
        Plan::make(&source, &selection, &Files::real(), settings).await
    }

    /// Restores into the folder `out`.
    pub async fn restore(&self, path: Option<&str>, existing: Existing, options: Options) -> (Summary, Report) {
        let plan = self.plan(path, options).await.unwrap();
        let summary = plan.summary().await.unwrap();
        let target = LocalTarget::open(&self.out(), existing).unwrap();
        let report = restore::run(&plan, target, std::sync::Arc::default()).await.unwrap();
        (summary, report)
    }

    /// Leaves the upload object so many bytes.
    pub fn cut_object(&self, length: u64) {
        let path = self.folder.path().join("site").join(&self.object);
        std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
    }

    /// Makes every slot of the upload object unreadable.
    pub fn damage_all_slots(&self) {
        let path = self.folder.path().join("site").join(&self.object);
        let file = Files::real().open_write(&path).unwrap();
        file.write_all_at(8, &vec![0xaa; 4 * BLOCK]).unwrap();
    }

    pub fn out(&self) -> std::path::PathBuf {
        self.folder.path().join("out")
    }
}

fn root((lin, path): &(u64, &'static [u8])) -> RootRecord {
    RootRecord { lin: Lin(*lin), path: Bytes::from_static(path) }
}

/// Settings of a restore.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Options {
    Usual,
    /// Every bound is so low that it is met.
    Tiny,
}

/// What block `number` of the large file holds.
pub fn block_bytes(number: u8) -> Vec<u8> {
    (0..BLOCK).map(|at| (at % 251) as u8 ^ number.wrapping_mul(37)).collect()
}

/// Attributes that every inode of the tree has, so that they can be checked everywhere.
pub fn mode_of(lin: u64) -> u32 {
    if lin == 2 { 0o500 } else { 0o600 + u32::try_from(lin % 8).unwrap() }
}

pub fn mtime_of(lin: u64) -> (i64, u32) {
    (1_000_000_000 + lin.cast_signed(), 123_456_000 + u32::try_from(lin).unwrap())
}

impl Tree {
    pub fn add(&mut self) {
        self.directory(1);
        self.entry(1, "d", 2, FileKind::Directory);
        self.directory(2);
        self.entry(2, "deep", 3, FileKind::Directory);
        self.directory(3);

        self.file(10, 1, "inline", 40);
        self.inline(10, b"inline content");
        self.file(11, 3, "empty", 0);
        self.file(12, 2, "large", AFTER_HOLE + 2 * BLOCK as u64 + 1000);
        for number in 0..2 {
            self.block(12, u64::from(number) * BLOCK as u64, &block_bytes(number), BLOCK);
            self.block(12, AFTER_HOLE + u64::from(number) * BLOCK as u64, &block_bytes(number + 2), BLOCK);
        }
        self.file(13, 1, "linked", 1000);
        self.entry(2, "again", 13, FileKind::File);
        self.entry(3, "and again", 13, FileKind::File);
        let location = self.small(&[7; 2000]);
        self.extent(13, 0, 1000, &[7; 2000], 500, location);
        for lin in 20..60 {
            self.file(lin, 3, &format!("small-{lin}"), 5000);
            let content = vec![u8::try_from(lin).unwrap(); 5000];
            let location = self.small(&content);
            self.extent(lin, 0, 5000, &content, 0, location);
        }
        self.inode(70, FileKind::Symlink, 6, b"../out");
        self.entry(2, "link", 70, FileKind::Symlink);
    }

    pub fn directory(&mut self, lin: u64) {
        self.inode(lin, FileKind::Directory, 0, b"");
    }

    pub fn file(&mut self, lin: u64, parent: u64, name: &str, size: u64) {
        self.inode(lin, FileKind::File, size, b"");
        self.entry(parent, name, lin, FileKind::File);
    }

    pub fn inode(&mut self, lin: u64, kind: FileKind, size: u64, target: &'static [u8]) {
        self.inode_with(lin, kind, size, target, Vec::new());
    }

    /// An empty file of that owner, group and mode.
    pub fn owned(&mut self, lin: u64, uid: u32, gid: u32, mode: u32) {
        let time = Timestamp::default();
        let (atime, mtime, ctime) = (time, time, time);
        let (kind, target, xattrs) = (FileKind::File, Bytes::new(), Vec::new());
        self.record(lin, InodeRecord { kind, mode, uid, gid, nlink: 1, size: 0, atime, mtime, ctime, target, xattrs });
    }

    pub fn inode_with(
        &mut self,
        lin: u64,
        kind: FileKind,
        size: u64,
        target: &'static [u8],
        xattrs: Vec<(Bytes, Bytes)>,
    ) {
        let (seconds, nanoseconds) = mtime_of(lin);
        let mtime = Timestamp { seconds, nanoseconds };
        let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let (mode, target) = (mode_of(lin), Bytes::from_static(target));
        let (atime, ctime) = (mtime, mtime);
        self.record(lin, InodeRecord { kind, mode, uid, gid, nlink: 1, size, atime, mtime, ctime, target, xattrs });
    }

    fn record(&mut self, lin: u64, inode: InodeRecord) {
        let seq = ObjectNumber::OWN;
        self.inodes.push(InodeRow { set: SET, lin: Lin(lin), from: EPOCH, seq, inode: Some(inode) });
    }

    /// Gives the inodes the sizes and link counts that the names make.
    fn finish(mut self) -> SealedObject {
        for mut row in self.inodes {
            let names = self.names.get(&row.lin).copied().unwrap_or(0);
            if let Some(inode) = &mut row.inode {
                let (held, directories) = self.held.get(&row.lin).copied().unwrap_or_default();
                match inode.kind {
                    FileKind::Directory => (inode.size, inode.nlink) = (held, 2 + directories),
                    _ => inode.nlink = names.max(1),
                }
            }
            self.object.add_inode(row);
        }
        self.object.finish().unwrap()
    }

    pub fn entry(&mut self, parent: u64, name: &str, lin: u64, kind: FileKind) {
        let held = self.held.entry(Lin(parent)).or_default();
        (held.0, held.1) = (held.0 + 1, held.1 + u32::from(kind == FileKind::Directory));
        *self.names.entry(Lin(lin)).or_default() += 1;
        let (name, entry) = (Name::new(name.to_owned()).unwrap(), Some(EntryRecord { lin: Lin(lin), kind }));
        let row = EntryRow { set: SET, parent: Lin(parent), name, from: EPOCH, seq: ObjectNumber::OWN, entry };
        self.object.add_entry(row);
    }

    pub fn inline(&mut self, lin: u64, plain: &[u8]) {
        let (_, location) = self.object.add_inline(plain).unwrap();
        self.extent(lin, 0, plain.len(), plain, 0, location);
    }

    pub fn small(&mut self, plain: &[u8]) -> Location {
        let stored = block::encode(plain).unwrap().stored;
        let plain_length = u32::try_from(plain.len()).unwrap();
        self.object.add_small_block(&StoredBlock::new(block::digest(plain), plain_length, &stored)).unwrap()
    }

    pub fn block(&mut self, lin: u64, offset: u64, plain: &[u8], length: usize) {
        let stored = block::encode(plain).unwrap().stored;
        let plain_length = u32::try_from(plain.len()).unwrap();
        let location = self.object.add_block(&StoredBlock::new(block::digest(plain), plain_length, &stored)).unwrap();
        self.extent(lin, offset, length, plain, 0, location);
    }

    pub fn extent(
        &mut self,
        lin: u64,
        offset: u64,
        length: usize,
        plain: &[u8],
        block_offset: u32,
        location: Location,
    ) {
        let (length, digest) = (u32::try_from(length).unwrap(), self.object.keyed(&block::digest(plain)));
        let extent = Some(ExtentRecord { length, digest, block_offset, location });
        let seq = ObjectNumber::OWN;
        self.object.add_extent(ExtentRow { set: SET, lin: Lin(lin), offset, from: EPOCH, seq, extent });
    }
}

/// Reads a whole file.
pub fn read(path: &Path) -> Vec<u8> {
    Files::real().read(path).unwrap()
}
