//! Reading one file as a stream.
//!
//! A few batches of blocks are fetched ahead of the reader. Each block is checked against its digest before any byte
//! of it is given out (law 3); a damaged one is an error that names it, never silence.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use runtime::blocking;
use types::{BlockId, Extent, FileKind, Lin, Revision, Run, SnapshotId, Tail};
use wire::{InvalidMessage, code};

use crate::background::Pending;
use crate::inode::StoredContent;
use crate::namespace::Parts;
use crate::{Client, ClientError, Inode};

/// Plain bytes of the blocks that one call fetches.
const FETCH_LENGTH: u64 = 8 << 20;
/// Blocks that one call fetches.
const FETCH_BLOCKS: usize = 64;
/// Runs that one call is about: a tail may have one byte.
const FETCH_RUNS: usize = 1024;
/// Calls in flight.
const FETCHES_IN_FLIGHT: usize = 3;

/// How often the extents are listed again from one place on because a block there has gone: somebody has written or merged
/// what lies there since they were listed.
const LISTED_AGAIN_MAX: u32 = 8;

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
    /// The operation that began the content.
    since: Revision,
    ready: VecDeque<Piece>,
    fetches: VecDeque<Fetch>,
    runs: VecDeque<Run>,
    next_offset: Option<u64>,
    /// How often they may still be listed again from where the reader is.
    lists_again: u32,
    /// And how often from each place. What a snapshot sees never changes.
    lists_again_max: u32,
}

/// Pieces on their way.
struct Fetch {
    /// Where the first one begins.
    from: u64,
    pieces: Pending<Result<Vec<Piece>, ClientError>>,
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
        let lists_again_max = if snapshot.is_none() { LISTED_AGAIN_MAX } else { 0 };
        let mut reader = FileReader {
            snapshot,
            size: attributes.size,
            lists_again: lists_again_max,
            lists_again_max,
            ..FileReader::of_runs(self, attributes.lin, Vec::new())
        };
        match content {
            StoredContent::Inline(bytes) if bytes.is_empty() => {}
            StoredContent::Inline(bytes) => reader.ready.push_back(Piece { offset: 0, bytes }),
            StoredContent::Runs { runs, next_offset, since } => {
                reader.runs = runs.into();
                reader.next_offset = next_offset;
                reader.since = since;
            }
        }
        Ok(reader)
    }
}

impl FileReader {
    /// Reads these runs of a file and no more.
    pub(crate) fn of_runs(client: &Client, lin: Lin, runs: Vec<Run>) -> Self {
        Self {
            client: client.clone(),
            lin,
            snapshot: None,
            size: runs.last().map_or(0, Run::end),
            since: Revision::default(),
            ready: VecDeque::new(),
            fetches: VecDeque::new(),
            runs: runs.into(),
            next_offset: None,
            lists_again: 0,
            lists_again_max: 0,
        }
    }

    /// The length of the file, trailing holes included.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The next bytes, in the order of their offsets; what lies between two pieces is a hole. `None` at the end.
    ///
    /// # Errors
    /// When blocks cannot be had, or are damaged; when the file was emptied or cut since it was begun to be read.
    pub async fn next(&mut self) -> Result<Option<Piece>, ClientError> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Ok(Some(piece));
            }
            self.fetch_ahead().await?;
            let Some(Fetch { from, pieces }) = self.fetches.pop_front() else { return Ok(None) };
            match pieces.finish().await? {
                Err(error) if error.code() == code::NO_BLOCK && self.lists_again > 0 => self.list_again(from),
                pieces => {
                    self.ready.extend(pieces?);
                    self.lists_again = self.lists_again_max;
                }
            }
        }
    }

    fn list_again(&mut self, from: u64) {
        self.lists_again -= 1;
        self.fetches.clear();
        self.runs.clear();
        self.next_offset = Some(from);
    }

    async fn fetch_ahead(&mut self) -> Result<(), ClientError> {
        while self.fetches.len() < FETCHES_IN_FLIGHT {
            if self.runs.is_empty() {
                let Some(offset) = self.next_offset.take() else { break };
                // Boxed, because few files have so many extents and every reader would be as large as this call.
                let page = Box::pin(self.client.read_runs(self.lin, offset, self.snapshot)).await?;
                // What is not there any more would be taken for a hole.
                if page.since != self.since || page.size < self.size {
                    return Err(ClientError::FileChanged { lin: self.lin });
                }
                self.runs = page.runs.iter().filter_map(|run| run.part(offset, self.size)).collect();
                self.next_offset = page.next_offset;
                continue;
            }
            let batch = self.next_batch();
            let Some(from) = batch.first().map(Run::offset) else { break };
            let (client, lin) = (self.client.clone(), self.lin);
            let fetch = async move { client.fetch(lin, batch).await };
            let pieces = Pending::start(&self.client.shared.tasks, "fetch blocks", fetch);
            self.fetches.push_back(Fetch { from, pieces });
        }
        Ok(())
    }

    /// Runs whose blocks are fetched together, because they are of one placement group. Tails, whose bytes are here, go
    /// with whatever they lie between.
    fn next_batch(&mut self) -> Vec<Run> {
        let mut batch = Vec::new();
        let mut group = None;
        let mut blocks = BTreeMap::<BlockId, u64>::new();
        while let Some(run) = self.runs.front() {
            let length: u64 = blocks.values().sum();
            if batch.len() >= FETCH_RUNS || blocks.len() >= FETCH_BLOCKS || length >= FETCH_LENGTH {
                break;
            }
            if let Run::Block(extent) = run {
                if *group.get_or_insert(extent.pg) != extent.pg {
                    break;
                }
                blocks.insert(extent.block, extent.block_length.into());
            }
            batch.extend(self.runs.pop_front());
        }
        batch
    }
}

