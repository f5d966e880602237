//! A tree as maps.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use types::{
    Append, AttributeChanges, Attributes, BlockId, CLONE_ALIGNMENT, Change, Clearing, CloneRange, Content, Create,
    Device, FileKind, INLINE_LENGTH_MAX, Lin, Name, NewExtent, OperationError, Outcome, Removal, Rename, RenameMode,
    Revision, Rewrite, Seek, Timestamp, XattrMode,
};

use super::Answer;

type Refused<T = ()> = Result<T, OperationError>;

/// A byte of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Of which block, and which byte of it.
    Block(BlockId, u32),
    /// Itself, in a tail.
    Tail(u8),
}

/// An inode with everything in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inode {
    pub kind: FileKind,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub atime: Timestamp,
    pub mtime: Timestamp,
    pub ctime: Timestamp,
    /// Of a directory.
    pub entries: BTreeMap<Name, Lin>,
    /// Of a symbolic link.
    pub target: Bytes,
    /// Of a special file that stands for one.
    pub device: Option<Device>,
    /// Of a file that has no bytes in blocks.
    pub inline: Bytes,
    /// Of a file: where each byte is, if it is no hole and not inline.
    pub bytes: Vec<Option<Place>>,
    pub xattrs: BTreeMap<Bytes, Bytes>,
}

/// All inodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree(pub BTreeMap<Lin, Inode>);

impl Inode {
    pub fn new(kind: FileKind, mode: u32, times: Timestamp) -> Self {
        Self {
            kind,
            mode,
            uid: 0,
            gid: 0,
            atime: times,
            mtime: times,
            ctime: times,
            entries: BTreeMap::new(),
            target: Bytes::new(),
            device: None,
            inline: Bytes::new(),
            bytes: Vec::new(),
            xattrs: BTreeMap::new(),
        }
    }
}

impl Tree {
    pub fn new() -> Self {
        Self(BTreeMap::from([(Lin::ROOT, Inode::new(FileKind::Directory, 0o755, Timestamp::default()))]))
    }

    pub fn inode(&self, lin: Lin) -> Refused<&Inode> {
        self.0.get(&lin).ok_or(OperationError::NoInode { lin })
    }

    fn inode_mut(&mut self, lin: Lin) -> Refused<&mut Inode> {
        self.0.get_mut(&lin).ok_or(OperationError::NoInode { lin })
    }

    fn directory(&mut self, lin: Lin) -> Refused<&mut Inode> {
        let inode = self.inode_mut(lin)?;
        if inode.kind == FileKind::Directory { Ok(inode) } else { Err(OperationError::NotDirectory { lin }) }
    }

    /// The directories and names of a LIN.
    pub fn links(&self, lin: Lin) -> BTreeSet<(Lin, Name)> {
        let named = |(parent, inode): (&Lin, &Inode)| {
            let entries = inode.entries.iter().filter(|(_, named)| **named == lin);
            entries.map(|(name, _)| (*parent, name.clone())).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(named).collect()
    }

    pub fn attributes(&self, lin: Lin) -> Refused<Attributes> {
        let inode = self.inode(lin)?;
        let links = u32::try_from(self.links(lin).len()).unwrap();
        let subdirectories = inode.entries.values().filter(|named| self.0[named].kind == FileKind::Directory).count();
        let (nlink, size) = match inode.kind {
            FileKind::Directory => (2 + u32::try_from(subdirectories).unwrap(), inode.entries.len()),
            FileKind::File => (links, inode.bytes.len()),
            FileKind::Symlink => (links, inode.target.len()),
            _ => (links, 0),
        };
        let Inode { kind, mode, uid, gid, atime, mtime, ctime, .. } = *inode;
        Ok(Attributes { lin, kind, mode, uid, gid, nlink, size: size as u64, atime, mtime, ctime })
    }

    pub fn blocks(&self) -> impl Iterator<Item = BlockId> + '_ {
        let block = |place: &Place| match place {
            Place::Block(block, _) => Some(*block),
            Place::Tail(_) => None,
        };
        self.0.values().flat_map(move |inode| inode.bytes.iter().flatten().filter_map(block))
    }

    /// What a create checks before its content is looked at.
    pub fn prepare_create(&mut self, create: &Create) -> Refused {
        self.directory(create.parent)?;
        if let Some(existing) = self.entry(create.parent, &create.name) {
            if !create.replace {
                return Err(exists(create.parent, &create.name));
            }
            if self.inode(existing)?.kind == FileKind::Directory {
                return Err(OperationError::IsDirectory { lin: existing });
            }
        }
        Ok(())
    }

