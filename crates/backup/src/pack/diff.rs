//! What of a LIN differs between two moments, as rows of the repository see it.
//!
//! What left the set is treated as gone and what entered it as new, whatever happened to it outside. A LIN that is
//! gone for good needs no rows for its extents; one that lives on outside of the set gets them, because it may come
//! back, and its old extents must not come back with it.

use namespace::{Failure, StoredContent, View};
use repo::{EntryRecord, InodeRecord};
use types::{FileKind, Job, Lin, Name};

use super::{Piece, Pieces};
use crate::plan::Item;
use crate::set::{Membership, if_there};

/// A difference, which becomes a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The inode is new or has other attributes; `None` if it is gone.
    Inode {
        /// Which.
        lin: Lin,
        /// Its attributes.
        record: Option<InodeRecord>,
    },
    /// A name is new or stands for something else; `None` if it is gone.
    Entry {
        /// The directory.
        parent: Lin,
        /// The name.
        name: Name,
        /// What it stands for.
        record: Option<EntryRecord>,
    },
    /// A piece of a file is new.
    Piece {
        /// The file.
        lin: Lin,
        /// The file's length, which decides whether the piece is bundled.
        size: u64,
        /// The piece.
        piece: Piece,
    },
    /// No piece begins at that offset any more.
    PieceGone {
        /// The file.
        lin: Lin,
        /// The offset.
        offset: u64,
    },
}

/// Compares LINs between the base of a job and its snapshot. Its calls block.
pub struct Differ {
    now: Membership,
    base: Option<Membership>,
}

/// A LIN at one moment, as the set sees it.
struct Sight {
    record: InodeRecord,
    links: Vec<(Lin, Name)>,
}

impl Differ {
    /// Compares the set at the snapshot with the set at the base; without a base everything is new.
    #[must_use]
    pub const fn new(now: Membership, base: Option<Membership>) -> Self {
        Self { now, base }
    }

    /// Goes on with a newer view of the job's snapshots (see [`Membership::renew`]).
    ///
    /// # Errors
    /// A snapshot is gone: the job has ended.
    pub fn renew(&mut self, view: &View, job: &Job) -> Result<(), Failure> {
        self.now.renew(view.at(job.snapshot)?);
        if let Some((base, snapshot)) = self.base.as_mut().zip(job.base_snapshot) {
            base.renew(view.at(snapshot)?);
        }
        Ok(())
    }

    /// Gives the differences of an item to `emit`, the pieces in the order of their offsets.
    ///
    /// # Errors
    /// Those of `emit`, or the store failed.
    pub fn diff<E: From<Failure>>(
        &mut self,
        item: Item,
        emit: &mut impl FnMut(Difference) -> Result<(), E>,
    ) -> Result<(), E> {
        let lin = item.lin;
        let now = sight(&mut self.now, lin)?;
        let before = match &mut self.base {
            Some(base) => sight(base, lin)?,
            None => None,
        };
        if item.has_metadata() {
            self.metadata(lin, before.as_ref(), now.as_ref(), emit)?;
        }
        let gone_for_good = now.is_none() && if_there(self.now.view().attributes(lin))?.is_none();
        if gone_for_good {
            return Ok(());
        }
        let size = now.as_ref().map_or(0, |sight| sight.record.size);
        let mut now = pieces(self.now.view(), now.as_ref(), item)?;
        let mut before = match &self.base {
            Some(base) => pieces(base.view(), before.as_ref(), item)?,
            None => Pieces::none(self.now.view(), lin),
        };
        content(lin, size, &mut before, &mut now, emit)
    }

    fn metadata<E: From<Failure>>(
        &mut self,
        lin: Lin,
        before: Option<&Sight>,
        now: Option<&Sight>,
        emit: &mut impl FnMut(Difference) -> Result<(), E>,
    ) -> Result<(), E> {
        let record_before = before.map(|sight| &sight.record);
        let record_now = now.map(|sight| &sight.record);
        if record_before != record_now {
            emit(Difference::Inode { lin, record: record_now.cloned() })?;
        }
        let (links_before, links_now) = (links(before), links(now));
        for (parent, name) in links_before.iter().filter(|link| !links_now.contains(link)) {
            if !self.is_taken(*parent, name)? {
                emit(Difference::Entry { parent: *parent, name: name.clone(), record: None })?;
            }
        }
        let Some(kind) = record_now.map(|record| record.kind) else { return Ok(()) };
        for (parent, name) in links_now.iter().filter(|link| !links_before.contains(link)) {
            emit(Difference::Entry { parent: *parent, name: name.clone(), record: Some(EntryRecord { lin, kind }) })?;
        }
        Ok(())
    }

    /// Whether the name stands for something else now. That LIN's row then replaces the old one; a row that says the
    /// name is gone would contradict it within one epoch.
    fn is_taken(&mut self, parent: Lin, name: &Name) -> Result<bool, Failure> {
        Ok(self.now.holds_below(parent)? && if_there(self.now.view().lookup(parent, name))?.is_some())
    }
}

fn links(sight: Option<&Sight>) -> &[(Lin, Name)] {
    sight.map_or(&[], |sight| &sight.links)
}

fn sight(set: &mut Membership, lin: Lin) -> Result<Option<Sight>, Failure> {
    if !set.holds(lin)? {
        return Ok(None);
    }
    let links = set.links(lin)?;
    let view = set.view();
    let file = view.file(lin)?;
    let attributes = file.attributes;
    let inside = u32::try_from(links.len()).unwrap_or(u32::MAX);
    let target = match file.content {
        StoredContent::Target(target) => target,
        StoredContent::Device(device) => device.to_string().into(),
        _ => bytes::Bytes::new(),
    };
    let record = InodeRecord {
        kind: attributes.kind,
        mode: attributes.mode,
        uid: attributes.uid,
        gid: attributes.gid,
        // A directory's subdirectories are all inside. A root that is a file has a name that is no entry of the set.
        nlink: if attributes.kind == FileKind::Directory { attributes.nlink } else { inside.max(1) },
        size: attributes.size,
        atime: attributes.atime,
        mtime: attributes.mtime,
        ctime: attributes.ctime,
        target,
        xattrs: view.xattrs(lin)?,
    };
    Ok(Some(Sight { record, links }))
}

fn pieces(view: &View, sight: Option<&Sight>, item: Item) -> Result<Pieces, Failure> {
    match sight {
        Some(sight) if sight.record.kind == FileKind::File => Pieces::new(view, item),
        _ => Ok(Pieces::none(view, item.lin)),
    }
}

/// Merges the pieces of both moments by offset.
fn content<E: From<Failure>>(
    lin: Lin,
    size: u64,
    before: &mut Pieces,
    now: &mut Pieces,
    emit: &mut impl FnMut(Difference) -> Result<(), E>,
) -> Result<(), E> {
    loop {
        let next_before = before.peek()?.map(Piece::offset);
        let Some(piece) = now.peek()? else {
            let Some(offset) = next_before else { return Ok(()) };
            before.take()?;
            emit(Difference::PieceGone { lin, offset })?;
            continue;
        };
        let offset = piece.offset();
        if let Some(gone) = next_before.filter(|&gone| gone < offset) {
            before.take()?;
            emit(Difference::PieceGone { lin, offset: gone })?;
            continue;
        }
        let same_place = next_before == Some(offset);
        let old = if same_place { before.take()? } else { None };
        if let Some(piece) = now.take()?.filter(|piece| old.as_ref() != Some(piece)) {
            emit(Difference::Piece { lin, size, piece })?;
        }
    }
}
