//! Plain bytes to blocks on disk: encode, group by placement group, replicate.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::future::try_join_all;
use runtime::blocking;
use types::{BlockId, Digest, ErrorKind, Extent, NewExtent, PgId, PgVersion, SeatSet};
use wire::{InvalidMessage, v1};

use crate::{ClientError, PlacementKey, Session};

/// Groups that are tried before a put is told that there is no room.
const GROUPS_TRIED: u32 = 4;

/// Plain bytes of a file that become one block.
#[derive(Clone, Debug)]
pub struct PlainBlock {
    /// Where in the file they begin.
    pub offset: u64,
    /// The bytes, at most 4 MiB and not empty.
    pub plain: Bytes,
    /// What they belong to.
    pub key: PlacementKey,
}

struct EncodedBlock {
    id: BlockId,
    offset: u64,
    key: PlacementKey,
    digest: Digest,
    length: u32,
    stored: Bytes,
}

/// Where blocks are on disk.
struct Placed {
    pg: PgId,
    pg_version: PgVersion,
    acknowledged: SeatSet,
}

impl Session {
    /// Puts blocks and gives for each, in order, the extent that may now be published.
    pub(crate) async fn put_blocks(&self, blocks: Vec<PlainBlock>) -> Result<Vec<NewExtent>, ClientError> {
        let ids: Vec<_> = blocks.iter().map(|_| self.next_block()).collect();
        let encoded = blocking(move || encode(blocks, ids)).await;
        let client = self.client();
        let placement = client.router().retry("list the placement groups", |_| client.placement()).await?;
        let mut groups = BTreeMap::<PgId, Vec<EncodedBlock>>::new();
        for block in encoded {
            groups.entry(placement.choose(block.key, 0)?.id).or_default().push(block);
        }
        let put = try_join_all(groups.into_values().map(|blocks| self.put_group(blocks))).await?;
        let mut extents: Vec<_> = put.into_iter().flatten().collect();
        // Ids were given in the order of the blocks.
        extents.sort_by_key(|new| new.extent.block);
        Ok(extents)
    }

    /// Puts blocks that go to the same placement group; all of them go to another one if that cannot take them.
    async fn put_group(&self, blocks: Vec<EncodedBlock>) -> Result<Vec<NewExtent>, ClientError> {
        let Some(key) = blocks.first().map(|block| block.key) else { return Ok(Vec::new()) };
        let messages: Vec<_> = blocks.iter().map(EncodedBlock::message).collect();
        let attempt = |number| self.replicate_where_there_is_room(key, number, &messages);
        let placed = self.client().router().retry("put blocks", attempt).await?;
        Ok(blocks.into_iter().map(|block| block.publishable(&placed)).collect())
    }

    /// Turns to other groups when one is full: they lie on other disks, where there are more than it has.
    async fn replicate_where_there_is_room(
        &self,
        key: PlacementKey,
        attempt: u32,
        blocks: &[v1::StoredBlock],
    ) -> Result<Placed, ClientError> {
        let mut answer = self.replicate(key, attempt, blocks.to_vec()).await;
        for another in 1..GROUPS_TRIED {
            match answer {
                Err(error) if error.kind() == ErrorKind::NoSpace => {
                    answer = self.replicate(key, attempt.saturating_add(another), blocks.to_vec()).await;
                }
                answer => return answer,
            }
        }
        answer
    }

    async fn replicate(
        &self,
        key: PlacementKey,
        attempt: u32,
        blocks: Vec<v1::StoredBlock>,
    ) -> Result<Placed, ClientError> {
        let action = "put blocks";
        let client = self.client();
        let group = client.placement().await?.choose(key, attempt)?;
        let request = v1::ReplicateRequest { pg: group.id.0, pg_version: group.version.0, blocks };
        let send = |to: wire::Connection| async move { to.blocks().replicate(request).await };
        let answer = client.router().call_once(action, send).await.inspect_err(|_| client.shared.placement.forget())?;
        let acknowledged = u16::try_from(answer.acknowledged).map_err(|_| ClientError::BadAnswer {
            action,
            source: InvalidMessage::Range { field: "acknowledged", value: answer.acknowledged.into() },
        })?;
        Ok(Placed { pg: group.id, pg_version: PgVersion(answer.pg_version), acknowledged: SeatSet(acknowledged) })
    }
}

fn encode(blocks: Vec<PlainBlock>, ids: Vec<BlockId>) -> Vec<EncodedBlock> {
    let encode = |(block, id): (PlainBlock, BlockId)| {
        let encoded = block::encode(&block.plain).expect("the cutter makes no piece longer than a block may be");
        EncodedBlock {
            id,
            offset: block.offset,
            key: block.key,
            digest: encoded.digest,
            length: encoded.plain_length,
            stored: encoded.stored,
        }
    };
    blocks.into_iter().zip(ids).map(encode).collect()
}

impl EncodedBlock {
    fn message(&self) -> v1::StoredBlock {
        v1::StoredBlock { id: Some(self.id.into()), digest: self.digest.0.to_vec().into(), stored: self.stored.clone() }
    }

    fn publishable(self, placed: &Placed) -> NewExtent {
        let extent = Extent {
            offset: self.offset,
            length: self.length,
            block: self.id,
            block_offset: 0,
            block_length: self.length,
            digest: self.digest,
            pg: placed.pg,
        };
        NewExtent { extent, pg_version: placed.pg_version, acknowledged: placed.acknowledged }
    }
}
