//! Merging of what small writes have made of a file (rule P16).
//!
//! A write of a few KiB into a file makes a block of its own and splits an extent in two. Whoever writes merges where that
//! has become too much: it reads the bytes back, puts them into one block and *rewrites* their range, which the cluster
//! refuses if somebody has changed it meanwhile. Merging begins with the smallest neighbours, so that a large extent is
//! copied only when that is the least there is to copy. A block of which little is left is given up in the same way.
//!
//! Nothing depends on it: what cannot be merged now is when something is written there again. Holes stay holes.

use std::collections::BTreeSet;

use bytes::Bytes;
use tracing::debug;
use types::{BLOCK_LENGTH_MAX, BlockId, Change, Lin, NewExtent, Revision, Rewrite, Run};
use wire::code;

use crate::block_ids::Telling;
use crate::block_put::PlainBlock;
use crate::file_reader::FileReader;
use crate::publication::Unpublished;
use crate::{ClientError, PlacementKey, RunPage, Session};

/// Windows of a file begin at multiples of it.
const WINDOW_LENGTH: u64 = 1 << 20;
/// A window of more extents is merged.
const WINDOW_EXTENTS_MAX: usize = 8;
/// How many it has then, so that the next write does not merge it again.
const WINDOW_EXTENTS_MERGED: usize = 4;

/// A shorter block is left, however little of it is used: what that frees would be worth no operation.
const GIVEN_UP_LENGTH_MIN: u32 = 64 << 10;

impl Session {
    /// Merges what lies around a range that was written. A failure is left to the next one that writes there.
    pub(crate) async fn merge_around(&self, lin: Lin, start: u64, end: u64) {
        if let Err(error) = self.try_merge_around(lin, start, end).await {
            debug!(%error, %lin, start, end, "small extents were not merged");
        }
    }

    async fn try_merge_around(&self, lin: Lin, start: u64, end: u64) -> Result<(), ClientError> {
        // A block that the range has split begins up to its length before, and ends up to that behind.
        let block: u64 = BLOCK_LENGTH_MAX.into();
        let page = self.client().read_runs(lin, window_of(start).saturating_sub(block), None).await?;
        let mut parts = Vec::new();
        for window in BTreeSet::from([window_of(start), window_of(end.saturating_sub(1))]) {
            parts.extend(match reaches(&page, window.saturating_add(WINDOW_LENGTH)) {
                true => crowd(&page.runs, window),
                false => crowd(&self.client().read_runs(lin, window, None).await?.runs, window),
            });
        }
        if reaches(&page, end.saturating_add(block)) {
            parts.extend(remains(&page.runs, start, end));
        }
        for part in apart(parts) {
            // As of the first page: what was read later and is younger is refused.
            self.rewrite_runs(lin, page.changed, part).await?;
        }
        Ok(())
    }

    /// Puts the bytes of runs that follow one another into a block.
    async fn rewrite_runs(&self, lin: Lin, as_of: Revision, runs: Vec<Run>) -> Result<(), ClientError> {
        let Some(offset) = runs.first().map(Run::offset) else { return Ok(()) };
        let mut reader = FileReader::of_runs(self.client(), lin, runs);
        let mut bytes = Vec::new();
        while let Some(piece) = reader.next().await? {
            bytes.extend_from_slice(&piece.bytes);
        }
        self.rewrite(lin, as_of, offset, vec![bytes.into()]).await
    }

