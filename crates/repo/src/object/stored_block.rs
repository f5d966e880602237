//! A block on its way into an object.

use types::Digest;

/// A block as the block store keeps it.
#[derive(Clone, Copy, Debug)]
pub struct StoredBlock<'a> {
    pub(super) identity: BlockIdentity,
    pub(super) stored: &'a [u8],
}

/// What tells blocks apart. Two blocks are shared only if this is equal.
///
/// The digest and the length alone are what a client said when it published the block, and nobody has compared them with
/// the bytes since: a client that gave other bytes the digest of a file that is still to come would put them in its place
/// in every backup. So the stored bytes must be equal as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockIdentity {
    pub(super) digest: Digest,
    pub(super) plain_length: u32,
    /// BLAKE3 of the stored bytes.
    pub(super) stored: [u8; 32],
}

impl<'a> StoredBlock<'a> {
    /// Takes a block's stored bytes with the digest and length that its plain bytes are said to have.
    #[must_use]
    pub fn new(digest: Digest, plain_length: u32, stored: &'a [u8]) -> Self {
        let hash = *blake3::hash(stored).as_bytes();
        Self { identity: BlockIdentity { digest, plain_length, stored: hash }, stored }
    }

    /// What tells it apart.
    #[must_use]
    pub const fn identity(&self) -> BlockIdentity {
        self.identity
    }
}
