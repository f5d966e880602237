//! Plain bytes to blocks on disk: encode, group by placement group, replicate.
//!
//! A block has an id of its own in every group that it is offered to, and in every version of a group. So the copies that
//! a group took which did not become the block's home belong to an id that nobody publishes: they are orphans that can
//! be told apart (rule P10), and no holder ever meets an id in two meanings (rule P11).

use std::collections::BTreeMap;
use std::mem;

use bytes::Bytes;
use futures::future::try_join_all;
use runtime::blocking;
use types::{Digest, ErrorKind, Extent, NewExtent, PgVersion, SeatSet};
use wire::{InvalidMessage, v1};

use crate::block_ids::Reserved;
use crate::placement::Group;
use crate::publication::Unpublished;
use crate::router::Bound;
use crate::{ClientError, PlacementKey, Session};

/// Groups that are tried before a put is told that there is no room.
const GROUPS_TRIED: u32 = 4;
/// Stored bytes from which on a request takes no further block.
const REQUEST_LENGTH: usize = 8 << 20;
/// Blocks of a request: those of a file with many holes are short.
const REQUEST_BLOCKS: usize = 1024;

const PUT: &str = "put blocks";

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

/// The stored form of a block.
#[derive(Clone, Debug)]
pub struct EncodedBlock {
    /// Where in the file its bytes begin.
    pub offset: u64,
    /// What they belong to.
    pub key: PlacementKey,
    /// The digest of its plain bytes.
    pub digest: Digest,
    /// How many plain bytes it has.
    pub length: u32,
    /// Its stored form.
    pub stored: Bytes,
}

impl Session {
    /// Puts blocks and gives for each, in order, the extent that may now be published.
    pub(crate) async fn put_blocks(&self, blocks: Vec<PlainBlock>) -> Result<Vec<Unpublished>, ClientError> {
        self.put_encoded(blocking(move || encode(blocks)).await, 0).await
    }

    /// Puts encoded blocks, first to the group that stands at that place behind each one's own.
    pub(crate) async fn put_encoded(
        &self,
        blocks: Vec<EncodedBlock>,
        first: u32,
    ) -> Result<Vec<Unpublished>, ClientError> {
        let client = self.client();
        let placement = client.router().retry("list the placement groups", |_| client.placement()).await?;
        let mut groups = BTreeMap::<_, Vec<(usize, EncodedBlock)>>::new();
        for (index, block) in blocks.into_iter().enumerate() {
            groups.entry(placement.choose(block.key, first)?.id).or_default().push((index, block));
        }
        let requests = groups.into_values().flat_map(requests);
        let put = try_join_all(requests.map(|request| self.put_request(request, first))).await?;
        let mut put: Vec<_> = put.into_iter().flatten().collect();
        put.sort_by_key(|(index, _)| *index);
        Ok(put.into_iter().map(|(_, unpublished)| unpublished).collect())
    }

    /// Puts blocks that go to the same placement group; all of them go to another one if that cannot take them.
    async fn put_request(
        &self,
        blocks: Vec<(usize, EncodedBlock)>,
        first: u32,
    ) -> Result<Vec<(usize, Unpublished)>, ClientError> {
        let (indices, blocks): (Vec<_>, Vec<_>) = blocks.into_iter().unzip();
        let Some(key) = blocks.first().map(|block| block.key) else { return Ok(Vec::new()) };
        let mut offer = Offer { session: self, key, blocks, to: None };
        let mut tries = self.client().router().tries(PUT);
        loop {
            match offer.make_where_there_is_room(first.saturating_add(tries.number())).await {
                Ok(acknowledged) => return Ok(indices.into_iter().zip(offer.accepted(acknowledged)).collect()),
                Err(error) => tries.again_after(error).await?,
            }
        }
    }
}

/// Blocks of one request, offered to one placement group after the other.
struct Offer<'a> {
    session: &'a Session,
    key: PlacementKey,
    blocks: Vec<EncodedBlock>,
    /// The group that they were offered to last, and their ids there.
    to: Option<(Group, Vec<Reserved>)>,
}

