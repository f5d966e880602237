//! Reading one file as a stream.
//!
//! A few batches of blocks are fetched ahead of the reader. Each block is checked against its digest before any byte
//! of it is given out (law 3); a damaged one is an error that names it, never silence.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use runtime::blocking;
use types::{BlockId, Extent, FileKind, Lin, SnapshotId};
use wire::InvalidMessage;

use crate::background::Pending;
use crate::inode::StoredContent;
use crate::namespace::Parts;
use crate::{Client, ClientError, Inode};

/// Plain bytes of the blocks that one call fetches.
const FETCH_LENGTH: u64 = 8 << 20;
/// Blocks that one call fetches.
const FETCH_BLOCKS: usize = 64;
/// Calls in flight.
const FETCHES_IN_FLIGHT: usize = 3;

const READ: &str = "read the file";

/// Bytes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where in the file they are.
    pub offset: u64,
    /// The bytes; never empty.
    pub bytes: Bytes,
}

/// Reads a file from its begin to its end.
pub struct FileReader {
    client: Client,
    lin: Lin,
    snapshot: Option<SnapshotId>,
    size: u64,
    ready: VecDeque<Piece>,
    fetches: VecDeque<Pending<Result<Vec<Piece>, ClientError>>>,
    extents: VecDeque<Extent>,
    next_offset: Option<u64>,
}

impl Client {
    /// Begins to read a file, at a snapshot or at the head.
    ///
    /// # Errors
    /// `NotFound`, or `InvalidRequest` when it is no regular file.
    pub async fn read_file(&self, lin: Lin, snapshot: Option<SnapshotId>) -> Result<FileReader, ClientError> {
        let parts = Parts { xattrs: false, content: true };
        let inode = self.describe(lin, parts, snapshot).await?;
        self.read_inode(inode, snapshot)
    }

    /// Begins to read a file that was described with its content.
    ///
    /// # Errors
    /// `InvalidRequest` when it is no regular file.
    pub fn read_inode(&self, inode: Inode, snapshot: Option<SnapshotId>) -> Result<FileReader, ClientError> {
        let Inode { attributes, content, .. } = inode;
        if attributes.kind != FileKind::File {
            return Err(ClientError::NotAFile { lin: attributes.lin });
        }
        let missing = InvalidMessage::Missing { field: "content" };
        let content = content.ok_or(ClientError::BadAnswer { action: READ, source: missing })?;
        let mut reader = FileReader {
            client: self.clone(),
            lin: attributes.lin,
            snapshot,
            size: attributes.size,
            ready: VecDeque::new(),
            fetches: VecDeque::new(),
            extents: VecDeque::new(),
            next_offset: None,
        };
        match content {
            StoredContent::Inline(bytes) if bytes.is_empty() => {}
            StoredContent::Inline(bytes) => reader.ready.push_back(Piece { offset: 0, bytes }),
            StoredContent::Extents { extents, next_offset } => {
                reader.extents = extents.into();
                reader.next_offset = next_offset;
            }
        }
        Ok(reader)
    }
}

impl FileReader {
    /// The length of the file, trailing holes included.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The next bytes, in the order of their offsets; what lies between two pieces is a hole. `None` at the end.
    ///
    /// # Errors
    /// When blocks cannot be had, or are damaged.
    pub async fn next(&mut self) -> Result<Option<Piece>, ClientError> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Ok(Some(piece));
            }
            self.fetch_ahead().await?;
            match self.fetches.pop_front() {
                Some(fetch) => self.ready.extend(fetch.finish().await??),
                None => return Ok(None),
            }
        }
    }

    async fn fetch_ahead(&mut self) -> Result<(), ClientError> {
        while self.fetches.len() < FETCHES_IN_FLIGHT {
            if self.extents.is_empty() {
                let Some(offset) = self.next_offset.take() else { break };
                // Boxed, because few files have so many extents and every reader would be as large as this call.
                let page = Box::pin(self.client.read_extents(self.lin, offset, self.snapshot));
                let (extents, next_offset) = page.await?;
                (self.extents, self.next_offset) = (extents.into(), next_offset);
                continue;
            }
            let batch = self.next_batch();
            let (client, lin) = (self.client.clone(), self.lin);
            let fetch = async move { client.fetch(lin, batch).await };
            self.fetches.push_back(Pending::start(&self.client.shared.tasks, "fetch blocks", fetch));
        }
        Ok(())
    }

    /// Extents of one placement group whose blocks are fetched together.
    fn next_batch(&mut self) -> Vec<Extent> {
        let mut batch = Vec::<Extent>::new();
        let mut blocks = BTreeMap::<BlockId, u64>::new();
        while let Some(extent) = self.extents.front() {
            let same_group = batch.first().is_none_or(|first| first.pg == extent.pg);
            let length: u64 = blocks.values().sum();
            if !same_group || blocks.len() >= FETCH_BLOCKS || length >= FETCH_LENGTH {
                break;
            }
            blocks.insert(extent.block, extent.block_length.into());
            batch.extend(self.extents.pop_front());
        }
        batch
    }
}