    /// Puts bytes of a range, cut as they are to be, into new blocks, if it still holds what it did as of a change of the
    /// file. If somebody was faster there is nothing to be done.
    pub(crate) async fn rewrite(
        &self,
        lin: Lin,
        as_of: Revision,
        offset: u64,
        bytes: Vec<Bytes>,
    ) -> Result<(), ClientError> {
        let key = |offset| PlacementKey::of_file(lin, offset);
        let length = bytes.iter().map(|bytes| bytes.len() as u64).sum();
        let extents = self.put_cut(offset, bytes, key).await?;
        let rewrite = |extents: Vec<NewExtent>| Change::Rewrite(Rewrite { lin, offset, length, as_of, extents });
        match self.publish("move bytes into other blocks", extents, rewrite, key).await {
            Err(ClientError::Refused { failure, .. }) if failure.code == code::RANGE_CHANGED => {}
            rewritten => drop(rewritten?),
        }
        self.raise_block_mark(Telling::Seldom).await;
        Ok(())
    }

    /// Puts bytes that are cut and begin at an offset.
    pub(crate) async fn put_cut(
        &self,
        mut offset: u64,
        bytes: Vec<Bytes>,
        key: impl Fn(u64) -> PlacementKey,
    ) -> Result<Vec<Unpublished>, ClientError> {
        let mut blocks = Vec::with_capacity(bytes.len());
        for plain in bytes {
            let length = plain.len() as u64;
            blocks.push(PlainBlock { offset, plain, key: key(offset) });
            offset = offset.saturating_add(length);
        }
        self.put_blocks(blocks).await
    }
}

/// Whether a page has everything before an offset.
fn reaches(page: &RunPage, offset: u64) -> bool {
    page.next_offset.is_none_or(|next| next >= offset)
}

const fn window_of(offset: u64) -> u64 {
    offset - offset % WINDOW_LENGTH
}

/// The runs of a window that are to be merged, if it has too many extents: those that follow one another without a hole
/// and have the fewest bytes, of so many as are too many.
fn crowd(runs: &[Run], window: u64) -> Option<Vec<Run>> {
    let end = window.saturating_add(WINDOW_LENGTH);
    let inside: Vec<Run> = runs.iter().filter_map(|run| run.part(window, end)).collect();
    let extents = inside.iter().filter(|run| matches!(run, Run::Block(_))).count();
    if extents <= WINDOW_EXTENTS_MAX {
        return None;
    }
    let unbroken = || inside.chunk_by(|one, next| one.end() == next.offset());
    let longest = unbroken().map(<[Run]>::len).max().unwrap_or(0);
    let count = longest.min(inside.len() - WINDOW_EXTENTS_MERGED + 1);
    if count < 2 {
        return None;
    }
    unbroken().flat_map(|stretch| stretch.windows(count)).min_by_key(|some| length(some)).map(<[Run]>::to_vec)
}

fn length(runs: &[Run]) -> u64 {
    runs.iter().map(|run| run.end() - run.offset()).sum()
}

/// The runs at the ends of a range that was written whose blocks have less than a quarter left, each by itself.
fn remains(runs: &[Run], start: u64, end: u64) -> Vec<Vec<Run>> {
    let block_of =
        |run: &Run| if let Run::Block(extent) = run { Some((extent.block, extent.block_length)) } else { None };
    let of_block = |block: BlockId| runs.iter().filter(move |run| block_of(run).is_some_and(|(of, _)| of == block));
    let split = runs.iter().filter(|run| run.end() == start || run.offset() == end).filter_map(block_of);
    let mut given_up: Vec<BlockId> = split
        .filter(|(_, whole)| *whole >= GIVEN_UP_LENGTH_MIN)
        .filter(|(block, whole)| {
            4 * of_block(*block).map(|run| run.end() - run.offset()).sum::<u64>() < (*whole).into()
        })
        .map(|(block, _)| block)
        .collect();
    given_up.dedup();
    given_up.into_iter().flat_map(of_block).map(|run| vec![run.clone()]).collect()
}

