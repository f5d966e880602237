//! Putting blocks on all seats of a placement group, and fetching them from one.
//!
//! **Durable when acknowledged.** A seat's bit is set only when its node has answered that the block is on disk. The
//! quorum is counted over the seats that are full (rules P12 and P13): ⌊r / 2⌋ + 1 of the pool's count r, never of the
//! number alive. After the quorum the others get a short grace, because a seat that is missing from the publication has
//! to be repaired; then the answer goes out, and the calls that are still out go on in the background.
//!
//! **Limits.** One task a call and a peer; the bytes of all calls, and those on their way to each seat, have budgets. A
//! seat that has used up its own, and answers nothing for the grace, counts as one that does not acknowledge.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use runtime::{Clock, OnError, Tasks};
use tokio::sync::mpsc;
use types::{BlockId, Digest, ErrorKind, NodeId, OperationError, PgId, PlacementGroup, Seat, SeatSet, SeatState};
use wire::{Failure, code, v1};

use crate::NodeError;
use crate::in_flight::InFlight;
use crate::member::Member;
use crate::peers::Traffic;

/// Long enough for a node that is only busy, and short beside a put that waits for a disk.
const GRACE: Duration = Duration::from_millis(500);
/// A seat that has not answered by then is counted as failed.
const PUT_DEADLINE: Duration = Duration::from_secs(30);
/// A peer that has the block answers from its disk; after that the next one is asked.
const FETCH_DEADLINE: Duration = Duration::from_secs(10);

/// A block on its way: stored form, as it came and as it goes on.
#[derive(Clone, Debug)]
pub struct StoredBlock {
    /// Its id.
    pub id: BlockId,
    /// The digest of its plain bytes.
    pub digest: Digest,
    /// Its stored form.
    pub stored: Bytes,
}

/// Blocks for one placement group.
pub struct Put {
    /// The group, in the version under which the blocks are put.
    pub group: PlacementGroup,
    /// The blocks.
    pub blocks: Vec<StoredBlock>,
}

impl Put {
    /// Stored bytes of its blocks.
    fn bytes(&self) -> u64 {
        self.blocks.iter().map(|block| block.stored.len() as u64).sum()
    }
}

/// Puts blocks on all seats and gives the seats that acknowledged all of them.
///
/// # Errors
/// Too few full seats acknowledged.
pub async fn replicate(member: &Arc<Member>, put: Put) -> Result<SeatSet, NodeError> {
    let needed = quorum(member, &put.group).await?;
    let by = Arc::clone(member);
    let carry = move |put: Arc<Put>, seat: Seat| {
        let member = Arc::clone(&by);
        async move { put_on_seat(&member, &put, &seat).await }
    };
    let (tasks, clock, in_flight) = (&member.front, &member.platform.clock, &member.in_flight);
    let spread = Spread { tasks, clock, in_flight, needed };
    spread.run(put, carry).await
}

/// How a put goes to all seats of its group.
struct Spread<'a> {
    tasks: &'a Tasks,
    clock: &'a Clock,
    in_flight: &'a InFlight,
    /// Full seats that have to acknowledge.
    needed: u16,
}

