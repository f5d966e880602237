//! Typed reads over rows of bytes.

use crate::database::Rows;
use crate::error::StoreError;
use crate::family::Family;
use crate::keys::{Key, KeyRange};
use crate::rows;
use crate::tables::Table;

/// Typed reads of tables.
pub trait Read: Rows {
    /// The row of a key in a table without versions.
    fn row<T: Table>(&self, key: &T::Key) -> Result<Option<T::Row>, StoreError> {
        let key = key.encode();
        let value = self.get(T::FAMILY, &key)?;
        value.map(|value| decode_row(T::FAMILY, &key, &value)).transpose()
    }

    /// The rows of a range in a table without versions.
    fn rows<T: Table>(&self, range: KeyRange) -> impl Iterator<Item = Result<(T::Key, T::Row), StoreError>> {
        self.scan(T::FAMILY, range).map(|pair| {
            let (key, value) = pair?;
            Ok((decode_key(T::FAMILY, &key)?, decode_row(T::FAMILY, &key, &value)?))
        })
    }
}

impl<R: Rows + ?Sized> Read for R {}

/// A key from bytes of the store.
pub fn decode_key<K: Key>(family: Family, key: &[u8]) -> Result<K, StoreError> {
    K::decode(key).ok_or_else(|| StoreError::corrupt(family.name(), key, "this is no key of the family"))
}

/// A row from bytes of the store.
pub fn decode_row<R: serde::de::DeserializeOwned>(family: Family, key: &[u8], value: &[u8]) -> Result<R, StoreError> {
    rows::decode(value).map_err(|reason| StoreError::corrupt(family.name(), key, reason))
}

#[cfg(test)]
mod tests {
    use rocksdb::WriteBatch;
    use types::{ErrorKind, SessionId};

    use super::*;
    use crate::database::Database;
    use crate::tables::Sessions;

    #[test]
    fn a_row_that_cannot_be_decoded_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("state")).unwrap();
        let mut batch = WriteBatch::default();
        batch.put_cf(database.family(Family::Session), SessionId(258).encode(), [1, 0xff]);
        batch.put_cf(database.family(Family::Session), [1, 2], [1]);
        database.write(batch).unwrap();
        let error = database.row::<Sessions>(&SessionId(258)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("session row 0000000000000102"), "{error}");
        let error = database.rows::<Sessions>(KeyRange::prefix([1])).next().unwrap().unwrap_err();
        assert!(error.to_string().contains("session row 0102: this is no key"), "{error}");
    }
}
