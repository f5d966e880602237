//! The bytes of one file: as they are now, and as they were when they were last synced.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use runtime::Seed;

/// What is kept or lost as one.
pub const PAGE: u64 = 4096;

type Page = Arc<[u8; PAGE as usize]>;

/// The bytes of one file. Copies share their pages.
#[derive(Clone, Debug, Default)]
pub struct FileBody {
    now: Image,
    synced: Image,
    /// Pages that may differ between the two.
    dirty: BTreeSet<u64>,
}

#[derive(Clone, Debug, Default)]
struct Image {
    /// Pages by number; one that is not there is all zeros.
    pages: BTreeMap<u64, Page>,
    length: u64,
}

/// The part of one page that a range covers.
struct Part {
    page: u64,
    begin: usize,
    end: usize,
}

/// Cuts a range at the borders of pages.
fn parts(offset: u64, length: u64) -> impl Iterator<Item = Part> {
    let end = offset.saturating_add(length);
    let pages = if length == 0 { 0..0 } else { offset / PAGE..end.div_ceil(PAGE) };
    pages.map(move |page| {
        let base = page * PAGE;
        // Both are at most a page long.
        Part { page, begin: (offset.max(base) - base) as usize, end: (end.min(base + PAGE) - base) as usize }
    })
}

impl Image {
    fn write(&mut self, part: &Part, bytes: &[u8]) {
        let page = self.pages.entry(part.page).or_insert_with(|| Arc::new([0; PAGE as usize]));
        if let Some(target) = Arc::make_mut(page).get_mut(part.begin..part.end) {
            target.copy_from_slice(bytes);
        }
    }

    fn zero(&mut self, part: &Part) {
        if part.end - part.begin == PAGE as usize {
            self.pages.remove(&part.page);
        } else if let Some(page) = self.pages.get_mut(&part.page)
            && let Some(target) = Arc::make_mut(page).get_mut(part.begin..part.end)
        {
            target.fill(0);
        }
    }

    /// Sets the length; what lies beyond reads as zeros if the file grows again.
    fn resize(&mut self, length: u64) {
        let border = length.div_ceil(PAGE);
        let _ = self.pages.split_off(&border);
        parts(length, border * PAGE - length).for_each(|part| self.zero(&part));
        self.length = length;
    }

    fn take_page(&mut self, number: u64, from: &Self) {
        match from.pages.get(&number) {
            Some(page) => self.pages.insert(number, Arc::clone(page)),
            None => self.pages.remove(&number),
        };
    }
}

impl FileBody {
    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.now.length
    }

    /// How many pages it takes.
    pub fn pages(&self) -> u64 {
        self.now.pages.len() as u64
    }

    /// How many pages a write would add.
    pub fn new_pages(&self, offset: u64, length: u64) -> u64 {
        parts(offset, length).filter(|part| !self.now.pages.contains_key(&part.page)).count() as u64
    }

    /// The bytes of a range; fewer at the end of the file.
    pub fn read(&self, offset: u64, length: u64) -> Vec<u8> {
        let length = self.now.length.saturating_sub(offset).min(length);
        let mut bytes = Vec::new();
        for part in parts(offset, length) {
            match self.now.pages.get(&part.page).and_then(|page| page.get(part.begin..part.end)) {
                Some(found) => bytes.extend_from_slice(found),
                None => bytes.resize(bytes.len() + part.end - part.begin, 0),
            }
        }
        bytes
    }

    /// Writes, and makes the file longer if need be.
    pub fn write(&mut self, offset: u64, mut bytes: &[u8]) {
        let end = offset + bytes.len() as u64;
        for part in parts(offset, bytes.len() as u64) {
            let Some((head, rest)) = bytes.split_at_checked(part.end - part.begin) else { return };
            self.now.write(&part, head);
            self.dirty.insert(part.page);
            bytes = rest;
        }
        self.now.length = self.now.length.max(end);
    }

    /// Makes zeros of a range, within the length.
    pub fn punch(&mut self, offset: u64, length: u64) {
        for part in parts(offset, self.now.length.saturating_sub(offset).min(length)) {
            self.now.zero(&part);
            self.dirty.insert(part.page);
        }
    }

    /// Sets the length.
    pub fn resize(&mut self, length: u64) {
        let first = self.now.length.min(length) / PAGE;
        self.dirty.extend(self.now.pages.range(first..).map(|(number, _)| *number));
        self.now.resize(length);
    }

    /// Makes bytes and length as they are now survive.
    pub fn sync(&mut self) {
        for page in std::mem::take(&mut self.dirty) {
            self.synced.take_page(page, &self.now);
        }
        self.synced.resize(self.now.length);
    }

    /// What is left when the power goes.
    pub fn after_power_loss(&self, seed: &Seed) -> Self {
        let mut left = self.synced.clone();
        for page in &self.dirty {
            if survives(seed) {
                left.take_page(*page, &self.now);
            }
        }
        let length = if survives(seed) { self.now.length } else { self.synced.length };
        left.resize(length);
        Self { now: left.clone(), synced: left, dirty: BTreeSet::new() }
    }
}

fn survives(seed: &Seed) -> bool {
    seed.below(2) == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses(file: &FileBody) -> impl Iterator<Item = Vec<u8>> {
        (0..64).map(|seed| file.after_power_loss(&Seed::fixed(seed)).read(0, u64::MAX))
    }

    #[test]
    fn reads_give_what_was_written_with_zeros_between() {
        let mut file = FileBody::default();
        file.write(PAGE - 2, b"abcd");
        file.write(3 * PAGE, b"e");
        let bytes = file.read(PAGE - 3, 2 * PAGE + 100);
        assert_eq!(&bytes[..6], b"\0abcd\0");
        assert_eq!((bytes.len() as u64, bytes.last()), (2 * PAGE + 4, Some(&b'e')));
        assert_eq!(file.read(4 * PAGE, 1), b"");
        file.punch(PAGE - 1, 2);
        assert_eq!(file.read(PAGE - 2, 4), b"a\0\0d");
    }

    #[test]
    fn what_was_cut_off_does_not_come_back() {
        let mut file = FileBody::default();
        file.write(0, &[7; 2 * PAGE as usize]);
        file.resize(10);
        file.resize(2 * PAGE);
        let bytes = file.read(0, 2 * PAGE);
        assert!(bytes[..10].iter().all(|byte| *byte == 7) && bytes[10..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn synced_bytes_survive_and_others_may_not() {
        let mut file = FileBody::default();
        file.write(0, &[1; 4 * PAGE as usize]);
        file.sync();
        file.write(PAGE, &[2; 2 * PAGE as usize]);
        let mut seen = BTreeSet::new();
        for bytes in losses(&file) {
            let pages: Vec<u8> = bytes.chunks(PAGE as usize).map(|page| page[0]).collect();
            assert!(bytes.chunks(PAGE as usize).all(|page| page.iter().all(|byte| *byte == page[0])));
            assert_eq!((pages.len(), pages[0], pages[3]), (4, 1, 1));
            seen.insert((pages[1], pages[2]));
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [(1, 1), (1, 2), (2, 1), (2, 2)]);
    }

    #[test]
    fn a_length_that_was_not_synced_may_be_lost_in_either_direction() {
        let mut file = FileBody::default();
        file.write(0, b"0123456789");
        file.sync();
        file.resize(4);
        let lengths: BTreeSet<_> = losses(&file).map(|bytes| bytes.len()).collect();
        assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [4, 10]);
        file.sync();
        assert!(losses(&file).all(|bytes| bytes == b"0123"));
    }
}
