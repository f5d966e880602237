//! The one decision about what is in a backup set (rule P17).
//!
//! A name is in the set if its directory is a root or lies below one; a LIN is in the set if it is a root or one of its
//! names is. The answer depends on the roots and on one moment of the tree, and on nothing else: the change index and
//! walks only nominate.

use std::collections::{BTreeSet, HashMap};

use namespace::{Failure, View};
use types::{ErrorKind, Lin, Name};

/// Decisions about directories that are remembered: at most about 16 MiB.
const REMEMBERED_MAX: usize = 1 << 19;

/// A backup set at one moment of the tree.
pub struct Membership {
    view: View,
    roots: BTreeSet<Lin>,
    remembered: HashMap<Lin, bool>,
}

impl Membership {
    /// The set with these roots, as the view's moment has the tree.
    #[must_use]
    pub fn new(view: View, roots: impl IntoIterator<Item = Lin>) -> Self {
        Self { view, roots: roots.into_iter().collect(), remembered: HashMap::new() }
    }

    /// Goes on with a newer view of the same moment, so that the old one can be given up: a view that is held for long
    /// keeps the store from cleaning up.
    pub fn renew(&mut self, view: View) {
        self.view = view;
    }

    /// The tree at that moment.
    #[must_use]
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// The roots.
    pub fn roots(&self) -> impl Iterator<Item = Lin> {
        self.roots.iter().copied()
    }

    /// Whether the LIN is there and in the set. A file without a name, which is there because somebody holds it open, is in
    /// none.
    ///
    /// # Errors
    /// The store failed.
    pub fn holds(&mut self, lin: Lin) -> Result<bool, Failure> {
        if self.roots.contains(&lin) {
            return self.is_named(lin);
        }
        Ok(!self.links(lin)?.is_empty())
    }

    /// The names of a LIN that are in the set, sorted; none if it is not there.
    ///
    /// # Errors
    /// The store failed.
    pub fn links(&mut self, lin: Lin) -> Result<Vec<(Lin, Name)>, Failure> {
        let Some(mut links) = if_there(self.view.links(lin))? else { return Ok(Vec::new()) };
        let mut inside = Vec::with_capacity(links.len());
        for link in links.drain(..) {
            if self.holds_below(link.0)? {
                inside.push(link);
            }
        }
        inside.sort_unstable();
        Ok(inside)
    }

    /// Whether what lies in the directory is in the set: it is a root, or below one.
    ///
    /// # Errors
    /// The store failed.
    pub fn holds_below(&mut self, directory: Lin) -> Result<bool, Failure> {
        let mut climbed = Vec::new();
        let mut at = directory;
        let inside = loop {
            if self.roots.contains(&at) {
                break true;
            }
            if let Some(&known) = self.remembered.get(&at) {
                break known;
            }
            climbed.push(at);
            match if_there(self.view.links(at))?.unwrap_or_default().first() {
                Some((parent, _)) => at = *parent,
                None => break false,
            }
        };
        if self.remembered.len() + climbed.len() > REMEMBERED_MAX {
            self.remembered.clear();
        }
        self.remembered.extend(climbed.into_iter().map(|lin| (lin, inside)));
        Ok(inside)
    }

    fn is_named(&self, lin: Lin) -> Result<bool, Failure> {
        Ok(if_there(self.view.attributes(lin))?.is_some_and(|attributes| attributes.nlink > 0))
    }
}

/// Takes a LIN that is not there for an answer, not a failure.
pub(crate) fn if_there<T>(result: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(failure) if failure.kind() == ErrorKind::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}
