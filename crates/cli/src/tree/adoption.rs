//! A directory that is there already becomes as the local one is, as `cp -a` and `rsync -aAX` leave it.

use std::collections::BTreeMap;

use bytes::Bytes;
use client::Inode;
use types::{AttributeChanges, Change, NewInode, XattrMode};

/// What makes a directory of the cluster like a local one: mode, owner, and extended attributes, access control lists
/// among them. The times come last, when all its entries are there. Nothing, if nothing differs.
pub fn adoption(there: &Inode, wanted: &NewInode) -> Vec<Change> {
    let lin = there.attributes.lin;
    let mut changes = xattr_changes(there, wanted);
    let attributes = &there.attributes;
    if (attributes.mode, attributes.uid, attributes.gid) != (wanted.mode, wanted.uid, wanted.gid) {
        let NewInode { mode, uid, gid, .. } = *wanted;
        let set = AttributeChanges { mode: Some(mode), uid: Some(uid), gid: Some(gid), ..AttributeChanges::default() };
        changes.push(Change::SetAttributes { lin, changes: set });
    }
    changes
}

/// Those that are to go first: a directory holds no more than so many.
fn xattr_changes(there: &Inode, wanted: &NewInode) -> Vec<Change> {
    let lin = there.attributes.lin;
    let by_name = |xattrs: &[(Bytes, Bytes)]| xattrs.iter().cloned().collect::<BTreeMap<_, _>>();
    let (old, new) = (by_name(&there.xattrs), by_name(&wanted.xattrs));
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    let removed = gone.map(|name| Change::RemoveXattr { lin, name: name.clone() });
    let changed = new.iter().filter(|(name, value)| old.get(*name) != Some(value));
    let set = changed.map(|(name, value)| Change::SetXattr {
        lin,
        name: name.clone(),
        value: value.clone(),
        mode: XattrMode::Any,
    });
    removed.chain(set).collect()
}

#[cfg(test)]
mod tests {
    use types::{Attributes, Content, FileKind, Lin, Timestamp};

    use super::*;

    const LIN: Lin = Lin(7);

    fn xattrs(pairs: &[(&'static str, &'static str)]) -> Vec<(Bytes, Bytes)> {
        pairs.iter().map(|(name, value)| (Bytes::from(*name), Bytes::from(*value))).collect()
    }

    fn there(mode: u32, pairs: &[(&'static str, &'static str)]) -> Inode {
        let attributes = Attributes {
            lin: LIN,
            kind: FileKind::Directory,
            mode,
            uid: 0,
            gid: 0,
            nlink: 2,
            size: 0,
            atime: Timestamp::default(),
            mtime: Timestamp::default(),
            ctime: Timestamp::default(),
        };
        Inode { attributes, target: Bytes::new(), device: None, xattrs: xattrs(pairs), content: None }
    }

    fn wanted(mode: u32, pairs: &[(&'static str, &'static str)]) -> NewInode {
        NewInode {
            kind: FileKind::Directory,
            mode,
            uid: 0,
            gid: 0,
            atime: None,
            mtime: None,
            target: Bytes::new(),
            xattrs: xattrs(pairs),
            content: Content::Empty,
            size: 0,
        }
    }

    #[test]
    fn what_is_equal_needs_no_change() {
        let pairs = [("user.a", "1"), ("system.posix_acl_default", "\x02")];
        assert_eq!(adoption(&there(0o755, &pairs), &wanted(0o755, &pairs)), []);
    }

    #[test]
    fn what_is_new_or_other_is_set_and_what_is_gone_is_removed() {
        let old = there(0o755, &[("user.gone", "x"), ("user.kept", "x"), ("user.other", "x")]);
        let new = wanted(0o755, &[("user.kept", "x"), ("user.new", "y"), ("user.other", "y")]);
        let set = |name: &'static str| Change::SetXattr {
            lin: LIN,
            name: name.into(),
            value: "y".into(),
            mode: XattrMode::Any,
        };
        let gone = Change::RemoveXattr { lin: LIN, name: "user.gone".into() };
        assert_eq!(adoption(&old, &new), [gone, set("user.new"), set("user.other")]);
    }

    #[test]
    fn mode_and_owner_are_taken_over_together() {
        let changes = AttributeChanges { mode: Some(0o700), uid: Some(0), gid: Some(0), ..AttributeChanges::default() };
        let changed = adoption(&there(0o755, &[]), &wanted(0o700, &[]));
        assert_eq!(changed, [Change::SetAttributes { lin: LIN, changes }]);
    }
}
