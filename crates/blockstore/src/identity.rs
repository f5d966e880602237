//! The file that says which volume a folder is (rule P6).
//!
//! It is written before the first segment, and never again. A folder with segments and without it was put together by
//! hand, or lost a file: it is refused rather than given a new name.

use std::path::Path;

use runtime::{Files, Seed};
use types::VolumeId;

use crate::BlockStoreError;
use crate::error::FoundVolume;
use crate::volume_file::Kind;

pub(crate) const VERSION: u8 = 1;
const KIND: Kind = Kind { magic: *b"HFVO", version: VERSION };
const FILE_MODE: u32 = 0o600;

/// Which volume may be in a folder.
pub(crate) struct Wanted {
    pub(crate) expected: Option<VolumeId>,
    pub(crate) has_segments: HasSegments,
}

/// Whether there are segments in the folder already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum HasSegments {
    Yes,
    No,
}

/// Finds out which volume the folder is, or makes it a new one.
pub(crate) fn identify(
    files: &Files,
    folder: &Path,
    wanted: &Wanted,
    seed: &Seed,
) -> Result<VolumeId, BlockStoreError> {
    let path = folder.join("volume");
    let found = if files.exists(&path)? { Some(read(files, &path)?) } else { None };
    let other = |expected, found| BlockStoreError::OtherVolume { folder: folder.to_owned(), expected, found };
    match (found, wanted.expected) {
        (Some(found), Some(expected)) if found != expected => Err(other(expected, FoundVolume::Volume(found))),
        (Some(found), _) => Ok(found),
        (None, _) if wanted.has_segments == HasSegments::Yes => {
            Err(BlockStoreError::NoIdentity { folder: folder.to_owned() })
        }
        (None, Some(expected)) => Err(other(expected, FoundVolume::Nothing)),
        (None, None) => write(files, &path, VolumeId(seed.uuid())),
    }
}

fn write(files: &Files, path: &Path, volume: VolumeId) -> Result<VolumeId, BlockStoreError> {
    files.write_atomic(path, &encode(volume), FILE_MODE)?;
    Ok(volume)
}

pub(crate) fn encode(volume: VolumeId) -> Vec<u8> {
    KIND.seal([0; 3], volume, &[])
}

fn read(files: &Files, path: &Path) -> Result<VolumeId, BlockStoreError> {
    let bytes = files.read(path)?;
    parse(&bytes).map_err(|reason| BlockStoreError::BadIdentity { path: path.to_owned(), reason })
}

pub(crate) fn parse(bytes: &[u8]) -> Result<VolumeId, &'static str> {
    let opened = KIND.open(bytes)?;
    if opened.body.0.is_empty() { Ok(opened.volume) } else { Err("it has another length") }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::volume_file::tests::assert_only_whole;

    fn look(folder: &Path, expected: Option<VolumeId>, has_segments: HasSegments) -> Result<VolumeId, BlockStoreError> {
        identify(&Files::real(), folder, &Wanted { expected, has_segments }, &Seed::from_os())
    }

    #[test]
    fn a_folder_stays_the_volume_that_it_became() {
        let folder = tempfile::tempdir().unwrap();
        let made = look(folder.path(), None, HasSegments::No).unwrap();
        assert_eq!(look(folder.path(), Some(made), HasSegments::Yes).unwrap(), made);
    }

    #[test]
    fn another_volume_or_none_is_refused_where_one_is_expected() {
        let folder = tempfile::tempdir().unwrap();
        let expected = Some(VolumeId(Uuid::from_u128(7)));
        let nothing = look(folder.path(), expected, HasSegments::No);
        assert!(matches!(nothing, Err(BlockStoreError::OtherVolume { found: FoundVolume::Nothing, .. })));
        let made = look(folder.path(), None, HasSegments::No).unwrap();
        let other = look(folder.path(), expected, HasSegments::No);
        assert!(matches!(other, Err(BlockStoreError::OtherVolume { found, .. }) if found == FoundVolume::Volume(made)));
    }

    #[test]
    fn segments_without_an_identity_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refused = look(folder.path(), None, HasSegments::Yes);
        assert!(matches!(refused, Err(BlockStoreError::NoIdentity { .. })));
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_found() {
        let folder = tempfile::tempdir().unwrap();
        look(folder.path(), None, HasSegments::No).unwrap();
        let good = Files::real().read(&folder.path().join("volume")).unwrap();
        assert_only_whole(&good, |bytes| parse(bytes).ok());
    }
}
