//! What a history asks for: few names and few LINs, so that requests meet.

use bytes::Bytes;
use types::{
    Append, AttributeChanges, BlockId, CLONE_ALIGNMENT, Change, Clearing, CloneRange, Content, Create, Device, Extent,
    FileKind, Lin, Name, NewExtent, NewInode, Operation, PgId, PgVersion, Removal, Rename, RenameMode, Request,
    RequestKey, Revision, Rewrite, SeatSet, SessionId, SnapshotId, Timestamp, XattrMode,
};

use super::{FILE_BYTES_MAX, History};
use crate::model::Inode;
use crate::world::name;

/// Requests that may be sent again as they were.
const SENT_MAX: usize = 24;

impl History {
    /// The next request: mostly a new one, now and then one that was sent before, or a step of a drop.
    pub fn request(&mut self) -> Request {
        if self.below(12) == 0 && !self.sent.is_empty() {
            let place = self.below(self.sent.len() as u64) as usize;
            return self.sent[place].clone();
        }
        let dying: Vec<SnapshotId> = self.model.dying().collect();
        if self.below(6) == 0 && !dying.is_empty() {
            return self.drop_step(&dying);
        }
        let request = self.new_request();
        if request.key.is_some() {
            self.sent.truncate(SENT_MAX - 1);
            self.sent.push_front(request.clone());
        }
        request
    }

    /// A step of the drop of any of these snapshots.
    pub fn drop_step(&self, dying: &[SnapshotId]) -> Request {
        let snapshot = dying[self.below(dying.len() as u64) as usize];
        let rows_max = u32::try_from(1 + self.below(20)).unwrap();
        Request { key: None, operation: Operation::Change(Change::DropStep { snapshot, rows_max }) }
    }

    fn new_request(&mut self) -> Request {
        if self.below(8) == 0
            && let Some(rewrite) = self.rewrite()
        {
            return Request { key: None, operation: Operation::Change(Change::Rewrite(rewrite)) };
        }
        let operation = self.operation();
        let key = match self.below(4) {
            // No key at all.
            0 => return Request { key: None, operation },
            // A number that was used before, with whatever operation.
            1 if self.below(3) == 0 => {
                RequestKey { session: self.session, sequence: self.below(self.sequence + 2), low_water: 0 }
            }
            _ => {
                self.sequence += 1;
                let low_water = self.sequence.saturating_sub(self.below(8));
                RequestKey { session: self.session, sequence: self.sequence, low_water }
            }
        };
        Request { key: Some(key), operation }
    }

    fn operation(&mut self) -> Operation {
        match self.below(40) {
            0 => {
                let sessions: Vec<SessionId> = self.model.sessions.keys().copied().collect();
                let closable = sessions.iter().find(|&&session| session != self.session);
                closable.map_or_else(
                    || Operation::OpenSession { label: "second".into() },
                    |&session| Operation::CloseSession { session },
                )
            }
            1 => Operation::RaiseBlockMark { session: self.session, mark: self.below(self.block + 1) },
            2 | 3 => {
                let name = format!("s{}", self.below(6));
                Operation::Change(Change::CreateSnapshot { name })
            }
            4 => self.deletion_of_a_snapshot(|_| true).unwrap_or(Operation::OpenSession { label: "third".into() }),
            5 => Operation::Change(self.acknowledgement()),
            _ => Operation::Change(self.change()),
        }
    }

    /// Mostly a live snapshot.
    fn snapshot(&self) -> SnapshotId {
        let place = self.below(self.model.snapshots.len() as u64 + 1) as usize;
        self.model.live().nth(place).map_or(SnapshotId(self.below(100)), |taken| taken.snapshot.id)
    }

    /// The deletion of any live snapshot of some.
    pub fn deletion_of_a_snapshot(&self, some: impl Fn(SnapshotId) -> bool) -> Option<Operation> {
        let live = self.model.live().map(|taken| taken.snapshot.id);
        let live: Vec<SnapshotId> = live.filter(|snapshot| some(*snapshot)).collect();
        let place = self.below(live.len().max(1) as u64) as usize;
        let snapshot = *live.get(place)?;
        Some(Operation::Change(Change::DeleteSnapshot { snapshot }))
    }

