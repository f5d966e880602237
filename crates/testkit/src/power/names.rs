//! The names in directories: as they are now, and what is left of them when the power goes.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use runtime::Seed;

use super::Number;
use super::fate::Fate;

/// The names of one directory.
pub type Entries = BTreeMap<OsString, Number>;

/// Names come and go in steps; each happens as a whole.
#[derive(Clone, Debug)]
pub struct Step(Vec<(Number, OsString, Option<Number>)>);

impl Step {
    /// A name that now means a file, or no longer does.
    pub fn one(directory: Number, name: &OsStr, meaning: Option<Number>) -> Self {
        Self(vec![(directory, name.to_owned(), meaning)])
    }

    /// And another name, in the same step.
    #[must_use]
    pub fn and(mut self, directory: Number, name: &OsStr, meaning: Option<Number>) -> Self {
        self.0.push((directory, name.to_owned(), meaning));
        self
    }

    /// The names that it changes.
    fn names(&self) -> impl Iterator<Item = (Number, &OsStr)> {
        self.0.iter().map(|(directory, name, _)| (*directory, name.as_os_str()))
    }
}

/// All names. A directory is made by its first step.
#[derive(Clone, Debug, Default)]
pub struct Names {
    now: BTreeMap<Number, Entries>,
    synced: BTreeMap<Number, Entries>,
    /// Steps that are not synced, the oldest first.
    pending: Vec<Step>,
}

fn apply(directories: &mut BTreeMap<Number, Entries>, step: &Step) {
    for (directory, name, meaning) in &step.0 {
        let entries = directories.entry(*directory).or_default();
        match meaning {
            Some(number) => entries.insert(name.clone(), *number),
            None => entries.remove(name),
        };
    }
}

impl Names {
    /// The names in a directory.
    pub fn of(&self, directory: Number) -> Option<&Entries> {
        self.now.get(&directory)
    }

    /// What a name means.
    pub fn get(&self, directory: Number, name: &OsStr) -> Option<Number> {
        self.now.get(&directory)?.get(name).copied()
    }

    /// Takes a step.
    pub fn step(&mut self, step: Step) {
        apply(&mut self.now, &step);
        self.pending.push(step);
    }

    /// How many names a file has.
    pub fn count(&self, number: Number) -> usize {
        self.now.values().flat_map(Entries::values).filter(|found| **found == number).count()
    }

    /// Makes the names of a directory survive. A rename survives as a whole, and with it what happened before to the
    /// name that it changed elsewhere; nothing else in that other directory does.
    pub fn sync(&mut self, directory: Number) {
        let mut settled = BTreeSet::new();
        let mut kept = vec![false; self.pending.len()];
        for (step, kept) in self.pending.iter().zip(&mut kept).rev() {
            *kept = step.names().any(|name| name.0 == directory || settled.contains(&name));
            if *kept {
                settled.extend(step.names());
            }
        }
        let pending = std::mem::take(&mut self.pending);
        for (step, kept) in pending.into_iter().zip(kept) {
            match kept {
                true => apply(&mut self.synced, &step),
                false => self.pending.push(step),
            }
        }
    }

    /// Whatever has a name now, or may have one after a loss of power.
    pub fn referenced(&self) -> BTreeSet<Number> {
        let named = self.now.values().chain(self.synced.values()).flat_map(Entries::values).copied();
        let pending = self.pending.iter().flat_map(|step| step.0.iter().filter_map(|(_, _, meaning)| *meaning));
        named.chain(pending).collect()
    }

    /// What is left when the power goes: what was synced, and of the other steps the first ones, as a journal keeps
    /// them, or any, as POSIX allows.
    pub fn after_power_loss(&self, seed: &Seed) -> Self {
        let fate = Fate::draw(seed);
        let mut left = self.synced.clone();
        if seed.below(2) == 0 {
            let count = usize::try_from(fate.up_to(self.pending.len() as u64)).unwrap_or(usize::MAX);
            self.pending.iter().take(count).for_each(|step| apply(&mut left, step));
        } else {
            self.pending.iter().filter(|_| fate.survives()).for_each(|step| apply(&mut left, step));
        }
        Self { now: left.clone(), synced: left, pending: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Number = Number(10);
    const B: Number = Number(11);
    const FILE: Number = Number(12);

    fn name(text: &str) -> &OsStr {
        OsStr::new(text)
    }

    fn losses(names: &Names) -> impl Iterator<Item = Names> {
        (0..200).map(|seed| names.after_power_loss(&Seed::fixed(seed)))
    }

    #[test]
    fn a_name_survives_only_the_sync_of_its_directory() {
        let mut names = Names::default();
        names.step(Step::one(A, name("x"), Some(FILE)));
        names.sync(B);
        let outcomes: BTreeSet<_> = losses(&names).map(|left| left.get(A, name("x"))).collect();
        assert_eq!(outcomes, BTreeSet::from([None, Some(FILE)]));
        names.sync(A);
        assert!(losses(&names).all(|left| left.get(A, name("x")) == Some(FILE)));
    }

    #[test]
    fn a_rename_survives_with_what_made_its_file_and_as_a_whole() {
        let mut names = Names::default();
        names.step(Step::one(A, name("other"), Some(FILE)));
        names.step(Step::one(A, name("x"), Some(FILE)));
        names.step(Step::one(A, name("x"), None).and(B, name("y"), Some(FILE)));
        let both = |left: &Names| (left.get(A, name("x")), left.get(B, name("y")));
        let outcomes: BTreeSet<_> = losses(&names).map(|left| both(&left)).collect();
        assert_eq!(outcomes, BTreeSet::from([(None, None), (Some(FILE), None), (None, Some(FILE))]));
        names.sync(B);
        assert!(losses(&names).all(|left| both(&left) == (None, Some(FILE))));
        let others: BTreeSet<_> = losses(&names).map(|left| left.get(A, name("other"))).collect();
        assert_eq!(others, BTreeSet::from([None, Some(FILE)]), "nobody synced the other directory");
    }

    #[test]
    fn steps_that_were_not_synced_survive_from_the_first_on_or_in_any_choice() {
        let mut names = Names::default();
        for number in 0..6 {
            names.step(Step::one(A, name(&number.to_string()), Some(Number(20 + number))));
        }
        let survivors = |left: Names| (0..6).map(|number| left.get(A, name(&number.to_string())).is_some()).collect();
        let outcomes: BTreeSet<Vec<bool>> = losses(&names).map(survivors).collect();
        for count in 0..=6 {
            let beginning: Vec<_> = (0..6).map(|number| number < count).collect();
            assert!(outcomes.contains(&beginning), "the first {count}");
        }
        assert!(outcomes.iter().any(|left| !left[0] && left[5]), "a later one without an earlier one");
    }
}
