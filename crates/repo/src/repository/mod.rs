//! Reading a repository, in steps that the types keep in order: open it, list its commits, look at one backup.

mod backup;
mod check;
mod export;
mod list;
mod newest;
mod open;
mod rebuild;
mod stream;

pub use backup::Backup;
pub use check::{CheckDepth, CheckOptions, CheckReport, Finding, Misfit, RowFinding, Uncommitted, check_without_key};
pub use list::{BackupInfo, Listed, LostBackup};
pub use newest::newest_commit;
pub use open::{NewRepository, Opened, Unlock};
pub use rebuild::{RebuildOptions, Rebuilt};
pub use stream::RowStream;

use std::sync::Arc;

use site::Site;
use types::RepositoryId;

use crate::{PrivateKey, WriterKeys};

/// A repository at a site. `S` says how much of it was read: [`Opened`] or [`Listed`].
#[derive(Clone, Debug)]
pub struct Repository<S = Opened> {
    shared: Arc<Shared>,
    state: S,
}

/// What every view of a repository needs.
#[derive(Debug)]
struct Shared {
    site: Site,
    id: RepositoryId,
    keys: WriterKeys,
    private: Option<PrivateKey>,
}

impl<S> Repository<S> {
    /// The repository.
    #[must_use]
    pub fn id(&self) -> RepositoryId {
        self.shared.id
    }

    /// Where it is.
    #[must_use]
    pub fn site(&self) -> &Site {
        &self.shared.site
    }

    /// What its writers hold.
    #[must_use]
    pub fn keys(&self) -> &WriterKeys {
        &self.shared.keys
    }

    /// The private key, if the repository was opened with it.
    #[must_use]
    pub fn private_key(&self) -> Option<&PrivateKey> {
        self.shared.private.as_ref()
    }
}
