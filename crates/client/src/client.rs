//! A connection to the cluster.

use std::sync::Arc;
use std::time::Duration;

use runtime::{Clock, Seed, Tasks};
use wire::Endpoint;

use crate::ClientError;
use crate::placement::PlacementTable;
use crate::router::{Limits, Router};

/// What a client is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// Nodes to talk to; the first that answers is taken, and the others if it fails.
    pub endpoints: Vec<Endpoint>,
    /// How long a call is tried again. It should be longer than an election and a restart of a node.
    pub patience: Duration,
    /// Time.
    pub clock: Clock,
    /// Randomness, for pauses alone.
    pub seed: Seed,
    /// Who owns what goes on in the background.
    pub tasks: Tasks,
}

impl Options {
    /// Options for a program at a person's hands: thirty seconds are as long as anybody waits without a word.
    #[must_use]
    pub fn new(endpoints: Vec<Endpoint>, tasks: Tasks) -> Self {
        Self { endpoints, patience: Duration::from_secs(30), clock: Clock::real(), seed: Seed::from_os(), tasks }
    }
}

/// A connection to the cluster; clones share it.
#[derive(Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
}

pub struct Shared {
    pub router: Router,
    pub placement: PlacementTable,
    pub clock: Clock,
    pub tasks: Tasks,
}

impl Client {
    /// Connects to the first endpoint that answers.
    ///
    /// # Errors
    /// [`ClientError::Connect`] names the last endpoint when none answers.
    pub async fn connect(options: Options) -> Result<Self, ClientError> {
        let Options { endpoints, patience, clock, seed, tasks } = options;
        let router = Router::new(endpoints, Limits::of_patience(patience), clock.clone(), seed);
        router.connect_any().await?;
        let shared = Shared { router, placement: PlacementTable::default(), clock, tasks };
        Ok(Self { shared: Arc::new(shared) })
    }

    pub(crate) fn router(&self) -> &Router {
        &self.shared.router
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}
