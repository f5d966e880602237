//! A copy of the state at one entry, as a folder of files.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use runtime::{File, Files};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::StateError;
use super::stores::AppliedState;
use crate::position::{MembershipRecord, Position};

/// Bytes that are read at once where all of a file is.
const READ_BYTES: u64 = 4 << 20;

/// A copy of the state at one entry. Its folder goes when the last user does, unless it was installed.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    files: Files,
    folder: PathBuf,
    applied: AppliedState,
    names: Vec<String>,
    /// Known once somebody has asked: it takes a read of all files.
    contents: OnceLock<Contents>,
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
    /// BLAKE3 of its bytes: what is the same file in two copies (rule P5).
    pub digest: [u8; 32],
}

impl Checkpoint {
    /// Takes over a folder into which the store has just copied itself.
    pub fn open(files: &Files, folder: &Path, applied: AppliedState) -> Result<Self, StateError> {
        let names = files.list(folder)?.into_iter().map(|entry| entry.name.to_string_lossy().into_owned()).collect();
        let (files, folder) = (files.clone(), folder.to_owned());
        Ok(Self { files, folder, applied, names, contents: OnceLock::new(), moved: false })
    }

    /// Takes over a folder into which a copy was received.
    pub fn received(files: &Files, folder: &Path, contents: Contents) -> Self {
        let names = contents.files.iter().map(|entry| entry.name.clone()).collect();
        let applied = AppliedState { position: contents.position, membership: contents.membership.clone() };
        let (files, folder) = (files.clone(), folder.to_owned());
        Self { files, folder, applied, names, contents: OnceLock::from(contents), moved: false }
    }

    /// What is in it, for whoever is to get it; the first time all files are read. Blocks.
    pub fn contents(&self) -> Result<&Contents, StateError> {
        if let Some(contents) = self.contents.get() {
            return Ok(contents);
        }
        let AppliedState { position, membership } = self.applied.clone();
        let files = self.names.iter().map(|name| self.describe(name)).collect::<Result<_, _>>()?;
        Ok(self.contents.get_or_init(|| Contents { position, membership, files }))
    }

    fn describe(&self, name: &str) -> Result<FileEntry, StateError> {
        let file = self.open_file(name)?;
        let length = file.len()?;
        Ok(FileEntry { name: name.to_owned(), length, digest: digest_of(&file, length)? })
    }

    /// How far the state in it is.
    pub fn applied(&self) -> &AppliedState {
        &self.applied
    }

    /// The last entry in it, if any was ever applied.
    pub fn position(&self) -> Option<Position> {
        self.applied.position
    }

    /// Opens one of its files.
    pub fn open_file(&self, name: &str) -> Result<File, StateError> {
        Ok(self.files.open_read(&self.folder.join(name))?)
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
        for name in &self.names {
            let (from, to) = (self.open_file(name)?, self.files.create(&target.join(name))?);
            let mut written = 0;
            each_piece(&from, from.len()?, |bytes| {
                to.write_all_at(written, bytes)?;
                written += bytes.len() as u64;
                Ok(())
            })?;
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

/// The digest of the first bytes of a file. Blocks.
pub(crate) fn digest_of(file: &File, length: u64) -> Result<[u8; 32], StateError> {
    let mut hasher = blake3::Hasher::new();
    each_piece(file, length, |bytes| {
        hasher.update(bytes);
        Ok(())
    })?;
    Ok(*hasher.finalize().as_bytes())
}

/// Reads the first bytes of a file, some at a time.
fn each_piece(
    file: &File,
    length: u64,
    mut take: impl FnMut(&[u8]) -> Result<(), StateError>,
) -> Result<(), StateError> {
    let mut offset = 0;
    while offset < length {
        let piece = READ_BYTES.min(length - offset);
        take(&file.read_exact_at(offset, piece as usize)?)?;
        offset += piece;
    }
    Ok(())
}

impl Contents {
    /// The lengths of all files together.
    pub fn length(&self) -> u64 {
        self.files.iter().map(|file| file.length).fold(0, u64::saturating_add)
    }
}

impl FileEntry {
    /// Whether the name is that of a file in a folder and of nothing elsewhere: it may come from another node.
    pub fn is_plain(&self) -> bool {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        !self.name.is_empty() && self.name.len() <= 255 && !self.name.starts_with('.') && self.name.bytes().all(plain)
    }
}
