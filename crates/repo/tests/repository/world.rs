//! A small repository with two backups, and what they should give back.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use repo::{
    CheckDepth, CheckOptions, CheckReport, CoalesceContext, CoalesceOptions, Commit, CommitTotals, EntryRecord,
    EntryRow, ExtentRecord, ExtentRow, InodeRecord, InodeRow, KeyObject, Listed, NewKeys, NewRepository, ObjectNumber,
    ObjectOptions, ObjectWriter, PassphraseCost, Repository, RootRecord, RunOptions, SealedObject, SealedState,
    StoredBlock, Unlock, Writer,
};
use runtime::{Files, Seed};
use site::{Memory, Recording, Site};
use types::{
    ClusterId, Digest, Epoch, Fence, FileKind, Generation, Incarnation, Lin, Name, NodeId, ObjectReport, RepositoryId,
    SetId, Timestamp,
};
use uuid::Uuid;
use zeroize::Zeroizing;

pub const REPOSITORY: RepositoryId = RepositoryId(Uuid::from_u128(0xf00d));
pub const CLUSTER: ClusterId = ClusterId(Uuid::from_u128(0xc1));
pub const PASSPHRASE: &str = "correct horse battery";
pub const SET: SetId = SetId(3);
pub const ROOT: Lin = Lin(1);

/// A file tree as a backup should give it back: content by LIN, LIN by directory and name. What has a name and no content
/// is a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    pub files: BTreeMap<Lin, Vec<u8>>,
    pub entries: BTreeMap<(Lin, Name), Lin>,
}

/// What an inode says that follows from content and names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    pub kind: FileKind,
    pub size: u64,
    pub nlink: u32,
}

impl Tree {
    /// Puts a directory into the root.
    pub fn mkdir(&mut self, lin: Lin) {
        self.entries.insert((ROOT, Name::new(format!("z {lin}")).unwrap()), lin);
    }

    fn kind(&self, lin: Lin) -> FileKind {
        if self.files.contains_key(&lin) { FileKind::File } else { FileKind::Directory }
    }

    /// All inodes; the root is there if anything is in it.
    pub fn inodes(&self) -> BTreeMap<Lin, Facts> {
        let mut inodes = BTreeMap::new();
        for (lin, content) in &self.files {
            inodes.insert(*lin, Facts { kind: FileKind::File, size: content.len() as u64, nlink: 0 });
        }
        let empty = Facts { kind: FileKind::Directory, size: 0, nlink: 2 };
        for ((parent, _), lin) in &self.entries {
            let kind = self.kind(*lin);
            let directory = inodes.entry(*parent).or_insert(empty);
            directory.size += 1;
            directory.nlink += u32::from(kind == FileKind::Directory);
            let named = inodes.entry(*lin).or_insert(empty);
            named.nlink += u32::from(kind == FileKind::File);
        }
        inodes
    }
}

pub struct World {
    pub memory: Arc<Memory>,
    pub recording: Arc<Recording>,
    pub site: Site,
    pub seed: Seed,
    pub keys: NewKeys,
    pub options: CoalesceOptions,
    /// Where merges keep what they cannot hold.
    pub folder: tempfile::TempDir,
}

impl World {
    /// An empty repository.
    pub async fn new(seed: u64) -> Self {
        let memory = Arc::new(Memory::default());
        let recording = Arc::new(Recording::new(Arc::clone(&memory) as Arc<dyn site::Medium>));
        let site = Site::over("memory", Arc::clone(&recording) as Arc<dyn site::Medium>);
        let seed = Seed::fixed(seed);
        let keys = KeyObject::create(REPOSITORY, PASSPHRASE, PassphraseCost::LEAST, &seed).unwrap();
        let new = NewRepository {
            repository: REPOSITORY,
            cluster: CLUSTER,
            generation: Generation(1),
            keys: keys.object.clone(),
            random: 9,
        };
        Repository::create(&site, &new).await.unwrap();
        let runs = RunOptions { rows_per_group: 7, length: 20_000 };
        let options = CoalesceOptions { runs, read_ahead: 4096, ..CoalesceOptions::default() };
        Self { memory, recording, site, seed, keys, options, folder: tempfile::tempdir().unwrap() }
    }

