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
    stage: Stage,
}

/// How far the process has come in its life.
#[derive(Default)]
struct Stage {
    member: OnceLock<Arc<Member>>,
    /// Set once the data folder has been looked at and is nobody's.
    is_unjoined: OnceLock<()>,
}

impl Stage {
    fn member(&self) -> Result<&Arc<Member>, Failure> {
        self.member.get().ok_or_else(|| match self.is_unjoined.get() {
            // A member may open its state store for minutes, and whoever asks then should ask again.
            None => {
                Failure::new(ErrorKind::Unavailable, code::STARTING, "this node is starting: try again in a moment")
            }
            Some(()) => Failure::new(
                ErrorKind::Conflict,
                code::NO_CLUSTER,
                "this node belongs to no cluster yet: make one with `holdfast cluster init`, or join one with \
                 `holdfast cluster join TOKEN`",
            ),
        })
    }
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
        Self { platform, config, folder, block_metrics, membership, calls, doors, stage: Stage::default() }
    }

    /// The member, or an error that says how to become one.
    ///
    /// # Errors
    /// The node is starting, or belongs to no cluster yet.
    pub(crate) fn member(&self) -> Result<&Arc<Member>, Failure> {
        self.stage.member()
    }

    /// Says that the data folder is no member's, so that somebody has to found a cluster or to join one.
    pub(crate) fn set_unjoined(&self) {
        self.stage.is_unjoined.get_or_init(|| ());
    }

    /// Takes the member in; it is set once in the life of a process.
    pub(crate) fn set_member(&self, member: Arc<Member>) {
        if self.stage.member.set(member).is_err() {
            tracing::error!("a second member was started in one process");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_starts_is_asked_again_and_one_that_nobody_joined_is_not() {
        let stage = Stage::default();
        let starting = stage.member().map(drop).unwrap_err();
        assert_eq!((starting.code.as_str(), starting.is_transient()), (code::STARTING, true));
        stage.is_unjoined.get_or_init(|| ());
        let unjoined = stage.member().map(drop).unwrap_err();
        assert_eq!((unjoined.code.as_str(), unjoined.is_transient()), (code::NO_CLUSTER, false));
        assert!(unjoined.message.contains("cluster init"), "{unjoined}");
    }
}