impl Spread<'_> {
    async fn run<C>(&self, put: Put, carry: impl Fn(Arc<Put>, Seat) -> C) -> Result<SeatSet, NodeError>
    where
        C: Future<Output = Result<(), NodeError>> + Send + 'static,
    {
        let _room = self.in_flight.call(put.bytes()).await;
        let put = Arc::new(put);
        let (sender, mut answers) = mpsc::channel(put.group.seats.len().max(1));
        let mut tally = Tally { needed: self.needed, ..Tally::default() };
        for (index, seat) in put.group.seats.iter().cloned().enumerate() {
            let (carried, sender) = (carry(Arc::clone(&put), seat.clone()), sender.clone());
            let (bytes, budget, clock) = (put.bytes(), self.in_flight.seat(&seat), self.clock.clone());
            self.tasks.spawn("put", OnError::Log, async move {
                let answer = match clock.timeout(GRACE, budget.acquire(bytes)).await {
                    Ok(_permit) => carried.await,
                    Err(_) => Err(NodeError::BusySeat { node: seat.node, volume: seat.volume, bytes: budget.taken() }),
                };
                // Whoever asked may have its quorum and be gone.
                let _gone = sender.send((index, seat, answer)).await;
            });
        }
        drop(sender);
        while let Some((index, seat, answer)) = answers.recv().await {
            tally.count(index, &seat, answer);
            if tally.has_quorum() {
                break;
            }
        }
        let rest = async {
            while let Some((index, seat, answer)) = answers.recv().await {
                tally.count(index, &seat, answer);
            }
        };
        // The grace is over when everybody has answered, or when it is over.
        let _late = self.clock.timeout(GRACE, rest).await;
        tally.result(put.blocks.first().map(|block| block.id).unwrap_or_default())
    }
}

/// What the seats have answered.
#[derive(Default)]
struct Tally {
    needed: u16,
    full: u16,
    acknowledged: SeatSet,
    /// Seats that failed for another reason than that they are full.
    failed: u16,
    last_error: Option<NodeError>,
}

impl Tally {
    fn count(&mut self, index: usize, seat: &Seat, answer: Result<(), NodeError>) {
        match answer {
            Ok(()) => {
                self.acknowledged = self.acknowledged.with(index);
                self.full += u16::from(seat.state == SeatState::Full);
            }
            Err(error) => {
                tracing::info!(node = %seat.node, %error, "a seat did not take blocks");
                self.failed += u16::from(error.kind() != ErrorKind::NoSpace);
                self.last_error = Some(error);
            }
        }
    }

    const fn has_quorum(&self) -> bool {
        self.full >= self.needed
    }

    fn result(self, block: BlockId) -> Result<SeatSet, NodeError> {
        if self.has_quorum() {
            return Ok(self.acknowledged);
        }
        // What every seat says, such as that a block is malformed, will not get better elsewhere.
        let last = self.last_error.map(Failure::from);
        match last.clone().filter(|failure| matches!(failure.kind, ErrorKind::InvalidRequest | ErrorKind::Conflict)) {
            Some(failure) if self.full == 0 => Err(failure.into()),
            // Waiting does not make room.
            None if self.failed == 0 => Err(Failure::new(ErrorKind::NoSpace, "no_space", full(&last)).into()),
            _ => {
                let refused = OperationError::TooFewCopies { block, acknowledged: self.full, needed: self.needed };
                let mut message = refused.to_string();
                if let Some(failure) = last {
                    message = format!("{message}; last: {failure}");
                }
                Err(Failure::new(ErrorKind::Unavailable, code::TOO_FEW_COPIES, message).into())
            }
        }
    }
}

/// What a writer is told when the holders of its blocks are full.
fn full(last: &Option<Failure>) -> String {
    let last = last.as_ref().map(|failure| format!(" ({failure})")).unwrap_or_default();
    format!("the volumes are full: remove files or snapshots, or give the nodes more room{last}")
}

async fn quorum(member: &Member, group: &PlacementGroup) -> Result<u16, NodeError> {
    let pool = group.pool;
    let pool = member.read_local(move |view| view.pool(pool)).await?;
    Ok(pool.replicas / 2 + 1)
}

async fn put_on_seat(member: &Arc<Member>, put: &Put, seat: &Seat) -> Result<(), NodeError> {
    let putting = async {
        if seat.node == member.node() {
            return member.volumes.put(seat.volume, put.group.id, put.blocks.clone()).await;
        }
        let mut client = channel(member, seat.node)?.blocks();
        let blocks = put.blocks.iter().map(|block| v1::StoredBlock {
            id: Some(block.id.into()),
            digest: Bytes::copy_from_slice(&block.digest.0),
            stored: block.stored.clone(),
        });
        let request = v1::PutRequest { pg: put.group.id.0, pg_version: put.group.version.0, blocks: blocks.collect() };
        client.put(request).await?;
        Ok(())
    };
    let late = |_| no_answer(seat.node);
    member.platform.clock.timeout(PUT_DEADLINE, putting).await.map_err(late)?
}

