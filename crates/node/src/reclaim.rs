//! Giving space back: dying snapshots on the leader, freed copies on every node.
//!
//! Both are rows in the replicated state until somebody says that they are done (rules P8 and P9), so nothing is lost by
//! a crash: whoever starts next finds the rows and goes on. A freed copy is taken out of the block store before it is
//! acknowledged; a crash between the two removes it a second time, which changes nothing.

use std::sync::Arc;
use std::time::Duration;

use types::{BlockId, Change, Operation, Outcome, SnapshotId, SnapshotState};

use crate::NodeError;
use crate::member::Member;

/// Between two looks when there is nothing to do.
const PERIOD: Duration = Duration::from_secs(2);
/// Rows that one operation drops (rule P8 allows ten thousand); small, because it holds up what is behind it.
const ROWS_PER_STEP: u32 = 1000;
/// Copies that one operation acknowledges.
const COPIES_PER_STEP: usize = 1000;

/// Runs until the member stops.
pub async fn run(member: Arc<Member>) {
    let shutdown = member.front.shutdown();
    while !shutdown.is_cancelled() {
        let pause = match shutdown.unless_cancelled(Box::pin(look(&member))).await {
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

async fn look(member: &Arc<Member>) -> Result<Found, NodeError> {
    let copies = remove_freed(member).await?;
    let rows = if member.consensus.is_leader() { drop_dying(member).await? } else { Found::Nothing };
    Ok(if copies == Found::Something { copies } else { rows })
}

/// Removes the copies that this node no longer has to keep.
async fn remove_freed(member: &Arc<Member>) -> Result<Found, NodeError> {
    let node = member.node();
    let blocks: Vec<BlockId> = member.read_local(move |view| view.freed(node, None, COPIES_PER_STEP)).await?;
    if blocks.is_empty() {
        return Ok(Found::Nothing);
    }
    member.volumes.remove(&blocks).await?;
    tracing::debug!(copies = blocks.len(), "removed freed copies");
    member.propose(Operation::Change(Change::AcknowledgeFreed { node, blocks })).await?;
    Ok(Found::Something)
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

fn oldest_dying(view: namespace::View) -> Result<Option<SnapshotId>, NodeError> {
    let dying = view.snapshots()?.into_iter().filter(|snapshot| snapshot.state == SnapshotState::Dying);
    Ok(dying.map(|snapshot| snapshot.id).min())
}
