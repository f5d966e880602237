//! How far the scrub of a volume is, kept across restarts.
//!
//! It lies in a file beside the identity, and not in the index. The index has no log: after a crash it is of some moment
//! before, and one that is damaged is made anew, which is when it matters most that all blocks are read in time. A file
//! that is lost or damaged costs one pass that begins anew.

use std::path::PathBuf;

use runtime::Files;
use types::{BlockId, VolumeId};

use crate::BlockStoreError;
use crate::store::BlockStore;
use crate::volume_file::{Kind, Opened};

pub(crate) const VERSION: u8 = 1;
const KIND: Kind = Kind { magic: *b"HFSC", version: VERSION };
const FILE_MODE: u32 = 0o600;

/// How far a pass through all blocks is. Times are for the pace alone, in seconds of Unix time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubProgress {
    /// The last block that was looked at; none before the first.
    pub after: Option<BlockId>,
    /// Stored bytes that the pass has read.
    pub bytes: u64,
    /// When the pass began, or is to begin.
    pub began_seconds: i64,
    /// When the last whole pass ended.
    pub completed_seconds: Option<i64>,
}

impl BlockStore {
    /// What was kept by [`BlockStore::keep_scrub_progress`] last; none if nothing was, or if it is damaged.
    ///
    /// # Errors
    /// The disk failed.
    pub async fn scrub_progress(&self) -> Result<Option<ScrubProgress>, BlockStoreError> {
        let (files, path, volume) = self.progress_file();
        let read = self.read(move |_| match files.read(&path) {
            Ok(bytes) => {
                let progress = ScrubProgress::parse(&bytes, volume);
                if progress.is_none() {
                    tracing::warn!(path = %path.display(), "the progress of the scrub is damaged: it begins anew");
                }
                Ok(progress)
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        });
        let progress = read.await?;
        self.show_completed(progress);
        Ok(progress)
    }

    /// Keeps how far the scrub is; it is on the medium when this returns.
    ///
    /// # Errors
    /// The disk failed.
    pub async fn keep_scrub_progress(&self, progress: ScrubProgress) -> Result<(), BlockStoreError> {
        let (files, path, volume) = self.progress_file();
        self.read(move |_| Ok(files.write_atomic(&path, &progress.to_bytes(volume), FILE_MODE)?)).await?;
        self.show_completed(Some(progress));
        Ok(())
    }

    fn progress_file(&self) -> (Files, PathBuf, VolumeId) {
        let (files, folder) = self.place();
        (files, folder.join("scrub"), self.volume())
    }

    fn show_completed(&self, progress: Option<ScrubProgress>) {
        if let Some(seconds) = progress.and_then(|progress| progress.completed_seconds) {
            self.metrics().scrub_completed.set(seconds);
        }
    }
}

impl ScrubProgress {
    pub(crate) fn to_bytes(self, volume: VolumeId) -> Vec<u8> {
        let flags = [self.after.is_some(), self.completed_seconds.is_some(), false].map(u8::from);
        let body = [
            &self.after.map_or([0; 16], BlockId::to_bytes)[..],
            &self.bytes.to_le_bytes(),
            &self.began_seconds.to_le_bytes(),
            &self.completed_seconds.unwrap_or_default().to_le_bytes(),
        ];
        KIND.seal(flags, volume, &body.concat())
    }

    pub(crate) fn parse(bytes: &[u8], volume: VolumeId) -> Option<Self> {
        let Opened { flags: [has_after, has_completed, _], body: mut fields, .. } = KIND.open_of(bytes, volume)?;
        let after = Some(BlockId::from_bytes(fields.take()?)).filter(|_| has_after == 1);
        let bytes = fields.u64()?;
        let began_seconds = fields.i64()?;
        let completed_seconds = Some(fields.i64()?).filter(|_| has_completed == 1);
        fields.0.is_empty().then_some(Self { after, bytes, began_seconds, completed_seconds })
    }
}

#[cfg(test)]
mod tests {
    use types::SessionId;
    use uuid::Uuid;

    use super::*;
    use crate::volume_file::tests::assert_only_whole;

    #[test]
    fn it_comes_back_and_a_damaged_or_foreign_one_does_not() {
        let volume = VolumeId(Uuid::from_u128(7));
        let after = Some(BlockId { session: SessionId(3), sequence: 4 });
        let begun = ScrubProgress { after, bytes: 5, began_seconds: -6, completed_seconds: Some(7) };
        for progress in [ScrubProgress::default(), begun] {
            let bytes = progress.to_bytes(volume);
            assert_eq!(ScrubProgress::parse(&bytes, volume), Some(progress));
            assert_eq!(ScrubProgress::parse(&bytes, VolumeId(Uuid::from_u128(8))), None);
            assert_only_whole(&bytes, |bytes| ScrubProgress::parse(bytes, volume));
        }
    }
}
