//! Inodes and entries as operations change them.

use types::{Attributes, FileKind, Lin, Name, OperationError};

use crate::accounts::Holding;
use crate::changes::ChangeFlags;
use crate::error::{Failure, StoreError};
use crate::history::Moment;
use crate::holds::is_held;
use crate::keys::{ContentKey, EntryKey, LinkKey, XattrKey};
use crate::rows::{Body, EntryRow, InodeRow, Present};
use crate::tables::{Entries, Inodes, Links, Xattrs};
use crate::transaction::Transaction;
use crate::tree;

/// The most names of one file, as in ext4.
pub const LINKS_MAX: u32 = 65_000;

/// A working copy of an inode; [`Transaction::save`] writes it back.
pub struct Inode {
    /// The LIN.
    pub lin: Lin,
    /// The row.
    pub row: InodeRow,
    /// What it counted when it was loaded.
    counted: Holding,
}

impl Inode {
    fn loaded(lin: Lin, row: InodeRow) -> Self {
        let counted = row.holding();
        Self { lin, row, counted }
    }

    /// What `stat` tells.
    pub const fn attributes(&self) -> Attributes {
        self.row.attributes(self.lin)
    }
}

impl InodeRow {
    /// What it counts in the usage of the tree, of its owner and of directories with a quota.
    pub const fn holding(&self) -> Holding {
        Holding { uid: self.uid, bytes: if matches!(self.kind, FileKind::File) { self.size } else { 0 } }
    }
}

