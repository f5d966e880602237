//! The column families of the state store.

/// A column family. The number of a variant is its tag in deadlist keys and in the chained hash: it never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Family {
    /// Single rows about the store.
    Meta = 0,
    /// LIN → inode.
    Inode = 1,
    /// Directory, name → LIN, kind.
    Dentry = 2,
    /// LIN, directory, name: the way back up.
    Link = 3,
    /// LIN, content, offset → extent.
    Extent = 4,
    /// LIN, name → value.
    Xattr = 5,
    /// Old versions of inodes.
    InodeHistory = 6,
    /// Old versions of directory entries.
    DentryHistory = 7,
    /// Old versions of links.
    LinkHistory = 8,
    /// Old versions of extents.
    ExtentHistory = 9,
    /// Old versions of extended attributes.
    XattrHistory = 10,
    /// Revision, LIN → what changed.
    Changed = 11,
    /// Snapshot, family, history key: what dies with the snapshot.
    Deadlist = 12,
    /// Snapshots.
    Snapshot = 13,
    /// Sessions of clients.
    Session = 14,
    /// Session, sequence → result.
    Remembered = 15,
    /// Copies that a holder lacks.
    Short = 16,
    /// Copies that a holder is to delete.
    Freed = 17,
    /// Members of the cluster.
    Node = 18,
    /// Placement groups.
    Pg = 19,
    /// Pools.
    Pool = 20,
    /// Sites.
    Site = 21,
    /// Policies.
    Policy = 22,
    /// Backup jobs.
    Job = 23,
    /// Job, name → upload object.
    JobObject = 24,
    /// Policy, job: the jobs of a policy.
    PolicyJob = 25,
    /// Kind, name → number.
    Name = 26,
    /// LIN, content, operation → from where on it took the extents.
    Orphan = 27,
    /// Blocks that an extent of the head or of the history uses.
    Block = 28,
    /// Block, content, start: the places of blocks that clones gave more than one.
    Reference = 29,
    /// LIN, session: who holds a file.
    Open = 30,
    /// LIN, kind, session, owner, offset → a lock.
    Lock = 31,
    /// Quotas of directories and users.
    Quota = 32,
    /// What directories with a quota hold, and what every user owns.
    Usage = 33,
    /// LIN → the nearest directory above it that has a quota.
    Scope = 40,
    /// Directories whose entries are to be counted, and how far they are.
    Recount = 41,
    /// Session, LIN: what a session holds.
    Held = 42,
    /// Session, LIN, kind: where a session has locks.
    Locked = 43,
    /// Snapshot, session: which snapshots sessions pin.
    Pin = 44,
}

impl Family {
    /// All families, in the order of their tags.
    pub const ALL: [Self; 39] = [
        Self::Meta,
        Self::Inode,
        Self::Dentry,
        Self::Link,
        Self::Extent,
        Self::Xattr,
        Self::InodeHistory,
        Self::DentryHistory,
        Self::LinkHistory,
        Self::ExtentHistory,
        Self::XattrHistory,
        Self::Changed,
        Self::Deadlist,
        Self::Snapshot,
        Self::Session,
        Self::Remembered,
        Self::Short,
        Self::Freed,
        Self::Node,
        Self::Pg,
        Self::Pool,
        Self::Site,
        Self::Policy,
        Self::Job,
        Self::JobObject,
        Self::PolicyJob,
        Self::Name,
        Self::Orphan,
        Self::Block,
        Self::Reference,
        Self::Open,
        Self::Lock,
        Self::Quota,
        Self::Usage,
        Self::Scope,
        Self::Recount,
        Self::Held,
        Self::Locked,
        Self::Pin,
    ];

    /// The name in RocksDB.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Inode => "inode",
            Self::Dentry => "dentry",
            Self::Link => "link",
            Self::Extent => "extent",
            Self::Xattr => "xattr",
            Self::InodeHistory => "inode_history",
            Self::DentryHistory => "dentry_history",
            Self::LinkHistory => "link_history",
            Self::ExtentHistory => "extent_history",
            Self::XattrHistory => "xattr_history",
            Self::Changed => "changed",
            Self::Deadlist => "deadlist",
            Self::Snapshot => "snapshot",
            Self::Session => "session",
            Self::Remembered => "remembered",
            Self::Short => "short",
            Self::Freed => "freed",
            Self::Node => "node",
            Self::Pg => "pg",
            Self::Pool => "pool",
            Self::Site => "site",
            Self::Policy => "policy",
            Self::Job => "job",
            Self::JobObject => "job_object",
            Self::PolicyJob => "policy_job",
            Self::Name => "name",
            Self::Orphan => "orphan",
            Self::Block => "block",
            Self::Reference => "reference",
            Self::Open => "open",
            Self::Lock => "lock",
            Self::Quota => "quota",
            Self::Usage => "usage",
            Self::Scope => "scope",
            Self::Recount => "recount",
            Self::Held => "held",
            Self::Locked => "locked",
            Self::Pin => "pin",
        }
    }

    /// The tag in keys and hashes.
    #[must_use]
    pub const fn tag(self) -> u8 {
        self as u8
    }

    /// The inverse of [`Family::tag`].
    #[must_use]
    pub fn from_tag(tag: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.tag() == tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_names_its_family() {
        for family in Family::ALL {
            assert_eq!(Family::from_tag(family.tag()), Some(family));
        }
        assert!(Family::ALL.is_sorted_by_key(|family| family.tag()), "in the order of their tags");
        assert_eq!(Family::from_tag(39), None);
    }
}
