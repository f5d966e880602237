//! What is in the files of a made tree.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use runtime::Seed;

use crate::error::{Context, FileOperation, TestkitError};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Lengths on both sides of the borders that the product knows: inline data, bundles, blocks, frames.
const BORDERS: [u64; 7] = [4 * KIB, 64 * KIB, 128 * KIB, 256 * KIB, MIB, 4 * MIB, 5 * MIB];

/// A length for a new file of at most `length_max` bytes: mostly small, sometimes one off a border.
pub(super) fn length(seed: &Seed, length_max: u64) -> u64 {
    let length = match seed.below(20) {
        0 => 0,
        1..=7 => seed.below(4 * KIB),
        8..=13 => seed.below(128 * KIB),
        14..=16 => seed.below(MIB),
        17 => seed.below(6 * MIB),
        _ => {
            let pick = usize::try_from(seed.below(7)).unwrap_or_default();
            BORDERS.get(pick).copied().unwrap_or(MIB) - 1 + seed.below(3)
        }
    };
    length.min(length_max)
}

/// Bytes that compress as real files do: some not at all, some well, some to nothing.
pub(super) fn bytes(seed: &Seed, length: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(length).expect("a made file fits in memory")];
    match seed.below(5) {
        0 => {}
        1 | 2 => seed.fill(&mut bytes),
        _ => {
            let word: [u8; 48] = seed.bytes();
            for (number, chunk) in bytes.chunks_mut(64).enumerate() {
                let line = [word.as_slice(), format!("{number:015}\n").as_bytes()].concat();
                chunk.copy_from_slice(line.get(..chunk.len()).unwrap_or_default());
            }
        }
    }
    bytes
}

/// Writes a file of the given length that is mostly holes, and gives back how many bytes of data it has.
pub(super) fn write_sparse(path: &Path, seed: &Seed, length: u64) -> Result<u64, TestkitError> {
    let file = File::create_new(path).context(FileOperation::Create, path)?;
    file.set_len(length).context(FileOperation::Write, path)?;
    let mut written = 0;
    for _ in 0..seed.below(4) {
        let offset = seed.below(length);
        let mut data = bytes(seed, seed.below(96 * KIB).min(length - offset));
        // Zeros that are data are told from holes by their allocation only; keep the two apart here.
        data.iter_mut().for_each(|byte| *byte |= 1);
        file.write_all_at(&data, offset).context(FileOperation::Write, path)?;
        written += data.len() as u64;
    }
    Ok(written)
}
