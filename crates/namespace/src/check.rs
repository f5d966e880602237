//! The invariants of the store, checked row by row. FORMAT.md names each of them.
//!
//! The check reads every row once or twice and looks up what it refers to. It needs memory for the faults, of which it keeps
//! a bounded number, and a few megabytes.

mod blocks;

use std::fmt;

use types::{FileKind, Lin, Revision, SnapshotState};

use crate::database::Rows;
use crate::error::StoreError;
use crate::family::Family;
use crate::history::{Moment, split_history_key, version, versions};
use crate::keys::{ChangedKey, DeadKey, EntryKey, ExtentKey, Key, KeyRange, LinkKey};
use crate::meta;
use crate::orphans::Taken;
use crate::read::{Read as _, decode_key, decode_row};
use crate::rows::{Body, Dated, EntryRow, ExtentRow, InodeRow, Usage};
use crate::tables::{
    Blocks, Changes, Deadlist, Entries, Extents, Freed, Inodes, Links, Orphans, Pgs, Short, Snapshots, Versioned,
    Xattrs,
};
use crate::tree;

/// Faults that are told; a store with more is no better known by them.
const FAULTS_MAX: usize = 100;

/// A row that breaks an invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where the row is.
    pub family: Family,
    /// Its key, in hexadecimal digits.
    pub key: String,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} row {}: {}", self.family.name(), self.key, self.reason)
    }
}

/// Checks every invariant; gives the first faults.
pub fn check(rows: &impl Rows) -> Result<Vec<Fault>, StoreError> {
    let mut checker = Checker { rows, faults: Vec::new(), usage: Usage::default() };
    checker.inodes()?;
    checker.entries()?;
    checker.extents()?;
    checker.changes()?;
    checker.history::<Inodes>()?;
    checker.history::<Entries>()?;
    checker.history::<Links>()?;
    checker.history::<Extents>()?;
    checker.history::<Xattrs>()?;
    checker.deadlist()?;
    checker.blocks()?;
    checker.references()?;
    checker.copies()?;
    Ok(checker.faults)
}

struct Checker<'a, R> {
    rows: &'a R,
    faults: Vec<Fault>,
    /// What the inodes add up to.
    usage: Usage,
}

