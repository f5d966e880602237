//! Do the names, inodes and extents of all backups fit each other?
//!
//! All four come in the order of sets and LINs: inodes and extents as the tables have them, names and what directories
//! hold after they were sorted. What is held is what concerns one LIN: of each of its versions some numbers, and where
//! counts change from one backup to the next.

use std::iter::Peekable;

use types::FileKind;

use super::content::Reach;
use super::lines::{Place, Span};
use super::misfit::Misfit;
use super::names::{Change, Link, Steps, Tally};
use super::noted::Noted;
use super::objects::Objects;
use super::places::Use;
use super::sorter::{SortedRows, Sorter};
use super::versions::{Seen, Versions};
use crate::RepoError;
use crate::rows::{ExtentRow, InodeRow, Table};

/// What some backups say of an inode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) span: Span,
    pub(super) kind: FileKind,
    nlink: u32,
    pub(super) size: u64,
    target_length: u64,
}

/// What all backups say of an inode.
#[derive(Default)]
pub(super) struct History {
    pub(super) facts: Vec<Facts>,
    /// The first backup for which there is a row, be it one that says that the inode is gone.
    pub(super) known_from: Option<u32>,
}

/// The join.
pub(super) struct Tree<'a, R: Iterator> {
    pub(super) objects: &'a Objects,
    pub(super) inodes: Versions<'a, InodeRow>,
    pub(super) extents: Versions<'a, ExtentRow>,
    pub(super) links: SortedRows<'a, Link>,
    pub(super) changes: SortedRows<'a, Change>,
    pub(super) roots: Peekable<R>,
    pub(super) uses: Sorter<Use>,
    pub(super) noted: &'a mut Noted,
}

impl History {
    fn add(&mut self, Seen { row, span }: Seen<InodeRow>) {
        self.known_from.get_or_insert(span.start);
        let Some(inode) = row.inode else { return };
        let (kind, nlink, size, target_length) = (inode.kind, inode.nlink, inode.size, inode.target.len() as u64);
        self.facts.push(Facts { span, kind, nlink, size, target_length });
    }

    /// What is said of the inode within a span, with the part of the span to which it applies.
    pub(super) fn within(&self, span: Span) -> impl Iterator<Item = (Span, &Facts)> {
        let first = self.facts.partition_point(|facts| facts.span.end <= span.start);
        let rest = self.facts.get(first..).unwrap_or_default().iter();
        rest.map_while(move |facts| Some((facts.span.within(span)?, facts)))
    }

    /// The parts of a span in which there is no inode.
    fn without(&self, span: Span) -> impl Iterator<Item = Span> {
        let ends = self.within(span).map(|(part, _)| part.end);
        let starts = std::iter::once(span.start).chain(ends);
        let next = self.within(span).map(|(part, _)| part.start).chain(std::iter::once(span.end));
        starts.zip(next).filter_map(|(start, end)| Span::new(start, end))
    }
}