    pub fn create(&mut self, create: &Create, revision: Revision, now: Timestamp) -> Answer {
        self.prepare_create(create)?;
        if self.entry(create.parent, &create.name).is_some() {
            self.unlink(create.parent, &create.name, now)?;
        }
        let new = &create.inode;
        let mut inode = Inode::new(new.kind, new.mode, now);
        (inode.uid, inode.gid) = (new.uid, new.gid);
        inode.atime = new.atime.unwrap_or(now);
        inode.mtime = new.mtime.unwrap_or(now);
        inode.target = new.target.clone();
        inode.xattrs = new.xattrs.iter().cloned().collect();
        if new.kind == FileKind::File {
            inode.bytes.resize(usize::try_from(new.size).unwrap(), None);
        }
        match &new.content {
            Content::Empty => {}
            Content::Inline(bytes) => inode.inline = bytes.clone(),
            Content::Extents(extents) => put_extents(&mut inode, extents),
            Content::Device(device) => inode.device = Some(*device),
        }
        let lin = Lin(revision.0);
        self.0.insert(lin, inode);
        self.add(create.parent, &create.name, lin, now)?;
        self.attributes(lin).map(Outcome::Inode)
    }

    pub fn change(&mut self, change: &Change, now: Timestamp) -> Answer {
        match change {
            Change::Link { lin, parent, name } => self.link(*lin, *parent, name, now),
            Change::Remove { parent, name, expect } => self.remove(*parent, name, *expect, now),
            Change::Rename(rename) => self.rename(rename, now).map(|()| Outcome::Done),
            Change::SetAttributes { lin, changes } => self.set_attributes(*lin, changes, now),
            Change::SetXattr { lin, name, value, mode } => {
                let inode = self.inode_mut(*lin)?;
                match (inode.xattrs.contains_key(name), mode) {
                    (true, XattrMode::Create) => {
                        return Err(OperationError::XattrExists { lin: *lin, name: printable(name) });
                    }
                    (false, XattrMode::Replace) => return Err(no_xattr(*lin, name)),
                    _ => inode.xattrs.insert(name.clone(), value.clone()),
                };
                inode.ctime = now;
                Ok(Outcome::Done)
            }
            Change::RemoveXattr { lin, name } => {
                let inode = self.inode_mut(*lin)?;
                inode.xattrs.remove(name).ok_or_else(|| no_xattr(*lin, name))?;
                inode.ctime = now;
                Ok(Outcome::Done)
            }
            Change::ClearRange { lin, offset, length, clearing, mtime } => {
                self.clear(*lin, (*offset, *length), *clearing, mtime.unwrap_or(now), now)
            }
            Change::Write { lin, content, mtime } => self.write(*lin, content, mtime.unwrap_or(now), now),
            other => panic!("{other:?} is no change of the tree"),
        }
    }

    fn link(&mut self, lin: Lin, parent: Lin, name: &Name, now: Timestamp) -> Answer {
        self.directory(parent)?;
        if self.inode(lin)?.kind == FileKind::Directory {
            return Err(OperationError::IsDirectory { lin });
        }
        if self.links(lin).is_empty() {
            return Err(OperationError::NoInode { lin });
        }
        if self.entry(parent, name).is_some() {
            return Err(exists(parent, name));
        }
        self.add(parent, name, lin, now)?;
        self.attributes(lin).map(Outcome::Inode)
    }

    fn remove(&mut self, parent: Lin, name: &Name, expect: Removal, now: Timestamp) -> Answer {
        let lin = self.existing(parent, name)?;
        match (expect, self.inode(lin)?.kind) {
            (Removal::NotDirectory, FileKind::Directory) => return Err(OperationError::IsDirectory { lin }),
            (Removal::Directory, kind) if kind != FileKind::Directory => {
                return Err(OperationError::NotDirectory { lin });
            }
            _ => self.unlink(parent, name, now)?,
        }
        Ok(Outcome::Done)
    }

