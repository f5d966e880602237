//! The rows of `meta`: the format of the store, and how far it is.

use std::path::Path;

use crate::database::{Foreign, Rows};
use crate::error::StoreError;
use crate::family::Family;
use crate::read::decode_row;
use crate::rows::ProgressRow;

/// The format of the whole store, as FORMAT.md describes it. A store of an older one lacks rows without which this
/// program would take blocks for unpublished, or has them in another form.
pub const FORMAT: u32 = 4;
/// The key of the format: four bytes, big-endian, whatever the version of rows is.
pub const FORMAT_KEY: &[u8] = b"format";
/// The key of [`ProgressRow`].
pub const PROGRESS_KEY: &[u8] = b"progress";

/// The format of a store, checked; `None` if the store is new.
pub fn format(rows: &impl Rows) -> Result<Option<u32>, StoreError> {
    checked(rows.get(Family::Meta, FORMAT_KEY)?)
}

/// Refuses the store in a folder if its format is another, before anything of it is changed.
pub fn refuse_another_format(folder: &Path) -> Result<(), StoreError> {
    Foreign::open(folder)?.map_or(Ok(()), |store| checked(store.meta(FORMAT_KEY)?).map(drop))
}

fn checked(value: Option<Vec<u8>>) -> Result<Option<u32>, StoreError> {
    let Some(value) = value else { return Ok(None) };
    let bytes: [u8; 4] = value
        .as_slice()
        .try_into()
        .map_err(|_| StoreError::corrupt(Family::Meta.name(), FORMAT_KEY, "a format has four bytes"))?;
    match u32::from_be_bytes(bytes) {
        FORMAT => Ok(Some(FORMAT)),
        found => Err(StoreError::Unsupported { found, known: FORMAT }),
    }
}

/// How far the store is.
pub fn progress(rows: &impl Rows) -> Result<ProgressRow, StoreError> {
    let value = rows
        .get(Family::Meta, PROGRESS_KEY)?
        .ok_or_else(|| StoreError::corrupt(Family::Meta.name(), PROGRESS_KEY, "the row is not there"))?;
    decode_row(Family::Meta, PROGRESS_KEY, &value)
}

#[cfg(test)]
mod tests {
    use rocksdb::{DB, Options, WriteBatch};
    use types::ErrorKind;

    use super::*;
    use crate::Store;
    use crate::database::Database;

    #[test]
    fn a_store_without_the_rows_of_blocks_in_use_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        drop(Store::open(&path).unwrap());
        let database = Database::open(&path).unwrap();
        let mut batch = WriteBatch::default();
        batch.put_cf(database.family(Family::Meta), FORMAT_KEY, 1_u32.to_be_bytes());
        database.write(batch).unwrap();
        database.flush().unwrap();
        drop(database);
        let refused = Store::open(&path).err().map(|error| error.kind());
        assert_eq!(refused, Some(ErrorKind::Unsupported));
    }

    /// The program that wrote a store opens it only if it knows all families.
    #[test]
    fn a_store_of_another_format_is_refused_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        for (format, family) in [(FORMAT - 1, "inode"), (FORMAT + 1, "of_a_newer_program")] {
            let path = folder.path().join(format!("state-{format}"));
            let families = [Family::Meta.name(), family];
            let database = DB::open_cf(&options, &path, families).unwrap();
            database.put_cf(database.cf_handle(families[0]).unwrap(), FORMAT_KEY, format.to_be_bytes()).unwrap();
            drop(database);
            let before = DB::list_cf(&options, &path).unwrap();
            let refused = Store::open(&path).err().map(|error| error.kind());
            assert_eq!(refused, Some(ErrorKind::Unsupported), "{format}");
            assert_eq!(DB::list_cf(&options, &path).unwrap(), before);
        }
    }
}