    /// A node says that it has removed some of what it was told to, and some that it does not have.
    fn acknowledgement(&self) -> Change {
        let view = self.world.view();
        let nodes = view.nodes().unwrap();
        let node = nodes[self.below(nodes.len() as u64) as usize].id;
        let freed = view.freed(node, None, usize::MAX).unwrap();
        let blocks = freed.into_iter().filter(|_| self.below(2) == 0).collect();
        Change::AcknowledgeFreed { node, blocks }
    }

    fn change(&mut self) -> Change {
        let (parent, name) = (self.directory(), self.name());
        match self.below(31) {
            0..=3 => Change::Create(Create { parent, name, inode: self.inode(), replace: self.below(3) == 0 }),
            4 => Change::Link { lin: self.lin(), parent, name },
            5 | 6 => {
                let expect = if self.below(2) == 0 { Removal::Directory } else { Removal::NotDirectory };
                let (parent, name) = self.place();
                Change::Remove { parent, name, expect }
            }
            7..=9 => {
                let (from_parent, from_name) = self.place();
                let (to_parent, to_name) = if self.below(2) == 0 { self.place() } else { (parent, name) };
                let modes = [RenameMode::Replace, RenameMode::Replace, RenameMode::NoReplace, RenameMode::Exchange];
                let mode = modes[self.below(4) as usize];
                Change::Rename(Rename { from_parent, from_name, to_parent, to_name, mode })
            }
            10 => Change::SetAttributes { lin: self.lin(), changes: self.attributes() },
            11 => {
                let modes = [XattrMode::Any, XattrMode::Create, XattrMode::Replace];
                let (name, value) = self.xattr();
                Change::SetXattr { lin: self.lin(), name, value, mode: modes[self.below(3) as usize] }
            }
            12 => Change::RemoveXattr { lin: self.lin(), name: self.xattr().0 },
            13 | 14 => {
                let lin = if self.below(10) == 0 { self.lin() } else { self.file() };
                let (offset, length) = (self.below(FILE_BYTES_MAX), self.below(FILE_BYTES_MAX));
                let clearing = [Clearing::KeepLength, Clearing::Extend][self.below(2) as usize];
                let mtime = (self.below(2) == 0).then(|| self.time());
                Change::ClearRange { lin, offset, length, clearing, mtime }
            }
            15..=17 => Change::Clone(self.clone_range()),
            18 | 19 => Change::Hold { lin: if self.below(4) == 0 { self.lin() } else { self.file() } },
            20 => Change::Release { lin: self.held() },
            21..=25 => Change::Append(self.append()),
            26 => Change::PinSnapshot { snapshot: self.snapshot(), label: "reader".into() },
            27 => Change::UnpinSnapshot { snapshot: self.snapshot() },
            _ => {
                let mtime = (self.below(2) == 0).then(|| self.time());
                let content = if self.below(30) == 0 { self.device() } else { self.content() };
                Change::Write { lin: self.file(), content, mtime }
            }
        }
    }

    /// Mostly a few bytes, often to the file that was changed last; now and then many, so that there are several tails.
    fn append(&mut self) -> Append {
        let lin = if self.below(20) == 0 { self.lin() } else { self.file() };
        let content = match self.below(10) {
            0 => Content::Extents(self.extents()),
            1 => self.content(),
            2 => self.letters(5000),
            _ => self.letters(30),
        };
        Append { lin, content, mtime: (self.below(2) == 0).then(|| self.time()) }
    }

    fn letters(&self, most: u64) -> Content {
        let letter = b'a' + u8::try_from(self.below(26)).unwrap();
        Content::Inline(vec![letter; self.below(most) as usize].into())
    }

