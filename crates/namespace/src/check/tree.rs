//! The tree: entries, links and inodes belong together, and each inode is in the change index.

use bytes::Bytes;
use types::{FileKind, INLINE_LENGTH_MAX, Lin};

use super::{Checker, UNNOTED};
use crate::database::Rows;
use crate::error::StoreError;
use crate::family::Family;
use crate::history::{Moment, Version, version, versions};
use crate::holds::is_held;
use crate::keys::{ChangedKey, EntryKey, Key as _, KeyRange, LinkKey, XattrKey};
use crate::meta;
use crate::read::Read as _;
use crate::rows::{Body, EntryRow, InodeRow};
use crate::tables::{Changes, Entries, Inodes, Links, Xattrs};
use crate::tree;

impl<R: Rows> Checker<'_, R> {
    /// Counts of links and entries, the row in the change index, the way up, and the usage.
    pub(super) fn inodes(&mut self) -> Result<(), StoreError> {
        for row in versions::<Inodes>(self.rows, Moment::Head, KeyRange::all()) {
            let (lin, inode) = row?;
            self.inode(lin, &inode.row)?;
            self.indexed(lin, &inode)?;
        }
        let counted = meta::progress(self.rows)?.usage;
        let reason = format!("the usage says {counted:?}, the inodes {:?}", self.usage);
        self.expect(counted == self.usage, Family::Meta, meta::PROGRESS_KEY, reason);
        Ok(())
    }

    fn inode(&mut self, lin: Lin, inode: &InodeRow) -> Result<(), StoreError> {
        let key = lin.encode();
        self.usage.inodes += 1;
        self.holding(lin, inode)?;
        let mut links = 0;
        for link in tree::links(self.rows, Moment::Head, lin) {
            link?;
            links += 1;
        }
        match inode.kind {
            FileKind::Directory => self.directory(lin, inode, links)?,
            _ => {
                self.expect(links == inode.nlink, Family::Inode, &key, format!("it has {links} links"));
                let kept = links > 0 || is_held(self.rows, lin)?;
                self.expect(kept, Family::Inode, &key, "it has no name, and no session holds it");
            }
        }
        if inode.kind == FileKind::File {
            self.usage.bytes = self.usage.bytes.wrapping_add(inode.size);
        }
        self.expect(fits(inode), Family::Inode, &key, "its body is that of another kind, or of another length");
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
    pub(super) fn entries(&mut self) -> Result<(), StoreError> {
        for row in versions::<Entries>(self.rows, Moment::Head, KeyRange::all()) {
            let (EntryKey { parent, name }, entry) = row?;
            let key = EntryKey { parent, name: name.clone() }.encode();
            let kind = version::<Inodes>(self.rows, Moment::Head, &entry.row.lin)?.map(|inode| inode.row.kind);
            self.expect(kind == Some(entry.row.kind), Family::Dentry, &key, "its inode is of another kind or missing");
            let directory = version::<Inodes>(self.rows, Moment::Head, &parent)?;
            let directory = directory.filter(|inode| inode.row.kind == FileKind::Directory);
            self.expect(directory.is_some(), Family::Dentry, &key, "its parent is no directory");
            let noted = directory.is_none_or(|inode| entry.revision <= inode.revision);
            self.expect(noted, Family::Dentry, &key, UNNOTED);
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

    /// Every link has its entry, and an inode that was saved with it.
    pub(super) fn links(&mut self) -> Result<(), StoreError> {
        for row in versions::<Links>(self.rows, Moment::Head, KeyRange::all()) {
            let (LinkKey { lin, parent, name }, link) = row?;
            let key = LinkKey { lin, parent, name: name.clone() }.encode();
            let inode = version::<Inodes>(self.rows, Moment::Head, &lin)?;
            self.expect(inode.is_some(), Family::Link, &key, "its inode is not there");
            let entry = tree::entry(self.rows, Moment::Head, &EntryKey { parent, name })?;
            let named = inode.as_ref().is_none_or(|inode| entry == Some(EntryRow { lin, kind: inode.row.kind }));
            self.expect(named, Family::Link, &key, "it has no entry");
            let noted = inode.is_none_or(|inode| link.revision <= inode.revision);
            self.expect(noted, Family::Link, &key, UNNOTED);
        }
        Ok(())
    }

    /// Every extended attribute has an inode that was saved with it.
    pub(super) fn xattrs(&mut self) -> Result<(), StoreError> {
        for row in versions::<Xattrs>(self.rows, Moment::Head, KeyRange::all()) {
            let (XattrKey { lin, name }, xattr) = row?;
            let key = XattrKey { lin, name }.encode();
            let inode = version::<Inodes>(self.rows, Moment::Head, &lin)?;
            self.expect(inode.is_some(), Family::Xattr, &key, "its inode is not there");
            let noted = inode.is_none_or(|inode| xattr.revision <= inode.revision);
            self.expect(noted, Family::Xattr, &key, UNNOTED);
        }
        Ok(())
    }

    /// The row in the change index is at or before the last change, and after every live snapshot that does not see it.
    fn indexed(&mut self, lin: Lin, inode: &Version<Inodes>) -> Result<(), StoreError> {
        let (key, indexed) = (lin.encode(), inode.row.changed);
        let row = self.rows.row::<Changes>(&ChangedKey { revision: indexed, lin })?;
        self.expect(row.is_some(), Family::Inode, &key, "the change index does not have it");
        let unseen = self.live.iter().any(|snapshot| indexed.0 <= snapshot.0 && snapshot.0 < inode.revision.0);
        let found = indexed <= inode.revision && !unseen;
        self.expect(found, Family::Inode, &key, "who asks for what changed since a snapshot does not find it");
        Ok(())
    }
}

/// Whether the body is that of the kind, and the length that of the body.
fn fits(inode: &InodeRow) -> bool {
    let holds = |bytes: &Bytes| (1..=INLINE_LENGTH_MAX).contains(&bytes.len()) && bytes.len() as u64 <= inode.size;
    match (inode.kind, &inode.body) {
        (FileKind::Directory, Body::Directory) | (FileKind::File, Body::Extents(_)) => true,
        (FileKind::Symlink, Body::Target(target)) => inode.size == target.len() as u64,
        (FileKind::File, Body::Inline(bytes)) => holds(bytes),
        (FileKind::Pipe | FileKind::Socket, Body::Nothing)
        | (FileKind::CharDevice | FileKind::BlockDevice, Body::Device(_)) => inode.size == 0,
        _ => false,
    }
}