impl Client {
    /// The bytes of runs whose blocks are all of one placement group.
    async fn fetch(&self, lin: Lin, runs: Vec<Run>) -> Result<Vec<Piece>, ClientError> {
        let extents = runs.iter().filter_map(|run| if let Run::Block(extent) = run { Some(extent) } else { None });
        let (mut ids, groups): (Vec<_>, Vec<_>) = extents.map(|extent| (extent.block, extent.pg)).unzip();
        ids.sort_unstable();
        ids.dedup();
        let blocks = match groups.first() {
            Some(group) => self.fetch_blocks(&ids, *group).await?,
            None => BTreeMap::new(),
        };
        blocking(move || decode(lin, runs, &blocks)).await
    }
}

/// Makes the plain bytes of each run. Neighbouring extents of one block open it once.
fn decode(lin: Lin, runs: Vec<Run>, blocks: &BTreeMap<BlockId, Bytes>) -> Result<Vec<Piece>, ClientError> {
    let mut pieces = Vec::with_capacity(runs.len());
    let mut open: Option<(BlockId, Bytes)> = None;
    for run in runs {
        let extent = match run {
            Run::Tail(Tail { offset, bytes }) => {
                pieces.push(Piece { offset, bytes });
                continue;
            }
            Run::Block(extent) => extent,
        };
        let plain = match &open {
            Some((block, plain)) if *block == extent.block => plain.clone(),
            _ => opened(lin, &extent, blocks)?,
        };
        pieces.push(Piece { offset: extent.offset, bytes: range(lin, &extent, &plain)? });
        open = Some((extent.block, plain));
    }
    Ok(pieces)
}

/// The plain bytes of the whole block that an extent lies in.
fn opened(lin: Lin, extent: &Extent, blocks: &BTreeMap<BlockId, Bytes>) -> Result<Bytes, ClientError> {
    let missing = ClientError::WrongBlock { found: BlockId::default(), expected: extent.block };
    let stored = blocks.get(&extent.block).ok_or(missing)?;
    let damaged = |source| ClientError::Damaged { lin, block: extent.block, pg: extent.pg, source };
    block::decode(stored, &extent.digest).map_err(damaged)
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
        let tail = Run::Tail(Tail { offset: 3, bytes: Bytes::from_static(b"tail") });
        let [first, second] = extents.map(Run::Block);
        let pieces = decode(Lin(1), vec![first, tail, second], &blocks).unwrap();
        assert_eq!(pieces.iter().map(|piece| &piece.bytes[..]).collect::<Vec<_>>(), [&b"234"[..], b"tail", b"9"]);
    }

    #[test]
    fn an_extent_that_leaves_its_block_is_an_error() {
        let encoded = block::encode(b"0123456789").unwrap();
        for (begin, length) in [(8, 3), (0, 0), (u32::MAX, u32::MAX)] {
            let extents = [extent(begin, length, encoded.digest)];
            let blocks = BTreeMap::from([(extents[0].block, encoded.stored.clone())]);
            assert!(matches!(
                decode(Lin(1), extents.map(Run::Block).into(), &blocks),
                Err(ClientError::BadExtent { .. })
            ));
        }
    }

    #[test]
    fn a_block_with_other_bytes_is_never_given_out() {
        let (right, wrong) = (block::encode(b"right").unwrap(), block::encode(b"wrong").unwrap());
        let extents = [extent(0, 5, right.digest)];
        let blocks = BTreeMap::from([(extents[0].block, wrong.stored)]);
        assert!(matches!(decode(Lin(1), extents.map(Run::Block).into(), &blocks), Err(ClientError::Damaged { .. })));
    }
}
