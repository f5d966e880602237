//! Fills upload objects with blocks and rows.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use repo::{
    BlockIdentity, EntryRow, ExtentRecord, ExtentRow, InodeRow, Location, ObjectNumber, ObjectOptions, ObjectWriter,
    RepoError, SealedObject, StoredBlock, Writer, WriterKeys,
};
use runtime::Seed;
use thiserror::Error;
use types::{Epoch, ErrorKind, Extent, Lin, RepositoryId, SetId};

use super::{Difference, Piece};
use crate::plan::UnitName;

/// Files up to this length are bundled with their neighbours (rule P31).
const BUNDLED_LENGTH_MAX: u64 = 128 << 10;
/// Blocks of earlier objects that are remembered so as not to be packed again: some 50 MiB.
const REMEMBERED_MAX: usize = 1 << 18;

/// Units that are reported together: their names go through Raft with the object, some 50 KiB. A long file of holes has
/// thousands of units without a byte.
const UNITS_MAX: usize = 1000;

/// Why something could not be packed.
#[derive(Debug, Error)]
pub enum PackError {
    /// The object could not be made.
    #[error(transparent)]
    Object(#[from] RepoError),
    /// A block's stored bytes are damaged.
    #[error("block {block} of inode {lin} is damaged: {source}")]
    Block {
        /// The file.
        lin: Lin,
        /// The block.
        block: types::BlockId,
        /// What is wrong with it.
        source: block::BlockError,
    },
}

impl PackError {
    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Object(error) => error.kind(),
            Self::Block { .. } => ErrorKind::Corrupt,
        }
    }
}

/// What a packer writes for.
#[derive(Clone, Debug)]
pub struct PackerOptions {
    /// The repository.
    pub repository: RepositoryId,
    /// Its keys, as nodes hold them.
    pub keys: WriterKeys,
    /// The backup set.
    pub set: SetId,
    /// The backup.
    pub epoch: Epoch,
    /// How large objects get.
    pub objects: ObjectOptions,
}

/// A difference with the stored bytes of its block, if it has one.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The difference.
    pub difference: Difference,
    /// The frames of the block, as the block store keeps them.
    pub stored: Option<Bytes>,
}

/// What is ready to be uploaded and reported.
#[derive(Debug)]
pub struct Packed {
    /// An object; none if units were completed in which nothing had changed.
    pub object: Option<SealedObject>,
    /// The units that are complete once it is uploaded, and those before it.
    pub units: Vec<UnitName>,
    /// LINs whose rows are in it.
    pub lins: u64,
}

/// Packs the units of one worker. Its calls use the CPU for long, and block.
pub struct Packer {
    options: PackerOptions,
    seed: Seed,
    sequence: Arc<AtomicU64>,
    open: Option<ObjectWriter>,
    placed: Vec<(BlockIdentity, Location)>,
    remembered: HashMap<BlockIdentity, (Writer, Location)>,
    units: Vec<UnitName>,
    lins: u64,
}

impl Packer {
    /// Makes a packer. `sequence` counts the objects of the process, so that no two get one name.
    #[must_use]
    pub fn new(options: PackerOptions, seed: Seed, sequence: Arc<AtomicU64>) -> Self {
        Self {
            options,
            seed,
            sequence,
            open: None,
            placed: Vec::new(),
            remembered: HashMap::new(),
            units: Vec::new(),
            lins: 0,
        }
    }

    /// Packs a difference. `writer` names the object that is begun if none is open.
    ///
    /// # Errors
    /// The block is damaged, or exceeds what an object takes.
    pub fn add(&mut self, loaded: Loaded, writer: Writer) -> Result<(), PackError> {
        let (set, from, seq) = (self.options.set, self.options.epoch, ObjectNumber::OWN);
        match loaded.difference {
            Difference::Inode { lin, record } => {
                self.lins += 1;
                self.open(writer)?.add_inode(InodeRow { set, lin, from, seq, inode: record });
            }
            Difference::Entry { parent, name, record } => {
                self.open(writer)?.add_entry(EntryRow { set, parent, name, from, seq, entry: record });
            }
            Difference::PieceGone { lin, offset } => {
                self.open(writer)?.add_extent(ExtentRow { set, lin, offset, from, seq, extent: None });
            }
            Difference::Piece { lin, size, piece } => {
                let offset = piece.offset();
                let record = match piece {
                    Piece::Inline { bytes, .. } => self.inline(&bytes, writer)?,
                    Piece::Block(extent) => self.block(lin, size, &extent, loaded.stored.as_ref(), writer)?,
                };
                self.open(writer)?.add_extent(ExtentRow { set, lin, offset, from, seq, extent: Some(record) });
            }
        }
        Ok(())
    }

