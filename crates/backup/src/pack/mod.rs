//! What a worker does with a unit: find the differences, read the blocks, seal them into upload objects.

mod diff;
mod packer;
mod pieces;

pub use diff::{Differ, Difference};
pub use packer::{Loaded, PackError, Packed, Packer, PackerOptions};
pub use pieces::{Piece, Pieces};
