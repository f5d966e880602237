//! The writes of a batch before they are written, over the state that they change.
//!
//! Reads see the batch's own writes. The writes of one operation are staged: a rollback undoes them, a commit keeps
//! them and adds them to a hash.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::Bound;

use blake3::Hasher;
use rocksdb::WriteBatch;

use crate::database::{Database, Direction, Pair, Pairs, Rows};
use crate::error::StoreError;
use crate::family::Family;
use crate::keys::KeyRange;

/// A value that was put, or none for a row that was deleted.
type Written = Option<Vec<u8>>;

/// The writes of a batch, over the state that they change.
pub struct Overlay<'a> {
    base: &'a Database,
    written: BTreeMap<Family, BTreeMap<Vec<u8>, Written>>,
    staged: Vec<Staged>,
}

/// A write of the current operation.
struct Staged {
    family: Family,
    key: Vec<u8>,
    /// What the batch had written there before, if anything.
    before: Option<Written>,
}

impl<'a> Overlay<'a> {
    /// Nothing written yet.
    pub const fn new(base: &'a Database) -> Self {
        Self { base, written: BTreeMap::new(), staged: Vec::new() }
    }

    /// Puts or deletes a row.
    pub fn write(&mut self, family: Family, key: Vec<u8>, value: Written) {
        let before = self.written.entry(family).or_default().insert(key.clone(), value);
        self.staged.push(Staged { family, key, before });
    }

    /// Undoes the writes since the last commit.
    pub fn rollback(&mut self) {
        while let Some(Staged { family, key, before }) = self.staged.pop() {
            let rows = self.written.entry(family).or_default();
            match before {
                Some(before) => rows.insert(key, before),
                None => rows.remove(&key),
            };
        }
    }

    /// Keeps the writes since the last commit and hashes them, in the order in which they were made.
    pub fn commit(&mut self, hasher: &mut Hasher) {
        for Staged { family, key, .. } in self.staged.drain(..) {
            let value = self.written.get(&family).and_then(|rows| rows.get(&key)).and_then(Option::as_deref);
            hash_row(hasher, family, &key, value);
        }
    }

    /// Everything that was committed, as one batch.
    pub fn into_batch(self) -> WriteBatch {
        let mut batch = WriteBatch::default();
        for (family, rows) in self.written {
            let handle = self.base.family(family);
            for (key, value) in rows {
                match value {
                    Some(value) => batch.put_cf(handle, key, value),
                    None => batch.delete_cf(handle, key),
                }
            }
        }
        batch
    }
}

/// Hashes a row, or its absence, so that no two lists of rows give the same bytes.
pub fn hash_row(hasher: &mut Hasher, family: Family, key: &[u8], value: Option<&[u8]>) {
    hasher.update(&[family.tag(), u8::from(value.is_some())]);
    for bytes in [key, value.unwrap_or_default()] {
        hasher.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(bytes);
    }
}

impl Rows for Overlay<'_> {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.written.get(&family).and_then(|rows| rows.get(key)) {
            Some(written) => Ok(written.clone()),
            None => self.base.get(family, key),
        }
    }

    fn walk(&self, family: Family, range: KeyRange, direction: Direction) -> Pairs<'_> {
        let base = self.base.walk(family, range.clone(), direction);
        let Some(rows) = self.written.get(&family) else { return base };
        if range.end.as_ref().is_some_and(|end| *end <= range.start) {
            return Box::new(std::iter::empty());
        }
        let end = range.end.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = rows.range((Bound::Included(range.start), end));
        let written: WrittenRows<'_> = match direction {
            Direction::Up => Box::new(rows),
            Direction::Down => Box::new(rows.rev()),
        };
        Box::new(Over { base: base.peekable(), written: written.peekable(), direction })
    }
}

type WrittenRows<'a> = Box<dyn Iterator<Item = (&'a Vec<u8>, &'a Written)> + 'a>;

/// Rows of the base with what was written over them.
struct Over<'a> {
    base: Peekable<Pairs<'a>>,
    written: Peekable<WrittenRows<'a>>,
    direction: Direction,
}

impl Iterator for Over<'_> {
    type Item = Result<Pair, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let order = match (self.base.peek(), self.written.peek()) {
                (Some(Ok((base, _))), Some((written, _))) => self.direction.compare(base, written),
                (Some(_), _) => Ordering::Less,
                (None, _) => Ordering::Greater,
            };
            if order == Ordering::Less {
                return self.base.next();
            }
            if order == Ordering::Equal {
                self.base.next();
            }
            let (key, value) = self.written.next()?;
            if let Some(value) = value {
                return Some(Ok((key.clone(), value.clone())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILY: Family = Family::Xattr;

    fn rows(overlay: &Overlay<'_>, range: KeyRange, direction: Direction) -> Vec<Pair> {
        overlay.walk(FAMILY, range, direction).map(Result::unwrap).collect()
    }

    /// Every range over the keys, both ways, is that of a plain map.
    fn is(overlay: &Overlay<'_>, expected: &BTreeMap<Vec<u8>, Vec<u8>>) {
        for start in 0..10_u8 {
            for end in start..10 {
                let range = KeyRange { start: vec![start], end: Some(vec![end]) };
                let mut pairs: Vec<Pair> =
                    expected.range(vec![start]..vec![end]).map(|(key, value)| (key.clone(), value.clone())).collect();
                assert_eq!(rows(overlay, range.clone(), Direction::Up), pairs, "up {range:?}");
                pairs.reverse();
                assert_eq!(rows(overlay, range, Direction::Down), pairs, "down");
            }
        }
        for key in 0..10_u8 {
            assert_eq!(overlay.get(FAMILY, &[key]).unwrap(), expected.get(&vec![key]).cloned());
        }
    }

    #[test]
    fn a_walk_sees_what_was_written_over_the_base_until_it_is_undone() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("state")).unwrap();
        let mut expected = BTreeMap::new();
        let mut below = Overlay::new(&database);
        for key in [1, 3, 4, 6, 8] {
            below.write(FAMILY, vec![key], Some(vec![key, 0]));
            expected.insert(vec![key], vec![key, 0]);
        }
        below.commit(&mut Hasher::new());
        database.write(below.into_batch()).unwrap();

        let mut overlay = Overlay::new(&database);
        is(&overlay, &expected);
        for (key, value) in [(0, Some(1)), (3, None), (4, Some(1)), (5, Some(1)), (7, None), (8, None), (9, Some(1))] {
            let value = value.map(|value| vec![key, value]);
            overlay.write(FAMILY, vec![key], value.clone());
            match value {
                Some(value) => expected.insert(vec![key], value),
                None => expected.remove(&vec![key]),
            };
        }
        is(&overlay, &expected);
        overlay.commit(&mut Hasher::new());
        for key in 0..10 {
            overlay.write(FAMILY, vec![key], (key % 2 == 0).then(|| vec![9]));
            overlay.write(FAMILY, vec![key], (key % 3 == 0).then(|| vec![9]));
        }
        overlay.rollback();
        is(&overlay, &expected);
    }
}
