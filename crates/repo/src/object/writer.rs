//! Making an upload object.

use std::collections::HashMap;

use bytes::Bytes;
use runtime::Seed;
use types::{Digest, RepositoryId};

use super::directory::{Directory, SlotPlace};
use super::footer::{FooterKey, PageWriter};
use super::key::key_context;
use super::slot::{SlotCodec, SlotContext};
use super::stored_block::{BlockIdentity, StoredBlock};
use super::trailer::{STRIPE_LENGTH, Trailer};
use super::{OBJECT_VERSION, slot};
use crate::keys::{Secret, WrappedKey, wrap_object_key};
use crate::names::{Name, Writer};
use crate::rows::{
    BlockRow, EntryRow, ExtentRow, InodeRecord, InodeRow, KeyedDigest, Location, MemberCodec, ObjectNumber, ObjectRow,
    Row,
};
use crate::{RepoError, WriterKeys};

const MAGIC: &[u8; 7] = b"HFobjct";
/// Bytes that a row is taken for when an object's length is estimated, besides its names, targets and xattrs.
const ROW_LENGTH: usize = 100;

/// How large objects and bundles get.
#[derive(Clone, Copy, Debug)]
pub struct ObjectOptions {
    /// An object of this length is full. One request should carry it, and a store's price per request should not matter.
    pub capacity: usize,
    /// A bundle of this length is sealed: a member is read by reading its whole bundle.
    pub bundle_length: usize,
}

impl Default for ObjectOptions {
    fn default() -> Self {
        Self { capacity: 64 << 20, bundle_length: 1 << 20 }
    }
}

/// An object in the making. It holds at most its capacity and one block in memory.
pub struct ObjectWriter {
    writer: Writer,
    name: String,
    repository: RepositoryId,
    keys: WriterKeys,
    key: Secret,
    wrapped_key: WrappedKey,
    salt: [u8; 16],
    options: ObjectOptions,
    body: Vec<u8>,
    slots: Vec<SlotPlace>,
    frames: Bundle,
    inline: Bundle,
    held: HashMap<Held, Location>,
    references: Vec<Writer>,
    rows: Rows,
    bytes_plain: u64,
}

/// What the object holds: a block is shared only if all of it is the same, see [`BlockIdentity`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Held {
    digest: KeyedDigest,
    plain_length: u32,
    stored: [u8; 32],
    codec: MemberCodec,
}

/// Members that wait to be sealed as one slot. The slot has its number from the first member on.
#[derive(Default)]
struct Bundle {
    slot: Option<u32>,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Rows {
    inodes: Vec<InodeRow>,
    entries: Vec<EntryRow>,
    extents: Vec<ExtentRow>,
    length: usize,
}

/// A finished object: its bytes, and what is to be reported of it.
#[derive(Clone, Debug)]
pub struct SealedObject {
    /// Who wrote it: its name is `objects/<writer>`.
    pub writer: Writer,
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: Bytes,
    /// BLAKE3 of its bytes.
    pub hash: [u8; 32],
    /// Plain bytes of the blocks in it.
    pub bytes_plain: u64,
    row: ObjectRow,
    slots: Vec<SlotPlace>,
}

impl ObjectWriter {
    /// Begins an object. Key and salt are drawn from the seed.
    ///
    /// # Errors
    /// The repository's public key is not one.
    pub fn new(
        writer: Writer,
        repository: RepositoryId,
        keys: &WriterKeys,
        seed: &Seed,
        options: ObjectOptions,
    ) -> Result<Self, RepoError> {
        let name = Name::Object(writer).to_string();
        let (key, salt) = (Secret::random(seed), seed.bytes());
        let context = key_context(repository, &salt, &name);
        let wrapped = wrap_object_key(&keys.data_public, &context, &key, seed);
        let wrapped_key = wrapped.map_err(|_| RepoError::WrongKey { name: name.clone() })?;
        let mut body = Vec::with_capacity(options.capacity.saturating_add(options.capacity / 8));
        body.push(OBJECT_VERSION);
        body.extend_from_slice(MAGIC);
        Ok(Self {
            writer,
            name,
            repository,
            keys: keys.clone(),
            key,
            wrapped_key,
            salt,
            options,
            body,
            slots: Vec::new(),
            frames: Bundle::default(),
            inline: Bundle::default(),
            held: HashMap::new(),
            references: Vec::new(),
            rows: Rows::default(),
            bytes_plain: 0,
        })
    }

