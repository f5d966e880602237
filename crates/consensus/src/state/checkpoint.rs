//! A copy of the state at one entry, as a folder of files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use runtime::{File, Files};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::StateError;
use super::stores::AppliedState;
use crate::position::{MembershipRecord, Position};

/// Bytes that are read at once where a copy has to be copied.
const COPY_BYTES: u64 = 4 << 20;

/// A copy of the state at one entry. Its folder goes when the last user does, unless it was installed.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    files: Files,
    folder: PathBuf,
    contents: Contents,
    moved: bool,
}

/// What is in a copy: sent ahead of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Contents {
    pub position: Option<Position>,
    pub membership: Option<MembershipRecord>,
    pub files: Vec<FileEntry>,
}

/// One file of a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileEntry {
    pub name: String,
    pub length: u64,
}

impl Checkpoint {
    /// Takes over a folder into which the store has just copied itself.
    pub fn open(files: &Files, folder: &Path, applied: AppliedState) -> Result<Self, StateError> {
        let mut entries = Vec::new();
        for entry in files.list(folder)? {
            let length = files.open_read(&entry.path)?.len()?;
            entries.push(FileEntry { name: entry.name.to_string_lossy().into_owned(), length });
        }
        let contents = Contents { position: applied.position, membership: applied.membership, files: entries };
        Ok(Self::received(files, folder, contents))
    }

    /// Takes over a folder into which a copy was received.
    pub fn received(files: &Files, folder: &Path, contents: Contents) -> Self {
        Self { files: files.clone(), folder: folder.to_owned(), contents, moved: false }
    }

    /// What is in it.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The last entry in it, if any was ever applied.
    pub fn position(&self) -> Option<Position> {
        self.contents.position
    }

    /// Opens one of its files.
    pub fn open_file(&self, entry: &FileEntry) -> Result<File, StateError> {
        Ok(self.files.open_read(&self.folder.join(&entry.name))?)
    }

    /// Moves it to another folder, or copies it if somebody else still uses it. Blocks.
    pub fn move_to(self: Arc<Self>, target: &Path) -> Result<(), StateError> {
        match Arc::try_unwrap(self) {
            Ok(mut alone) => {
                alone.files.rename(&alone.folder, target)?;
                alone.moved = true;
                Ok(())
            }
            Err(shared) => shared.copy_to(target),
        }
    }

    fn copy_to(&self, target: &Path) -> Result<(), StateError> {
        self.files.create_dirs(target)?;
        for entry in &self.contents.files {
            let (from, to) = (self.open_file(entry)?, self.files.create(&target.join(&entry.name))?);
            let mut offset = 0;
            while offset < entry.length {
                let length = COPY_BYTES.min(entry.length - offset);
                to.write_all_at(offset, &from.read_exact_at(offset, length as usize)?)?;
                offset += length;
            }
            to.sync_data()?;
        }
        Ok(self.files.sync_dir(target)?)
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        if !self.moved
            && let Err(error) = self.files.remove_dir_all(&self.folder)
        {
            warn!(%error, "cannot remove a copy of the state; the next start does");
        }
    }
}

impl FileEntry {
    /// Whether the name is that of a file in a folder and of nothing elsewhere: it may come from another node.
    pub fn is_plain(&self) -> bool {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        !self.name.is_empty() && self.name.len() <= 255 && !self.name.starts_with('.') && self.name.bytes().all(plain)
    }
}