    pub fn writer(&self, epoch: u64, sequence: u64) -> Writer {
        Writer {
            generation: Generation(1),
            epoch: Epoch(epoch),
            fence: Fence(epoch * 10),
            node: NodeId(2),
            incarnation: Incarnation(5),
            sequence,
        }
    }

    pub fn object(&self, epoch: u64, sequence: u64) -> ObjectWriter {
        let options = ObjectOptions { capacity: 3 << 20, bundle_length: 64 << 10 };
        let writer = self.writer(epoch, sequence);
        ObjectWriter::new(writer, REPOSITORY, &self.keys.keys.writer, &self.seed, options).unwrap()
    }

    pub async fn put(&self, object: &SealedObject) -> ObjectReport {
        self.site.put_same(&object.name, object.bytes.clone()).await.unwrap();
        ObjectReport {
            name: object.name.clone(),
            size: object.bytes.len() as u64,
            hash: object.hash,
            node: NodeId(2),
            bytes_plain: object.bytes_plain,
            units: vec![],
        }
    }

    /// Merges the footers of objects, beginning with a sequence number.
    pub async fn merge(
        &self,
        site: &Site,
        writer: Writer,
        reports: &[ObjectReport],
    ) -> Result<repo::Coalesced, repo::RepoError> {
        let context = CoalesceContext {
            site,
            repository: REPOSITORY,
            keys: &self.keys.keys.writer,
            seed: &self.seed,
            files: &Files::real(),
            folder: &self.folder.path().join("merge"),
        };
        repo::coalesce(context, writer, reports, self.options).await
    }

    /// Merges and commits.
    pub async fn commit(&self, epoch: u64, base: Option<u64>, reports: &[ObjectReport]) -> Commit {
        let writer = self.writer(epoch, 1 << 32);
        let keys = &self.keys.keys.writer;
        let merged = self.merge(&self.site, writer, reports).await.unwrap();
        let listed = self.open().await.list().await.unwrap();
        let state = SealedState::seal(self.writer(epoch, 2 << 32), REPOSITORY, keys, &self.seed, b"policies").unwrap();
        self.site.put_same(&state.name, state.bytes).await.unwrap();
        let mut runs = listed.head().map_or_else(Vec::new, |head| head.runs.clone());
        runs.extend(merged.runs);
        let commit = Commit {
            repository: REPOSITORY,
            number: listed.head().map_or(0, |head| head.number) + 1,
            writer,
            parent: listed.head_reference().cloned(),
            set: SET,
            policy: "home".into(),
            definition_hash: [1; 32],
            roots: vec![RootRecord { lin: ROOT, path: "/home".into() }],
            snapshot_time: Timestamp { seconds: 1_700_000_000 + epoch.cast_signed(), nanoseconds: 5 },
            base: base.map(Epoch),
            runs,
            totals: merged.totals,
            voids: vec![],
            state: Some(state.reference),
        };
        let bytes = commit.seal(keys, &self.seed).unwrap();
        self.site.put_same(&commit.name().to_string(), bytes).await.unwrap();
        commit
    }

    pub async fn open(&self) -> Repository {
        Repository::open(&self.site, Unlock::PrivateKey(self.keys.keys.private.clone())).await.unwrap()
    }

    pub fn passphrase() -> Unlock {
        Unlock::Passphrase(Zeroizing::new(PASSPHRASE.into()))
    }

    /// Writes two backups of some files of all lengths.
    pub async fn with_two_backups(seed: u64) -> (Self, [Tree; 2]) {
        let lengths = [0, 1, 100, 4096, 5000, 100_000, 131_072, 131_073, 700_000, 2_000_000];
        Self::with_two_backups_of(seed, 60, &lengths).await
    }

    /// Writes three backups, of which the last has the files of the first.
    pub async fn with_three_backups(seed: u64) -> (Self, [Tree; 3]) {
        let (world, [first, second]) = Self::with_two_backups(seed).await;
        world.back_up(3, Some(2), &second, &first).await;
        (world, [first.clone(), second, first])
    }

    /// Writes two backups of so many files of these lengths.
    pub async fn with_two_backups_of(seed: u64, files: u64, lengths: &[usize]) -> (Self, [Tree; 2]) {
        let world = Self::new(seed).await;
        let (first, second) = trees(&world.seed, files, lengths);
        world.back_up(1, None, &Tree::default(), &first).await;
        world.back_up(2, Some(1), &first, &second).await;
        (world, [first, second])
    }

