//! Giving space back: dying snapshots, the objects of ended jobs and the files that ended sessions held on the leader,
//! freed copies on every node. And what is done in steps like these: counting what directories held when they got a
//! quota, or lost one.
//!
//! All are rows in the replicated state until somebody says that they are done (rules P8 and P9), so nothing is lost by
//! a crash: whoever starts next finds the rows and goes on. A freed copy is taken out of the block store before it is
//! acknowledged; a crash between the two removes it a second time, which changes nothing. What a broken volume keeps is
//! passed over and met again in the next round.

use std::sync::Arc;
use std::time::Duration;

use types::{BlockId, Change, JobOperation, Operation, Outcome, QuotaOperation, SnapshotId, SnapshotState};

use crate::NodeError;
use crate::member::Member;
use crate::volumes::Removal;

/// Between two looks when there is nothing to do.
const PERIOD: Duration = Duration::from_secs(2);
/// Rows that one operation drops (rule P8 allows ten thousand); small, because it holds up what is behind it.
const ROWS_PER_STEP: u32 = 1000;
/// Copies that one operation acknowledges.
const COPIES_PER_STEP: usize = 1000;

/// Runs until the member stops.
pub async fn run(member: Arc<Member>) {
    let shutdown = member.front.shutdown();
    let mut round = Round::default();
    while !shutdown.is_cancelled() {
        let pause = match shutdown.unless_cancelled(Box::pin(look(&member, &mut round))).await {
            Some(Ok(Found::Something)) => Duration::ZERO,
            Some(Ok(Found::Nothing)) => PERIOD,
            Some(Err(error)) => {
                tracing::info!(%error, "cannot give space back now");
                PERIOD
            }
            None => return,
        };
        shutdown.unless_cancelled(member.platform.clock.sleep(pause)).await;
    }
}

/// Whether there was something to do.
#[derive(PartialEq, Eq)]
enum Found {
    Something,
    Nothing,
}

/// How far this node is with its freed copies.
#[derive(Default)]
struct Round {
    after: Option<BlockId>,
}

async fn look(member: &Arc<Member>, round: &mut Round) -> Result<Found, NodeError> {
    let copies = remove_freed(member, round).await?;
    let mut found = vec![copies];
    if member.consensus.is_leader() {
        found.extend([
            drop_dying(member).await?,
            forget_objects(member).await?,
            count_entries(member).await?,
            release_ended(member).await?,
        ]);
    }
    Ok(if found.contains(&Found::Something) { Found::Something } else { Found::Nothing })
}

/// Removes the copies that this node no longer has to keep.
async fn remove_freed(member: &Arc<Member>, round: &mut Round) -> Result<Found, NodeError> {
    let (node, after) = (member.node(), round.after);
    let blocks: Vec<BlockId> = member.read_local(move |view| view.freed(node, after, COPIES_PER_STEP)).await?;
    // Behind the last one the next round begins.
    round.after = blocks.last().copied();
    if blocks.is_empty() {
        return Ok(Found::Nothing);
    }
    let Removal { removed: blocks, failure } = member.volumes.remove(blocks).await;
    if !blocks.is_empty() {
        tracing::debug!(copies = blocks.len(), "removed freed copies");
        member.propose(Operation::Change(Change::AcknowledgeFreed { node, blocks })).await?;
    }
    failure.map_or(Ok(Found::Something), Err)
}

/// Drops some rows of the oldest dying snapshot.
async fn drop_dying(member: &Arc<Member>) -> Result<Found, NodeError> {
    let Some(snapshot) = member.read_local(oldest_dying).await? else { return Ok(Found::Nothing) };
    let step = Change::DropStep { snapshot, rows_max: ROWS_PER_STEP };
    if let Outcome::Remaining(0) = member.propose(Operation::Change(step)).await? {
        tracing::info!(%snapshot, "a deleted snapshot is gone");
    }
    Ok(Found::Something)
}

/// Forgets some objects of a job that has ended with more of them than its end may drop.
async fn forget_objects(member: &Arc<Member>) -> Result<Found, NodeError> {
    let Some(job) = member.read_local(|view| view.forgotten_job()).await? else { return Ok(Found::Nothing) };
    let step = JobOperation::ForgetObjects { job, rows_max: ROWS_PER_STEP };
    if let Outcome::Remaining(0) = member.propose(Operation::Job(step)).await? {
        tracing::info!(%job, "the objects of an ended job are forgotten");
    }
    Ok(Found::Something)
}

/// Takes some of what it held from a session that has ended with more than its end may take.
async fn release_ended(member: &Arc<Member>) -> Result<Found, NodeError> {
    let Some(session) = member.read_local(|view| view.ended_holder()).await? else { return Ok(Found::Nothing) };
    member.propose(Operation::CloseSession { session }).await?;
    Ok(Found::Something)
}

/// Counts some entries of directories whose quotas were set or removed.
async fn count_entries(member: &Arc<Member>) -> Result<Found, NodeError> {
    if !member.read_local(|view| Ok::<_, NodeError>(view.has_uncounted())).await? {
        return Ok(Found::Nothing);
    }
    let step = QuotaOperation::Count { entries_max: ROWS_PER_STEP };
    if let Outcome::Remaining(0) = member.propose(Operation::Quota(step)).await? {
        tracing::info!("all is counted for the quotas of directories");
    }
    Ok(Found::Something)
}

fn oldest_dying(view: namespace::View) -> Result<Option<SnapshotId>, NodeError> {
    let dying = view.snapshots()?.into_iter().filter(|snapshot| snapshot.state == SnapshotState::Dying);
    Ok(dying.map(|snapshot| snapshot.id).min())
}