impl<R: Rows> Checker<'_, R> {
    fn fault(&mut self, family: Family, key: &[u8], reason: impl ToString) {
        if self.faults.len() < FAULTS_MAX {
            let key = key.iter().map(|byte| format!("{byte:02x}")).collect();
            self.faults.push(Fault { family, key, reason: reason.to_string() });
        }
    }

    fn expect(&mut self, holds: bool, family: Family, key: &[u8], reason: impl ToString) {
        if !holds {
            self.fault(family, key, reason);
        }
    }

    /// Counts of links and entries, the row in the change index, the way up, and the usage.
    fn inodes(&mut self) -> Result<(), StoreError> {
        for row in versions::<Inodes>(self.rows, Moment::Head, KeyRange::all()) {
            let (lin, inode) = row?;
            self.inode(lin, &inode.row)?;
        }
        let counted = meta::progress(self.rows)?.usage;
        let reason = format!("the usage says {counted:?}, the inodes {:?}", self.usage);
        self.expect(counted == self.usage, Family::Meta, meta::PROGRESS_KEY, reason);
        Ok(())
    }

    fn inode(&mut self, lin: Lin, inode: &InodeRow) -> Result<(), StoreError> {
        let key = lin.encode();
        self.usage.inodes += 1;
        let mut links = 0;
        for link in tree::links(self.rows, Moment::Head, lin) {
            let (parent, name) = link?;
            links += 1;
            let entry = tree::entry(self.rows, Moment::Head, &EntryKey { parent, name })?;
            let there = entry == Some(EntryRow { lin, kind: inode.kind });
            self.expect(there, Family::Inode, &key, "a link has no entry");
        }
        match inode.kind {
            FileKind::Directory => self.directory(lin, inode, links)?,
            _ => self.expect(links == inode.nlink, Family::Inode, &key, format!("it has {links} links")),
        }
        if inode.kind == FileKind::File {
            self.usage.bytes = self.usage.bytes.wrapping_add(inode.size);
        }
        let fits = matches!(
            (inode.kind, &inode.body),
            (FileKind::Directory, Body::Directory)
                | (FileKind::Symlink, Body::Target(_))
                | (FileKind::File, Body::Inline(_) | Body::Extents(_))
                | (FileKind::Pipe | FileKind::Socket, Body::Nothing)
                | (FileKind::CharDevice | FileKind::BlockDevice, Body::Device(_))
        );
        self.expect(fits, Family::Inode, &key, "its body is that of another kind");
        let indexed = self.rows.row::<Changes>(&ChangedKey { revision: inode.changed, lin })?;
        self.expect(indexed.is_some(), Family::Inode, &key, "the change index does not have it");
        Ok(())
    }

    fn directory(&mut self, lin: Lin, inode: &InodeRow, links: u32) -> Result<(), StoreError> {
        let key = lin.encode();
        let (mut entries, mut subdirectories) = (0, 0);
        for entry in versions::<Entries>(self.rows, Moment::Head, KeyRange::prefix(lin.encode())) {
            entries += 1;
            subdirectories += u32::from(entry?.1.row.kind == FileKind::Directory);
        }
        self.expect(entries == inode.size, Family::Inode, &key, format!("it has {entries} entries"));
        let nlink = 2 + subdirectories;
        self.expect(nlink == inode.nlink, Family::Inode, &key, format!("it has {subdirectories} subdirectories"));
        let names = u32::from(lin != Lin::ROOT);
        self.expect(links == names, Family::Inode, &key, format!("the directory has {links} names"));
        Ok(())
    }

    /// Every entry names an inode of its kind and has its link, and every directory's way up ends at the root.
    fn entries(&mut self) -> Result<(), StoreError> {
        for row in versions::<Entries>(self.rows, Moment::Head, KeyRange::all()) {
            let (EntryKey { parent, name }, entry) = row?;
            let key = EntryKey { parent, name: name.clone() }.encode();
            let kind = version::<Inodes>(self.rows, Moment::Head, &entry.row.lin)?.map(|inode| inode.row.kind);
            self.expect(kind == Some(entry.row.kind), Family::Dentry, &key, "its inode is of another kind or missing");
            let parent_kind = version::<Inodes>(self.rows, Moment::Head, &parent)?.map(|inode| inode.row.kind);
            self.expect(parent_kind == Some(FileKind::Directory), Family::Dentry, &key, "its parent is no directory");
            let link = version::<Links>(self.rows, Moment::Head, &LinkKey { lin: entry.row.lin, parent, name })?;
            self.expect(link.is_some(), Family::Dentry, &key, "it has no link");
            if entry.row.kind == FileKind::Directory {
                self.way_up(entry.row.lin)?;
            }
        }
        Ok(())
    }

    /// Follows two walkers up, one at double speed: they meet only in a cycle.
    fn way_up(&mut self, lin: Lin) -> Result<(), StoreError> {
        let up = |lin: Option<Lin>| match lin {
            Some(lin) => tree::parent(self.rows, Moment::Head, lin),
            None => Ok(None),
        };
        let (mut slow, mut fast) = (Some(lin), up(Some(lin))?);
        while let Some(ahead) = fast {
            if Some(ahead) == slow {
                self.fault(Family::Link, &lin.encode(), "the way up is a cycle");
                return Ok(());
            }
            slow = up(slow)?;
            let next = up(Some(ahead))?;
            if next.is_none() && ahead != Lin::ROOT {
                self.fault(Family::Link, &lin.encode(), "the way up does not end at the root");
            }
            fast = up(next)?;
        }
        Ok(())
    }

    /// Extents lie within their file, in order and apart; those of no file are orphans.
    fn extents(&mut self) -> Result<(), StoreError> {
        let mut before: Option<(ExtentKey, u64)> = None;
        for row in versions::<Extents>(self.rows, Moment::Head, KeyRange::all()) {
            let (key, extent) = row?;
            let bytes = key.encode();
            let end = key.offset.saturating_add(extent.row.length.into());
            let inode = version::<Inodes>(self.rows, Moment::Head, &key.content.lin)?.map(|inode| inode.row);
            let orphan = Taken::of(self.rows, key.content)?.death(key.offset, extent.revision).is_some();
            match inode.filter(|inode| inode.body == Body::Extents(key.content.since)) {
                _ if orphan => {}
                Some(inode) => self.expect(end <= inode.size, Family::Extent, &bytes, "it reaches beyond its file"),
                None => self.fault(Family::Extent, &bytes, "it is of no file, and no orphan"),
            }
            let apart = before.is_none_or(|(before, end)| before.content != key.content || end <= key.offset);
            self.expect(apart, Family::Extent, &bytes, "it overlaps the one before it");
            self.extent(&bytes, &extent.row)?;
            before = Some((key, end));
        }
        let orphans = self.rows.rows::<Orphans>(KeyRange::all()).count() as u64;
        let counted = meta::progress(self.rows)?.orphans;
        let reason = format!("there are {orphans} orphans and not {counted}");
        self.expect(counted == orphans, Family::Meta, meta::PROGRESS_KEY, reason);
        Ok(())
    }

    fn extent(&mut self, key: &[u8], row: &ExtentRow) -> Result<(), StoreError> {
        let end = u64::from(row.block_offset) + u64::from(row.length);
        let fits = row.length > 0 && end <= u64::from(row.block_length);
        self.expect(fits, Family::Extent, key, "it does not lie within its block");
        let pg = self.rows.row::<Pgs>(&row.pg)?;
        self.expect(pg.is_some(), Family::Extent, key, "its placement group is not there");
        Ok(())
    }

    /// A row of the change index is that of a living inode, or a tombstone that some snapshot needs.
    fn changes(&mut self) -> Result<(), StoreError> {
        for row in self.rows.rows::<Changes>(KeyRange::all()) {
            let (key, _) = row?;
            let bytes = key.encode();
            let inode = version::<Inodes>(self.rows, Moment::Head, &key.lin)?;
            match inode {
                Some(inode) => {
                    let current = inode.row.changed == key.revision;
                    self.expect(current, Family::Changed, &bytes, "the inode has another row");
                }
                None => self.mourned(Family::Changed, &bytes, Revision(key.lin.0), key.revision)?,
            }
        }
        Ok(())
    }

    /// Every old version is on the list of a snapshot that sees it.
    fn history<T: Versioned>(&mut self) -> Result<(), StoreError> {
        for pair in self.rows.scan(T::HISTORY, KeyRange::all()) {
            let (key, value) = pair?;
            let (head_key, birth) = split_history_key::<T>(&key)?;
            decode_key::<T::Key>(T::HISTORY, head_key)?;
            let old: Dated<T::Row> = decode_row(T::HISTORY, &key, &value)?;
            self.mourned(T::HISTORY, head_key, birth, old.revision)?;
        }
        Ok(())
    }

    /// Checks that a dead row is on the list of the one snapshot that it dies with.
    fn mourned(&mut self, family: Family, key: &[u8], birth: Revision, death: Revision) -> Result<(), StoreError> {
        let mut on_lists = 0;
        for row in self.rows.rows::<Snapshots>(KeyRange::all()) {
            let (snapshot, row) = row?;
            let listed = DeadKey { snapshot, family, key: key.to_vec(), birth };
            if self.rows.row::<Deadlist>(&listed)?.is_some() {
                on_lists += 1;
            } else if row.snapshot.state == SnapshotState::Live && on_lists > 0 && snapshot.0 < death.0 {
                self.fault(family, key, format!("it dies before snapshot {snapshot}, which sees it"));
            }
        }
        self.expect(on_lists == 1, family, key, format!("{on_lists} snapshots have it on their lists"));
        Ok(())
    }

    /// A deadlist belongs to a snapshot and names rows that are there.
    fn deadlist(&mut self) -> Result<(), StoreError> {
        for row in self.rows.rows::<Deadlist>(KeyRange::all()) {
            let (key, _) = row?;
            let bytes = key.encode();
            let snapshot = self.rows.row::<Snapshots>(&key.snapshot)?;
            self.expect(snapshot.is_some(), Family::Deadlist, &bytes, "its snapshot is not there");
            self.expect(key.birth.0 <= key.snapshot.0, Family::Deadlist, &bytes, "its snapshot does not see the row");
            let row_key = match key.family {
                Family::Changed => key.key,
                _ => crate::history::history_key(&key.key, key.birth),
            };
            let there = self.rows.get(key.family, &row_key)?.is_some();
            self.expect(there, Family::Deadlist, &bytes, "the row that it names is not there");
        }
        Ok(())
    }

    /// A copy to be deleted is not also to be made, and of no block in use.
    fn copies(&mut self) -> Result<(), StoreError> {
        for row in self.rows.rows::<Freed>(KeyRange::all()) {
            let (key, freed) = row?;
            let short = crate::keys::ShortKey { pg: freed.pg, block: key.block, holder: key.holder };
            let short = self.rows.row::<Short>(&short)?;
            self.expect(short.is_none(), Family::Freed, &key.encode(), "the copy is also missing");
            let in_use = self.rows.row::<Blocks>(&key.block)?.is_some();
            self.expect(!in_use, Family::Freed, &key.encode(), "its block is in use");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
