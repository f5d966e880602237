//! Blocks: what clients put and fetch through this node, and what nodes put and get on each other's disks.

use std::sync::Arc;

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
/// Ids of one fetch: each may be a block of 4 MiB.
const FETCH_MAX: usize = 64;

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
        if ids.len() > FETCH_MAX {
            return Err(too_many("ids", ids.len()).into());
        }
        let ids: Vec<BlockId> = ids.into_iter().map(Into::into).collect();
        let blocks = replication::fetch(member, PgId(pg), ids).await?;
        Ok(Response::new(v1::FetchResponse { blocks }))
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
        let ids = request.into_inner().ids;
        if ids.len() > FETCH_MAX {
            return Err(too_many("ids", ids.len()).into());
        }
        let mut blocks = Vec::with_capacity(ids.len());
        for id in ids {
            let found = member.volumes.get(id.into()).await?;
            blocks.extend(found.map(|block| replication::message(id.into(), block)));
        }
        Ok(Response::new(v1::GetResponse { blocks }))
    }
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