    /// Backs up the difference of two trees, through several objects.
    pub async fn back_up(&self, epoch: u64, base: Option<u64>, before: &Tree, after: &Tree) -> Commit {
        let mut packer = Packer { world: self, epoch, object: self.object(epoch, 0), sequence: 0, reports: vec![] };
        let (old_inodes, inodes) = (before.inodes(), after.inodes());
        for (lin, facts) in &inodes {
            let (old, content) = (before.files.get(lin), after.files.get(lin));
            if old_inodes.get(lin) != Some(facts) || old != content {
                packer.object.add_inode(inode(*lin, *facts, epoch));
            }
            if let Some(content) = content.filter(|content| old != Some(content)) {
                packer.file(*lin, content, old.map_or(0, Vec::len)).await;
            }
        }
        for lin in old_inodes.keys().filter(|lin| !inodes.contains_key(lin)) {
            packer.object.add_inode(removed(*lin, epoch));
        }
        for ((parent, name), lin) in &after.entries {
            if before.entries.get(&(*parent, name.clone())) != Some(lin) {
                let record = EntryRecord { lin: *lin, kind: after.kind(*lin) };
                packer.object.add_entry(entry(*parent, name, Some(record), epoch));
            }
        }
        for (parent, name) in before.entries.keys().filter(|key| !after.entries.contains_key(key)) {
            packer.object.add_entry(entry(*parent, name, None, epoch));
        }
        packer.flush().await;
        self.commit(epoch, base, &packer.reports).await
    }
}

struct Packer<'a> {
    world: &'a World,
    epoch: u64,
    object: ObjectWriter,
    sequence: u64,
    reports: Vec<ObjectReport>,
}

/// Blocks of this length, whatever their content.
const BLOCK: usize = 150_000;

impl Packer<'_> {
    async fn file(&mut self, lin: Lin, content: &[u8], length_before: usize) {
        let mut offset = 0_usize;
        for plain in content.chunks(BLOCK) {
            let digest = block::digest(plain);
            let length = u32::try_from(plain.len()).unwrap();
            let (keyed, location) = if content.len() <= 4096 {
                self.object.add_inline(plain).unwrap()
            } else {
                let stored = block::encode(plain).unwrap().stored;
                let location = self.add(&digest, length, &stored, content.len());
                (self.object.keyed(&digest), location)
            };
            let extent = ExtentRecord { length, digest: keyed, block_offset: 0, location };
            self.object.add_extent(self.extent(lin, offset, Some(extent)));
            offset += plain.len();
        }
        let gone = (0..length_before).step_by(BLOCK).filter(|offset| *offset >= content.len());
        for offset in gone {
            self.object.add_extent(self.extent(lin, offset, None));
        }
        if self.object.is_full() {
            self.flush().await;
        }
    }

    fn add(&mut self, digest: &Digest, length: u32, stored: &[u8], file: usize) -> repo::Location {
        let block = StoredBlock::new(*digest, length, stored);
        if file <= 128 << 10 {
            self.object.add_small_block(&block).unwrap()
        } else {
            self.object.add_block(&block).unwrap()
        }
    }

    fn extent(&self, lin: Lin, offset: usize, extent: Option<ExtentRecord>) -> ExtentRow {
        let (offset, from) = (offset as u64, Epoch(self.epoch));
        ExtentRow { set: SET, lin, offset, from, seq: ObjectNumber::OWN, extent }
    }

    async fn flush(&mut self) {
        self.sequence += 1;
        let next = self.world.object(self.epoch, self.sequence);
        let full = std::mem::replace(&mut self.object, next).finish().unwrap();
        self.reports.push(self.world.put(&full).await);
    }
}

fn inode(lin: Lin, facts: Facts, epoch: u64) -> InodeRow {
    let time = |seconds: i64| Timestamp { seconds: seconds - 5, nanoseconds: 999_999_999 };
    let Facts { kind, size, nlink } = facts;
    let inode = InodeRecord {
        kind,
        mode: 0o4755,
        uid: u32::MAX,
        gid: 7,
        nlink,
        size,
        atime: time(1),
        mtime: time(2),
        ctime: time(3),
        target: Bytes::new(),
        xattrs: vec![("user.a".into(), Bytes::from_static(b"\0\xff")), ("user.b".into(), Bytes::new())],
    };
    InodeRow { set: SET, lin, from: Epoch(epoch), seq: ObjectNumber::OWN, inode: Some(inode) }
}