    fn rename(&mut self, rename: &Rename, now: Timestamp) -> Refused {
        self.directory(rename.from_parent)?;
        self.directory(rename.to_parent)?;
        let (from, to) = ((rename.from_parent, &rename.from_name), (rename.to_parent, &rename.to_name));
        let moved = self.existing(from.0, from.1)?;
        let target = self.entry(to.0, to.1);
        match (rename.mode, target) {
            (RenameMode::NoReplace, Some(_)) => return Err(exists(to.0, to.1)),
            (RenameMode::Exchange, None) => return Err(no_entry(to.0, to.1)),
            (_, Some(target)) if target == moved => return Ok(()),
            _ => {}
        }
        if let (RenameMode::Replace, Some(target)) = (rename.mode, target) {
            match (self.inode(moved)?.kind, self.inode(target)?.kind) {
                (FileKind::Directory, FileKind::Directory) => {}
                (FileKind::Directory, _) => return Err(OperationError::NotDirectory { lin: target }),
                (_, FileKind::Directory) => return Err(OperationError::IsDirectory { lin: target }),
                _ => {}
            }
        }
        self.refuse_cycle(moved, to.0)?;
        match (rename.mode, target) {
            (RenameMode::Exchange, Some(target)) => {
                self.refuse_cycle(target, from.0)?;
                self.take(from.0, from.1, now)?;
                self.take(to.0, to.1, now)?;
                self.add(from.0, from.1, target, now)?;
            }
            (_, Some(_)) => {
                self.unlink(to.0, to.1, now)?;
                self.take(from.0, from.1, now)?;
            }
            (_, None) => {
                self.take(from.0, from.1, now)?;
            }
        }
        self.add(to.0, to.1, moved, now)
    }

    /// Whether a directory would come to lie at or below itself.
    fn refuse_cycle(&self, moved: Lin, into: Lin) -> Refused {
        let mut below = BTreeSet::from([moved]);
        let mut found = 1;
        while found > 0 {
            let next = below.iter().filter_map(|lin| self.0.get(lin)).flat_map(|inode| inode.entries.values());
            let next: Vec<Lin> = next.copied().collect();
            found = next.into_iter().filter(|lin| below.insert(*lin)).count();
        }
        let directory = self.inode(moved)?.kind == FileKind::Directory;
        if directory && below.contains(&into) { Err(OperationError::Cycle { lin: moved }) } else { Ok(()) }
    }

    fn set_attributes(&mut self, lin: Lin, changes: &AttributeChanges, now: Timestamp) -> Answer {
        let inode = self.inode_mut(lin)?;
        if let Some(size) = changes.size {
            match inode.kind {
                FileKind::File => {}
                FileKind::Directory => return Err(OperationError::IsDirectory { lin }),
                kind => return Err(OperationError::WrongKind { lin, kind }),
            }
            let size = usize::try_from(size).unwrap();
            inode.bytes.resize(size, None);
            inode.inline.truncate(size);
            inode.mtime = now;
        }
        inode.mode = changes.mode.unwrap_or(inode.mode);
        inode.uid = changes.uid.unwrap_or(inode.uid);
        inode.gid = changes.gid.unwrap_or(inode.gid);
        inode.atime = changes.atime.unwrap_or(inode.atime);
        inode.mtime = changes.mtime.unwrap_or(inode.mtime);
        inode.ctime = now;
        self.attributes(lin).map(Outcome::Inode)
    }

    /// What a write of extents checks before the blocks are looked at.
    pub fn prepare_write(&mut self, lin: Lin, extents: &[NewExtent]) -> Refused {
        let inode = self.inode_mut(lin)?;
        match inode.kind {
            FileKind::File => {}
            FileKind::Directory => return Err(OperationError::IsDirectory { lin }),
            kind => return Err(OperationError::WrongKind { lin, kind }),
        }
        let mut written = inode.clone();
        written.bytes = vec![None; written.inline.len()];
        put_extents(&mut written, extents);
        if written.bytes.iter().take(inode.inline.len()).any(Option::is_none) {
            return Err(OperationError::MalformedExtents { reason: String::new() });
        }
        Ok(())
    }

    fn write(&mut self, lin: Lin, content: &Content, mtime: Timestamp, now: Timestamp) -> Answer {
        self.prepare_write(lin, &[]).or_else(|refused| match refused {
            OperationError::MalformedExtents { .. } => Ok(()),
            other => Err(other),
        })?;
        let inode = self.inode_mut(lin)?;
        match content {
            Content::Empty => {
                inode.bytes.fill(None);
                inode.inline.clear();
            }
            Content::Inline(bytes) => {
                inode.bytes = vec![None; bytes.len()];
                inode.inline = bytes.clone();
            }
            Content::Extents(extents) => {
                put_extents(inode, extents);
                inode.inline.clear();
            }
            Content::Device(_) => return Err(OperationError::WrongKind { lin, kind: inode.kind }),
        }
        (inode.mtime, inode.ctime) = (mtime, now);
        self.attributes(lin).map(Outcome::Inode)
    }

