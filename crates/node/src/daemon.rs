//! The process, whether or not it is a member of a cluster yet.

use std::sync::{Arc, OnceLock};

use blockstore::BlockStoreMetrics;
use runtime::Tasks;
use tokio::sync::mpsc;
use types::ErrorKind;
use wire::{Failure, code};

use crate::calls::Calls;
use crate::folder::DataFolder;
use crate::member::Member;
use crate::membership::Request;
use crate::{Config, Platform};

/// The process: what it was given, and, once it belongs to a cluster, the member.
pub struct Daemon {
    /// What it runs on.
    pub platform: Platform,
    /// Its configuration.
    pub config: Config,
    /// Its data folder, locked.
    pub folder: DataFolder,
    /// The counters of its volumes; a second try to join counts in the same ones.
    pub block_metrics: BlockStoreMetrics,
    /// The way to the one task that founds and joins.
    pub membership: mpsc::Sender<Request>,
    /// The calls that are under way.
    pub calls: Calls,
    /// The servers of both doors.
    pub doors: Tasks,
    member: OnceLock<Arc<Member>>,
}

impl Daemon {
    /// A process that is no member yet.
    #[must_use]
    pub(crate) fn new(
        platform: Platform,
        config: Config,
        folder: DataFolder,
        membership: mpsc::Sender<Request>,
    ) -> Self {
        let block_metrics = BlockStoreMetrics::new(&platform.metrics);
        let (calls, doors) = (Calls::new(&platform.metrics, &platform.seed), platform.tasks.child("doors"));
        Self { platform, config, folder, block_metrics, membership, calls, doors, member: OnceLock::new() }
    }

    /// The member, or an error that says how to become one.
    ///
    /// # Errors
    /// The node belongs to no cluster yet.
    pub(crate) fn member(&self) -> Result<&Arc<Member>, Failure> {
        self.member.get().ok_or_else(|| {
            Failure::new(
                ErrorKind::Conflict,
                code::NO_CLUSTER,
                "this node belongs to no cluster yet: make one with `holdfast cluster init`, or join one with \
                 `holdfast cluster join TOKEN`",
            )
        })
    }

    /// Takes the member in; it is set once in the life of a process.
    pub(crate) fn set_member(&self, member: Arc<Member>) {
        if self.member.set(member).is_err() {
            tracing::error!("a second member was started in one process");
        }
    }
}
