//! Writing one file of any length from a stream.
//!
//! Bytes are cut as they come; about 8 MiB of blocks make one put, and a few puts are in flight while more bytes are
//! taken. The file appears under its name at the end, whole: a file of few extents by one change; a longer one is
//! made under a temporary name, gets its extents in steps, and is renamed. What a crash leaves is orphaned blocks, or
//! that temporary file, whose name begins with `.holdfast-put-`.
//!
//! A placement group may change after a put and before its extents are published. The plain bytes are gone by then, so
//! the stored blocks are read back from those that acknowledged them and put again (rule P12).

use std::collections::VecDeque;
use std::mem;

use block::{Cutter, CutterOptions};
use bytes::Bytes;
use types::{Attributes, Change, Content, Create, INLINE_LENGTH_MAX, Lin, Name, NewExtent, NewInode, Outcome};
use wire::InvalidMessage;

use crate::background::Pending;
use crate::block_ids::Telling;
use crate::block_put::PlainBlock;
use crate::publication::Unpublished;
use crate::small_files::assembled;
use crate::temporary_file::TemporaryFile;
use crate::{ClientError, Piece, PlacementKey, Session};

/// Plain bytes of one put.
const PUT_LENGTH: usize = 8 << 20;
/// Pieces of one put: those of a file with many holes are short.
const PUT_PIECES: usize = 1024;
/// Puts in flight; each keeps its plain and its stored bytes in memory.
const PUTS_IN_FLIGHT: usize = 3;
/// Extents that one change publishes, about 100 bytes each.
const EXTENTS_PER_CHANGE: usize = 2048;

const WRITE: &str = "write the file";

/// What a [`FileWriter`] makes.
#[derive(Clone, Debug)]
pub struct Target {
    /// The directory.
    pub parent: Lin,
    /// The name in it.
    pub name: Name,
    /// The new file; its content and size are what is written.
    pub inode: NewInode,
    /// Whether an existing non-directory of that name is replaced.
    pub replace: bool,
}

/// Writes one file: give it the bytes with [`FileWriter::write`], and end with [`FileWriter::finish`], or with
/// [`FileWriter::abandon`] if there will be no more of them.
pub struct FileWriter {
    session: Session,
    target: Target,
    /// The end of what was written.
    position: u64,
    size: u64,
    /// Boxed for its table of 4 KiB.
    cutter: Box<Cutter>,
    /// Where the next piece that the cutter gives begins.
    cut_offset: u64,
    pieces: Vec<Piece>,
    pieces_length: usize,
    puts: VecDeque<Pending<Result<Vec<Unpublished>, ClientError>>>,
    extents: Vec<Unpublished>,
    /// The file under its temporary name, once it was made.
    temporary: Option<TemporaryFile>,
}

impl Session {
    /// Begins to write a file.
    #[must_use]
    pub fn write_file(&self, target: Target) -> FileWriter {
        FileWriter {
            session: self.clone(),
            target,
            position: 0,
            size: 0,
            cutter: new_cutter(self),
            cut_offset: 0,
            pieces: Vec::new(),
            pieces_length: 0,
            puts: VecDeque::new(),
            extents: Vec::new(),
            temporary: None,
        }
    }
}

