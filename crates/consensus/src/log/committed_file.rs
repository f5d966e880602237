//! How far the log is known to be committed: a hint that lets a restarted node apply again what it had applied.
//!
//! It is written in place, in one of two slots in turn, and never synced for its own sake: losing it costs nothing but
//! that the node waits for a leader before it shows what it showed before.

use std::path::Path;

use runtime::{File, Files};

use super::LogError;
use super::fields::{put_u32, put_u64, take_u32, take_u64};
use crate::position::Position;

const MAGIC: [u8; 4] = *b"HFLC";
pub(super) const SLOT_LENGTH: usize = 64;

/// The file with the two slots.
#[derive(Debug)]
pub(super) struct CommittedFile {
    file: File,
    written: u64,
}

impl CommittedFile {
    /// Opens the file, made if it is not there, and reads the newer of the slots that are whole.
    pub fn open(files: &Files, path: &Path) -> Result<(Self, Option<Position>), LogError> {
        let file = files.open_write(path)?;
        let mut bytes = vec![0; 2 * SLOT_LENGTH];
        let read = file.read_at(0, &mut bytes)?;
        bytes.truncate(read);
        let newest = bytes.chunks(SLOT_LENGTH).filter_map(decode).max_by_key(|(written, _)| *written);
        let written = newest.map_or(0, |(written, _)| written);
        Ok((Self { file, written }, newest.map(|(_, position)| position)))
    }

    /// Notes a position; it survives the end of the process, though not of the machine.
    pub fn write(&mut self, position: Position) -> Result<(), LogError> {
        self.written += 1;
        Ok(self.file.write_all_at((self.written % 2) * SLOT_LENGTH as u64, &encode(self.written, position))?)
    }
}

/// A slot: the position, and how often one was noted.
pub(super) fn encode(written: u64, position: Position) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    put_u32(&mut out, 1);
    for field in [written, position.index, position.term, position.leader] {
        put_u64(&mut out, field);
    }
    out.resize(SLOT_LENGTH - 4, 0);
    let crc = crc32fast::hash(&out);
    put_u32(&mut out, crc);
    out
}

pub(super) fn decode(slot: &[u8]) -> Option<(u64, Position)> {
    let (checked, crc) = slot.split_at_checked(SLOT_LENGTH - 4)?;
    if !slot.starts_with(&MAGIC) || take_u32(slot, 4)? != 1 || crc32fast::hash(checked) != take_u32(crc, 0)? {
        return None;
    }
    let position = Position { index: take_u64(slot, 16)?, term: take_u64(slot, 24)?, leader: take_u64(slot, 32)? };
    Some((take_u64(slot, 8)?, position))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_whole_slot_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let (files, path) = (Files::real(), folder.path().join("committed"));
        let position = |index| Position { term: 1, leader: 1, index };
        let (mut file, found) = CommittedFile::open(&files, &path).expect("opened");
        assert_eq!(found, None);
        for index in 1..=3 {
            file.write(position(index)).expect("written");
        }
        assert_eq!(CommittedFile::open(&files, &path).expect("opened").1, Some(position(3)));

        files.open_write(&path).expect("opened").write_all_at(SLOT_LENGTH as u64 + 20, &[0xff]).expect("harmed");
        assert_eq!(CommittedFile::open(&files, &path).expect("opened").1, Some(position(2)));
    }
}
