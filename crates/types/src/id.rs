//! Identifiers. Each is a type of its own, so that no two can be confused; conversions are named.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl $name {
            /// The number itself.
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }

            /// The next number; saturates at the largest.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

macro_rules! uuid_number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.as_hyphenated(), f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

number! {
    /// Logical inode number; never reused. The group number is in its eight highest bits.
    Lin(u64)
}
number! {
    /// The number of an operation in the order of the Raft log: the file system's only clock of order.
    Revision(u64)
}
number! {
    /// A client's session, given by the state machine; unique over all clusters that a restore or an adoption makes.
    SessionId(u64)
}
number! {
    /// A member of the cluster; allocated from the log, never reused. Zero means none.
    NodeId(u64)
}
number! {
    /// A placement group: a set of seats that hold the same blocks.
    PgId(u32)
}
number! {
    /// The number of a placement group's membership.
    PgVersion(u64)
}
number! {
    /// A pool: placement groups of one replica count and one rank.
    PoolId(u32)
}
number! {
    /// A snapshot of the file system.
    SnapshotId(u64)
}
number! {
    /// A place in the cloud that keeps backups.
    SiteId(u64)
}
number! {
    /// A backup policy.
    PolicyId(u64)
}
number! {
    /// A backup set; it keeps its number when its definition changes.
    SetId(u64)
}
number! {
    /// A backup job.
    JobId(u64)
}
number! {
    /// The number of one backup in a repository, given at the start of its job.
    Epoch(u64)
}
number! {
    /// Tells one owner of a job from the owner before it.
    Fence(u64)
}
number! {
    /// The number of the cluster that owns a repository.
    Generation(u64)
}
number! {
    /// The number that Raft gives a process at each start.
    Incarnation(u64)
}
uuid_number! {
    /// The cluster, named once by `cluster init` or `repo adopt`.
    ClusterId
}
uuid_number! {
    /// A repository at a site.
    RepositoryId
}
uuid_number! {
    /// A volume: one disk, or one folder of one, that holds blocks.
    VolumeId
}

impl Lin {
    /// The root directory of group 0.
    pub const ROOT: Self = Self(1);
}

/// A block: the session that cut it and a sequence number within that session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlockId {
    /// The session of the client that cut the block.
    pub session: SessionId,
    /// The block's number within its session.
    pub sequence: u64,
}

impl BlockId {
    /// Sixteen bytes, big-endian, so that ids sort by session and then by sequence.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        ((u128::from(self.session.0) << 64) | u128::from(self.sequence)).to_be_bytes()
    }

    /// The inverse of [`BlockId::to_bytes`].
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the halves of the number are taken on purpose")]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let number = u128::from_be_bytes(bytes);
        Self { session: SessionId((number >> 64) as u64), sequence: number as u64 }
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.session.0, self.sequence)
    }
}

/// A BLAKE3 digest of plain bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_id_bytes_sort_like_the_id_and_come_back() {
        let ids = [(0, 1), (0, u64::MAX), (1, 0), (u64::MAX, 7)]
            .map(|(session, sequence)| BlockId { session: SessionId(session), sequence });
        assert!(ids.windows(2).all(|pair| pair[0].to_bytes() < pair[1].to_bytes()));
        assert!(ids.iter().all(|id| BlockId::from_bytes(id.to_bytes()) == *id));
    }
}
