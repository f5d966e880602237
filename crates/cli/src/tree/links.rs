//! Further names of files that have several: made at the end, when the first name of each is there.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use types::{AttributeChanges, Lin, Name};

use super::source::FileId;

/// Which local files with several names are in the cluster, and which names are still to be made.
#[derive(Default)]
pub struct Links {
    made: HashMap<FileId, Option<Lin>>,
    left: Vec<FurtherName>,
    /// The times of the directories that get further names; each new entry moves them.
    times: BTreeMap<Lin, AttributeChanges>,
}

/// A name to be made.
pub struct FurtherName {
    pub id: FileId,
    pub parent: Lin,
    pub name: Name,
}

impl Links {
    /// Notes that a file is being uploaded; false if it is or was already.
    pub fn begin(&mut self, id: FileId) -> bool {
        match self.made.entry(id) {
            Entry::Vacant(vacant) => {
                vacant.insert(None);
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    /// Notes that the file is in the cluster.
    pub fn made(&mut self, id: FileId, lin: Lin) {
        self.made.insert(id, Some(lin));
    }

    /// Notes a further name; the directory gets its times again after it.
    pub fn add(&mut self, further: FurtherName, directory: Option<AttributeChanges>) {
        if let Some(times) = directory {
            self.times.insert(further.parent, times);
        }
        self.left.push(further);
    }

    /// What is left to be made, with the LIN of each; `None` if the first name failed.
    pub fn take(&mut self) -> Vec<(FurtherName, Option<Lin>)> {
        let left = std::mem::take(&mut self.left);
        let with_lin = |further: FurtherName| {
            let lin = self.made.get(&further.id).copied().flatten();
            (further, lin)
        };
        left.into_iter().map(with_lin).collect()
    }

    /// The directories whose times are to be set again.
    pub fn take_times(&mut self) -> Vec<(Lin, AttributeChanges)> {
        std::mem::take(&mut self.times).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_further_name_that_comes_after_the_upload_finds_the_file() {
        let id: FileId = (1, 2);
        let mut links = Links::default();
        assert!(links.begin(id));
        links.made(id, Lin(7));
        assert!(!links.begin(id));
        links.add(FurtherName { id, parent: Lin(1), name: Name::new("b").unwrap() }, None);
        assert_eq!(links.take().first().and_then(|(_, lin)| *lin), Some(Lin(7)));
    }
}
