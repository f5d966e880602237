//! Nominates the LINs that may have changed within the set, and cuts them into units.
//!
//! With a base, the change index nominates; a directory that entered or left the set between the two snapshots brings
//! everything below it, which did not change itself. Without one, a walk from the roots nominates. Nominations are put
//! into directory order, in chunks of a bounded number; the same snapshots always give the same units, so that a new
//! owner of the job finds again what was done.
//!
//! No LIN is nominated twice, without a table of those that were: the change index has each of its LINs once; a walk
//! passes by what the index has, and takes the rest at the first of the names that it comes to.
//!
//! Whether and what has really changed is found out by the worker, which reads each LIN at both snapshots.

use namespace::{Change, Failure, View};
use types::{FileKind, Job, Lin, Name, NodeId, Policy};

use super::walk::{Descent, Visit, walk};
use super::{CutOptions, Cutter, Holders, Nomination, PlanError, Unit};
use crate::set::{Membership, if_there};

/// Rows of the change index that are read at a time.
const PAGE: usize = 4096;
/// Nominations that are sorted together: some 32 MiB.
const CHUNK: usize = 1 << 18;

/// What a plan found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanTotals {
    /// LINs that were nominated.
    pub lins: u64,
    /// Units.
    pub units: u64,
    /// Bytes of content in the units.
    pub bytes: u64,
    /// LINs that entered the set since the base; without one all that are in it.
    pub lins_entered: u64,
    /// LINs that left the set since the base, because they were removed or moved out of it.
    pub lins_left: u64,
}

/// Makes the plan of one job. Its calls block.
pub struct Planner<'a> {
    now: Membership,
    base: Option<Membership>,
    changes: View,
    job: Job,
    holders: Holders,
    cutter: Cutter,
    chunk: Vec<Candidate>,
    totals: PlanTotals,
    emit: &'a mut dyn FnMut(Unit) -> Result<(), PlanError>,
}

/// A nomination with its place in directory order.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    link: Option<(Lin, Name)>,
    lin: Lin,
    bytes: u64,
}

impl<'a> Planner<'a> {
    /// Prepares the plan of a job over one view, which must see the job; units are given to `emit`.
    ///
    /// # Errors
    /// [`PlanError::MissingRoot`], or the store failed.
    pub fn new(
        view: &View,
        job: &Job,
        policy: &Policy,
        options: CutOptions,
        emit: &'a mut dyn FnMut(Unit) -> Result<(), PlanError>,
    ) -> Result<Self, PlanError> {
        let roots = || policy.roots.iter().map(|root| root.lin);
        let mut now = Membership::new(view.at(job.snapshot)?, roots());
        let base = match job.base_snapshot {
            Some(base) => Some(Membership::new(view.at(base)?, roots())),
            None => None,
        };
        for root in &policy.roots {
            if !now.holds(root.lin)? {
                return Err(PlanError::MissingRoot { lin: root.lin, path: root.path.clone() });
            }
        }
        let nodes: Vec<NodeId> = view.nodes()?.into_iter().map(|node| node.id).collect();
        Ok(Self {
            now,
            base,
            changes: view.clone(),
            job: job.clone(),
            holders: Holders::load(view)?,
            cutter: Cutter::new(options, &nodes),
            chunk: Vec::new(),
            totals: PlanTotals::default(),
            emit,
        })
    }

    /// Makes the plan.
    ///
    /// # Errors
    /// Those of `emit`, or the store failed.
    pub fn run(mut self) -> Result<PlanTotals, PlanError> {
        match self.base {
            Some(_) => self.nominate_changes()?,
            None => self.nominate_everything()?,
        }
        let Self { cutter, mut totals, emit, .. } = self;
        if let Some(unit) = cutter.finish() {
            totals.count(&unit);
            emit(unit)?;
        }
        Ok(totals)
    }

    fn nominate_everything(&mut self) -> Result<(), PlanError> {
        let roots: Vec<_> = self.now.roots().collect();
        for root in roots {
            let inside_another = !self.now.links(root)?.is_empty();
            if !inside_another {
                walk(&self.now.view().clone(), root, |found| self.nominate_once(found))?;
            }
        }
        Ok(())
    }

    /// Nominates what a walk from the roots finds; a LIN with several names only at the first of them.
    fn nominate_once(&mut self, found: &Visit) -> Result<Descent, PlanError> {
        let attributes = self.now.view().attributes(found.lin)?;
        if found.kind != FileKind::Directory && attributes.nlink > 1 && found.link.is_some() {
            let links = self.now.links(found.lin)?;
            if links.first() != found.link.as_ref() {
                return Ok(Descent::Past);
            }
        }
        let bytes = if found.kind == FileKind::File { attributes.size } else { 0 };
        self.totals.count_move(false, true);
        self.cut(found.lin, bytes)?;
        Ok(Descent::Into)
    }

