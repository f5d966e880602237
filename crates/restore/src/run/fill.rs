//! Brings the content of a window: reads ranges, opens slots, writes pieces.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use repo::RepoError;
use types::ErrorKind;

use super::Restore;
use super::open_file::OpenFile;
use crate::plan::{Part, Range, Slot, Wanted, ranges};
use crate::report::Failure;
use crate::{RestoreError, TargetError};

impl Restore {
    /// Reads what the parts want, many ranges at a time, and writes it.
    pub(super) async fn fill(self: &Arc<Self>, parts: &[Part], files: &Arc<Vec<OpenFile>>) -> Result<(), RestoreError> {
        let ranges = ranges(parts, &self.options);
        let reads = stream::iter(ranges).map(|range| Arc::clone(self).fill_range(range, Arc::clone(files)));
        reads.buffer_unordered(self.options.reads_max).try_collect::<()>().await
    }

    /// Reads a range; where it cannot be read because a part of it is damaged, slot by slot what is left of it.
    async fn fill_range(self: Arc<Self>, range: Range, files: Arc<Vec<OpenFile>>) -> Result<(), RestoreError> {
        let error = match self.backup.fetch(range.object, range.start..range.end).await {
            Ok(fetched) => return self.fill_from(range, fetched, files).await,
            Err(error) => stop_unless_local(error)?,
        };
        if range.slots.len() < 2 || !matches!(error, RepoError::Damaged { .. }) {
            fail_all(&files, range.slots.iter().flat_map(|slot| &slot.pieces), &error);
            return Ok(());
        }
        for slot in range.slots {
            let (object, start) = (range.object, slot.location.slot_offset);
            let end = start.saturating_add(u64::from(slot.location.slot_length));
            match self.backup.fetch(object, start..end).await {
                Ok(fetched) => {
                    let range = Range { object, start, end, slots: vec![slot] };
                    Arc::clone(&self).fill_from(range, fetched, Arc::clone(&files)).await?;
                }
                Err(error) => fail_all(&files, &slot.pieces, &stop_unless_local(error)?),
            }
        }
        Ok(())
    }

    /// Writes what a range gave.
    async fn fill_from(
        self: Arc<Self>,
        range: Range,
        fetched: Bytes,
        files: Arc<Vec<OpenFile>>,
    ) -> Result<(), RestoreError> {
        self.count_fetched(fetched.len() as u64);
        // Opening, decoding and writing keep a thread busy for long; the futures within wait for nothing but the row
        // and the key of the object, which the first slot brings.
        runtime::blocking(move || {
            range.slots.iter().try_for_each(|slot| {
                let filled = futures::executor::block_on(self.fill_slot(slot, range.start, &fetched, &files))?;
                filled.or_else(|error| {
                    fail_all(&files, &slot.pieces, &stop_unless_local(error)?);
                    Ok(())
                })
            })
        })
        .await
    }

    fn count_fetched(&self, bytes: u64) {
        let mut report = self.report();
        report.requests += 1;
        report.bytes_fetched += bytes;
    }

    /// Writes the pieces of a slot. The inner error is that of the slot.
    async fn fill_slot(
        &self,
        slot: &Slot,
        start: u64,
        fetched: &Bytes,
        files: &[OpenFile],
    ) -> Result<Result<(), RepoError>, RestoreError> {
        let location = slot.location;
        let from = usize::try_from(location.slot_offset.saturating_sub(start)).unwrap_or(usize::MAX);
        let sealed = fetched.get(from..from.saturating_add(location.slot_length as usize)).unwrap_or_default();
        let opened = match self.backup.open_slot(&location, sealed).await {
            Ok(opened) => opened,
            Err(error) => return Ok(Err(error)),
        };
        // Pieces of one block follow each other: it is decoded once.
        let mut decoded: Option<(repo::KeyedDigest, Bytes)> = None;
        for piece in &slot.pieces {
            let Some(file) = files.get(piece.part) else { continue };
            let known = decoded.as_ref().filter(|(digest, _)| *digest == piece.extent.digest);
            let block = match known {
                Some((_, block)) => Ok(block.clone()),
                None => self.backup.member(&opened, &piece.extent.location, &piece.extent.digest).await,
            };
            match block {
                Ok(block) => {
                    self.write(file, piece, &block)?;
                    decoded = Some((piece.extent.digest, block));
                }
                Err(error) => file.fail(Failure::repository(&stop_unless_local(error)?)),
            }
        }
        Ok(Ok(()))
    }

    fn write(&self, file: &OpenFile, piece: &Wanted, block: &Bytes) -> Result<(), RestoreError> {
        let Some(handle) = file.writable() else { return Ok(()) };
        let from = piece.extent.block_offset as usize;
        let Some(bytes) = block.get(from..from.saturating_add(piece.extent.length as usize)) else {
            file.fail(Failure::tables("one of its extents lies outside of its block"));
            return Ok(());
        };
        match handle.write_at(bytes, piece.offset) {
            Ok(()) => {
                self.progress.add_bytes(bytes.len() as u64);
                self.report().bytes_written += bytes.len() as u64;
                Ok(())
            }
            Err(error) => self.stop_or_fail(file, error),
        }
    }

    fn stop_or_fail(&self, file: &OpenFile, error: TargetError) -> Result<(), RestoreError> {
        if error.kind() == ErrorKind::NoSpace {
            return Err(error.into());
        }
        file.fail(file.failure_of(&error));
        Ok(())
    }
}

fn fail_all<'a>(files: &[OpenFile], pieces: impl IntoIterator<Item = &'a Wanted>, error: &RepoError) {
    pieces.into_iter().filter_map(|piece| files.get(piece.part)).for_each(|file| file.fail(Failure::repository(error)));
}

/// Damage concerns the files that it touches; what else a repository says concerns all of them.
fn stop_unless_local(error: RepoError) -> Result<RepoError, RestoreError> {
    if error.kind() == ErrorKind::Corrupt { Ok(error) } else { Err(error.into()) }
}
