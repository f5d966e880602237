//! openraft's own suite over our log and our state store.

use std::sync::Arc;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use runtime::{Clock, Files, Tasks};
use tempfile::TempDir;
use tokio::sync::watch;
use types::NodeId;

use crate::log::{LogFolder, LogOptions, LogStore};
use crate::metrics::{LogMetrics, Metrics};
use crate::progress::Progress;
use crate::raft_types::Group;
use crate::state::{Machine, Shelf, Stores};

/// Makes a log and a state store in a new folder; the segments are so short that most tests need several.
struct Builder;

impl StoreBuilder<Group, LogStore, Machine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, Machine), StorageError<Group>> {
        let folder = tempfile::tempdir().expect("a folder");
        let (files, clock, registry) = (Files::real(), Clock::real(), runtime::Metrics::new());
        let options = LogOptions {
            node: NodeId(1),
            segment_bytes: 200,
            files: files.clone(),
            clock: clock.clone(),
            tasks: Tasks::new("suite"),
            metrics: LogMetrics::new(&registry),
        };
        let parts = LogFolder::new(folder.path());
        parts.create(&files, options.node, options.segment_bytes).expect("an empty log");
        let log = LogStore::open(&parts, options).expect("a log");
        let machine = Machine {
            stores: Stores::open(&files, &folder.path().join("state")).expect("a state store"),
            shelf: Shelf::new(clock.clone()),
            clock,
            metrics: Metrics::new(&registry),
            progress: Progress::default(),
            applied_end: Arc::new(watch::channel(0).0),
        };
        Ok((folder, log, machine))
    }
}

#[tokio::test]
async fn log_and_state_store_pass_the_conformance_suite_of_openraft() {
    Suite::test_all(Builder).await.expect("the suite passes");
}
