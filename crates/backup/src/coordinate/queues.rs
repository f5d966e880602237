//! Who works on what: a pure state machine over units, without time and I/O.
//!
//! A unit is waiting, at a worker, or done. It is done when an object that completes it is reported; the units of a
//! worker that is lost go back to the front of the queue. A worker that was wrongly taken for lost may report its unit
//! after another has packed it as well: both objects are sound, and the rows of both say the same.

use std::collections::{BTreeMap, HashSet, VecDeque};

use types::NodeId;

use crate::plan::UnitName;
use crate::work::WorkerId;

/// A unit as the queues hold it: its items lie in the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket<Place> {
    /// The unit's name.
    pub name: UnitName,
    /// Bytes of content.
    pub bytes: u64,
    /// The node that should pack it.
    pub preferred: Option<NodeId>,
    /// Where its items are.
    pub place: Place,
}

/// What a worker that asks for work gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next<Place> {
    /// A unit.
    Unit(Ticket<Place>),
    /// Nothing now; units may still come.
    Later,
    /// Nothing is waiting and the plan is complete: the worker reports what it holds, and asks again, because a unit of
    /// a lost worker may come back.
    Drain,
    /// Every unit is done.
    Finished,
}

/// The units that wait for one node; those that prefer none wait under node 0.
#[derive(Debug)]
struct Queue<Place> {
    tickets: VecDeque<Ticket<Place>>,
    /// What is left to do here: bytes of content and one for each unit.
    work: u128,
}

/// The length of a file is what its owner says, up to 8 EiB, so sums are wider than lengths.
fn work_of<Place>(ticket: &Ticket<Place>) -> u128 {
    u128::from(ticket.bytes) + 1
}

impl<Place> Default for Queue<Place> {
    fn default() -> Self {
        Self { tickets: VecDeque::new(), work: 0 }
    }
}

impl<Place> Queue<Place> {
    fn push_back(&mut self, ticket: Ticket<Place>) {
        self.work += work_of(&ticket);
        self.tickets.push_back(ticket);
    }

    fn push_front(&mut self, ticket: Ticket<Place>) {
        self.work += work_of(&ticket);
        self.tickets.push_front(ticket);
    }

    fn pop(&mut self) -> Option<Ticket<Place>> {
        let ticket = self.tickets.pop_front()?;
        self.work -= work_of(&ticket);
        Some(ticket)
    }

    fn remove(&mut self, name: &UnitName) -> bool {
        let at = self.tickets.iter().position(|ticket| ticket.name == *name);
        let removed = at.and_then(|at| self.tickets.remove(at));
        self.work -= removed.as_ref().map_or(0, work_of);
        removed.is_some()
    }
}

/// All units of a job.
#[derive(Debug)]
pub struct Queues<Place> {
    waiting: BTreeMap<NodeId, Queue<Place>>,
    at_worker: BTreeMap<UnitName, (WorkerId, Ticket<Place>)>,
    reported_before: HashSet<UnitName>,
    /// The newest question of each worker, and the unit that it was answered with.
    answered: BTreeMap<WorkerId, (u64, Option<UnitName>)>,
    /// How often workers failed that had a unit.
    failures: BTreeMap<UnitName, u32>,
    planned: u64,
    done: u64,
    plan_complete: bool,
}

impl<Place: Clone> Queues<Place> {
    /// Makes queues for a job of which some units were reported under an earlier owner.
    #[must_use]
    pub fn new(reported_before: HashSet<UnitName>) -> Self {
        Self {
            waiting: BTreeMap::new(),
            at_worker: BTreeMap::new(),
            reported_before,
            answered: BTreeMap::new(),
            failures: BTreeMap::new(),
            planned: 0,
            done: 0,
            plan_complete: false,
        }
    }

    /// Adds a unit of the plan.
    pub fn add(&mut self, ticket: Ticket<Place>) {
        self.planned += 1;
        if self.reported_before.remove(&ticket.name) {
            self.done += 1;
            return;
        }
        self.waiting.entry(ticket.preferred.unwrap_or_default()).or_default().push_back(ticket);
    }

    /// Says that the plan has no more units.
    pub fn complete_plan(&mut self) {
        self.plan_complete = true;
        self.reported_before = HashSet::new();
    }