    fn nominate_changes(&mut self) -> Result<(), PlanError> {
        let mut after = None;
        loop {
            let page = self.changes.changed_since(self.job.base_snapshot, self.job.snapshot, after, PAGE)?;
            for change in &page.changes {
                self.nominate_change(*change)?;
            }
            after = page.next;
            if after.is_none() {
                return self.cut_chunk();
            }
        }
    }

    fn nominate_change(&mut self, change: Change) -> Result<(), PlanError> {
        let Some(base) = &mut self.base else { return Ok(()) };
        let was_in = base.holds(change.lin)?;
        let (before, now) = (base.view().clone(), self.now.view().clone());
        let is_in = self.now.holds(change.lin)?;
        self.totals.count_move(was_in, is_in);
        if was_in || is_in {
            self.nominate(change.lin)?;
        }
        if was_in == is_in {
            return Ok(());
        }
        // A directory that was made or removed meanwhile needs no walk: what it has now, or had, changed with it.
        let is_directory = |view: &View| {
            let attributes = if_there(view.attributes(change.lin))?;
            Ok::<_, PlanError>(attributes.is_some_and(|attributes| attributes.kind == FileKind::Directory))
        };
        if is_directory(&before)? && is_directory(&now)? {
            let walked = if is_in { now } else { before };
            walk(&walked, change.lin, |found| self.nominate_moved(found))?;
        }
        Ok(())
    }

    /// Nominates what a walk of a directory that entered or left the set finds, unless the change index has it.
    fn nominate_moved(&mut self, found: &Visit) -> Result<Descent, PlanError> {
        let Some(link) = &found.link else { return Ok(Descent::Into) };
        let Some(base) = &mut self.base else { return Ok(Descent::Past) };
        let changed = |view: &View| Ok::<_, Failure>(if_there(view.file(found.lin))?.map(|file| file.changed));
        if changed(base.view())? != changed(self.now.view())? {
            return Ok(Descent::Past);
        }
        let mut first = None;
        let mut links = self.now.view().links(found.lin)?;
        links.sort_unstable();
        for candidate in links {
            if first.is_none() && base.holds_below(candidate.0)? != self.now.holds_below(candidate.0)? {
                first = Some(candidate);
            }
        }
        if first.as_ref() == Some(link) {
            self.totals.count_move(base.holds(found.lin)?, self.now.holds(found.lin)?);
            self.nominate(found.lin)?;
        }
        Ok(Descent::Into)
    }

    /// Puts a LIN into the chunk.
    fn nominate(&mut self, lin: Lin) -> Result<(), PlanError> {
        let mut link = self.now.links(lin)?.into_iter().next();
        if link.is_none()
            && let Some(base) = &mut self.base
        {
            link = base.links(lin)?.into_iter().next();
        }
        let attributes = if_there(self.now.view().attributes(lin))?;
        let file = attributes.filter(|attributes| attributes.kind == FileKind::File);
        self.chunk.push(Candidate { link, lin, bytes: file.map_or(0, |attributes| attributes.size) });
        if self.chunk.len() >= CHUNK { self.cut_chunk() } else { Ok(()) }
    }

    fn cut_chunk(&mut self) -> Result<(), PlanError> {
        let mut chunk = std::mem::take(&mut self.chunk);
        chunk.sort_unstable();
        chunk.into_iter().try_for_each(|candidate| self.cut(candidate.lin, candidate.bytes))
    }

    fn cut(&mut self, lin: Lin, bytes: u64) -> Result<(), PlanError> {
        let holders = if bytes == 0 { Vec::new() } else { self.holders.of(self.now.view(), lin)? };
        self.totals.lins += 1;
        for unit in self.cutter.push(&Nomination { lin, bytes, holders }) {
            self.totals.count(&unit);
            (self.emit)(unit)?;
        }
        Ok(())
    }
}

impl PlanTotals {
    /// LINs in the set, of which there were so many at the plan's base.
    #[must_use]
    pub const fn lins_in_set(&self, at_base: u64) -> u64 {
        at_base.saturating_add(self.lins_entered).saturating_sub(self.lins_left)
    }

    fn count_move(&mut self, was_in: bool, is_in: bool) {
        self.lins_entered += u64::from(is_in && !was_in);
        self.lins_left += u64::from(was_in && !is_in);
    }

    fn count(&mut self, unit: &Unit) {
        self.units += 1;
        self.bytes = self.bytes.saturating_add(unit.bytes);
    }
}

#[cfg(test)]
#[path = "planner/tests.rs"]
mod tests;