/// Parts without those that overlap an earlier one.
fn apart(parts: Vec<Vec<Run>>) -> Vec<Vec<Run>> {
    let mut kept: Vec<Vec<Run>> = Vec::new();
    for part in parts {
        let overlaps = |other: &Vec<Run>| part.iter().any(|run| other.iter().any(|with| run.overlaps(with)));
        if !kept.iter().any(overlaps) {
            kept.push(part);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use types::{Digest, Extent, PgId, SessionId};

    use super::*;

    /// A run of a block that is so long and began to be used where the run lies.
    fn run(offset: u64, length: u32, sequence: u64, block_length: u32) -> Run {
        let block = BlockId { session: SessionId(1), sequence };
        let (digest, pg) = (Digest::default(), PgId(1));
        Run::Block(Extent { offset, length, block, block_offset: 0, block_length, digest, pg })
    }

    /// Runs of whole blocks, one behind the other.
    fn runs(lengths: &[u32]) -> Vec<Run> {
        let mut offset = 0;
        let mut made = Vec::new();
        for (&length, sequence) in lengths.iter().zip(1..) {
            made.push(run(offset, length, sequence, length));
            offset += u64::from(length);
        }
        made
    }

    fn places(runs: &[Run]) -> Vec<(u64, u64)> {
        runs.iter().map(|run| (run.offset(), run.end())).collect()
    }

    #[test]
    fn a_window_with_few_extents_is_left_alone() {
        assert_eq!(crowd(&runs(&[1000; 8]), 0), None);
        assert_eq!(crowd(&runs(&[1 << 20; 20]), 3 << 20), None, "a window is not the whole file");
    }

    #[test]
    fn the_smallest_neighbours_are_merged_until_a_window_has_few() {
        let lengths = [500_000, 10, 10, 10, 10, 10, 10, 100_000, 100_000, 100_000];
        let merged = crowd(&runs(&lengths), 0).unwrap();
        assert_eq!(merged.len(), lengths.len() - WINDOW_EXTENTS_MERGED + 1);
        assert_eq!(places(&merged).first(), Some(&(500_000, 500_010)), "the long one is left");
    }

    #[test]
    fn what_lies_outside_of_the_window_is_left() {
        let mut file = runs(&[1000; 9]);
        file.push(run(9000, 4 << 20, 10, 4 << 20));
        let merged = crowd(&file, 0).unwrap();
        assert!(merged.last().unwrap().end() <= WINDOW_LENGTH);
        assert_eq!(crowd(&file, WINDOW_LENGTH), None);
    }

    #[test]
    fn nothing_is_merged_over_a_hole() {
        let apart = |step| (0..20).map(|place| run(place * step, 1000, place, 1000)).collect::<Vec<_>>();
        assert_eq!(crowd(&apart(2000), 0), None);
        let mut pairs = apart(2000);
        pairs.push(run(39_000, 500, 77, 500));
        assert_eq!(places(&crowd(&pairs, 0).unwrap()), [(38_000, 39_000), (39_000, 39_500)]);
    }

    #[test]
    fn a_block_of_which_less_than_a_quarter_is_left_is_given_up_and_no_other() {
        let left = |length: u32, whole: u32| {
            let before = run(100_000 - u64::from(length), length, 1, whole);
            [before, run(100_000, 5000, 2, 5000), run(105_000, 100, 1, whole), run(105_100, 10, 3, 10)]
        };
        let given_up: Vec<_> =
            remains(&left(80_000, 400_000), 100_000, 105_000).iter().map(|part| places(part)).collect();
        assert_eq!(given_up, [[(20_000, 100_000)], [(105_000, 105_100)]]);
        assert_eq!(remains(&left(99_900, 400_000), 100_000, 105_000), [] as [Vec<Run>; 0], "a quarter is left");
        assert_eq!(remains(&left(800, 4000), 100_000, 105_000), [] as [Vec<Run>; 0], "it is short");
    }

    #[test]
    fn parts_that_overlap_are_rewritten_once() {
        let (all, one) = (runs(&[10, 10, 10]), runs(&[10]));
        assert_eq!(apart(vec![all.clone(), one.clone()]), vec![all.clone()]);
        assert_eq!(apart(vec![one.clone(), all]), vec![one]);
    }
}
