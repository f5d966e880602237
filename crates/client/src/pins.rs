//! Pins of snapshots.

use types::{Change, SnapshotId};

use crate::{ClientError, Session};

impl Session {
    /// Pins a snapshot, so that nobody deletes it until the session unpins it or is over. However often it is said, the
    /// session pins it once.
    ///
    /// # Errors
    /// `NotFound` when the snapshot is not there or is being dropped, `Conflict` when the session pins too many.
    pub async fn pin_snapshot(&self, snapshot: SnapshotId, label: &str) -> Result<(), ClientError> {
        let pin = Change::PinSnapshot { snapshot, label: label.to_owned() };
        self.execute_one("pin the snapshot", pin).await.map(drop)
    }

    /// Takes the session's pin from a snapshot.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn unpin_snapshot(&self, snapshot: SnapshotId) -> Result<(), ClientError> {
        self.execute_one("unpin the snapshot", Change::UnpinSnapshot { snapshot }).await.map(drop)
    }
}