impl Offer<'_> {
    /// Turns to other groups when one is full: they lie on other disks, where there are more than it has.
    async fn make_where_there_is_room(&mut self, attempt: u32) -> Result<SeatSet, ClientError> {
        let mut answer = self.make(attempt).await;
        for another in 1..GROUPS_TRIED {
            match answer {
                Err(error) if error.kind() == ErrorKind::NoSpace => {
                    answer = self.make(attempt.saturating_add(another)).await;
                }
                answer => return answer,
            }
        }
        answer
    }

    async fn make(&mut self, attempt: u32) -> Result<SeatSet, ClientError> {
        let client = self.session.client();
        let group = client.placement().await?.choose(self.key, attempt)?;
        let request =
            v1::ReplicateRequest { pg: group.id.0, pg_version: group.version.0, blocks: self.messages(group) };
        let send = |to: wire::Connection| async move { to.blocks().replicate(request).await };
        let answer = client.router().try_within(Bound::Transfer, PUT, send).await;
        let answer = answer.inspect_err(|_| client.shared.placement.forget())?;
        let wrong =
            |field, value| ClientError::BadAnswer { action: PUT, source: InvalidMessage::Range { field, value } };
        if PgVersion(answer.pg_version) != group.version {
            return Err(wrong("pg_version", answer.pg_version));
        }
        let acknowledged = u16::try_from(answer.acknowledged);
        Ok(SeatSet(acknowledged.map_err(|_| wrong("acknowledged", answer.acknowledged.into()))?))
    }

    /// The blocks under the ids that they have in that group.
    fn messages(&mut self, group: Group) -> Vec<v1::StoredBlock> {
        if self.to.as_ref().is_none_or(|(last, _)| *last != group) {
            let ids = self.session.block_ids();
            self.to = Some((group, self.blocks.iter().map(|_| ids.reserve()).collect()));
        }
        let ids = self.to.iter().flat_map(|(_, ids)| ids);
        ids.zip(&self.blocks).map(|(reserved, block)| block.message(reserved)).collect()
    }

    /// The extents, once the group that they were offered to last has them.
    fn accepted(&mut self, acknowledged: SeatSet) -> Vec<Unpublished> {
        let Some((group, ids)) = self.to.take() else { return Vec::new() };
        let blocks = mem::take(&mut self.blocks);
        let unpublished = |(block, reserved): (EncodedBlock, Reserved)| {
            let new = NewExtent { extent: block.extent(group, &reserved), pg_version: group.version, acknowledged };
            Unpublished { new, _reserved: reserved }
        };
        blocks.into_iter().zip(ids).map(unpublished).collect()
    }
}

/// Cuts blocks of one group into requests of bounded length.
fn requests(blocks: Vec<(usize, EncodedBlock)>) -> Vec<Vec<(usize, EncodedBlock)>> {
    let mut requests = Vec::new();
    let (mut request, mut length) = (Vec::new(), 0);
    for (index, block) in blocks {
        length += block.stored.len();
        request.push((index, block));
        if length >= REQUEST_LENGTH || request.len() >= REQUEST_BLOCKS {
            requests.push(mem::take(&mut request));
            length = 0;
        }
    }
    if !request.is_empty() {
        requests.push(request);
    }
    requests
}

fn encode(blocks: Vec<PlainBlock>) -> Vec<EncodedBlock> {
    let encode = |PlainBlock { offset, plain, key }| {
        let encoded = block::encode(&plain).expect("the cutter makes no piece longer than a block may be");
        EncodedBlock { offset, key, digest: encoded.digest, length: encoded.plain_length, stored: encoded.stored }
    };
    blocks.into_iter().map(encode).collect()
}

impl EncodedBlock {
    fn message(&self, reserved: &Reserved) -> v1::StoredBlock {
        let id = reserved.id().into();
        v1::StoredBlock { id: Some(id), digest: self.digest.0.to_vec().into(), stored: self.stored.clone() }
    }

    fn extent(&self, group: Group, reserved: &Reserved) -> Extent {
        Extent {
            offset: self.offset,
            length: self.length,
            block: reserved.id(),
            block_offset: 0,
            block_length: self.length,
            digest: self.digest,
            pg: group.id,
        }
    }
}
