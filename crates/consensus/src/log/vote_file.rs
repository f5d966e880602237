//! The vote, in a file of its own that is replaced atomically and synced before the vote is given.

use std::path::PathBuf;

use runtime::Files;
use types::NodeId;

use super::LogError;
use super::fields::{put_u32, put_u64, take_u32, take_u64};

const MAGIC: [u8; 4] = *b"HFLV";
pub(crate) const VERSION: u8 = 1;
const LENGTH: usize = 40;

/// For whom this node voted, in which term, and whether that node was elected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VoteRecord {
    pub term: u64,
    pub leader: u64,
    pub elected: bool,
}

/// The file of the vote.
#[derive(Clone, Debug)]
pub(super) struct VoteFile {
    files: Files,
    path: PathBuf,
    node: NodeId,
}

impl VoteFile {
    pub fn new(files: &Files, path: PathBuf, node: NodeId) -> Self {
        Self { files: files.clone(), path, node }
    }

    /// Replaces the vote, durably; `None` says that this node has never voted.
    pub fn write(&self, vote: Option<VoteRecord>) -> Result<(), LogError> {
        Ok(self.files.write_atomic(&self.path, &self.encode(vote), 0o600)?)
    }

    pub fn encode(&self, vote: Option<VoteRecord>) -> Vec<u8> {
        let flags = vote.map_or(0, |vote| 1 | u8::from(vote.elected) << 1);
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&[VERSION, flags, 0, 0]);
        for field in [self.node.get(), vote.map_or(0, |vote| vote.term), vote.map_or(0, |vote| vote.leader)] {
            put_u64(&mut out, field);
        }
        out.resize(LENGTH - 4, 0);
        let crc = crc32fast::hash(&out);
        put_u32(&mut out, crc);
        out
    }

    /// Reads the vote.
    pub fn read(&self) -> Result<Option<VoteRecord>, LogError> {
        let bytes = self.files.read(&self.path)?;
        self.decode(&bytes).ok_or_else(|| LogError::Foreign { path: self.path.clone(), what: "vote" })
    }

    #[expect(clippy::option_option, reason = "the outer says whether it is a vote file, the inner is the vote")]
    pub fn decode(&self, bytes: &[u8]) -> Option<Option<VoteRecord>> {
        let (checked, crc) = bytes.split_at_checked(LENGTH - 4)?;
        let sound = bytes.len() == LENGTH && crc32fast::hash(checked) == take_u32(crc, 0)?;
        let ours = bytes.get(..4)? == MAGIC && *bytes.get(4)? == VERSION && take_u64(bytes, 8)? == self.node.get();
        let flags = *bytes.get(5)?;
        let vote = VoteRecord { term: take_u64(bytes, 16)?, leader: take_u64(bytes, 24)?, elected: flags & 2 != 0 };
        (sound && ours).then_some((flags & 1 != 0).then_some(vote))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_comes_back_and_damage_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = Files::real();
        let file = VoteFile::new(&files, folder.path().join("vote"), NodeId(2));
        file.write(None).expect("written");
        assert_eq!(file.read().expect("read"), None);
        let vote = VoteRecord { term: 9, leader: 2, elected: true };
        file.write(Some(vote)).expect("written");
        assert_eq!(file.read().expect("read"), Some(vote));

        let other = VoteFile::new(&files, file.path.clone(), NodeId(3));
        assert!(matches!(other.read(), Err(LogError::Foreign { .. })), "the vote of another node");
        let mut bytes = files.read(&file.path).expect("read");
        bytes[17] ^= 4;
        files.write_atomic(&file.path, &bytes, 0o600).expect("written");
        assert!(matches!(file.read(), Err(LogError::Foreign { .. })), "a flipped bit");
    }
}