    /// Answers a worker that asks for its next unit, as its question of that number. What an earlier worker of the node
    /// had comes back.
    ///
    /// A question that is asked again gets the answer that was lost, as long as its unit is still there for it. One that
    /// comes after a newer one gets no unit: nobody waits for its answer any more.
    pub fn pull(&mut self, worker: WorkerId, number: u64) -> Next<Place> {
        self.give_back_of_earlier(worker);
        match self.answered.get(&worker) {
            Some((newest, _)) if number < *newest => return Next::Later,
            Some((newest, Some(unit))) if number == *newest => match self.at_worker.get(unit) {
                Some((holder, ticket)) if *holder == worker => return Next::Unit(ticket.clone()),
                _ => {}
            },
            _ => {}
        }
        let next = self.next(worker);
        let unit = if let Next::Unit(ticket) = &next { Some(ticket.name.clone()) } else { None };
        self.answered.insert(worker, (number, unit));
        next
    }

    /// Takes a unit from the worker's own queue, or else from the one with the most content.
    fn next(&mut self, worker: WorkerId) -> Next<Place> {
        let longest = || self.waiting.iter().max_by_key(|(_, queue)| queue.work).map(|(node, _)| *node);
        let own = self.waiting.get(&worker.node).filter(|queue| queue.work > 0).map(|_| worker.node);
        let ticket = own.or_else(longest).and_then(|node| self.waiting.get_mut(&node)?.pop());
        match ticket {
            Some(ticket) => {
                self.at_worker.insert(ticket.name.clone(), (worker, ticket.clone()));
                Next::Unit(ticket)
            }
            None if !self.plan_complete => Next::Later,
            None if self.at_worker.is_empty() => Next::Finished,
            None => Next::Drain,
        }
    }

    /// Takes back what earlier workers of a node had. Those of the same process have failed with it.
    fn give_back_of_earlier(&mut self, worker: WorkerId) {
        self.count_failures(|holder| worker.follows(holder) && holder.incarnation == worker.incarnation);
        self.give_back(|holder| worker.follows(holder));
        self.answered.retain(|earlier, _| !worker.follows(*earlier));
    }

    /// Notes that a worker failed: takes back what it and earlier ones of its node had, and says how many units.
    pub fn fail(&mut self, worker: WorkerId) -> usize {
        let had = |holder: WorkerId| holder == worker || worker.follows(holder);
        self.count_failures(had);
        self.give_back(had)
    }

    fn count_failures(&mut self, failed: impl Fn(WorkerId) -> bool) {
        let with_failed = self.at_worker.iter().filter(|(_, (holder, _))| failed(*holder)).map(|(name, _)| name);
        for name in with_failed {
            *self.failures.entry(name.clone()).or_default() += 1;
        }
    }

    /// Notes that units are done, whoever packed them. A worker of an earlier owner may report one that this owner's
    /// plan has not come to.
    pub fn complete(&mut self, names: &[UnitName]) {
        for name in names {
            let was_at_worker = self.at_worker.remove(name).is_some();
            self.failures.remove(name);
            if was_at_worker || self.stop_waiting(name) {
                self.done += 1;
            } else if !self.plan_complete {
                self.reported_before.insert(name.clone());
            }
        }
    }

    /// Takes back the units of workers that are lost, and says how many.
    pub fn give_back(&mut self, is_lost: impl Fn(WorkerId) -> bool) -> usize {
        let lost: Vec<_> =
            self.at_worker.iter().filter(|(_, (holder, _))| is_lost(*holder)).map(|(name, _)| name.clone()).collect();
        for name in &lost {
            if let Some((_, ticket)) = self.at_worker.remove(name) {
                self.waiting.entry(ticket.preferred.unwrap_or_default()).or_default().push_front(ticket);
            }
        }
        lost.len()
    }

    /// A unit with which workers have failed at least that often, though their processes live.
    #[must_use]
    pub fn hopeless(&self, failures_max: u32) -> Option<&UnitName> {
        self.failures.iter().find(|(_, failures)| **failures >= failures_max).map(|(name, _)| name)
    }

    /// Whether every unit is done.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.plan_complete && self.done == self.planned
    }

    /// Units that are done, and units that are known so far.
    #[must_use]
    pub const fn progress(&self) -> (u64, u64) {
        (self.done, self.planned)
    }

    /// Units that wait, and units that are at workers.
    #[must_use]
    pub fn lengths(&self) -> (usize, usize) {
        (self.waiting.values().map(|queue| queue.tickets.len()).sum(), self.at_worker.len())
    }

    fn stop_waiting(&mut self, name: &UnitName) -> bool {
        self.waiting.values_mut().any(|queue| queue.remove(name))
    }
}

#[cfg(test)]
#[path = "queues/tests.rs"]
mod tests;
