//! Cuts a stream into blocks where its content says so.
//!
//! FastCDC (Xia et al., 2020) as the crate `fastcdc` has it, with a gear table of our own: borders show what a block
//! holds to whoever knows the table, so it is made of the cluster's secret seed. Where the borders are depends on the
//! bytes and the seed alone, not on how the bytes arrive.
//!
//! Memory: at most one block of the largest length and one more piece of that length are held back.

use std::fmt;

use bytes::Bytes;
use fastcdc::v2020::{Normalization, cut_gear, select_masks};
use types::BLOCK_LENGTH_MAX;

/// The shortest piece, in bytes, but for the last one.
pub const CUT_LENGTH_MIN: usize = 256 << 10;
/// About the mean length of pieces, in bytes.
pub const CUT_LENGTH_AVERAGE: usize = 1 << 20;
/// The longest piece, in bytes.
pub const CUT_LENGTH_MAX: usize = BLOCK_LENGTH_MAX as usize;

const GEAR_CONTEXT: &str = "holdfast block gear table v1";

/// What the borders depend on, besides the bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CutterOptions {
    /// The cluster's secret seed of the gear table.
    pub seed: u64,
}

/// Cuts one stream: give it the bytes with [`Cutter::push`], and end with [`Cutter::finish`].
pub struct Cutter {
    gear: Gear,
    held: Vec<u8>,
}

/// The table, once as it is and once shifted by one bit for the two-byte step of `cut_gear`, and the masks.
struct Gear {
    table: [u64; 256],
    shifted: [u64; 256],
    mask_strict: u64,
    mask_loose: u64,
}

impl Cutter {
    /// Begins a stream.
    #[must_use]
    pub fn new(options: CutterOptions) -> Self {
        Self { gear: Gear::new(options.seed), held: Vec::new() }
    }

    /// Takes more bytes and gives the pieces that they complete, in order.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        for part in bytes.chunks(CUT_LENGTH_MAX) {
            self.held.extend_from_slice(part);
            // A border is certain only when the bytes of the longest piece are there.
            self.cut_down_to(CUT_LENGTH_MAX, &mut pieces);
        }
        pieces
    }

    /// Ends the stream and gives the pieces that were held back: none if it was empty.
    #[must_use]
    pub fn finish(mut self) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        self.cut_down_to(1, &mut pieces);
        pieces
    }

    fn cut_down_to(&mut self, length_min: usize, pieces: &mut Vec<Bytes>) {
        let mut begin = 0;
        while let Some(rest) = self.held.get(begin..).filter(|rest| rest.len() >= length_min) {
            let (piece, _) = rest.split_at(self.gear.border(rest));
            // A copy, so that a piece kept for long does not keep its neighbours.
            pieces.push(Bytes::copy_from_slice(piece));
            begin += piece.len();
        }
        self.held.drain(..begin);
    }
}

impl Gear {
    fn new(seed: u64) -> Self {
        let mut stream = blake3::Hasher::new_derive_key(GEAR_CONTEXT).update(&seed.to_le_bytes()).finalize_xof();
        let table = std::array::from_fn(|_| {
            let mut word = [0; 8];
            stream.fill(&mut word);
            u64::from_le_bytes(word)
        });
        let (mask_strict, mask_loose) = select_masks(CUT_LENGTH_AVERAGE, Normalization::Level1);
        Self { table, shifted: table.map(|word| word << 1), mask_strict, mask_loose }
    }

    /// How long the first piece of the bytes is; never zero for bytes that are not empty, never beyond their end.
    fn border(&self, bytes: &[u8]) -> usize {
        let (_, length) = cut_gear(
            bytes,
            CUT_LENGTH_MIN,
            CUT_LENGTH_AVERAGE,
            CUT_LENGTH_MAX,
            self.mask_strict,
            self.mask_loose,
            self.mask_strict << 1,
            self.mask_loose << 1,
            &self.table,
            &self.shifted,
        );
        length
    }
}

impl fmt::Debug for CutterOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CutterOptions { seed: secret }")
    }
}

impl fmt::Debug for Cutter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cutter").field("held_bytes", &self.held.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    }

    fn cut(seed: u64, bytes: &[u8], step: usize) -> Vec<Bytes> {
        let mut cutter = Cutter::new(CutterOptions { seed });
        let mut pieces: Vec<_> = bytes.chunks(step).flat_map(|part| cutter.push(part)).collect();
        pieces.extend(cutter.finish());
        pieces
    }

    #[test]
    fn pieces_join_to_the_stream_and_keep_their_lengths() {
        let bytes = noise(1, 20 << 20);
        let pieces = cut(7, &bytes, 1 << 20);
        assert_eq!(pieces.concat(), bytes);
        let (last, others) = pieces.split_last().unwrap();
        assert!(others.iter().all(|piece| (CUT_LENGTH_MIN..=CUT_LENGTH_MAX).contains(&piece.len())));
        assert!((1..=CUT_LENGTH_MAX).contains(&last.len()));
        let average = bytes.len() / pieces.len();
        assert!((CUT_LENGTH_AVERAGE / 2..CUT_LENGTH_AVERAGE * 2).contains(&average), "{average}");
    }

    #[test]
    fn borders_do_not_depend_on_how_the_bytes_arrive() {
        let bytes = noise(2, 11 << 20);
        let whole = cut(7, &bytes, usize::MAX);
        assert!([65_536, 100_003, 5 << 20].iter().all(|step| cut(7, &bytes, *step) == whole));
    }

    #[test]
    fn borders_depend_on_the_seed() {
        let bytes = noise(3, 9 << 20);
        assert_ne!(cut(7, &bytes, 1 << 20), cut(8, &bytes, 1 << 20));
    }

    /// An old table would cut files anew that did not change, and no block would be found again.
    #[test]
    fn borders_are_those_of_the_first_release() {
        let lengths: Vec<_> = cut(7, &noise(4, 6 << 20), 1 << 20).iter().map(Bytes::len).collect();
        assert_eq!(lengths, [1_484_515, 1_717_971, 681_768, 1_262_148, 1_145_054]);
    }

    #[test]
    fn an_insertion_moves_few_borders() {
        let bytes = noise(5, 16 << 20);
        let changed = [&bytes[..5 << 20], b"inserted", &bytes[5 << 20..]].concat();
        let before = cut(7, &bytes, 1 << 20);
        let kept = cut(7, &changed, 1 << 20).iter().filter(|piece| before.contains(piece)).count();
        assert!(kept + 3 >= before.len(), "{kept} of {}", before.len());
    }

    #[test]
    fn equal_bytes_make_pieces_of_the_largest_length() {
        let lengths: Vec<_> = cut(7, &vec![0; (8 << 20) + 1], 1 << 20).iter().map(Bytes::len).collect();
        assert_eq!(lengths, [CUT_LENGTH_MAX, CUT_LENGTH_MAX, 1]);
    }

    #[test]
    fn an_empty_stream_has_no_pieces_and_a_short_one_has_one() {
        assert!(cut(7, b"", 1).is_empty());
        assert_eq!(cut(7, b"short", 2), ["short"]);
    }

    #[test]
    fn no_more_than_the_longest_piece_is_held_back() {
        let mut cutter = Cutter::new(CutterOptions { seed: 7 });
        for part in noise(6, 12 << 20).chunks(3 << 20) {
            let _ = cutter.push(part);
            assert!(cutter.held.len() < CUT_LENGTH_MAX);
        }
    }

    #[test]
    fn the_seed_is_not_shown() {
        assert_eq!(format!("{:?}", CutterOptions { seed: 77 }), "CutterOptions { seed: secret }");
    }
}