    /// Appends, when the blocks have been looked at.
    pub fn append(&mut self, append: &Append, now: Timestamp) -> Answer {
        self.file(append.lin)?;
        let inode = self.inode_mut(append.lin)?;
        let end = inode.bytes.len();
        match &append.content {
            Content::Empty => {}
            Content::Inline(bytes) if bytes.is_empty() => {}
            Content::Inline(bytes) => {
                let inline = end == inode.inline.len() && end + bytes.len() <= INLINE_LENGTH_MAX;
                inode.bytes.resize(end + bytes.len(), None);
                if inline {
                    inode.inline = [&inode.inline[..], bytes].concat().into();
                } else {
                    take_out(inode);
                    put_bytes(&mut inode.bytes[end..], bytes);
                }
            }
            Content::Extents(extents) => {
                take_out(inode);
                put_extents(inode, &behind(end as u64, extents));
            }
            Content::Device(_) => return Err(OperationError::WrongKind { lin: append.lin, kind: inode.kind }),
        }
        (inode.mtime, inode.ctime) = (append.mtime.unwrap_or(now), now);
        self.attributes(append.lin).map(Outcome::Inode)
    }

    /// Rewrites a range, when that was found to hold what its blocks were made of.
    pub fn rewrite(&mut self, rewrite: &Rewrite) -> Answer {
        self.file(rewrite.lin)?;
        put_extents(self.inode_mut(rewrite.lin)?, &rewrite.extents);
        self.attributes(rewrite.lin).map(Outcome::Inode)
    }

    /// The whole range at once: the histories have no file of so many extents that it would take two steps.
    fn clear(
        &mut self,
        lin: Lin,
        (offset, length): (u64, u64),
        clearing: Clearing,
        mtime: Timestamp,
        now: Timestamp,
    ) -> Answer {
        let inode = self.inode_mut(lin)?;
        match inode.kind {
            FileKind::File => {}
            FileKind::Directory => return Err(OperationError::IsDirectory { lin }),
            kind => return Err(OperationError::WrongKind { lin, kind }),
        }
        let (start, end) = (usize::try_from(offset).unwrap(), usize::try_from(offset + length).unwrap());
        if clearing == Clearing::Extend && inode.bytes.len() < end {
            inode.bytes.resize(end, None);
        }
        let within = start.min(inode.bytes.len())..end.min(inode.bytes.len());
        inode.bytes[within].fill(None);
        let mut inline = inode.inline.to_vec();
        let within = start.min(inline.len())..end.min(inline.len());
        inline[within.clone()].fill(0);
        if end >= inline.len() {
            inline.truncate(within.start);
        }
        inode.inline = inline.into();
        (inode.mtime, inode.ctime) = (mtime, now);
        Ok(Outcome::Remaining(0))
    }

    pub fn file(&self, lin: Lin) -> Refused<&Inode> {
        let inode = self.inode(lin)?;
        match inode.kind {
            FileKind::File => Ok(inode),
            FileKind::Directory => Err(OperationError::IsDirectory { lin }),
            kind => Err(OperationError::WrongKind { lin, kind }),
        }
    }

    /// The whole range at once, as in [`Tree::clear`].
    pub fn clone_range(&mut self, source: &Inode, clone: &CloneRange, now: Timestamp) -> Answer {
        self.file(clone.to)?;
        let refused = || OperationError::NotCloneable { lin: clone.from, reason: String::new() };
        let size = source.bytes.len() as u64;
        let ends = clone.from_offset + clone.length == size;
        let whole = |number: u64| number.is_multiple_of(CLONE_ALIGNMENT);
        let itself = clone.snapshot.is_none() && clone.from == clone.to;
        if clone.from_offset + clone.length > size
            || !whole(clone.from_offset)
            || !whole(clone.to_offset)
            || !(ends || whole(clone.length))
            || (itself && clone.from_offset.abs_diff(clone.to_offset) < clone.length)
        {
            return Err(refused());
        }
        if clone.length == 0 {
            return Ok(Outcome::Remaining(0));
        }
        let place = |offset: u64| usize::try_from(offset).unwrap();
        let from = place(clone.from_offset)..place(clone.from_offset + clone.length);
        let to = place(clone.to_offset)..place(clone.to_offset + clone.length);
        let target = self.inode_mut(clone.to)?;
        let inline = &source.inline[from.start.min(source.inline.len())..from.end.min(source.inline.len())];
        if inline.is_empty() {
            if !target.inline.is_empty() && (to.start > 0 || to.end < target.inline.len()) {
                return Err(refused());
            }
            target.inline.clear();
            target.bytes.resize(target.bytes.len().max(to.end), None);
            target.bytes[to].copy_from_slice(&source.bytes[from]);
        } else {
            if to.start > 0 || (target.inline.is_empty() && to.end < target.bytes.len()) {
                return Err(refused());
            }
            let mut laid = inline.to_vec();
            if to.end < target.inline.len() {
                laid.resize(to.end, 0);
                laid.extend_from_slice(&target.inline[to.end..]);
            }
            target.inline = laid.into();
            target.bytes = vec![None; target.bytes.len().max(to.end)];
        }
        (target.mtime, target.ctime) = (clone.mtime.unwrap_or(now), now);
        Ok(Outcome::Remaining(0))
    }