    /// A range without holes, and a block of its bytes as they are now: other requests of the entry may change them first.
    fn rewrite(&mut self) -> Option<Rewrite> {
        let lin = self.file();
        let bytes = self.model.head.0.get(&lin).map(|inode| inode.bytes.clone()).filter(|bytes| !bytes.is_empty())?;
        let from = self.below(bytes.len() as u64) as usize;
        let length = bytes[from..].iter().take_while(|byte| byte.is_some()).count().min(1 + self.below(9000) as usize);
        let length = u32::try_from(length).ok().filter(|length| *length > 0)?;
        self.block += 1;
        let block = BlockId { session: self.session, sequence: self.block };
        let pg = PgId(1 + u32::try_from(self.block % 4).unwrap());
        let digest = types::Digest([u8::try_from(self.block % 256).unwrap(); 32]);
        let offset = from as u64;
        let extent = Extent { offset, length, block, block_offset: 0, block_length: length, digest, pg };
        let seats = if self.below(20) == 0 { 0b001 } else { 0b011 };
        let extents = vec![NewExtent { extent, pg_version: PgVersion(1), acknowledged: SeatSet(seats) }];
        let as_of = Revision(self.model.revision.0 - self.below(3) * self.below(2));
        self.rewritten.insert(block, bytes[from..from + length as usize].to_vec());
        Some(Rewrite { lin, offset, length: length.into(), as_of, extents })
    }

    fn inode(&mut self) -> NewInode {
        let common = [FileKind::File, FileKind::File, FileKind::Directory, FileKind::Symlink][self.below(4) as usize];
        let special =
            [FileKind::Pipe, FileKind::Socket, FileKind::CharDevice, FileKind::BlockDevice][self.below(4) as usize];
        let kind = if self.below(5) == 0 { special } else { common };
        let file = kind == FileKind::File;
        let content = match kind {
            FileKind::File => self.content(),
            kind if kind.is_device() => self.device(),
            _ => Content::Empty,
        };
        let least = match &content {
            Content::Empty | Content::Device(_) => 0,
            Content::Inline(bytes) => bytes.len() as u64,
            Content::Extents(extents) => extents.last().map_or(0, |new| end_of(&new.extent)),
        };
        NewInode {
            kind,
            mode: u32::try_from(self.below(0o10000)).unwrap(),
            uid: 7,
            gid: 8,
            atime: (self.below(2) == 0).then(|| self.time()),
            mtime: None,
            target: if kind == FileKind::Symlink { Bytes::from_static(b"../to") } else { Bytes::new() },
            xattrs: if self.below(4) == 0 { vec![self.xattr()] } else { Vec::new() },
            content,
            size: if file { least + self.below(10) } else { 0 },
        }
    }

    fn content(&mut self) -> Content {
        match self.below(8) {
            0 => Content::Empty,
            1 => Content::Inline(Bytes::from(vec![b'x'; self.below(20) as usize])),
            _ => Content::Extents(self.extents()),
        }
    }

    /// Between two files or in one, mostly to the end of the source, now and then as a snapshot has it.
    fn clone_range(&mut self) -> CloneRange {
        let from = if self.below(20) == 0 { self.lin() } else { self.file() };
        let to = if self.below(4) == 0 { from } else { self.file() };
        let taken = self.model.live().nth(self.below(6) as usize);
        let tree = taken.map_or(&self.model.head, |taken| &taken.tree);
        let size = tree.0.get(&from).map_or(0, |inode| inode.bytes.len()) as u64;
        let unit = |wanted| if wanted { CLONE_ALIGNMENT } else { 0 };
        let from_offset = unit(size > CLONE_ALIGNMENT && self.below(2) == 0);
        let length = match self.below(10) {
            0 => self.below(FILE_BYTES_MAX),
            1 => CLONE_ALIGNMENT,
            _ => size.saturating_sub(from_offset),
        };
        let to_offset = unit(length <= 2 * CLONE_ALIGNMENT && self.below(3) == 0);
        let mtime = (self.below(2) == 0).then(|| self.time());
        CloneRange { from, snapshot: taken.map(|taken| taken.snapshot.id), from_offset, to, to_offset, length, mtime }
    }

    fn device(&mut self) -> Content {
        Content::Device(Device { major: u32::MAX, minor: u32::try_from(self.below(3)).unwrap() })
    }

