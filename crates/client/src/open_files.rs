//! Files that a session holds while they are open.

use types::{Attributes, Change, Lin, Outcome};
use wire::InvalidMessage;

use crate::{ClientError, Session};

impl Session {
    /// Holds a file: also without any name it can be read and written by its LIN, until the session releases it or ends.
    /// However often it is said, the session holds it once: whoever gives out several handles counts them.
    ///
    /// # Errors
    /// `NotFound` when the file is not there, `InvalidRequest` when it is a directory, `Conflict` when the session holds
    /// too many.
    pub async fn hold_file(&self, lin: Lin) -> Result<Attributes, ClientError> {
        let action = "open the file";
        match self.execute_one(action, Change::Hold { lin }).await? {
            Outcome::Inode(attributes) => Ok(attributes),
            _ => Err(ClientError::BadAnswer { action, source: InvalidMessage::Missing { field: "inode" } }),
        }
    }

    /// Holds a file no longer. One without names goes with the last session that held it.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn release_file(&self, lin: Lin) -> Result<(), ClientError> {
        self.execute_one("close the file", Change::Release { lin }).await.map(drop)
    }
}