    /// The first byte from an offset on that is data, or is none.
    pub fn seek(&self, lin: Lin, offset: u64, what: Seek) -> Option<u64> {
        let inode = &self.0[&lin];
        let is_data = |place: usize| place < inode.inline.len() || inode.bytes[place].is_some();
        let start = usize::try_from(offset).unwrap();
        let found = (start..inode.bytes.len()).find(|&place| is_data(place) == (what == Seek::Data));
        let end = (what == Seek::Hole && start < inode.bytes.len()).then_some(inode.bytes.len());
        found.or(end).map(|place| place as u64)
    }

    pub fn entry(&self, parent: Lin, name: &Name) -> Option<Lin> {
        self.0.get(&parent)?.entries.get(name).copied()
    }

    fn existing(&mut self, parent: Lin, name: &Name) -> Refused<Lin> {
        self.directory(parent)?;
        self.entry(parent, name).ok_or_else(|| no_entry(parent, name))
    }

    /// Adds a name. What has it is changed, and so is the directory.
    fn add(&mut self, parent: Lin, name: &Name, lin: Lin, now: Timestamp) -> Refused {
        let directory = self.directory(parent)?;
        directory.entries.insert(name.clone(), lin);
        (directory.mtime, directory.ctime) = (now, now);
        self.inode_mut(lin)?.ctime = now;
        Ok(())
    }

    fn take(&mut self, parent: Lin, name: &Name, now: Timestamp) -> Refused<Lin> {
        let lin = self.existing(parent, name)?;
        let directory = self.directory(parent)?;
        directory.entries.remove(name);
        (directory.mtime, directory.ctime) = (now, now);
        self.inode_mut(lin)?.ctime = now;
        Ok(lin)
    }

    fn unlink(&mut self, parent: Lin, name: &Name, now: Timestamp) -> Refused {
        let lin = self.existing(parent, name)?;
        if !self.inode(lin)?.entries.is_empty() {
            return Err(OperationError::NotEmpty { lin });
        }
        self.take(parent, name, now).map(drop)
    }

    /// Forgets what has no name and is not held.
    pub fn forget_nameless(&mut self, held: &BTreeSet<Lin>) {
        let named: BTreeSet<Lin> = self.0.values().flat_map(|inode| inode.entries.values().copied()).collect();
        self.0.retain(|lin, _| *lin == Lin::ROOT || named.contains(lin) || held.contains(lin));
    }
}

/// Inline bytes become a tail.
fn take_out(inode: &mut Inode) {
    let inline = std::mem::take(&mut inode.inline);
    put_bytes(&mut inode.bytes, &inline);
}

/// Extents that count their offsets from the end of a file.
fn behind(end: u64, extents: &[NewExtent]) -> Vec<NewExtent> {
    let mut placed = extents.to_vec();
    placed.iter_mut().for_each(|new| new.extent.offset += end);
    placed
}

fn put_extents(inode: &mut Inode, extents: &[NewExtent]) {
    for NewExtent { extent, .. } in extents {
        let start = usize::try_from(extent.offset).unwrap();
        let end = start + extent.length as usize;
        inode.bytes.resize(inode.bytes.len().max(end), None);
        put_block(&mut inode.bytes[start..end], extent.block, extent.block_offset);
    }
}

/// Puts a range of a block in the place of bytes.
pub fn put_block(bytes: &mut [Option<Place>], block: BlockId, offset: u32) {
    for (place, byte) in bytes.iter_mut().zip(offset..) {
        *place = Some(Place::Block(block, byte));
    }
}

/// Puts bytes of a tail in the place of others.
pub fn put_bytes(bytes: &mut [Option<Place>], tail: &[u8]) {
    for (place, byte) in bytes.iter_mut().zip(tail) {
        *place = Some(Place::Tail(*byte));
    }
}

fn exists(parent: Lin, name: &Name) -> OperationError {
    OperationError::EntryExists { parent, name: name.to_string() }
}

fn no_entry(parent: Lin, name: &Name) -> OperationError {
    OperationError::NoEntry { parent, name: name.to_string() }
}

fn no_xattr(lin: Lin, name: &Bytes) -> OperationError {
    OperationError::NoXattr { lin, name: printable(name) }
}

fn printable(name: &Bytes) -> String {
    name.escape_ascii().to_string()
}
