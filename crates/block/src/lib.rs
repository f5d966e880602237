//! Blocks: cutting a stream into them, and their stored form.
//!
//! A file's bytes are cut where their content says so ([`Cutter`]), so that an insertion moves few borders. Each piece is
//! encoded once ([`encode()`]); from then on its stored bytes travel as they are, to replicas, through repair and into
//! backups. The stored form is independent zstd frames behind a table with a CRC-32 each (rule P16): whoever moves stored
//! bytes calls [`check`], whoever makes plain bytes of a whole block calls [`decode()`], which checks the digest, and a
//! small read opens few frames ([`decode_range`]). `FORMAT.md` has the bytes.
//!
//! Pure: no I/O, no clock, no randomness. Nothing that comes from outside makes it panic or allocate more than a block.

mod cutter;
mod decode;
mod encode;
mod error;
mod formats;
mod table;

pub use cutter::{CUT_LENGTH_AVERAGE, CUT_LENGTH_MAX, CUT_LENGTH_MIN, Cutter, CutterOptions};
pub use decode::{check, decode, decode_range, digest, plain_length};
pub use encode::{Encoded, encode};
pub use error::BlockError;
pub use formats::FORMATS;
pub use table::{FRAME_LENGTH, FrameTable, STORED_LENGTH_MAX};
