//! Upload objects: sealed blocks, a sealed footer of rows, a clear check trailer.
//!
//! An object is made in memory by one worker ([`ObjectWriter`]) and put once. From the end to the beginning: the
//! trailer is clear and lets anyone check the bytes; the footer holds the rows that the worker has to tell and opens
//! with the metadata key; the slots hold the blocks and open with the object's own key, which only the repository's
//! private key unwraps. `FORMAT.md` has the bytes.

pub(crate) mod decoders;
mod directory;
mod footer;
mod key;
mod parts;
mod reader;
mod slot;
mod stored_block;
mod trailer;
mod writer;

pub use key::ObjectKey;
pub use reader::ObjectReader;
pub use slot::OpenedSlot;
pub use stored_block::{BlockIdentity, StoredBlock};
pub use trailer::{STRIPE_LENGTH, Trailer};
pub use writer::{ObjectOptions, ObjectWriter, SealedObject};

pub(crate) use directory::Directory;
pub(crate) use footer::FooterCursor;
pub(crate) use slot::SEALED_LENGTH_MAX;

/// The version of the format of upload objects.
pub const OBJECT_VERSION: u8 = 1;