impl Client {
    /// The bytes of extents that are all of one placement group.
    async fn fetch(&self, lin: Lin, extents: Vec<Extent>) -> Result<Vec<Piece>, ClientError> {
        let Some(pg) = extents.first().map(|extent| extent.pg) else { return Ok(Vec::new()) };
        let mut ids: Vec<_> = extents.iter().map(|extent| extent.block).collect();
        ids.sort_unstable();
        ids.dedup();
        let blocks = self.fetch_blocks(&ids, pg).await?;
        blocking(move || decode(lin, &extents, &blocks)).await
    }
}

/// Makes the plain bytes of each extent. Neighbouring extents of one block open it once.
fn decode(lin: Lin, extents: &[Extent], blocks: &BTreeMap<BlockId, Bytes>) -> Result<Vec<Piece>, ClientError> {
    let mut pieces = Vec::with_capacity(extents.len());
    let mut open: Option<(BlockId, Bytes)> = None;
    for extent in extents {
        let plain = match &open {
            Some((block, plain)) if *block == extent.block => plain.clone(),
            _ => {
                let stored = blocks
                    .get(&extent.block)
                    .ok_or(ClientError::WrongBlock { found: BlockId::default(), expected: extent.block })?;
                block::decode(stored, &extent.digest).map_err(|source| ClientError::Damaged {
                    lin,
                    block: extent.block,
                    pg: extent.pg,
                    source,
                })?
            }
        };
        pieces.push(Piece { offset: extent.offset, bytes: range(lin, extent, &plain)? });
        open = Some((extent.block, plain));
    }
    Ok(pieces)
}

fn range(lin: Lin, extent: &Extent, plain: &Bytes) -> Result<Bytes, ClientError> {
    let begin = extent.block_offset as usize;
    let end = begin.saturating_add(extent.length as usize);
    if begin >= end || end > plain.len() {
        return Err(ClientError::BadExtent { lin, offset: extent.offset });
    }
    Ok(plain.slice(begin..end))
}

#[cfg(test)]
mod tests {
    use types::{Digest, PgId, SessionId};

    use super::*;

    fn extent(block_offset: u32, length: u32, digest: Digest) -> Extent {
        let block = BlockId { session: SessionId(1), sequence: 1 };
        Extent { offset: 0, length, block, block_offset, block_length: 10, digest, pg: PgId(1) }
    }

    #[test]
    fn extents_give_their_part_of_the_block() {
        let encoded = block::encode(b"0123456789").unwrap();
        let extents = [extent(2, 3, encoded.digest), extent(9, 1, encoded.digest)];
        let blocks = BTreeMap::from([(extents[0].block, encoded.stored)]);
        let pieces = decode(Lin(1), &extents, &blocks).unwrap();
        assert_eq!(pieces.iter().map(|piece| &piece.bytes[..]).collect::<Vec<_>>(), [&b"234"[..], b"9"]);
    }

    #[test]
    fn an_extent_that_leaves_its_block_is_an_error() {
        let encoded = block::encode(b"0123456789").unwrap();
        for (begin, length) in [(8, 3), (0, 0), (u32::MAX, u32::MAX)] {
            let extents = [extent(begin, length, encoded.digest)];
            let blocks = BTreeMap::from([(extents[0].block, encoded.stored.clone())]);
            assert!(matches!(decode(Lin(1), &extents, &blocks), Err(ClientError::BadExtent { .. })));
        }
    }

    #[test]
    fn a_block_with_other_bytes_is_never_given_out() {
        let (right, wrong) = (block::encode(b"right").unwrap(), block::encode(b"wrong").unwrap());
        let extents = [extent(0, 5, right.digest)];
        let blocks = BTreeMap::from([(extents[0].block, wrong.stored)]);
        assert!(matches!(decode(Lin(1), &extents, &blocks), Err(ClientError::Damaged { .. })));
    }
}
