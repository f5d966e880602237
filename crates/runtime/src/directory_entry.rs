//! What a listing of a folder gives.

use std::ffi::OsString;
use std::path::PathBuf;

/// What kind of thing a directory entry names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link; it is not followed.
    Symlink,
    /// A device, pipe or socket.
    Special,
}

/// One entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirectoryEntry {
    /// The entry's own name.
    pub name: OsString,
    /// The folder's path with the name.
    pub path: PathBuf,
    /// What it names.
    pub kind: EntryKind,
}

impl From<std::fs::FileType> for EntryKind {
    fn from(kind: std::fs::FileType) -> Self {
        if kind.is_file() {
            Self::File
        } else if kind.is_dir() {
            Self::Directory
        } else if kind.is_symlink() {
            Self::Symlink
        } else {
            Self::Special
        }
    }
}
