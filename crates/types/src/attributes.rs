//! What `stat` tells of a file, and how it is changed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Lin;

/// Nanoseconds of a second.
const NANOSECONDS: u32 = 1_000_000_000;

/// A point in time as POSIX files carry it: seconds since 1970 and nanoseconds, which always count upward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z; negative before it.
    pub seconds: i64,
    /// Nanoseconds within the second, below 10⁹.
    pub nanoseconds: u32,
}

impl Timestamp {
    /// The point that much later; saturates at the end of the range.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let nanoseconds = self.nanoseconds.saturating_add(duration.subsec_nanos());
        let carried = u64::from(nanoseconds / NANOSECONDS);
        let seconds = self.seconds.saturating_add_unsigned(duration.as_secs().saturating_add(carried));
        Self { seconds, nanoseconds: nanoseconds % NANOSECONDS }
    }

    /// Whole seconds from an earlier point to this one; none from a later one.
    #[must_use]
    pub const fn seconds_after(self, earlier: Self) -> u64 {
        let borrowed = (self.nanoseconds < earlier.nanoseconds) as i128;
        let seconds = self.seconds as i128 - earlier.seconds as i128 - borrowed;
        // The range of seconds is 64 bits wide.
        if seconds < 0 { 0 } else { seconds as u64 }
    }
}

/// The kind of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A pipe with a name.
    Pipe,
    /// A socket of the local machine.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

impl FileKind {
    /// Whether it stands for a device, and so has a [`Device`].
    #[must_use]
    pub const fn is_device(self) -> bool {
        matches!(self, Self::CharDevice | Self::BlockDevice)
    }
}

/// The device that a special file stands for (`st_rdev`); as text `major:minor`, as Linux has it in `/sys/dev`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Device {
    /// The driver.
    pub major: u32,
    /// The device among those of the driver.
    pub minor: u32,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

impl FromStr for Device {
    type Err = NoDevice;

    fn from_str(text: &str) -> Result<Self, NoDevice> {
        let number = |digits: &str| digits.parse().map_err(|_| NoDevice);
        let (major, minor) = text.split_once(':').ok_or(NoDevice)?;
        Ok(Self { major: number(major)?, minor: number(minor)? })
    }
}

/// Some text is not `major:minor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this is no device: a device is two decimal numbers with a colon between them")]
pub struct NoDevice;

/// The attributes of a LIN at one revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// The LIN that they belong to.
    pub lin: Lin,
    /// Its kind, fixed for life.
    pub kind: FileKind,
    /// Permission, set-id and sticky bits: the twelve lowest bits of `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Directory entries that name it; for a directory 2 plus its subdirectories.
    pub nlink: u32,
    /// Length in bytes; of a symbolic link the length of its target; of a directory the number of its entries; 0 of a
    /// special file.
    pub size: u64,
    /// Last access, as set by a client.
    pub atime: Timestamp,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// Last change of anything, in state time.
    pub ctime: Timestamp,
}

/// Attributes to set; those that are `None` stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeChanges {
    /// Permission, set-id and sticky bits.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Length: a shorter one truncates, a longer one leaves a hole.
    pub size: Option<u64>,
    /// Last access.
    pub atime: Option<Timestamp>,
    /// Last change of the content.
    pub mtime: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_added_and_taken_from_each_other_across_seconds_and_the_ends_of_the_range() {
        let at = |seconds, nanoseconds| Timestamp { seconds, nanoseconds };
        assert_eq!(at(-2, 999_999_999).plus(Duration::from_nanos(2)), at(-1, 1));
        assert_eq!(at(i64::MAX, 5).plus(Duration::from_secs(7)), at(i64::MAX, 5));
        assert_eq!(at(5, 4).seconds_after(at(3, 5)), 1);
        assert_eq!((at(5, 5).seconds_after(at(3, 5)), at(3, 5).seconds_after(at(5, 5))), (2, 0));
        assert_eq!(at(i64::MAX, 0).seconds_after(at(i64::MIN, 0)), u64::MAX);
    }

    #[test]
    fn a_device_is_two_numbers_as_text() {
        let device = Device { major: 8, minor: u32::MAX };
        assert_eq!(device.to_string(), "8:4294967295");
        assert_eq!(device.to_string().parse(), Ok(device));
        for text in ["", "8", "8:", ":1", "8:1:2", "-1:0", "8:4294967296"] {
            assert_eq!(text.parse::<Device>(), Err(NoDevice), "{text:?}");
        }
    }
}