    /// Notes that a unit has no more differences.
    pub fn complete_unit(&mut self, unit: UnitName) {
        self.units.push(unit);
    }

    /// Gives the open object if it is full, or if many units are complete.
    ///
    /// # Errors
    /// The object cannot be finished.
    pub fn take_full(&mut self) -> Result<Option<Packed>, PackError> {
        let full = self.open.as_ref().is_some_and(ObjectWriter::is_full) || self.units.len() >= UNITS_MAX;
        if full { self.take() } else { Ok(None) }
    }

    /// Gives what there is: the open object, however small, and the units that are complete.
    ///
    /// # Errors
    /// The object cannot be finished.
    pub fn take(&mut self) -> Result<Option<Packed>, PackError> {
        let object = match self.open.take() {
            Some(open) => Some(open.finish()?),
            None => None,
        };
        if let Some(object) = &object {
            self.remember(object);
        }
        let (units, lins) = (std::mem::take(&mut self.units), std::mem::take(&mut self.lins));
        let anything = object.is_some() || !units.is_empty();
        Ok(anything.then_some(Packed { object, units, lins }))
    }

    fn open(&mut self, writer: Writer) -> Result<&mut ObjectWriter, RepoError> {
        if self.open.is_none() {
            let writer = writer.with_sequence(self.sequence.fetch_add(1, Ordering::Relaxed));
            let PackerOptions { repository, keys, objects, .. } = &self.options;
            self.open = Some(ObjectWriter::new(writer, *repository, keys, &self.seed, *objects)?);
        }
        Ok(self.open.as_mut().expect("an object was just begun"))
    }

    fn inline(&mut self, plain: &Bytes, writer: Writer) -> Result<ExtentRecord, PackError> {
        let length = u32::try_from(plain.len()).expect("what lies in the state is short");
        let (digest, location) = self.open(writer)?.add_inline(plain)?;
        Ok(ExtentRecord { length, digest, block_offset: 0, location })
    }

    fn block(
        &mut self,
        lin: Lin,
        size: u64,
        extent: &Extent,
        stored: Option<&Bytes>,
        writer: Writer,
    ) -> Result<ExtentRecord, PackError> {
        let stored = stored.map_or(&[][..], |stored| stored);
        let packed = StoredBlock::new(extent.digest, extent.block_length, stored);
        let location = match self.remembered.get(&packed.identity()).copied() {
            Some((holder, location)) => {
                let object = self.open(writer)?.reference(holder);
                Location { object, ..location }
            }
            None => {
                // The bytes are moved as they are, so their CRCs are checked here (law 3).
                block::check(stored).map_err(|source| PackError::Block { lin, block: extent.block, source })?;
                self.seal(size, &packed, writer)?
            }
        };
        let digest = self.options.keys.keyed(&extent.digest);
        Ok(ExtentRecord { length: extent.length, digest, block_offset: extent.block_offset, location })
    }

    fn seal(&mut self, size: u64, packed: &StoredBlock<'_>, writer: Writer) -> Result<Location, PackError> {
        let open = self.open(writer)?;
        let is_small = size <= BUNDLED_LENGTH_MAX;
        let location = if is_small { open.add_small_block(packed)? } else { open.add_block(packed)? };
        self.placed.push((packed.identity(), location));
        Ok(location)
    }

    /// Remembers where the blocks of a finished object are. A block that was in the object twice is remembered once.
    fn remember(&mut self, object: &SealedObject) {
        if self.remembered.len() + self.placed.len() > REMEMBERED_MAX {
            self.remembered.clear();
        }
        let placed = self.placed.drain(..);
        let located = |location| object.locate(location, ObjectNumber::OWN);
        self.remembered.extend(placed.map(|(identity, location)| (identity, (object.writer, located(location)))));
    }
}
