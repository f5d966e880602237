use bytes::Bytes;
use types::{
    Append, AttributeChanges, Change, Clearing, CloneRange, Content, Create, FileKind, Lin, LockKind, NewInode,
    Removal, Rename, RenameMode, Revision, Rewrite, SnapshotId, XattrMode,
};

use super::enumeration::Numbered;
use crate::invalid::{each, name, optional_time, required};
use crate::v1::change::Change as Kind;
use crate::{InvalidMessage, v1};

impl TryFrom<Change> for v1::Change {
    type Error = InvalidMessage;

    fn try_from(change: Change) -> Result<Self, InvalidMessage> {
        let kind = match change {
            Change::Create(create) => Kind::Create(create.into()),
            Change::Link { lin, parent, name } => {
                Kind::Link(v1::Link { lin: lin.0, parent: parent.0, name: name.to_bytes() })
            }
            Change::Remove { parent, name, expect } => {
                Kind::Remove(v1::Remove { parent: parent.0, name: name.to_bytes(), expect: expect.number() })
            }
            Change::Rename(rename) => Kind::Rename(rename.into()),
            Change::SetAttributes { lin, changes } => {
                Kind::SetAttributes(v1::SetAttributes { lin: lin.0, changes: Some(changes.into()) })
            }
            Change::SetXattr { lin, name, value, mode } => {
                Kind::SetXattr(v1::SetXattr { lin: lin.0, name, value, mode: mode.number() })
            }
            Change::RemoveXattr { lin, name } => Kind::RemoveXattr(v1::RemoveXattr { lin: lin.0, name }),
            Change::Write { lin, content, mtime } => {
                Kind::Write(v1::Write { lin: lin.0, content: Some(content.into()), mtime: mtime.map(Into::into) })
            }
            Change::ClearRange { lin, offset, length, clearing, mtime } => Kind::ClearRange(v1::ClearRange {
                lin: lin.0,
                offset,
                length,
                clearing: clearing.number(),
                mtime: mtime.map(Into::into),
            }),
            Change::Clone(clone) => Kind::Clone(clone.into()),
            Change::Hold { lin } => Kind::Hold(v1::Hold { lin: lin.0 }),
            Change::Release { lin } => Kind::Release(v1::Release { lin: lin.0 }),
            Change::Append(append) => Kind::Append(append.into()),
            Change::Rewrite(rewrite) => Kind::Rewrite(rewrite.into()),
            Change::Lock { lin, lock } => Kind::Lock(v1::TakeLock { lin: lin.0, lock: Some(lock.into()) }),
            Change::Unlock { lin, kind, owner, range } => {
                Kind::Unlock(v1::Unlock { lin: lin.0, kind: kind.number(), owner, range: Some(range.into()) })
            }
            Change::PinSnapshot { snapshot, label } => {
                Kind::PinSnapshot(v1::PinSnapshot { snapshot: snapshot.get(), label })
            }
            Change::UnpinSnapshot { snapshot } => Kind::UnpinSnapshot(v1::UnpinSnapshot { snapshot: snapshot.get() }),
            Change::CreateSnapshot { .. } => return Err(not_carried("CreateSnapshot")),
            Change::DeleteSnapshot { .. } => return Err(not_carried("DeleteSnapshot")),
            Change::DropStep { .. } => return Err(not_carried("DropStep")),
            Change::AcknowledgeFreed { .. } => return Err(not_carried("AcknowledgeFreed")),
        };
        Ok(Self { change: Some(kind) })
    }
}

/// Snapshots are taken and deleted by a service of their own, and housekeeping is the nodes' own business.
const fn not_carried(what: &'static str) -> InvalidMessage {
    InvalidMessage::NotCarried { what }
}

impl TryFrom<v1::Change> for Change {
    type Error = InvalidMessage;

