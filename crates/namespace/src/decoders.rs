//! What this crate reads from its store, as a function of bytes: for the fuzzer (crate `fuzz`), and for nobody else.

use std::path::Path;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use types::Batch;

use crate::database::Rows;
use crate::family::Family;
use crate::keys::{Key, KeyRange};
use crate::rows::{self, Dated, ProgressRow};
use crate::tables::{READERS, Table};
use crate::{Entry, Store, StoreError};

/// Bytes of a birth, with which keys of a history end.
const BIRTH_LENGTH: usize = 8;

/// A row: the tag of its family, the length of its key, key and value. It may be of the head or of a history.
pub fn row(bytes: &[u8]) {
    let Some(([tag, key_length], rest)) = bytes.split_first_chunk::<2>() else { return };
    let (key, value) = rest.split_at(usize::from(*key_length).min(rest.len()));
    READERS.iter().filter(|(family, _)| family.tag() == *tag).for_each(|(_, read)| read(key, value));
    if Family::from_tag(*tag) == Some(Family::Meta) {
        read_row::<ProgressRow>(value);
    }
    let _ = rows::revision_and_rest(value);
}

/// Every row of a store to which these operations were applied, one entry of the log each.
///
/// # Errors
/// The store failed.
pub fn row_examples(folder: &Path, batch: &Batch) -> Result<Vec<Vec<u8>>, StoreError> {
    let store = Store::open(folder)?;
    for (index, request) in (1..).zip(&batch.requests) {
        let batch = Batch { proposed_at: batch.proposed_at, requests: vec![request.clone()] };
        let entry = Entry { index, position: Bytes::from_static(b"here"), membership: None, batch: Some(batch) };
        store.apply(&[entry])?;
    }
    let database = store.database();
    let mut examples = Vec::new();
    for family in Family::ALL {
        for pair in database.scan(family, KeyRange::all()) {
            let (key, value) = pair?;
            if let Ok(key_length) = u8::try_from(key.len()) {
                examples.push([&[family.tag(), key_length], &key[..], &value[..]].concat());
            }
        }
    }
    Ok(examples)
}

/// Reads a key and a row as those of a table.
pub(crate) fn read<T: Table>(key: &[u8], value: &[u8]) {
    read_key::<T::Key>(key);
    if let Some((key, _)) = key.split_last_chunk::<BIRTH_LENGTH>() {
        read_key::<T::Key>(key);
    }
    read_row::<T::Row>(value);
    read_row::<Dated<T::Row>>(value);
}

/// A key has one encoding: what is read comes back as it was, or there would be two rows of one thing.
fn read_key<K: Key>(bytes: &[u8]) {
    if let Some(key) = K::decode(bytes) {
        assert_eq!(key.encode(), bytes, "a key comes back as it was");
    }
}

fn read_row<R: Serialize + DeserializeOwned>(bytes: &[u8]) {
    let Ok(row) = rows::decode::<R>(bytes) else { return };
    let again = rows::encode(&row);
    let twice = rows::decode::<R>(&again).map(|row| rows::encode(&row));
    assert_eq!(twice.as_ref(), Ok(&again), "a row comes back as it was");
}