impl Transaction<'_> {
    /// The inode of a LIN.
    pub fn inode(&self, lin: Lin) -> Result<Inode, Failure> {
        Ok(Inode::loaded(lin, tree::inode(self, Moment::Head, lin)?.row))
    }

    /// The inode of a directory.
    pub fn directory(&self, lin: Lin) -> Result<Inode, Failure> {
        Ok(Inode::loaded(lin, tree::directory(self, Moment::Head, lin)?))
    }

    /// The inode of a regular file.
    pub fn file(&self, lin: Lin) -> Result<Inode, Failure> {
        Ok(Inode::loaded(lin, tree::file(self, Moment::Head, lin)?))
    }

    /// Writes an inode back and notes what changed; every change also moves `ctime`.
    pub fn save(&mut self, mut inode: Inode, flags: ChangeFlags) -> Result<Attributes, StoreError> {
        inode.row.ctime = self.now();
        self.save_unseen(inode, flags)
    }

    /// Writes an inode back of which no reader sees a difference: `ctime` stays.
    pub fn save_unseen(&mut self, mut inode: Inode, flags: ChangeFlags) -> Result<Attributes, StoreError> {
        inode.row.changed = self.index_change(inode.lin, inode.row.changed, flags)?;
        let attributes = inode.attributes();
        let (before, now) = (inode.counted, inode.row.holding());
        self.recount(before.bytes, now.bytes);
        self.recount_inode(inode.lin, before, now)?;
        self.put_version::<Inodes>(&inode.lin, inode.row)?;
        Ok(attributes)
    }

    /// Writes a new inode with a name in a directory; its LIN is the revision of the operation.
    pub fn insert_inode(&mut self, parent: Lin, mut row: InodeRow) -> Result<Attributes, StoreError> {
        let lin = Lin(self.revision().0);
        row.changed = self.index_new(lin);
        self.progress.usage.inodes += 1;
        self.recount(0, row.holding().bytes);
        self.enter_scope(lin, row.holding(), self.scope_in(parent)?)?;
        let attributes = row.attributes(lin);
        self.put_version::<Inodes>(&lin, row)?;
        Ok(attributes)
    }

    /// Removes an inode that has no name any more, with all that it holds.
    pub fn delete_inode(&mut self, inode: &Inode) -> Result<(), StoreError> {
        let lin = inode.lin;
        self.abandon_body(lin, &inode.row.body)?;
        let xattrs: Vec<_> = tree::xattrs(self, Moment::Head, lin).collect::<Result<_, _>>()?;
        for (name, _) in xattrs {
            self.delete_version::<Xattrs>(&XattrKey { lin, name })?;
        }
        self.forget_locks_on(lin)?;
        self.delete_version::<Inodes>(&lin)?;
        self.progress.usage.inodes = self.progress.usage.inodes.saturating_sub(1);
        self.recount(inode.counted.bytes, 0);
        self.leave_scope(lin, inode.counted)?;
        self.index_removal(lin, inode.row.changed)
    }

    /// Takes from a file what its body refers to.
    pub fn abandon_body(&mut self, lin: Lin, body: &Body) -> Result<(), StoreError> {
        match body {
            Body::Extents(since) => self.abandon(ContentKey { lin, since: *since }),
            Body::Directory | Body::Target(_) | Body::Inline(_) | Body::Nothing | Body::Device(_) => Ok(()),
        }
    }

    /// What a name in a directory names, if it is there.
    pub fn entry(&self, key: &EntryKey) -> Result<Option<EntryRow>, StoreError> {
        tree::entry(self, Moment::Head, key)
    }

    /// Refuses a name that is taken.
    pub fn expect_free(&self, key: &EntryKey) -> Result<(), Failure> {
        match self.entry(key)? {
            None => Ok(()),
            Some(_) => Err(entry_exists(key).into()),
        }
    }

    /// Adds a name to a directory. What it names is the caller's to save.
    pub fn add_entry(&mut self, key: &EntryKey, entry: EntryRow) -> Result<(), Failure> {
        let mut parent = self.directory(key.parent)?;
        parent.row.size += 1;
        parent.row.nlink += subdirectory_links(entry.kind);
        parent.row.mtime = self.now();
        self.save(parent, ChangeFlags::ATTRIBUTES)?;
        self.put_version::<Entries>(key, entry)?;
        Ok(self.put_version::<Links>(&link_key(key, entry.lin), Present)?)
    }

    /// Takes a name out of a directory. What it named is the caller's to save.
    pub fn remove_entry(&mut self, key: &EntryKey, entry: EntryRow) -> Result<(), Failure> {
        let mut parent = self.directory(key.parent)?;
        parent.row.size = parent.row.size.saturating_sub(1);
        parent.row.nlink = parent.row.nlink.saturating_sub(subdirectory_links(entry.kind));
        parent.row.mtime = self.now();
        self.save(parent, ChangeFlags::ATTRIBUTES)?;
        self.delete_version::<Entries>(key)?;
        self.delete_version::<Links>(&link_key(key, entry.lin))?;
        Ok(())
    }

    /// Removes a name, and what it names if that was its last name and no session holds it. A directory has to be empty.
    pub fn unlink(&mut self, key: &EntryKey, entry: EntryRow) -> Result<(), Failure> {
        let mut inode = self.inode(entry.lin)?;
        let directory = inode.row.kind == FileKind::Directory;
        if directory && inode.row.size > 0 {
            return Err(OperationError::NotEmpty { lin: entry.lin }.into());
        }
        self.remove_entry(key, entry)?;
        if directory || (inode.row.nlink == 1 && !is_held(self, entry.lin)?) {
            return Ok(self.delete_inode(&inode)?);
        }
        inode.row.nlink -= 1;
        self.unlink_scope(&inode)?;
        self.save(inode, ChangeFlags::LINKS | ChangeFlags::ATTRIBUTES)?;
        Ok(())
    }

    /// The sum wraps around: it is right again once it fits, however long the holes of some files were meanwhile.
    const fn recount(&mut self, before: u64, now: u64) {
        let usage = &mut self.progress.usage;
        usage.bytes = usage.bytes.wrapping_sub(before).wrapping_add(now);
    }
}

/// A directory's `..` is a link to its parent.
fn subdirectory_links(kind: FileKind) -> u32 {
    u32::from(kind == FileKind::Directory)
}

fn link_key(key: &EntryKey, lin: Lin) -> LinkKey {
    LinkKey { lin, parent: key.parent, name: key.name.clone() }
}

/// The key of a name in a directory.
pub fn entry_key(parent: Lin, name: &Name) -> EntryKey {
    EntryKey { parent, name: name.clone() }
}

/// Why a name cannot be taken.
pub fn entry_exists(key: &EntryKey) -> OperationError {
    OperationError::EntryExists { parent: key.parent, name: key.name.to_string() }
}
