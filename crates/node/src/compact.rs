//! Segments of this node's volumes of which little is needed are copied and removed: one task a volume.
//!
//! **Pace.** Rounds with a pause between them, in steps of a few MiB with a pause after each, so that copying takes no more
//! of a disk than the configuration gives it. Most of the space of removed blocks is back before, by holes; a round that
//! comes later costs little.
//!
//! **A volume that does not open, or takes no writes,** is left alone until the next round.
//!
//! **Crash.** A round begins anew; what a step leaves half-done the block store ends when it is opened.

use std::sync::Arc;
use std::time::Duration;

use types::VolumeId;

use crate::NodeError;
use crate::member::Member;
use crate::volumes::mebibytes;

/// What one step copies, about.
const STEP_BYTES: u64 = 4 << 20;
/// After each step, at least: a step that copies nothing has read some thousand headers.
const STEP_PAUSE: Duration = Duration::from_millis(20);
/// After each round. One that finds nothing to do reads some rows of the index.
const ROUND_PAUSE: Duration = Duration::from_secs(10);

/// Runs until the member stops.
pub async fn run(member: Arc<Member>, volume: VolumeId) {
    let shutdown = member.front.shutdown();
    while !shutdown.is_cancelled() {
        match shutdown.unless_cancelled(Box::pin(round(&member, volume))).await {
            Some(Err(error)) => tracing::info!(%volume, %error, "cannot copy what is needed out of segments now"),
            Some(Ok(0)) => {}
            Some(Ok(removed)) => tracing::info!(%volume, removed, "removed segments of which little was needed"),
            None => return,
        }
        shutdown.unless_cancelled(member.platform.clock.sleep(ROUND_PAUSE)).await;
    }
}

/// Goes through all segments once, and gives how many were removed.
async fn round(member: &Member, volume: VolumeId) -> Result<u64, NodeError> {
    let bytes_per_second = mebibytes(member.config.blocks.copy_mib_per_second);
    let (mut point, mut removed) = (None, 0);
    loop {
        let step = member.volumes.compact(volume, point, STEP_BYTES).await?;
        removed += step.segments_removed;
        let Some(next) = step.next else { return Ok(removed) };
        point = Some(next);
        member.platform.clock.sleep(pause(step.copied_bytes, bytes_per_second).max(STEP_PAUSE)).await;
    }
}

/// How long so many bytes take at that rate.
pub fn pause(bytes: u64, bytes_per_second: u64) -> Duration {
    let microseconds = bytes.saturating_mul(1_000_000) / bytes_per_second.max(1);
    Duration::from_micros(microseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_keeps_the_rate() {
        assert_eq!(pause(4 << 20, 32 << 20), Duration::from_millis(125));
        assert_eq!(pause(0, 32 << 20), Duration::ZERO);
        assert_eq!(pause(1, 0), Duration::from_secs(1));
    }
}
