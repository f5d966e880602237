//! What two trees do not have in common.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// One path that is not the same on both sides, and in what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The path, from the roots.
    pub path: PathBuf,
    /// What is not the same.
    pub aspect: Aspect,
    /// How it is on the left.
    pub left: String,
    /// How it is on the right.
    pub right: String,
}

/// What can differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aspect {
    /// The path is on one side only.
    Presence,
    /// File, directory, symlink and so on.
    Kind,
    /// Permissions, set-id and sticky bits.
    Mode,
    /// User and group.
    Owner,
    /// The time of the last change of the content, in nanoseconds.
    Modified,
    /// Names and values of extended attributes.
    Xattrs,
    /// Which other paths name the same file.
    LinkGroup,
    /// The target of a symlink, or the number of a device.
    Target,
    /// The length of a file.
    Length,
    /// The bytes of a file.
    Bytes,
    /// The right side has data on disk where the left side has a hole.
    Holes,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.as_os_str().as_bytes();
        let path = if path.is_empty() { b".".as_slice() } else { path };
        write!(f, "{}: {:?}: {} | {}", path.escape_ascii(), self.aspect, self.left, self.right)
    }
}