    /// The object's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// About how long the object would be if it was finished now.
    #[must_use]
    pub fn length(&self) -> usize {
        self.body.len() + self.frames.bytes.len() + self.inline.bytes.len() + self.rows.length
    }

    /// Whether nothing more should be added.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.length() >= self.options.capacity
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.rows.length == 0
    }

    /// Adds a block of a large file as a slot of its own: its frames as the block store keeps them. A block that the
    /// object holds already is not added again.
    ///
    /// The location is to go into rows of this object as it is; for rows of another one see [`SealedObject::locate`].
    ///
    /// # Errors
    /// [`RepoError::Limit`]: the block is longer than a slot may be.
    pub fn add_block(&mut self, block: &StoredBlock<'_>) -> Result<Location, RepoError> {
        let held = self.held_as(block.identity, MemberCodec::Frames);
        if let Some(location) = self.held.get(&held) {
            return Ok(*location);
        }
        let stored_length = self.slot_length(block.stored.len())?;
        let number = self.reserve();
        self.seal(number, SlotCodec::Plain, block.stored.to_vec(), stored_length);
        Ok(self.place(held, number, 0, stored_length))
    }

    /// Adds the frames of a small file's block to the open bundle (rule P31).
    ///
    /// # Errors
    /// As [`ObjectWriter::add_block`].
    pub fn add_small_block(&mut self, block: &StoredBlock<'_>) -> Result<Location, RepoError> {
        let held = self.held_as(block.identity, MemberCodec::Frames);
        if let Some(location) = self.held.get(&held) {
            return Ok(*location);
        }
        let stored_length = self.slot_length(block.stored.len())?;
        let (number, offset) = self.bundle(MemberCodec::Frames, block.stored);
        Ok(self.place(held, number, offset, stored_length))
    }

    /// Adds bytes of a file that lie in the state, inline or as a tail; such are compressed together (rule P31).
    ///
    /// # Errors
    /// As [`ObjectWriter::add_block`].
    pub fn add_inline(&mut self, plain: &[u8]) -> Result<(KeyedDigest, Location), RepoError> {
        let length = self.slot_length(plain.len())?;
        let block = StoredBlock::new(block::digest(plain), length, plain);
        let held = self.held_as(block.identity, MemberCodec::Plain);
        if let Some(location) = self.held.get(&held) {
            return Ok((held.digest, *location));
        }
        let (number, offset) = self.bundle(MemberCodec::Plain, plain);
        Ok((held.digest, self.place(held, number, offset, length)))
    }

    fn held_as(&self, identity: BlockIdentity, codec: MemberCodec) -> Held {
        let BlockIdentity { digest, plain_length, stored } = identity;
        Held { digest: self.keys.keyed(&digest), plain_length, stored, codec }
    }

    /// A block's digest as rows have it.
    #[must_use]
    pub fn keyed(&self, digest: &Digest) -> KeyedDigest {
        self.keys.keyed(digest)
    }

    /// Gives the number by which rows of this object point to another object of the same epoch.
    pub fn reference(&mut self, object: Writer) -> ObjectNumber {
        let known = self.references.iter().position(|reference| *reference == object);
        let index = known.unwrap_or_else(|| {
            self.references.push(object);
            self.references.len() - 1
        });
        ObjectNumber(index as u64 + 1)
    }

    /// Adds a row of `inodes`.
    pub fn add_inode(&mut self, row: InodeRow) {
        self.rows.length += ROW_LENGTH + row.inode.as_ref().map_or(0, InodeRecord::variable_length);
        self.rows.inodes.push(row);
    }

    /// Adds a row of `entries`.
    pub fn add_entry(&mut self, row: EntryRow) {
        self.rows.length += ROW_LENGTH + row.name.as_bytes().len();
        self.rows.entries.push(row);
    }