    fn try_from(change: v1::Change) -> Result<Self, InvalidMessage> {
        Ok(match required("change", change.change)? {
            Kind::Create(create) => Self::Create(create.try_into()?),
            Kind::Link(link) => {
                Self::Link { lin: Lin(link.lin), parent: Lin(link.parent), name: name("link.name", link.name)? }
            }
            Kind::Remove(remove) => Self::Remove {
                parent: Lin(remove.parent),
                name: name("remove.name", remove.name)?,
                expect: Removal::from_number("remove.expect", remove.expect)?,
            },
            Kind::Rename(rename) => Self::Rename(rename.try_into()?),
            Kind::SetAttributes(set) => Self::SetAttributes {
                lin: Lin(set.lin),
                changes: AttributeChanges::try_from(required("set_attributes.changes", set.changes)?)?,
            },
            Kind::SetXattr(set) => Self::SetXattr {
                lin: Lin(set.lin),
                name: set.name,
                value: set.value,
                mode: XattrMode::from_number("set_xattr.mode", set.mode)?,
            },
            Kind::RemoveXattr(remove) => Self::RemoveXattr { lin: Lin(remove.lin), name: remove.name },
            Kind::Write(write) => Self::Write {
                lin: Lin(write.lin),
                content: required("write.content", write.content)?.try_into()?,
                mtime: optional_time(write.mtime)?,
            },
            Kind::ClearRange(clear) => Self::ClearRange {
                lin: Lin(clear.lin),
                offset: clear.offset,
                length: clear.length,
                clearing: Clearing::from_number("clear_range.clearing", clear.clearing)?,
                mtime: optional_time(clear.mtime)?,
            },
            Kind::Clone(clone) => Self::Clone(clone.try_into()?),
            Kind::Hold(hold) => Self::Hold { lin: Lin(hold.lin) },
            Kind::Release(release) => Self::Release { lin: Lin(release.lin) },
            Kind::Append(append) => Self::Append(append.try_into()?),
            Kind::Rewrite(rewrite) => Self::Rewrite(rewrite.try_into()?),
            Kind::PinSnapshot(pin) => Self::PinSnapshot { snapshot: SnapshotId(pin.snapshot), label: pin.label },
            Kind::UnpinSnapshot(unpin) => Self::UnpinSnapshot { snapshot: SnapshotId(unpin.snapshot) },
            Kind::Lock(take) => Self::Lock { lin: Lin(take.lin), lock: required("lock.lock", take.lock)?.try_into()? },
            Kind::Unlock(unlock) => Self::Unlock {
                lin: Lin(unlock.lin),
                kind: LockKind::from_number("unlock.kind", unlock.kind)?,
                owner: unlock.owner,
                range: required("unlock.range", unlock.range)?.into(),
            },
        })
    }
}

impl From<Create> for v1::Create {
    fn from(create: Create) -> Self {
        Self {
            parent: create.parent.0,
            name: create.name.to_bytes(),
            inode: Some(create.inode.into()),
            replace: create.replace,
        }
    }
}

impl TryFrom<v1::Create> for Create {
    type Error = InvalidMessage;

    fn try_from(create: v1::Create) -> Result<Self, InvalidMessage> {
        Ok(Self {
            parent: Lin(create.parent),
            name: name("create.name", create.name)?,
            inode: required("create.inode", create.inode)?.try_into()?,
            replace: create.replace,
        })
    }
}

impl From<NewInode> for v1::NewInode {
    fn from(inode: NewInode) -> Self {
        Self {
            kind: inode.kind.number(),
            mode: inode.mode,
            uid: inode.uid,
            gid: inode.gid,
            atime: inode.atime.map(Into::into),
            mtime: inode.mtime.map(Into::into),
            target: inode.target,
            xattrs: inode.xattrs.into_iter().map(Into::into).collect(),
            content: Some(inode.content.into()),
            size: inode.size,
        }
    }
}

impl TryFrom<v1::NewInode> for NewInode {
    type Error = InvalidMessage;

