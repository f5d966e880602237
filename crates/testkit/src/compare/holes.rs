//! Where a file has data on disk, and where it has holes.

use std::fs::File;
use std::io;
use std::ops::Range;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// The ranges of a file that hold data, rounded out to `granularity`, in order and apart. Leaves the file at its start.
pub(super) fn data_ranges(file: &File, length: u64, granularity: u64) -> io::Result<Vec<Range<u64>>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    let mut offset = 0;
    while offset < length {
        let start = match rustix::fs::seek(file, SeekFrom::Data(offset)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let end = rustix::fs::seek(file, SeekFrom::Hole(start))?;
        let rounded = start / granularity * granularity..end.next_multiple_of(granularity);
        match ranges.last_mut() {
            Some(last) if last.end >= rounded.start => last.end = last.end.max(rounded.end),
            _ => ranges.push(rounded),
        }
        offset = end;
    }
    rustix::fs::seek(file, SeekFrom::Start(0))?;
    Ok(ranges)
}

/// How many bytes of `ranges` no range of `cover` holds; both in order and apart.
pub(super) fn uncovered(ranges: &[Range<u64>], cover: &[Range<u64>]) -> u64 {
    let total: u64 = ranges.iter().map(|range| range.end - range.start).sum();
    let shared: u64 = ranges.iter().flat_map(|range| cover.iter().map(move |other| overlap(range, other))).sum();
    total - shared
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> u64 {
    a.end.min(b.end).saturating_sub(a.start.max(b.start))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn data_between_holes_is_found() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        file.write_all_at(b"data", 300_000).unwrap();
        let ranges = data_ranges(&file, 1 << 20, 65_536).unwrap();
        assert_eq!((ranges.len(), &ranges[0]), (1, &(4 * 65_536..5 * 65_536)));
    }

    #[test]
    fn a_file_of_one_hole_has_no_data() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        assert_eq!(data_ranges(&file, 1 << 20, 4096).unwrap(), []);
    }

    #[test]
    fn what_no_range_covers_is_counted() {
        assert_eq!(uncovered(&[0..10, 20..30], &[5..8, 9..25]), 11);
        assert_eq!(uncovered(&[0..10, 12..13], &[0..4, 6..10]), 3);
        assert_eq!(uncovered(&[0..10, 12..13], &[0..11, 12..20]), 0);
    }
}
