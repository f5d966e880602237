//! The bytes of one file: as they are now, and as they were since they were last synced.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::fate::Fate;

/// What is usually kept or lost as one, in bytes.
pub const PAGE: u64 = 4096;
/// What is always kept or lost as one, in bytes.
const SECTOR: usize = 512;
/// Earlier states of one page, or of the length, that are remembered: the synced one and the newest of the others.
const EARLIER_MAX: usize = 6;

type Page = Arc<[u8; PAGE as usize]>;

/// The bytes of one file. Copies share their pages.
#[derive(Clone, Debug, Default)]
pub struct FileBody {
    now: Image,
    /// The states of pages that were changed since the last sync, the synced one first; none is a page of zeros.
    earlier: BTreeMap<u64, VecDeque<Option<Page>>>,
    /// The lengths since the last sync, the synced one first; empty if it did not change.
    lengths: VecDeque<u64>,
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

    fn set_page(&mut self, number: u64, page: Option<Page>) {
        match page {
            Some(page) => self.pages.insert(number, page),
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
            self.remember_page(part.page);
            self.now.write(&part, head);
            bytes = rest;
        }
        if end > self.now.length {
            self.remember_length();
            self.now.length = end;
        }
    }

    /// Makes zeros of a range, within the length.
    pub fn punch(&mut self, offset: u64, length: u64) {
        for part in parts(offset, self.now.length.saturating_sub(offset).min(length)) {
            self.remember_page(part.page);
            self.now.zero(&part);
        }
    }

    /// Sets the length. Cutting makes zeros of the rest of a page, which may come to the medium before the length does.
    pub fn resize(&mut self, length: u64) {
        let first = self.now.length.min(length) / PAGE;
        let changed: Vec<u64> = self.now.pages.range(first..).map(|(number, _)| *number).collect();
        changed.into_iter().for_each(|number| self.remember_page(number));
        self.remember_length();
        self.now.resize(length);
    }

    /// Makes bytes and length as they are now survive.
    pub fn sync(&mut self) {
        self.earlier.clear();
        self.lengths.clear();
    }

    /// What is left when the power goes.
    pub fn after_power_loss(&self, fate: &Fate<'_>) -> Self {
        let mut left = self.now.clone();
        for (number, earlier) in &self.earlier {
            let now = self.now.pages.get(number).cloned();
            left.set_page(*number, page_after(fate, earlier, &now));
        }
        left.resize(*fate.state(&self.lengths, &self.now.length));
        Self { now: left, ..Self::default() }
    }

    fn remember_page(&mut self, number: u64) {
        let state = self.now.pages.get(&number).cloned();
        remember(self.earlier.entry(number).or_default(), state);
    }

    fn remember_length(&mut self) {
        remember(&mut self.lengths, self.now.length);
    }
}

/// Notes a state that is about to be replaced.
fn remember<T>(earlier: &mut VecDeque<T>, state: T) {
    earlier.push_back(state);
    if earlier.len() > EARLIER_MAX {
        earlier.remove(1);
    }
}

/// A page in one of its states, or torn between two.
fn page_after(fate: &Fate<'_>, earlier: &VecDeque<Option<Page>>, now: &Option<Page>) -> Option<Page> {
    let whole = fate.state(earlier, now);
    if !fate.tears() {
        return whole.clone();
    }
    let other = fate.state(earlier, now);
    let zeros = [0; PAGE as usize];
    let mut page = whole.as_deref().copied().unwrap_or(zeros);
    let other = other.as_deref().unwrap_or(&zeros);
    for (sector, theirs) in page.chunks_mut(SECTOR).zip(other.chunks(SECTOR)) {
        if fate.survives() {
            sector.copy_from_slice(theirs);
        }
    }
    Some(Arc::new(page))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use runtime::Seed;

    use super::*;

    const PAGE_LENGTH: usize = PAGE as usize;

    fn losses(file: &FileBody) -> impl Iterator<Item = Vec<u8>> {
        (0..200).map(|seed| {
            let seed = Seed::fixed(seed);
            file.after_power_loss(&Fate::draw(&seed)).read(0, u64::MAX)
        })
    }

    /// What a page is filled with; `None` if it is torn, which it must be at sectors.
    fn fill(page: &[u8]) -> Option<u8> {
        assert!(page.chunks(SECTOR).all(|sector| sector.iter().all(|byte| *byte == sector[0])));
        page.iter().all(|byte| *byte == page[0]).then_some(page[0])
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
        file.write(0, &[7; 2 * PAGE_LENGTH]);
        file.resize(10);
        file.resize(2 * PAGE);
        let bytes = file.read(0, 2 * PAGE);
        assert!(bytes[..10].iter().all(|byte| *byte == 7) && bytes[10..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn synced_bytes_survive_and_others_may_not_in_any_order() {
        let mut file = FileBody::default();
        file.write(0, &[1; 4 * PAGE_LENGTH]);
        file.sync();
        file.write(PAGE, &[2; 2 * PAGE_LENGTH]);
        let mut seen = BTreeSet::new();
        for bytes in losses(&file) {
            let pages: Vec<Option<u8>> = bytes.chunks(PAGE_LENGTH).map(fill).collect();
            assert_eq!((pages.len(), pages[0], pages[3]), (4, Some(1), Some(1)));
            seen.insert((pages[1], pages[2]));
        }
        for both in [(1, 1), (1, 2), (2, 1), (2, 2)].map(|(first, second)| (Some(first), Some(second))) {
            assert!(seen.contains(&both), "{both:?} in {seen:?}");
        }
        assert!(seen.iter().any(|(first, second)| first.is_none() || second.is_none()), "some are torn");
    }

    #[test]
    fn a_page_that_was_written_twice_may_be_left_as_it_was_in_between() {
        let mut file = FileBody::default();
        file.write(0, &[1; PAGE_LENGTH]);
        file.sync();
        (2..=3).for_each(|fill| file.write(0, &[fill; PAGE_LENGTH]));
        let seen: BTreeSet<_> = losses(&file).filter_map(|bytes| fill(&bytes)).collect();
        assert_eq!(seen, BTreeSet::from([1, 2, 3]));
        (4..100).for_each(|fill| file.write(0, &[fill; PAGE_LENGTH]));
        let seen: BTreeSet<_> = losses(&file).filter_map(|bytes| fill(&bytes)).collect();
        assert!(seen.contains(&1) && seen.contains(&99) && seen.len() == EARLIER_MAX + 1, "{seen:?}");
        file.sync();
        assert!(losses(&file).all(|bytes| fill(&bytes) == Some(99)));
    }

    #[test]
    fn a_length_that_was_not_synced_may_be_lost_in_either_direction() {
        let mut file = FileBody::default();
        file.write(0, b"0123456789");
        file.sync();
        file.resize(4);
        let left: BTreeSet<_> = losses(&file).collect();
        let old_length_new_bytes = b"0123\0\0\0\0\0\0".to_vec();
        assert_eq!(left, BTreeSet::from([b"0123".to_vec(), old_length_new_bytes, b"0123456789".to_vec()]));
        file.sync();
        assert!(losses(&file).all(|bytes| bytes == b"0123"));
    }
}
