//! Blocks: what clients put and fetch through this node, and what nodes put and get on each other's disks.

use std::sync::Arc;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tonic::{Request, Response, Status};
use types::{BlockId, Digest, NodeId, OperationError, PgId, PgVersion, PlacementGroup};
use wire::v1::blocks_server::Blocks;
use wire::{InvalidMessage, v1};

use super::{calling_node, service, too_many};
use crate::NodeError;
use crate::member::Member;
use crate::replication::{self, Put};

/// Blocks of one call; their bytes are bounded by the length of a message.
const BLOCKS_MAX: usize = 4096;
/// Stored bytes from which on an answer takes no further block: as many as a put has.
const ANSWER_LENGTH: usize = 8 << 20;
/// Blocks that one call reads at a time: enough to hide a disk's or a peer's latency.
const READS_IN_FLIGHT: usize = 4;

service! {
    /// Blocks: what clients put and fetch through this node, and what nodes put and get on each other's disks.
    BlocksService
}

#[tonic::async_trait]
impl Blocks for BlocksService {
    async fn replicate(
        &self,
        request: Request<v1::ReplicateRequest>,
    ) -> Result<Response<v1::ReplicateResponse>, Status> {
        let member = self.daemon.member()?;
        let v1::ReplicateRequest { pg, pg_version, blocks } = request.into_inner();
        let group = placement_group(member, PgId(pg), PgVersion(pg_version)).await?;
        let blocks = stored_blocks(blocks)?;
        let pg_version = group.version.0;
        let acknowledged = replication::replicate(member, Put { group, blocks }).await?;
        Ok(Response::new(v1::ReplicateResponse { pg_version, acknowledged: acknowledged.0.into() }))
    }

    async fn fetch(&self, request: Request<v1::FetchRequest>) -> Result<Response<v1::FetchResponse>, Status> {
        let member = self.daemon.member()?;
        let v1::FetchRequest { ids, pg } = request.into_inner();
        let found = |id| async move { replication::fetch_one(member, PgId(pg), id).await.map(Some) };
        let Answer { blocks, left } = read_until_full(block_ids(ids)?, found).await?;
        Ok(Response::new(v1::FetchResponse { blocks, left }))
    }

    async fn put(&self, request: Request<v1::PutRequest>) -> Result<Response<v1::PutResponse>, Status> {
        calling_node(&request)?;
        let member = self.daemon.member()?;
        let v1::PutRequest { pg, pg_version, blocks } = request.into_inner();
        let group = placement_group(member, PgId(pg), PgVersion(pg_version)).await?;
        let seat = own_seat(&group, member.node())?;
        let blocks = stored_blocks(blocks)?;
        member.volumes.put(seat, group.id, blocks).await?;
        Ok(Response::new(v1::PutResponse {}))
    }

    async fn get(&self, request: Request<v1::GetRequest>) -> Result<Response<v1::GetResponse>, Status> {
        calling_node(&request)?;
        let member = self.daemon.member()?;
        let ids = block_ids(request.into_inner().ids)?;
        let own = |id| async move { Ok(member.volumes.get(id).await?.map(|block| replication::message(id, block))) };
        let Answer { blocks, left } = read_until_full(ids, own).await?;
        Ok(Response::new(v1::GetResponse { blocks, left }))
    }
}

/// Blocks that were asked for.
#[derive(Debug, PartialEq)]
struct Answer {
    blocks: Vec<v1::StoredBlock>,
    /// Ids at the end of the request that it does not answer.
    left: u32,
}

/// Reads blocks in their order until the answer is long enough. One that is nowhere is left out.
async fn read_until_full<F>(ids: Vec<BlockId>, read: impl Fn(BlockId) -> F) -> Result<Answer, NodeError>
where
    F: Future<Output = Result<Option<v1::StoredBlock>, NodeError>>,
{
    let mut left = u32::try_from(ids.len()).unwrap_or(u32::MAX);
    let mut reads = stream::iter(ids).map(read).buffered(READS_IN_FLIGHT);
    let (mut blocks, mut length) = (Vec::new(), 0);
    while length < ANSWER_LENGTH
        && let Some(found) = reads.try_next().await?
    {
        left = left.saturating_sub(1);
        if let Some(block) = found {
            length += block.stored.len();
            blocks.push(block);
        }
    }
    Ok(Answer { blocks, left })
}

