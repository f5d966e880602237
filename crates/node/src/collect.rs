//! Orphans: copies on this node's volumes that nobody publishes and nobody ever will (rule P10). They are left by clients
//! that died between put and publishing, by puts that came late, and by groups that a put gave up for another one.
//!
//! **What it does.** Round after round it takes the ids on each volume in pages, and asks a view of the replicated state
//! which of them are orphans: a judgement that no later state revokes. Those go into quarantine, and are removed in the
//! first round after it that judges them so again (rule P9). A copy of a block that is published under another group is
//! none: whoever frees the block frees it.
//!
//! **Bounds.** A page at a time, with a pause after each; a bounded number of orphans in quarantine, the others wait for the
//! next round.
//!
//! **Crash.** All that it knows is in memory: rounds and quarantines begin anew, which removes copies later and never
//! too many. A removal is one of the block store's own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use runtime::metrics::{Counter, Gauge, Metrics};
use types::{BlockId, VolumeId};

use crate::NodeError;
use crate::member::Member;
use crate::ticks;
use crate::volumes::Removal;

/// Blocks that are judged together.
const PAGE: usize = 1000;
/// After each page; so a round looks at ten thousand blocks a second at most.
const PAGE_PAUSE: Duration = Duration::from_millis(100);
/// After each round, in ticks.
const ROUND_PAUSE: u32 = 10;
/// What an orphan waits for its removal, in ticks: the time in which a person can see that there are too many of them.
const QUARANTINE_TICKS: u64 = 10;
/// Orphans in quarantine: a few MiB of memory. A node that has more of them takes more rounds.
const QUARANTINE_MAX: usize = 65_536;

/// The figures of the orphans on this node.
pub struct Orphans {
    quarantined: Gauge,
    removed: Counter,
}

impl Orphans {
    /// Figures that Prometheus sees.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            quarantined: metrics.gauge(
                "node_orphans_quarantined",
                "Copies on this node that nobody publishes and that wait for their removal",
            ),
            removed: metrics.counter("node_orphans_removed", "Copies that were removed because nobody published them"),
        }
    }

    /// How many wait for their removal.
    #[must_use]
    pub fn in_quarantine(&self) -> i64 {
        self.quarantined.get()
    }
}

/// Runs until the member stops.
pub async fn run(member: Arc<Member>) {
    let shutdown = member.front.shutdown();
    let pause = ticks::period(member.config.sessions.lease_seconds) * ROUND_PAUSE;
    let mut quarantine = Quarantine::default();
    while !shutdown.is_cancelled() {
        for volume in member.volumes.ids() {
            let Some(looked) = shutdown.unless_cancelled(Box::pin(look(&member, volume, &mut quarantine))).await else {
                return;
            };
            if let Err(error) = looked {
                tracing::info!(%volume, %error, "cannot look for orphans now");
            }
        }
        quarantine.end_round();
        member.orphans.quarantined.set(i64::try_from(quarantine.since.len()).unwrap_or(i64::MAX));
        shutdown.unless_cancelled(member.platform.clock.sleep(pause)).await;
    }
}

/// Judges all blocks of a volume.
async fn look(member: &Arc<Member>, volume: VolumeId, quarantine: &mut Quarantine) -> Result<(), NodeError> {
    let mut after = None;
    loop {
        let page = member.volumes.blocks(volume, after, PAGE).await?;
        let Some(&last) = page.last() else { return Ok(()) };
        after = Some(last);
        let judge = move |view: namespace::View| Ok::<_, NodeError>((view.orphaned_blocks(&page)?, view.ticks()));
        let (orphans, ticks) = member.read_local(judge).await?;
        let due = quarantine.judge(orphans, ticks);
        if !due.is_empty() {
            remove(member, due).await?;
        }
        member.platform.clock.sleep(PAGE_PAUSE).await;
    }
}

async fn remove(member: &Arc<Member>, orphans: Vec<BlockId>) -> Result<(), NodeError> {
    let Removal { removed, failure } = member.volumes.remove(orphans).await;
    member.orphans.removed.inc_by(removed.len() as u64);
    tracing::info!(copies = removed.len(), "removed copies that nobody published");
    failure.map_or(Ok(()), Err)
}

/// Orphans that wait for their removal, with the count of ticks when they were found.
#[derive(Default)]
struct Quarantine {
    since: BTreeMap<BlockId, u64>,
    /// Those of this round; what is not found again is not kept.
    found: BTreeMap<BlockId, u64>,
}

impl Quarantine {
    /// Takes orphans in, and gives those that have waited long enough.
    fn judge(&mut self, orphans: Vec<BlockId>, ticks: u64) -> Vec<BlockId> {
        let mut due = Vec::new();
        for orphan in orphans {
            let since = self.since.get(&orphan).copied().unwrap_or(ticks);
            if ticks.saturating_sub(since) >= QUARANTINE_TICKS {
                due.push(orphan);
            } else if self.found.len() < QUARANTINE_MAX {
                self.found.insert(orphan, since);
            }
        }
        due
    }

    fn end_round(&mut self) {
        self.since = std::mem::take(&mut self.found);
    }
}

#[cfg(test)]
mod tests {
    use types::SessionId;

    use super::*;

    fn blocks(sequences: impl IntoIterator<Item = u64>) -> Vec<BlockId> {
        sequences.into_iter().map(|sequence| BlockId { session: SessionId(1), sequence }).collect()
    }

    #[test]
    fn an_orphan_is_due_when_it_is_judged_one_again_after_its_quarantine() {
        let mut quarantine = Quarantine::default();
        assert!(quarantine.judge(blocks([1, 2]), 5).is_empty());
        quarantine.end_round();
        assert!(quarantine.judge(blocks([1, 3]), 5 + QUARANTINE_TICKS - 1).is_empty());
        quarantine.end_round();
        assert_eq!(quarantine.judge(blocks([1, 2, 3]), 5 + QUARANTINE_TICKS), blocks([1]), "2 was gone for a round");
        quarantine.end_round();
        assert_eq!(quarantine.since.len(), 2);
    }

    #[test]
    fn a_quarantine_has_a_bound_and_what_it_has_no_room_for_comes_later() {
        let mut quarantine = Quarantine::default();
        let many = QUARANTINE_MAX as u64 + 1;
        assert!(quarantine.judge(blocks(0..many), 0).is_empty());
        quarantine.end_round();
        assert_eq!(quarantine.judge(blocks(0..many), QUARANTINE_TICKS).len(), QUARANTINE_MAX);
        quarantine.end_round();
        assert_eq!(quarantine.since.len(), 1);
    }
}