fn removed(lin: Lin, epoch: u64) -> InodeRow {
    InodeRow { set: SET, lin, from: Epoch(epoch), seq: ObjectNumber::OWN, inode: None }
}

fn entry(parent: Lin, name: &Name, entry: Option<EntryRecord>, epoch: u64) -> EntryRow {
    EntryRow { set: SET, parent, name: name.clone(), from: Epoch(epoch), seq: ObjectNumber::OWN, entry }
}

/// Two trees: of the second, files are the same, new, changed, cut, longer, renamed or gone.
fn trees(seed: &Seed, files: u64, lengths: &[usize]) -> (Tree, Tree) {
    let mut first = Tree::default();
    [2, 3].into_iter().for_each(|lin| first.mkdir(Lin(lin)));
    for number in 0..files {
        let lin = Lin((1 << 56) + 10 + number);
        let length = lengths[usize::try_from(number).unwrap() % lengths.len()];
        let mut content = vec![0; length];
        seed.fill(&mut content[..length / 2]);
        first.files.insert(lin, content);
        let name = [b"f \xff".as_slice(), number.to_string().as_bytes()].concat();
        first.entries.insert((Lin(number % 3 + 1), Name::new(name).unwrap()), lin);
    }
    let mut second = first.clone();
    let lins: Vec<Lin> = first.files.keys().copied().collect();
    for (index, lin) in lins.iter().enumerate() {
        let content = second.files.get_mut(lin).unwrap();
        match index % 6 {
            1 => content.truncate(content.len() / 3),
            2 => content.extend_from_slice(&seed.bytes::<1000>()),
            3 => content.iter_mut().for_each(|byte| *byte ^= 0x55),
            4 => {
                second.files.remove(lin);
                second.entries.retain(|_, target| target != lin);
            }
            _ => {}
        }
    }
    let (key, lin) = second.entries.iter().next().map(|(key, lin)| (key.clone(), *lin)).unwrap();
    second.entries.remove(&key);
    second.mkdir(Lin(77));
    second.entries.insert((Lin(77), Name::new("renamed").unwrap()), lin);
    (first, second)
}

/// Reads a whole backup.
pub async fn read(repository: &Repository<Listed>, epoch: u64) -> Result<Tree, repo::RepoError> {
    let backup = repository.at(SET, Epoch(epoch))?;
    let mut tree = Tree::default();
    let mut inodes = backup.inodes().await?;
    while let Some(row) = inodes.next().await? {
        let inode = row.inode.unwrap();
        if inode.kind == FileKind::File {
            tree.files.insert(row.lin, vec![0; usize::try_from(inode.size).unwrap()]);
        }
    }
    let mut extents = backup.extents().await?;
    while let Some(row) = extents.next().await? {
        let Some(content) = tree.files.get_mut(&row.lin) else { continue };
        let extent = row.extent.unwrap();
        let plain = backup.block(&extent.location, &extent.digest).await?;
        let offset = usize::try_from(row.offset).unwrap();
        content[offset..offset + plain.len()].copy_from_slice(&plain);
    }
    let mut entries = backup.entries().await?;
    while let Some(row) = entries.next().await? {
        tree.entries.insert((row.parent, row.name), row.entry.unwrap().lin);
    }
    Ok(tree)
}

/// What a commit's totals should add up to.
pub fn rows(totals: &CommitTotals) -> u64 {
    totals.rows.iter().sum()
}

/// Checks a repository, with everything that is sorted in files.
pub async fn check(repository: &Repository<Listed>, depth: CheckDepth) -> Result<CheckReport, repo::RepoError> {
    let folder = tempfile::tempdir().unwrap();
    let options = CheckOptions { memory: 2000, ..CheckOptions::new(depth, Files::real(), folder.path().join("check")) };
    let report = repository.check(&options).await;
    assert!(!options.folder.exists(), "nothing is left behind");
    report
}