    /// Adds a row of `extents`.
    pub fn add_extent(&mut self, row: ExtentRow) {
        self.rows.length += ROW_LENGTH;
        self.rows.extents.push(row);
    }

    /// Seals what is open, writes footer and trailer, and gives the object.
    ///
    /// # Errors
    /// [`RepoError::Limit`]: two rows of one table have the same key, or a row is longer than any inode's may be.
    pub fn finish(mut self) -> Result<SealedObject, RepoError> {
        self.seal_bundle(MemberCodec::Frames);
        self.seal_bundle(MemberCodec::Plain);
        let footer_offset = self.body.len();
        let footer_key = FooterKey::new(&self.keys, self.repository, &self.salt, &self.name);
        let directory = self.write_rows(&footer_key)?;
        let directory_offset = self.body.len();
        let sealed = footer_key.seal_directory(&directory).map_err(|limit| self.limit(limit))?;
        self.body.extend_from_slice(&sealed);
        let trailer = Trailer {
            wrapped_key: self.wrapped_key.clone(),
            salt: self.salt,
            repository: self.repository,
            length: (self.body.len() + Trailer::length_after(self.body.len())) as u64,
            footer_offset: footer_offset as u64,
            directory_offset: directory_offset as u64,
            directory_length: u32::try_from(self.body.len() - directory_offset).unwrap_or(u32::MAX),
            stripes: self.body.chunks(STRIPE_LENGTH).map(crc32fast::hash).collect(),
        };
        self.body.extend_from_slice(&trailer.encode());
        Ok(self.sealed(&trailer))
    }

    fn sealed(self, trailer: &Trailer) -> SealedObject {
        let hash = *blake3::hash(&self.body).as_bytes();
        let row = ObjectRow {
            number: ObjectNumber::OWN,
            writer: self.writer,
            size: trailer.length,
            hash,
            salt: self.salt,
            wrapped_key: self.wrapped_key,
        };
        SealedObject {
            writer: self.writer,
            name: self.name,
            bytes: self.body.into(),
            hash,
            bytes_plain: self.bytes_plain,
            row,
            slots: self.slots,
        }
    }

    fn write_rows(&mut self, key: &FooterKey) -> Result<Directory, RepoError> {
        let Rows { mut inodes, mut entries, mut extents, .. } = std::mem::take(&mut self.rows);
        let located = |location: &mut Location| *location = place_of(&self.slots, *location);
        extents.iter_mut().filter_map(|row| row.extent.as_mut()).for_each(|extent| located(&mut extent.location));
        let held = self.held.drain();
        let mut blocks: Vec<BlockRow> =
            held.map(|(held, location)| BlockRow { digest: held.digest, location }).collect();
        blocks.iter_mut().for_each(|row| located(&mut row.location));
        let mut pages = PageWriter { key, body: &mut self.body, pages: Vec::new() };
        let limit = |limit| RepoError::Limit { name: self.name.clone(), limit };
        pages.table(sorted(&mut inodes, &self.name)?).map_err(limit)?;
        pages.table(sorted(&mut entries, &self.name)?).map_err(limit)?;
        pages.table(sorted(&mut extents, &self.name)?).map_err(limit)?;
        pages.table(sorted(&mut blocks, &self.name)?).map_err(limit)?;
        let pages = pages.pages;
        Ok(Directory { slots: self.slots.clone(), pages, references: std::mem::take(&mut self.references) })
    }

    fn slot_length(&self, length: usize) -> Result<u32, RepoError> {
        let fitting = u32::try_from(length).ok().filter(|_| length <= slot::SLOT_LENGTH_MAX);
        fitting.ok_or_else(|| self.limit("8 MiB in a slot"))
    }

    fn limit(&self, limit: &'static str) -> RepoError {
        RepoError::Limit { name: self.name.clone(), limit }
    }

    /// Numbers a slot that is still to be sealed.
    fn reserve(&mut self) -> u32 {
        self.slots.push(SlotPlace::default());
        u32::try_from(self.slots.len() - 1).expect("a slot has at least a byte, and an object fits in memory")
    }

