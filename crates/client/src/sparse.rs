//! Holes of files: finding them and making them.

use types::{Change, Clearing, Lin, Outcome, Seek, SnapshotId};
use wire::v1::seek_file_response::Found;
use wire::{InvalidMessage, Numbered as _, v1};

use crate::{Client, ClientError, Session};

impl Client {
    /// Searches a file from an offset on; `None` if there is no more, or the offset is behind the end (`ENXIO`).
    ///
    /// # Errors
    /// `NotFound` when the file is not there, `InvalidRequest` when it is no regular file.
    pub async fn seek(
        &self,
        lin: Lin,
        mut offset: u64,
        what: Seek,
        snapshot: Option<SnapshotId>,
    ) -> Result<Option<u64>, ClientError> {
        let action = "search the file";
        let snapshot = snapshot.map(SnapshotId::get);
        loop {
            let request = v1::SeekFileRequest { lin: lin.0, offset, what: what.number(), snapshot };
            let send = |to: wire::Connection| async move { to.namespace().seek_file(request).await };
            match self.router().call(action, send).await?.found {
                Some(Found::At(found)) => return Ok(Some(found)),
                Some(Found::Nothing(_)) => return Ok(None),
                Some(Found::ReadOn(next)) if next > offset => offset = next,
                _ => {
                    let source = InvalidMessage::Missing { field: "found" };
                    return Err(ClientError::BadAnswer { action, source });
                }
            }
        }
    }
}

impl Session {
    /// Makes a range of a file a hole, in as many steps as it takes.
    ///
    /// # Errors
    /// `NotFound` when the file is not there, `InvalidRequest` when it is no regular file or the range reaches beyond
    /// the longest one.
    pub async fn clear_range(&self, lin: Lin, offset: u64, length: u64, clearing: Clearing) -> Result<(), ClientError> {
        let action = "make the hole";
        let end = offset.saturating_add(length);
        let mut left = length;
        loop {
            let clear = Change::ClearRange { lin, offset: end - left, length: left, clearing, mtime: None };
            match self.execute_one(action, clear).await? {
                Outcome::Remaining(0) => return Ok(()),
                Outcome::Remaining(now) if now < left => left = now,
                _ => {
                    let source = InvalidMessage::Missing { field: "remaining" };
                    return Err(ClientError::BadAnswer { action, source });
                }
            }
        }
    }
}