    /// One to three extents over blocks of their own, with gaps; sometimes over a block that was published before, or
    /// with too few copies.
    fn extents(&mut self) -> Vec<NewExtent> {
        let mut offset = if self.below(3) == 0 { 0 } else { self.below(FILE_BYTES_MAX) };
        let mut extents = Vec::new();
        for _ in 0..=self.below(3) {
            self.block += 1;
            let sequence = if self.below(20) == 0 { self.below(self.block) } else { self.block };
            let whole = u32::try_from(1 + self.below(20)).unwrap();
            let block_offset = u32::try_from(self.below(whole.into())).unwrap();
            let length = 1 + u32::try_from(self.below((whole - block_offset).into())).unwrap();
            let block = BlockId { session: self.session, sequence };
            let pg = PgId(1 + u32::try_from(sequence % 4).unwrap());
            let digest = types::Digest([u8::try_from(sequence % 256).unwrap(); 32]);
            let extent = Extent { offset, length, block, block_offset, block_length: whole, digest, pg };
            let seats = if self.below(20) == 0 { 0b001 } else { [0b111, 0b111, 0b011, 0b110][self.below(4) as usize] };
            offset += u64::from(length) + [0, 0, 1, 5][self.below(4) as usize];
            extents.push(NewExtent { extent, pg_version: PgVersion(1), acknowledged: SeatSet(seats) });
        }
        let twice = extents.windows(2).any(|pair| pair[0].extent.block == pair[1].extent.block);
        if twice { self.extents() } else { extents }
    }

    fn attributes(&mut self) -> AttributeChanges {
        AttributeChanges {
            mode: (self.below(2) == 0).then_some(0o600),
            uid: (self.below(3) == 0).then_some(9),
            gid: None,
            size: (self.below(2) == 0).then(|| self.below(FILE_BYTES_MAX)),
            atime: None,
            mtime: (self.below(3) == 0).then(|| self.time()),
        }
    }

    fn xattr(&mut self) -> (Bytes, Bytes) {
        let name = format!("user.{}", self.below(3));
        (Bytes::from(name), Bytes::from(vec![b'v'; self.below(5) as usize]))
    }

    fn time(&self) -> Timestamp {
        Timestamp { seconds: i64::try_from(self.below(1000)).unwrap() - 500, nanoseconds: 999_999_999 }
    }

    fn name(&self) -> Name {
        name(["a", "b", "c", "dd", "d"][self.below(5) as usize])
    }

    /// Mostly a living LIN of a kind, now and then any that ever was.
    fn some(&self, kind: impl Fn(&Inode) -> bool) -> Lin {
        if self.below(30) == 0 {
            return Lin(self.below(self.model.revision.0 + 2));
        }
        let lins: Vec<Lin> = self.model.head.0.iter().filter(|(_, inode)| kind(inode)).map(|(lin, _)| *lin).collect();
        let place = self.below(lins.len().max(1) as u64) as usize;
        lins.get(place).copied().unwrap_or(Lin::ROOT)
    }

    fn directory(&self) -> Lin {
        self.some(|inode| inode.kind == FileKind::Directory)
    }

    fn file(&self) -> Lin {
        self.some(|inode| inode.kind == FileKind::File)
    }

    /// Mostly a file that a session holds.
    fn held(&self) -> Lin {
        let place = self.below(self.model.holds.len() as u64 + 1) as usize;
        self.model.holds.iter().nth(place).map_or_else(|| self.file(), |(_, lin)| *lin)
    }

    fn lin(&self) -> Lin {
        self.some(|_| true)
    }

    /// Mostly a name that is there.
    fn place(&self) -> (Lin, Name) {
        let parent = self.some(|inode| !inode.entries.is_empty());
        let names: Vec<Name> =
            self.model.head.0.get(&parent).map_or_else(Vec::new, |inode| inode.entries.keys().cloned().collect());
        let place = self.below(names.len() as u64 + 1) as usize;
        (parent, names.get(place).cloned().unwrap_or_else(|| self.name()))
    }
}

const fn end_of(extent: &Extent) -> u64 {
    extent.offset + extent.length as u64
}