    fn seal(&mut self, number: u32, codec: SlotCodec, text: Vec<u8>, opened_length: u32) {
        let context = SlotContext { repository: self.repository, salt: self.salt };
        let sealed = context.seal(&self.key, number, codec, text, opened_length);
        let place = self.slots.get_mut(number as usize).expect("the slot was reserved");
        place.offset = self.body.len() as u64;
        place.length = u32::try_from(sealed.len()).expect("a slot has 8 MiB at most");
        self.body.extend_from_slice(&sealed);
    }

    /// Puts a member into the bundle of its kind; a full bundle is sealed first.
    fn bundle(&mut self, codec: MemberCodec, member: &[u8]) -> (u32, u32) {
        let length_max = self.options.bundle_length.min(slot::SLOT_LENGTH_MAX);
        let held = self.bundle_of(codec).bytes.len();
        if held > 0 && held + member.len() > length_max {
            self.seal_bundle(codec);
        }
        let number = match self.bundle_of(codec).slot {
            Some(number) => number,
            None => self.reserve(),
        };
        let bundle = self.bundle_of(codec);
        bundle.slot = Some(number);
        let offset = u32::try_from(bundle.bytes.len()).expect("a bundle has 8 MiB at most");
        bundle.bytes.extend_from_slice(member);
        (number, offset)
    }

    fn bundle_of(&mut self, codec: MemberCodec) -> &mut Bundle {
        match codec {
            MemberCodec::Frames => &mut self.frames,
            MemberCodec::Plain => &mut self.inline,
        }
    }

    fn seal_bundle(&mut self, codec: MemberCodec) {
        let Bundle { slot, bytes } = std::mem::take(self.bundle_of(codec));
        let Some(number) = slot else { return };
        let opened_length = u32::try_from(bytes.len()).expect("a bundle has 8 MiB at most");
        match codec {
            MemberCodec::Frames => self.seal(number, SlotCodec::Plain, bytes, opened_length),
            MemberCodec::Plain => {
                let text = zstd::bulk::compress(&bytes, 3).expect("zstd compresses whatever fits in memory");
                self.seal(number, SlotCodec::Zstd, text, opened_length);
            }
        }
    }

    /// Notes where a member is. Where its slot begins is known when the slot is sealed.
    fn place(&mut self, held: Held, slot: u32, offset: u32, stored_length: u32) -> Location {
        let location = Location {
            object: ObjectNumber::OWN,
            slot,
            slot_offset: 0,
            slot_length: 0,
            offset,
            stored_length,
            plain_length: held.plain_length,
            codec: held.codec,
        };
        self.held.insert(held, location);
        self.rows.length += ROW_LENGTH;
        self.bytes_plain += u64::from(held.plain_length);
        location
    }
}

/// Completes the location of a member of the object itself.
fn place_of(slots: &[SlotPlace], location: Location) -> Location {
    let own = (location.object == ObjectNumber::OWN).then(|| slots.get(location.slot as usize)).flatten();
    own.map_or(location, |place| Location { slot_offset: place.offset, slot_length: place.length, ..location })
}

/// Sorts rows by their keys; two rows of one key would be two truths.
fn sorted<'a, R: Row>(rows: &'a mut [R], name: &str) -> Result<&'a [R], RepoError> {
    rows.sort_by_cached_key(Row::key);
    let twice = rows.windows(2).any(|pair| matches!(pair, [a, b] if a.key() == b.key()));
    let limit = "one row for a key in an object";
    if twice { Err(RepoError::Limit { name: name.to_owned(), limit }) } else { Ok(rows) }
}

impl SealedObject {
    /// Turns a location that this object's writer gave into one for rows of another object, which points here by
    /// `number` (see [`ObjectWriter::reference`]).
    #[must_use]
    pub fn locate(&self, location: Location, number: ObjectNumber) -> Location {
        Location { object: number, ..place_of(&self.slots, location) }
    }

    /// The row of the table `objects` that tells of it.
    #[must_use]
    pub fn row(&self, number: ObjectNumber) -> ObjectRow {
        ObjectRow { number, ..self.row.clone() }
    }
}

impl std::fmt::Debug for ObjectWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ObjectWriter({}, {} bytes)", self.name, self.length())
    }
}
