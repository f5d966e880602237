//! Files and ranges of files that share blocks with others.

use types::{Attributes, Change, CloneRange, FileKind, Lin, Outcome, SnapshotId};
use wire::InvalidMessage;

use crate::temporary_file::TemporaryFile;
use crate::{ClientError, Parts, Session, Target};

const CLONE: &str = "clone the file";

impl Session {
    /// Lets a range of a file share the blocks of another one, in as many steps as it takes.
    ///
    /// # Errors
    /// `NotFound` when a file is not there, `InvalidRequest` when one is no regular file or the blocks cannot be shared;
    /// the front of the range may be done then.
    pub async fn clone_range(&self, mut clone: CloneRange) -> Result<(), ClientError> {
        while clone.length > 0 {
            match self.execute_one(CLONE, Change::Clone(clone.clone())).await? {
                Outcome::Remaining(left) if left < clone.length => {
                    let done = clone.length - left;
                    (clone.from_offset, clone.to_offset) = (clone.from_offset + done, clone.to_offset + done);
                    clone.length = left;
                }
                _ => {
                    let source = InvalidMessage::Missing { field: "remaining" };
                    return Err(ClientError::BadAnswer { action: CLONE, source });
                }
            }
        }
        Ok(())
    }

    /// Makes a file that shares all blocks of another one, as it is now or as a snapshot has it. It appears under its name
    /// when it is whole.
    ///
    /// # Errors
    /// `NotFound` when the file is not there, `InvalidRequest` when it is no regular file, `AlreadyExists` when the name is
    /// taken and is not to be replaced.
    pub async fn clone_file(
        &self,
        from: Lin,
        snapshot: Option<SnapshotId>,
        target: Target,
    ) -> Result<Attributes, ClientError> {
        let source = self.client().describe(from, Parts::default(), snapshot).await?.attributes;
        if source.kind != FileKind::File {
            return Err(ClientError::NotAFile { lin: from });
        }
        let clone = TemporaryFile::make(self, &target).await?;
        let whole = CloneRange {
            from,
            snapshot,
            from_offset: 0,
            to: clone.lin(),
            to_offset: 0,
            length: source.size,
            mtime: None,
        };
        let made = match self.clone_range(whole).await {
            Ok(()) => clone.put_in_place(source.size).await,
            Err(error) => Err(error),
        };
        if made.is_err() {
            clone.remove().await;
        }
        made
    }
}
