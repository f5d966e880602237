//! What goes wrong between the nodes when a test says so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};

use backup::{Pulled, Report, StateError};
use bytes::Bytes;
use types::{BlockId, JobOperation, NodeId, ObjectReport};

/// The faults of all nodes, and what their workers were given.
#[derive(Default)]
pub struct Faults {
    /// Answers with units that get lost on their way to the worker.
    lost_answers: Mutex<u64>,
    /// Whether commits are too large for an entry of the log.
    has_small_log: AtomicBool,
    /// Nodes whose keystore has no keys.
    keyless: Mutex<BTreeSet<NodeId>>,
    /// Nodes whose keystore has keys that are not the repository's.
    wrong_keys: Mutex<BTreeSet<NodeId>>,
    /// Nodes whose mount of the site hangs: whoever opens it waits.
    hung_mounts: Mutex<BTreeSet<NodeId>>,
    mounts_changed: Condvar,
    /// Nodes that wait for their disks for ever.
    stalled: Mutex<BTreeSet<NodeId>>,
    /// Nodes whose calls of other nodes are lost, while they answer to those of others.
    muted: Mutex<BTreeSet<NodeId>>,
    units_given: Mutex<BTreeMap<NodeId, u64>>,
    asked_for_keys: Mutex<u64>,
    /// Whose first object is never noted, and then its name.
    refused: Mutex<Option<(NodeId, Option<String>)>>,
    most_units_noted: Mutex<usize>,
    /// A block whose stored bytes come damaged.
    damaged: Mutex<Option<BlockId>>,
}

impl Faults {
    /// Loses the next answers that carry a unit.
    pub fn lose_answers(&self, number: u64) {
        *self.lost_answers.lock().unwrap() = number;
    }

    /// Answers that are still to be lost.
    pub fn answers_to_lose(&self) -> u64 {
        *self.lost_answers.lock().unwrap()
    }

    /// Whether the answer to a pull arrives; one that does is counted.
    pub fn arrives(&self, at: NodeId, pulled: &Pulled) -> bool {
        if !matches!(pulled, Pulled::Unit(_)) {
            return true;
        }
        let mut lost = self.lost_answers.lock().unwrap();
        if *lost > 0 {
            *lost -= 1;
            return false;
        }
        *self.units_given.lock().unwrap().entry(at).or_default() += 1;
        true
    }

    /// Units that a node's worker was given by another node.
    pub fn units_given(&self, node: NodeId) -> u64 {
        self.units_given.lock().unwrap().get(&node).copied().unwrap_or(0)
    }

    /// Lets the first object of a node be refused, however often it is reported.
    pub fn refuse_first_object(&self, of: NodeId) {
        *self.refused.lock().unwrap() = Some((of, None));
    }

    /// Whether a report is refused for good.
    pub fn refuses(&self, from: NodeId, report: &Report) -> bool {
        let Some(object) = &report.object else { return false };
        match &mut *self.refused.lock().unwrap() {
            Some((node, name)) if *node == from => *name.get_or_insert_with(|| object.name.clone()) == object.name,
            _ => false,
        }
    }

    /// Whether an object was refused.
    pub fn has_refused(&self) -> bool {
        matches!(&*self.refused.lock().unwrap(), Some((_, Some(_))))
    }

    pub fn note(&self, object: &ObjectReport) {
        let mut most = self.most_units_noted.lock().unwrap();
        *most = (*most).max(object.units.len());
    }

    /// The most units that an object was noted with.
    pub fn most_units_noted(&self) -> usize {
        *self.most_units_noted.lock().unwrap()
    }

    /// Makes commits too large for an entry of the log.
    pub fn shrink_log(&self) {
        self.has_small_log.store(true, Ordering::Relaxed);
    }

    /// Refuses a step that does not fit into the log.
    pub fn fits(&self, step: &JobOperation) -> Result<(), StateError> {
        let is_commit = matches!(step, JobOperation::FixCommit { .. });
        if is_commit && self.has_small_log.load(Ordering::Relaxed) {
            return Err(StateError::TooLarge { source: "9 MiB are more than 8 MiB".into() });
        }
        Ok(())
    }

    /// Takes the keys away from a node.
    pub fn take_keys(&self, node: NodeId) {
        self.keyless.lock().unwrap().insert(node);
    }

    /// Gives a node the keys of another repository.
    pub fn change_keys(&self, node: NodeId) {
        self.wrong_keys.lock().unwrap().insert(node);
    }

    pub fn has_wrong_keys(&self, node: NodeId) -> bool {
        self.wrong_keys.lock().unwrap().contains(&node)
    }

    /// Lets everyone who opens the site on a node wait.
    pub fn hang_mount(&self, node: NodeId) {
        self.hung_mounts.lock().unwrap().insert(node);
    }

    /// Lets all go on who wait for a mount.
    pub fn recover_mounts(&self) {
        self.hung_mounts.lock().unwrap().clear();
        self.mounts_changed.notify_all();
    }

    /// Blocks the thread as long as the node's mount hangs.
    pub fn wait_for_mount(&self, node: NodeId) {
        let hung = self.hung_mounts.lock().unwrap();
        drop(self.mounts_changed.wait_while(hung, |hung| hung.contains(&node)).unwrap());
    }

    /// Answers a node that looks for one that has keys.
    pub fn ask_for_keys(&self, node: NodeId) -> bool {
        *self.asked_for_keys.lock().unwrap() += 1;
        self.has_keys(node) && !self.has_wrong_keys(node)
    }

    pub fn asked_for_keys(&self) -> u64 {
        *self.asked_for_keys.lock().unwrap()
    }

    pub fn has_keys(&self, node: NodeId) -> bool {
        !self.keyless.lock().unwrap().contains(&node)
    }

    /// Damages a block on its way to whoever reads it.
    pub fn damage(&self, block: BlockId) {
        *self.damaged.lock().unwrap() = Some(block);
    }

    /// The stored bytes of a block as they come.
    pub fn as_read(&self, block: BlockId, stored: Bytes) -> Bytes {
        if *self.damaged.lock().unwrap() != Some(block) {
            return stored;
        }
        let mut stored = stored.to_vec();
        *stored.last_mut().unwrap() ^= 1;
        stored.into()
    }

    /// Lets a node wait for its disk for ever.
    pub fn stall(&self, node: NodeId) {
        self.stalled.lock().unwrap().insert(node);
    }

    /// Loses all calls that a node makes from now on.
    pub fn mute(&self, node: NodeId) {
        self.muted.lock().unwrap().insert(node);
    }

    /// Lets its calls through again.
    pub fn unmute(&self, node: NodeId) {
        self.muted.lock().unwrap().remove(&node);
    }

    pub fn is_muted(&self, node: NodeId) -> bool {
        self.muted.lock().unwrap().contains(&node)
    }

    /// Lets its disk answer from now on.
    pub fn recover(&self, node: NodeId) {
        self.stalled.lock().unwrap().remove(&node);
    }

    pub fn is_stalled(&self, node: NodeId) -> bool {
        self.stalled.lock().unwrap().contains(&node)
    }
}