/// One block: from this node's own disk, else from the other seats.
///
/// # Errors
/// No seat has it.
pub async fn fetch_one(member: &Arc<Member>, pg: PgId, id: BlockId) -> Result<v1::StoredBlock, NodeError> {
    match member.volumes.get(id).await {
        Ok(Some(block)) => return Ok(message(id, block)),
        Ok(None) => {}
        // Said when the node started; the block may never have been there.
        Err(NodeError::VolumeNotOpen { .. }) => {}
        // Another seat has a good copy; this one is repaired by whoever looks for bad copies.
        Err(error) => tracing::warn!(%id, %error, "a local copy cannot be read"),
    }
    let group = member.read_local(move |view| view.placement_group(pg)).await?;
    let mut last = None;
    for seat in group.seats.iter().filter(|seat| seat.node != member.node()) {
        match get_from(member, seat.node, id).await {
            Ok(Some(block)) => return Ok(block),
            Ok(None) => {}
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| {
        let text = format!("no node has block {id} of placement group {pg}");
        Failure::new(ErrorKind::NotFound, code::NO_BLOCK, text).with("block", id).into()
    }))
}

async fn get_from(member: &Member, node: NodeId, id: BlockId) -> Result<Option<v1::StoredBlock>, NodeError> {
    let mut client = channel(member, node)?.blocks();
    let asked = client.get(v1::GetRequest { ids: vec![id.into()] });
    let late = |_| no_answer(node);
    let answer = member.platform.clock.timeout(FETCH_DEADLINE, asked).await.map_err(late)??;
    Ok(answer.into_inner().blocks.into_iter().next().filter(|block| block.id == Some(id.into())))
}

fn channel(member: &Member, node: NodeId) -> Result<wire::Connection, NodeError> {
    let known = member.registry.node(node).ok_or(OperationError::NoNode { node })?;
    Ok(member.peers.channel(node, &known.address, Traffic::Bulk)?)
}

fn no_answer(node: NodeId) -> Failure {
    Failure::new(ErrorKind::Unavailable, "no_answer", format!("node {node} did not answer in time"))
}

