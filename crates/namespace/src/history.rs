//! Rows as they are, and as a snapshot sees them (rules P7 and P8).
//!
//! A row in the head carries its birth. A row that dies while a snapshot sees it goes to the history under its key and
//! its birth, with its death. The versions of one key have lifetimes that do not overlap, so at most one of them is
//! seen at any revision: the head's if it was born by then, else the one in the history that spans the revision.

use std::cmp::Ordering;
use std::iter::Peekable;

use types::Revision;

use crate::database::{Direction, Pairs, Rows};
use crate::error::StoreError;
use crate::keys::{Key, KeyRange};
use crate::read::{decode_key, decode_row};
use crate::rows::Dated;
use crate::tables::{Table, Versioned};

/// The state that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The newest one.
    Head,
    /// The one after this operation; a live snapshot must hold it.
    At(Revision),
}

/// A version of a row: its birth and what it holds.
pub type Version<T> = Dated<<T as Table>::Row>;

/// Versions with their keys, in order.
pub type Versions<'a, T> = Box<dyn Iterator<Item = Keyed<T>> + 'a>;

/// A version with its key.
pub type KeyAndVersion<T> = (<T as Table>::Key, Version<T>);

type Keyed<T> = Result<KeyAndVersion<T>, StoreError>;

/// The version of a key that is seen at a moment.
pub fn version<T: Versioned>(rows: &impl Rows, moment: Moment, key: &T::Key) -> Result<Option<Version<T>>, StoreError> {
    let key = key.encode();
    let head = rows.get(T::FAMILY, &key)?;
    let head: Option<Version<T>> = head.map(|value| decode_row(T::FAMILY, &key, &value)).transpose()?;
    let Moment::At(at) = moment else { return Ok(head) };
    if let Some(head) = head.filter(|head| head.revision <= at) {
        return Ok(Some(head));
    }
    let mut old = old_versions::<T>(rows, KeyRange::prefix(key), Direction::Up, at);
    old.next().map(|version| version.map(|(_, version)| version)).transpose()
}

/// The versions of a range of keys that are seen at a moment, in the order of their keys.
pub fn versions<'a, T: Versioned + 'a>(rows: &'a impl Rows, moment: Moment, range: KeyRange) -> Versions<'a, T> {
    walk::<T>(rows, moment, range, Direction::Up)
}

/// The versions of a range of keys that are seen at a moment, the largest key first.
pub fn versions_down<'a, T: Versioned + 'a>(rows: &'a impl Rows, moment: Moment, range: KeyRange) -> Versions<'a, T> {
    walk::<T>(rows, moment, range, Direction::Down)
}

/// The version with the largest key of a range that is seen at a moment.
pub fn last_version<T: Versioned>(
    rows: &impl Rows,
    moment: Moment,
    range: KeyRange,
) -> Result<Option<KeyAndVersion<T>>, StoreError> {
    versions_down::<T>(rows, moment, range).next().transpose()
}

fn walk<'a, T: Versioned + 'a>(
    rows: &'a impl Rows,
    moment: Moment,
    range: KeyRange,
    direction: Direction,
) -> Versions<'a, T> {
    let head = decoded::<T>(rows.walk(T::FAMILY, range.clone(), direction));
    match moment {
        Moment::Head => Box::new(head.map(keyed::<T>)),
        Moment::At(at) => {
            let head = head.filter(move |row| row.as_ref().map_or(true, |(_, version)| version.revision <= at));
            let old = old_versions::<T>(rows, range, direction, at);
            let merged = Merge { head: head.peekable(), old: old.peekable(), direction };
            Box::new(merged.map(keyed::<T>))
        }
    }
}

/// A version under the bytes of its key.
type Stored<T> = (Vec<u8>, Version<T>);
type KeyedBytes<T> = Result<Stored<T>, StoreError>;

fn keyed<T: Versioned>(row: KeyedBytes<T>) -> Keyed<T> {
    let (key, version) = row?;
    Ok((decode_key(T::FAMILY, &key)?, version))
}

fn decoded<'a, T: Versioned + 'a>(pairs: Pairs<'a>) -> impl Iterator<Item = KeyedBytes<T>> + 'a {
    pairs.map(|pair| {
        let (key, value) = pair?;
        let version = decode_row(T::FAMILY, &key, &value)?;
        Ok((key, version))
    })
}

/// The versions in the history whose lives span a revision, under the keys that they had in the head.
fn old_versions<'a, T: Versioned + 'a>(
    rows: &'a impl Rows,
    range: KeyRange,
    direction: Direction,
    at: Revision,
) -> impl Iterator<Item = KeyedBytes<T>> + 'a {
    rows.walk(T::HISTORY, range, direction).filter_map(move |pair| old_version::<T>(pair, at).transpose())
}

fn old_version<T: Versioned>(
    pair: Result<(Vec<u8>, Vec<u8>), StoreError>,
    at: Revision,
) -> Result<Option<Stored<T>>, StoreError> {
    let (key, value) = pair?;
    let (head_key, birth) = split_history_key::<T>(&key)?;
    if birth > at {
        return Ok(None);
    }
    let old: Version<T> = decode_row(T::HISTORY, &key, &value)?;
    let seen = old.revision > at;
    Ok(seen.then(|| (head_key.to_vec(), Dated { revision: birth, row: old.row })))
}

/// The head's key and the birth that a history key consists of.
pub fn split_history_key<T: Versioned>(key: &[u8]) -> Result<(&[u8], Revision), StoreError> {
    let (head, birth) = key
        .split_last_chunk::<8>()
        .ok_or_else(|| StoreError::corrupt(T::HISTORY.name(), key, "this is no key of the family"))?;
    Ok((head, Revision(u64::from_be_bytes(*birth))))
}

/// The key of an old version.
pub fn history_key(key: &[u8], birth: Revision) -> Vec<u8> {
    [key, &birth.0.to_be_bytes()].concat()
}

/// Two streams of different keys, merged in the order of the walk.
struct Merge<A: Iterator, B: Iterator> {
    head: Peekable<A>,
    old: Peekable<B>,
    direction: Direction,
}

impl<R, A, B> Iterator for Merge<A, B>
where
    A: Iterator<Item = Result<(Vec<u8>, R), StoreError>>,
    B: Iterator<Item = Result<(Vec<u8>, R), StoreError>>,
{
    type Item = A::Item;

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.head.peek(), self.old.peek()) {
            (Some(Ok((head, _))), Some(Ok((old, _)))) => self.direction.compare(head, old),
            (Some(_), Some(Err(_))) | (None, _) => Ordering::Greater,
            (Some(_), _) => Ordering::Less,
        };
        if order == Ordering::Greater { self.old.next() } else { self.head.next() }
    }
}
