//! Stored blocks from the cluster.

use std::collections::BTreeMap;

use bytes::Bytes;
use runtime::blocking;
use types::{BlockId, Extent, PgId};
use wire::{Failure, InvalidMessage, v1};

use crate::block_put::EncodedBlock;
use crate::namespace::{answered, check_count};
use crate::placement::Group;
use crate::publication::Unpublished;
use crate::router::Bound;
use crate::{Client, ClientError, PlacementKey, Session};

/// Blocks that one call asks for; the node answers as many of them as make some MiB.
const REQUEST_IDS: usize = 1024;
/// Plain bytes of blocks that are read back and put again at once.
const STEP_LENGTH: u64 = 8 << 20;

const FETCH: &str = "fetch blocks";

impl Client {
    /// The stored bytes of blocks of one placement group.
    pub(crate) async fn fetch_blocks(
        &self,
        ids: &[BlockId],
        pg: PgId,
    ) -> Result<BTreeMap<BlockId, Bytes>, ClientError> {
        let mut blocks = BTreeMap::new();
        let mut left = ids;
        while !left.is_empty() {
            let ids = left.get(..REQUEST_IDS).unwrap_or(left);
            let request = v1::FetchRequest { ids: ids.iter().map(|&id| id.into()).collect(), pg: pg.0 };
            let send = |to: wire::Connection| {
                let request = request.clone();
                async move { to.blocks().fetch(request).await }
            };
            let answer = self.router().call_within(Bound::Transfer, FETCH, send).await?;
            let answered = answered(FETCH, ids, answer.left)?;
            check_count(FETCH, answer.blocks.len(), answered.len())?;
            for (&expected, block) in answered.iter().zip(answer.blocks) {
                blocks.insert(expected, stored_bytes(expected, block)?);
            }
            left = left.get(answered.len()..).unwrap_or_default();
        }
        Ok(blocks)
    }
}

fn stored_bytes(expected: BlockId, block: v1::StoredBlock) -> Result<Bytes, ClientError> {
    let missing = ClientError::BadAnswer { action: FETCH, source: InvalidMessage::Missing { field: "id" } };
    let found = BlockId::from(block.id.ok_or(missing)?);
    if found == expected { Ok(block.stored) } else { Err(ClientError::WrongBlock { found, expected }) }
}

impl Session {
    /// Puts those of some blocks again that are not where they have to be for a publication. Each gets a new id; the
    /// others are kept as they are.
    pub(crate) async fn put_again(
        &self,
        blocks: Vec<Unpublished>,
        refusal: &Failure,
        round: u32,
        key: impl Fn(u64) -> PlacementKey,
    ) -> Result<Vec<Unpublished>, ClientError> {
        let client = self.client();
        let placement = client.router().retry("list the placement groups", |_| client.placement()).await?;
        let has_moved =
            |block: &Unpublished| !placement.has(Group { id: block.new.extent.pg, version: block.new.pg_version });
        let why = if blocks.iter().any(has_moved) { Why::GroupsMoved } else { Why::of(refusal, &blocks) };
        let must_move = |block: &Unpublished| match why {
            Why::GroupsMoved => has_moved(block),
            Why::GroupLacksCopies(pg) => block.new.extent.pg == pg,
            Why::Unclear => true,
        };
        // A group that moved takes its blocks again; one that has too few copies leaves them to the next.
        let first = if why == Why::GroupsMoved { 0 } else { round };
        let (mut done, mut step, mut length) = (Vec::with_capacity(blocks.len()), Vec::new(), 0);
        for block in blocks {
            if !must_move(&block) {
                done.push(block);
                continue;
            }
            length += u64::from(block.new.extent.block_length);
            step.push(block);
            if length >= STEP_LENGTH {
                done.extend(self.move_blocks(std::mem::take(&mut step), first, &key).await?);
                length = 0;
            }
        }
        done.extend(self.move_blocks(step, first, &key).await?);
        done.sort_by_key(|block| block.new.extent.offset);
        Ok(done)
    }

    /// Reads blocks back and puts them under new ids.
    async fn move_blocks(
        &self,
        blocks: Vec<Unpublished>,
        first: u32,
        key: &impl Fn(u64) -> PlacementKey,
    ) -> Result<Vec<Unpublished>, ClientError> {
        let mut groups = BTreeMap::<PgId, Vec<BlockId>>::new();
        for extent in blocks.iter().map(|block| &block.new.extent) {
            groups.entry(extent.pg).or_default().push(extent.block);
        }
        let mut stored = BTreeMap::new();
        for (pg, ids) in groups {
            stored.extend(self.client().fetch_blocks(&ids, pg).await?);
        }
        let extents: Vec<_> =
            blocks.iter().map(|block| (block.new.extent.clone(), key(block.new.extent.offset))).collect();
        let again = move || {
            extents.into_iter().map(|(extent, key)| read_back(&extent, key, &stored)).collect::<Result<Vec<_>, _>>()
        };
        let encoded = blocking(again).await?;
        self.put_encoded(encoded, first).await
    }
}

/// Why blocks are not where they have to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Groups have another membership by now.
    GroupsMoved,
    /// A group has its membership and too few full copies.
    GroupLacksCopies(PgId),
    /// The refusal names none of the blocks.
    Unclear,
}

impl Why {
    fn of(refusal: &Failure, blocks: &[Unpublished]) -> Self {
        let named = refusal.fields.get("block");
        let block = blocks.iter().find(|block| named.is_some_and(|name| *name == block.new.extent.block.to_string()));
        block.map_or(Self::Unclear, |block| Self::GroupLacksCopies(block.new.extent.pg))
    }
}

/// The stored form of a block that came back, checked as everything that is moved (law 3).
fn read_back(
    extent: &Extent,
    key: PlacementKey,
    stored: &BTreeMap<BlockId, Bytes>,
) -> Result<EncodedBlock, ClientError> {
    let &Extent { offset, block, digest, pg, block_length: length, .. } = extent;
    let missing = ClientError::WrongBlock { found: BlockId::default(), expected: block };
    let stored = stored.get(&block).cloned().ok_or(missing)?;
    block::check(&stored).map_err(|source| ClientError::DamagedCopy { block, pg, source })?;
    Ok(EncodedBlock { offset, key, digest, length, stored })
}
