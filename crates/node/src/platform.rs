//! What the process was given to live on.

use runtime::{Clock, Files, Metrics, Seed, Tasks};
use types::Timestamp;

/// Time, randomness, disks, metrics and tasks. Clones share them.
#[derive(Clone)]
pub struct Platform {
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub seed: Seed,
    /// The disks.
    pub files: Files,
    /// The metrics of the process.
    pub metrics: Metrics,
    /// The root of all tasks; when it is told to stop, the process ends in order.
    pub tasks: Tasks,
}

impl Platform {
    /// The real machine.
    #[must_use]
    pub fn real() -> Self {
        Self {
            clock: Clock::real(),
            seed: Seed::from_os(),
            files: Files::real(),
            metrics: Metrics::new(),
            tasks: Tasks::new("holdfastd"),
        }
    }

    /// The wall clock as the rest of the program writes times.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        let wall = self.clock.wall();
        Timestamp { seconds: wall.seconds, nanoseconds: wall.nanoseconds }
    }
}