    fn try_from(inode: v1::NewInode) -> Result<Self, InvalidMessage> {
        Ok(Self {
            kind: FileKind::from_number("inode.kind", inode.kind)?,
            mode: inode.mode,
            uid: inode.uid,
            gid: inode.gid,
            atime: optional_time(inode.atime)?,
            mtime: optional_time(inode.mtime)?,
            target: inode.target,
            xattrs: inode.xattrs.into_iter().map(Into::into).collect(),
            content: Content::try_from(required("inode.content", inode.content)?)?,
            size: inode.size,
        })
    }
}

impl From<(Bytes, Bytes)> for v1::Xattr {
    fn from((name, value): (Bytes, Bytes)) -> Self {
        Self { name, value }
    }
}

impl From<v1::Xattr> for (Bytes, Bytes) {
    fn from(xattr: v1::Xattr) -> Self {
        (xattr.name, xattr.value)
    }
}

impl From<CloneRange> for v1::CloneRange {
    fn from(clone: CloneRange) -> Self {
        Self {
            from: clone.from.0,
            snapshot: clone.snapshot.map(SnapshotId::get),
            from_offset: clone.from_offset,
            to: clone.to.0,
            to_offset: clone.to_offset,
            length: clone.length,
            mtime: clone.mtime.map(Into::into),
        }
    }
}

impl TryFrom<v1::CloneRange> for CloneRange {
    type Error = InvalidMessage;

    fn try_from(clone: v1::CloneRange) -> Result<Self, InvalidMessage> {
        Ok(Self {
            from: Lin(clone.from),
            snapshot: clone.snapshot.map(SnapshotId),
            from_offset: clone.from_offset,
            to: Lin(clone.to),
            to_offset: clone.to_offset,
            length: clone.length,
            mtime: optional_time(clone.mtime)?,
        })
    }
}

impl From<Append> for v1::Append {
    fn from(append: Append) -> Self {
        let (content, mtime) = (append.content.into(), append.mtime.map(Into::into));
        Self { lin: append.lin.0, content: Some(content), mtime }
    }
}

impl TryFrom<v1::Append> for Append {
    type Error = InvalidMessage;

    fn try_from(append: v1::Append) -> Result<Self, InvalidMessage> {
        Ok(Self {
            lin: Lin(append.lin),
            content: required("append.content", append.content)?.try_into()?,
            mtime: optional_time(append.mtime)?,
        })
    }
}

impl From<Rewrite> for v1::Rewrite {
    fn from(rewrite: Rewrite) -> Self {
        Self {
            lin: rewrite.lin.0,
            offset: rewrite.offset,
            length: rewrite.length,
            as_of: rewrite.as_of.0,
            extents: rewrite.extents.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::Rewrite> for Rewrite {
    type Error = InvalidMessage;

    fn try_from(rewrite: v1::Rewrite) -> Result<Self, InvalidMessage> {
        Ok(Self {
            lin: Lin(rewrite.lin),
            offset: rewrite.offset,
            length: rewrite.length,
            as_of: Revision(rewrite.as_of),
            extents: each(rewrite.extents)?,
        })
    }
}

impl From<Rename> for v1::Rename {
    fn from(rename: Rename) -> Self {
        Self {
            from_parent: rename.from_parent.0,
            from_name: rename.from_name.to_bytes(),
            to_parent: rename.to_parent.0,
            to_name: rename.to_name.to_bytes(),
            mode: rename.mode.number(),
        }
    }
}

impl TryFrom<v1::Rename> for Rename {
    type Error = InvalidMessage;

    fn try_from(rename: v1::Rename) -> Result<Self, InvalidMessage> {
        Ok(Self {
            from_parent: Lin(rename.from_parent),
            from_name: name("rename.from_name", rename.from_name)?,
            to_parent: Lin(rename.to_parent),
            to_name: name("rename.to_name", rename.to_name)?,
            mode: RenameMode::from_number("rename.mode", rename.mode)?,
        })
    }
}