fn block_ids(ids: Vec<v1::BlockId>) -> Result<Vec<BlockId>, InvalidMessage> {
    if ids.len() > BLOCKS_MAX {
        return Err(too_many("ids", ids.len()));
    }
    Ok(ids.into_iter().map(Into::into).collect())
}

/// The placement group as this node knows it, if that is the version in the request. A newer one in the request means
/// that this node is behind; it then reads what is acknowledged. An older one is refused (rule P11).
async fn placement_group(member: &Arc<Member>, id: PgId, given: PgVersion) -> Result<PlacementGroup, NodeError> {
    let known = member.read_local(move |view| Ok::<_, NodeError>(view.placement_group(id).ok())).await?;
    let group = match known.filter(|group| group.version >= given) {
        Some(group) => group,
        None => member.read(move |view| view.placement_group(id)).await?,
    };
    if group.version == given {
        return Ok(group);
    }
    Err(OperationError::StalePlacement { pg: id, given, current: group.version }.into())
}

fn own_seat(group: &PlacementGroup, node: NodeId) -> Result<types::VolumeId, NodeError> {
    let seat = group.seats.iter().find(|seat| seat.node == node).map(|seat| seat.volume);
    let name = format!("{} in placement group {}", node, group.id);
    seat.ok_or_else(|| OperationError::NoRecord { what: "seat of node".to_owned(), name }.into())
}

fn stored_blocks(blocks: Vec<v1::StoredBlock>) -> Result<Vec<replication::StoredBlock>, InvalidMessage> {
    if blocks.is_empty() || blocks.len() > BLOCKS_MAX {
        return Err(too_many("blocks", blocks.len()));
    }
    blocks.into_iter().map(stored_block).collect()
}

fn stored_block(block: v1::StoredBlock) -> Result<replication::StoredBlock, InvalidMessage> {
    let wrong = || InvalidMessage::Length { field: "digest", found: block.digest.len(), expected: 32 };
    let digest = Digest(block.digest.as_ref().try_into().map_err(|_| wrong())?);
    let id = block.id.ok_or(InvalidMessage::Missing { field: "id" })?.into();
    Ok(replication::StoredBlock { id, digest, stored: block.stored })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use types::SessionId;

    use super::*;

    fn id(sequence: u64) -> BlockId {
        BlockId { session: SessionId(1), sequence }
    }

    async fn answer(count: u64, length: usize, is_there: impl Fn(u64) -> bool) -> (Vec<u64>, u32) {
        let stored = Bytes::from(vec![0; length]);
        let read = |id: BlockId| {
            let block = v1::StoredBlock { id: Some(id.into()), stored: stored.clone(), ..Default::default() };
            let found = is_there(id.sequence).then_some(block);
            async { Ok(found) }
        };
        let Answer { blocks, left } = read_until_full((0..count).map(id).collect(), read).await.unwrap();
        (blocks.into_iter().map(|block| block.id.unwrap().sequence).collect(), left)
    }

    #[tokio::test]
    async fn an_answer_ends_where_it_is_long_enough_and_says_what_is_left() {
        assert_eq!(answer(10, 3 << 20, |_| true).await, (vec![0, 1, 2], 7));
        assert_eq!(answer(2, 3 << 20, |_| true).await, (vec![0, 1], 0));
        assert_eq!(answer(3, 20 << 20, |_| true).await, (vec![0], 2), "there is always one");
    }

    #[tokio::test]
    async fn a_block_that_is_nowhere_is_answered_by_its_absence() {
        assert_eq!(answer(10, 3 << 20, |sequence| sequence % 2 == 1).await, (vec![1, 3, 5], 4));
        assert_eq!(answer(5, 1, |_| false).await, (vec![], 0));
    }
}
