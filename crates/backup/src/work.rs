//! What workers and the owner of their job say to each other.

use serde::{Deserialize, Serialize};
use types::{Fence, Incarnation, JobId, NodeId, ObjectReport};

use crate::plan::{Unit, UnitName};

/// A worker: one that a process on a node has started for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkerId {
    /// The node.
    pub node: NodeId,
    /// Which of its processes.
    pub incarnation: Incarnation,
    /// Which of the workers that the process has started.
    pub start: u64,
}

impl WorkerId {
    /// Whether the other worker ended before this one began: a node has one worker a job.
    #[must_use]
    pub fn follows(&self, other: Self) -> bool {
        self.node == other.node && (other.incarnation, other.start) < (self.incarnation, self.start)
    }
}

/// A worker asks for its next unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// The job.
    pub job: JobId,
    /// The owner's fence, as the worker knows it.
    pub fence: Fence,
    /// The worker.
    pub worker: WorkerId,
    /// Which of the worker's questions it is. One that is asked again, because its answer was lost, keeps its number.
    pub number: u64,
}

/// What a worker that asks for work is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pulled {
    /// A unit to pack.
    Unit(Unit),
    /// Nothing now, but units are still being found.
    Later,
    /// Nothing is waiting and no more is found: the worker reports what it holds, and asks again, because a unit of a
    /// lost worker may come back.
    Drain,
    /// Every unit is done.
    Finished,
}

/// A worker reports what is safe in the repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The job.
    pub job: JobId,
    /// The owner's fence, as the worker knows it.
    pub fence: Fence,
    /// The worker.
    pub worker: WorkerId,
    /// An object that was uploaded, with the units that it completes.
    pub object: Option<ObjectReport>,
    /// Units that are complete without an object, because nothing in them had changed.
    pub units: Vec<UnitName>,
    /// LINs whose rows are in the object.
    pub lins: u64,
    /// Why the worker failed, or why its node has none, if so; what the node's workers held goes back to the queue.
    pub failure: Option<String>,
}