impl FileWriter {
    /// Takes bytes at an offset at or beyond the end of what was written; what lies between is a hole.
    ///
    /// # Errors
    /// When blocks of earlier bytes could not be put.
    pub async fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), ClientError> {
        if offset != self.position {
            self.end_run();
            (self.position, self.cut_offset) = (offset, offset);
        }
        self.position += bytes.len() as u64;
        self.size = self.size.max(self.position);
        let cut = self.cutter.push(bytes);
        self.take(cut);
        if self.pieces_length >= PUT_LENGTH || self.pieces.len() >= PUT_PIECES {
            self.put().await?;
        }
        Ok(())
    }

    /// Says that the file is at least that long, so that it can end with a hole.
    pub fn extend_to(&mut self, size: u64) {
        self.size = self.size.max(size);
    }

    /// Publishes the file under its name.
    ///
    /// # Errors
    /// When blocks could not be put, or the cluster refuses; nothing is left under the name then.
    pub async fn finish(mut self) -> Result<Attributes, ClientError> {
        let finished = self.finish_inner().await;
        if finished.is_err() {
            self.remove_temporary().await;
        }
        let session = self.session.clone();
        // What was not published is given up.
        drop(self);
        session.raise_block_mark(Telling::Seldom).await;
        finished
    }

    /// Gives the file up: nothing of it is left under any name.
    pub async fn abandon(mut self) {
        self.remove_temporary().await;
    }

    async fn remove_temporary(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            temporary.remove().await;
        }
    }

    async fn finish_inner(&mut self) -> Result<Attributes, ClientError> {
        self.end_run();
        let untouched = self.puts.is_empty() && self.extents.is_empty() && self.temporary.is_none();
        if untouched && self.size <= INLINE_LENGTH_MAX as u64 {
            let content = match self.pieces.is_empty() {
                true => Content::Empty,
                false => Content::Inline(assembled(&self.pieces, self.size)),
            };
            return attributes(self.session.execute_one(WRITE, self.create(content)).await?);
        }
        if !self.pieces.is_empty() {
            self.put().await?;
        }
        while !self.puts.is_empty() {
            self.collect().await?;
        }
        if self.temporary.is_some() {
            self.publish_step().await?;
        }
        match &self.temporary {
            None => {
                let extents = mem::take(&mut self.extents);
                let create = |new: Vec<NewExtent>| {
                    self.create(if new.is_empty() { Content::Empty } else { Content::Extents(new) })
                };
                attributes(self.publish(extents, create).await?)
            }
            Some(temporary) => {
                let attributes = temporary.put_in_place(self.size).await?;
                self.temporary = None;
                Ok(attributes)
            }
        }
    }

    /// Ends a run of bytes without holes.
    fn end_run(&mut self) {
        let fresh = new_cutter(&self.session);
        let cut = mem::replace(&mut self.cutter, fresh).finish();
        self.take(cut);
    }

    fn take(&mut self, cut: Vec<Bytes>) {
        for bytes in cut {
            self.pieces_length += bytes.len();
            let offset = self.cut_offset;
            self.cut_offset += bytes.len() as u64;
            self.pieces.push(Piece { offset, bytes });
        }
    }

    /// Starts a put of the pieces that were cut, after one in flight has ended if there are too many.
    async fn put(&mut self) -> Result<(), ClientError> {
        if self.puts.len() >= PUTS_IN_FLIGHT {
            self.collect().await?;
        }
        self.pieces_length = 0;
        let blocks: Vec<_> = mem::take(&mut self.pieces).into_iter().map(|piece| self.block(piece)).collect();
        let session = self.session.clone();
        let put = async move { session.put_blocks(blocks).await };
        self.puts.push_back(Pending::start(&self.session.client().shared.tasks, "put blocks", put));
        Ok(())
    }

    fn block(&self, piece: Piece) -> PlainBlock {
        let key = PlacementKey::of_range(self.target.parent, &self.target.name, piece.offset);
        PlainBlock { offset: piece.offset, plain: piece.bytes, key }
    }

    /// Waits for the oldest put; publishes under the temporary name when there are many extents.
    async fn collect(&mut self) -> Result<(), ClientError> {
        let Some(put) = self.puts.pop_front() else { return Ok(()) };
        self.extents.extend(put.finish().await??);
        if self.extents.len() >= EXTENTS_PER_CHANGE {
            self.publish_step().await?;
        }
        Ok(())
    }

    fn create(&self, content: Content) -> Change {
        let Target { parent, name, inode, replace } = self.target.clone();
        let inode = NewInode { content, size: self.size, ..inode };
        Change::Create(Create { parent, name, inode, replace })
    }

    /// Publishes extents by the change that is made of them.
    async fn publish(
        &self,
        extents: Vec<Unpublished>,
        change: impl Fn(Vec<NewExtent>) -> Change,
    ) -> Result<Outcome, ClientError> {
        let key = |offset| PlacementKey::of_range(self.target.parent, &self.target.name, offset);
        self.session.publish(WRITE, extents, change, key).await
    }

    /// Publishes the extents so far in the file under its temporary name, which is made first.
    async fn publish_step(&mut self) -> Result<(), ClientError> {
        let lin = match &self.temporary {
            Some(temporary) => temporary.lin(),
            None => self.temporary.insert(TemporaryFile::make(&self.session, &self.target).await?).lin(),
        };
        let extents = mem::take(&mut self.extents);
        if !extents.is_empty() {
            let write = |new| Change::Write { lin, content: Content::Extents(new), mtime: None };
            self.publish(extents, write).await?;
            self.session.raise_block_mark(Telling::Seldom).await;
        }
        Ok(())
    }
}

fn new_cutter(session: &Session) -> Box<Cutter> {
    Box::new(Cutter::new(CutterOptions { seed: session.gear_seed() }))
}

fn attributes(outcome: Outcome) -> Result<Attributes, ClientError> {
    match outcome {
        Outcome::Inode(attributes) => Ok(attributes),
        _ => {
            let source = InvalidMessage::Missing { field: "inode" };
            Err(ClientError::BadAnswer { action: WRITE, source })
        }
    }
}