impl<'a, R: Iterator<Item = (Place, &'a [Span])>> Tree<'a, R> {
    /// Joins all; gives where the extents say that blocks are, and how many rows were read.
    pub(super) async fn join(mut self) -> Result<(Sorter<Use>, u64), RepoError> {
        while let Some(place) = self.next_place() {
            self.lin(place).await?;
        }
        Ok((self.uses, self.inodes.rows() + self.extents.rows()))
    }

    fn next_place(&mut self) -> Option<Place> {
        let places = [
            self.inodes.peek().map(|row| (row.set, row.lin)),
            self.extents.peek().map(|row| (row.set, row.lin)),
            self.links.peek().map(|link| link.place),
            self.changes.peek().map(|change| change.directory),
            self.roots.peek().map(|(place, _)| *place),
        ];
        places.into_iter().flatten().min()
    }

    async fn lin(&mut self, place: Place) -> Result<(), RepoError> {
        let mut history = History::default();
        while let Some(seen) = self.inodes.take_if(|row| (row.set, row.lin) == place).await? {
            history.add(seen);
        }
        self.content(place, &history).await?;
        let (mut named, mut held) = (Steps::default(), Steps::default());
        while let Some(link) = self.links.take_if(|link| link.place == place).await? {
            named.add_name(link.kind, link.span);
            self.link(&link, &history);
        }
        while let Some(change) = self.changes.take_if(|change| change.directory == place).await? {
            held.add(change.from, change.tally);
        }
        let roots = self.roots.next_if(|(root, _)| *root == place).map_or(&[][..], |(_, spans)| spans);
        self.counts(place, &history, (&named, &held), roots);
        Ok(())
    }

    /// Looks at each extent of a LIN.
    async fn content(&mut self, place: Place, history: &History) -> Result<(), RepoError> {
        let mut reach = Reach::default();
        while let Some(Seen { row, span }) = self.extents.take_if(|row| (row.set, row.lin) == place).await? {
            let ExtentRow { set, lin, offset, extent: Some(extent), .. } = row else { continue };
            let noted = &mut *self.noted;
            let mut tell = |span, misfit| noted.inode(set, span, Table::Extents, lin, misfit);
            // Where the inode is gone its extents mean nothing; where there never was one, a row of it is missing.
            let never = Span::new(0, history.known_from.unwrap_or(u32::MAX)).and_then(|never| never.within(span));
            if let Some(never) = never {
                tell(never, Misfit::NoFile { offset });
            }
            let Some((alive, _)) = history.within(span).next() else { continue };
            for (part, facts) in history.within(span) {
                reach.add(part, facts, offset, &extent).into_iter().for_each(|misfit| tell(part, misfit));
            }
            self.objects.misfit(offset, &extent).into_iter().for_each(|misfit| tell(alive, misfit));
            self.uses.push(Use::new((set, lin), offset, &extent, alive)).await?;
        }
        Ok(())
    }

    /// Compares a name with the inode for which it stands.
    fn link(&mut self, link: &Link, history: &History) {
        let (set, lin) = link.place;
        for part in history.without(link.span) {
            self.noted.name(set, part, link, Misfit::NoInode { lin });
        }
        for (part, facts) in history.within(link.span) {
            if facts.kind != link.kind {
                self.noted.name(set, part, link, Misfit::Kind { says: link.kind, is: facts.kind });
            }
        }
    }

    /// Compares an inode with its names and with the names in it, backup by backup where anything changes.
    fn counts(&mut self, (set, lin): Place, history: &History, (named, held): (&Steps, &Steps), roots: &[Span]) {
        let spans = history.facts.iter().map(|facts| facts.span).chain(roots.iter().copied());
        let mut places: Vec<u32> = spans.flat_map(|span| [span.start, span.end]).collect();
        places.extend(named.places().chain(held.places()));
        places.sort_unstable();
        places.dedup();
        let (mut names, mut entries) = (Tally::default(), Tally::default());
        let mut misfits: Vec<(Span, Misfit)> = Vec::new();
        for (start, end) in places.iter().copied().zip(places.iter().copied().skip(1)) {
            (names, entries) = (named.count(names, start), held.count(entries, start));
            let span = Span { start, end };
            let facts = history.within(span).next().map(|(_, facts)| facts);
            let is_root = roots.iter().any(|root| root.holds(start));
            for misfit in misfits_of(facts, names.names, entries, is_root) {
                match misfits.iter_mut().find(|(before, same)| before.end == start && *same == misfit) {
                    Some((before, _)) => before.end = end,
                    None => misfits.push((span, misfit)),
                }
            }
        }
        misfits.into_iter().for_each(|(span, misfit)| self.noted.inode(set, span, Table::Inodes, lin, misfit));
    }
}

/// What does not fit in backups that agree about all of this.
fn misfits_of(facts: Option<&Facts>, names: i64, held: Tally, is_root: bool) -> Vec<Misfit> {
    let Some(facts) = facts else {
        // A name of what is missing is told where the name is compared.
        let no_root = is_root.then_some(Misfit::NoRoot);
        let no_directory = (held.names > 0).then_some(Misfit::NoDirectory { entries: held.names });
        return no_root.into_iter().chain(no_directory).collect();
    };
    let mut misfits = Vec::new();
    let mut expect = |fits: bool, misfit| {
        if !fits {
            misfits.push(misfit)
        }
    };
    expect(names > 0 || is_root, Misfit::Unreached);
    let links = match facts.kind {
        FileKind::Directory => {
            expect(names <= 1, Misfit::Names { names });
            let is = held.names;
            expect(u64::try_from(is) == Ok(facts.size), Misfit::EntryCount { says: facts.size, is });
            2 + held.directories
        }
        _ => {
            expect(held.names == 0, Misfit::NotDirectory { entries: held.names });
            // A root that is a file has a name that is no entry of the set; without any name it is told already.
            names.max(1)
        }
    };
    expect(i64::from(facts.nlink) == links, Misfit::LinkCount { says: facts.nlink, is: links });
    if facts.kind == FileKind::Symlink {
        let (says, is) = (facts.size, facts.target_length);
        expect(says == is, Misfit::TargetLength { says, is });
    }
    misfits
}