/// A block of this node's disks as a message.
#[must_use]
pub fn message(id: BlockId, block: blockstore::StoredBlock) -> v1::StoredBlock {
    v1::StoredBlock { id: Some(id.into()), digest: Bytes::copy_from_slice(&block.digest.0), stored: block.stored }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::sync::watch;
    use types::{PgVersion, PoolId, VolumeId};

    use super::*;
    use crate::in_flight::SEAT_BYTES;

    fn seat(state: SeatState) -> Seat {
        Seat { node: NodeId(1), volume: VolumeId(uuid::Uuid::from_u128(1)), state }
    }

    fn refused(kind: ErrorKind) -> Result<(), NodeError> {
        Err(Failure::new(kind, "test", "refused").into())
    }

    /// A group of three full seats; the volume of each is its node's.
    fn group() -> PlacementGroup {
        let seat = |number| Seat {
            node: NodeId(number),
            volume: VolumeId(uuid::Uuid::from_u128(number.into())),
            state: SeatState::Full,
        };
        let (id, version, pool) = (PgId(1), PgVersion(1), PoolId(1));
        PlacementGroup { id, version, pool, seats: [1, 2, 3].map(seat).to_vec() }
    }

    #[tokio::test]
    async fn a_holder_that_hangs_keeps_a_bounded_number_of_bytes_in_memory() {
        const PUT_BYTES: u64 = 8 << 20;
        let (tasks, clock, in_flight) = (Tasks::new("test"), Clock::real(), InFlight::default());
        let (open, gate) = watch::channel(false);
        let sent = Arc::new(AtomicU64::new(0));
        let spread = Spread { tasks: &tasks, clock: &clock, in_flight: &in_flight, needed: 2 };
        let stored = Bytes::from(vec![0; PUT_BYTES as usize]);
        let put = || {
            let block = StoredBlock { id: BlockId::default(), digest: Digest::default(), stored: stored.clone() };
            let (gate, sent) = (gate.clone(), Arc::clone(&sent));
            spread.run(Put { group: group(), blocks: vec![block] }, move |put, seat| {
                let (mut gate, sent) = (gate.clone(), Arc::clone(&sent));
                async move {
                    if seat.node == NodeId(3) {
                        sent.fetch_add(put.bytes(), Ordering::Relaxed);
                        let _open = gate.wait_for(|open| *open).await;
                    }
                    Ok(())
                }
            })
        };

        let answers = futures::future::join_all((0..64).map(|_| put())).await;
        let two = SeatSet::default().with(0).with(1);
        assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|seats| *seats == two)), "{answers:?}");
        let waiting = sent.load(Ordering::Relaxed);
        assert!((PUT_BYTES..=SEAT_BYTES).contains(&waiting), "{waiting} bytes wait for the seat");

        open.send_replace(true);
        tasks.wait_idle().await;
        assert_eq!(put().await.unwrap(), two.with(2), "a seat that answers again is sent puts again");
    }

    #[test]
    fn only_full_seats_count_towards_the_quorum_and_all_are_named() {
        let mut tally = Tally { needed: 2, ..Tally::default() };
        tally.count(0, &seat(SeatState::Joining), Ok(()));
        tally.count(1, &seat(SeatState::Full), Ok(()));
        assert!(!tally.has_quorum());
        tally.count(2, &seat(SeatState::Full), Ok(()));
        assert!(tally.has_quorum());
        let all = SeatSet::default().with(0).with(1).with(2);
        assert_eq!(tally.result(BlockId::default()).unwrap(), all);
    }

    #[test]
    fn too_few_copies_may_be_tried_elsewhere() {
        let mut tally = Tally { needed: 2, ..Tally::default() };
        tally.count(0, &seat(SeatState::Full), Ok(()));
        tally.count(1, &seat(SeatState::Full), refused(ErrorKind::NoSpace));
        tally.count(2, &seat(SeatState::Full), refused(ErrorKind::Unavailable));
        let failure = Failure::from(tally.result(BlockId::default()).unwrap_err());
        assert_eq!((failure.kind, failure.code.as_str()), (ErrorKind::Unavailable, code::TOO_FEW_COPIES));
    }

    #[test]
    fn seats_that_are_all_full_are_no_space() {
        let mut tally = Tally { needed: 2, ..Tally::default() };
        tally.count(0, &seat(SeatState::Full), Ok(()));
        tally.count(1, &seat(SeatState::Full), refused(ErrorKind::NoSpace));
        tally.count(2, &seat(SeatState::Full), refused(ErrorKind::NoSpace));
        let failure = Failure::from(tally.result(BlockId::default()).unwrap_err());
        assert_eq!((failure.kind, failure.code.as_str()), (ErrorKind::NoSpace, "no_space"));
    }

    #[test]
    fn a_block_that_every_seat_refuses_is_not_tried_elsewhere() {
        let mut tally = Tally { needed: 2, ..Tally::default() };
        tally.count(0, &seat(SeatState::Full), refused(ErrorKind::InvalidRequest));
        tally.count(1, &seat(SeatState::Full), refused(ErrorKind::InvalidRequest));
        assert_eq!(tally.result(BlockId::default()).unwrap_err().kind(), ErrorKind::InvalidRequest);
    }
}
