//! The room that is left for metadata: Raft's log and the state store.
//!
//! When the disk of the data folder is full, Raft cannot write and the process ends; it comes back, with everything that
//! was acknowledged, once there is room. Before it comes to that, what makes the state larger is refused, and a person
//! still can remove files, which is the way out.
//!
//! Each node looks at its own disk and refuses what comes in through itself. The room is looked at several times a
//! second; what can be written in between is far less than the reserve.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use runtime::blocking;
use types::Change;

use crate::NodeError;
use crate::member::Member;
use crate::volumes::mebibytes;

/// Between two looks.
const PERIOD: Duration = Duration::from_millis(250);

/// Whether the reserve of the data folder's disk is touched.
#[derive(Debug, Default)]
pub struct MetadataRoom {
    is_short: AtomicBool,
}

impl MetadataRoom {
    /// Refuses changes that make the state larger while room is short.
    ///
    /// # Errors
    /// [`NodeError::DataFolderFull`].
    pub fn check(&self, member: &Member, changes: &[types::Request]) -> Result<(), NodeError> {
        if self.is_short.load(Ordering::Relaxed) && changes.iter().any(grows) {
            let reserve = mebibytes(member.config.metadata.reserve_mib);
            return Err(NodeError::DataFolderFull { path: member.config.data.clone(), reserve });
        }
        Ok(())
    }
}

/// Whether an operation may make the state larger. A smaller size takes blocks away, a removed name a file, and what is
/// rewritten has fewer rows then.
fn grows(request: &types::Request) -> bool {
    match &request.operation {
        types::Operation::Change(change) => match change {
            Change::Create(_)
            | Change::Link { .. }
            | Change::SetXattr { .. }
            | Change::Write { .. }
            | Change::Clone(_)
            | Change::Hold { .. }
            | Change::Append(_)
            | Change::Lock { .. }
            | Change::PinSnapshot { .. }
            | Change::CreateSnapshot { .. } => true,
            Change::Remove { .. }
            | Change::Rename(_)
            | Change::SetAttributes { .. }
            | Change::RemoveXattr { .. }
            | Change::ClearRange { .. }
            | Change::Release { .. }
            | Change::Rewrite(_)
            | Change::Unlock { .. }
            | Change::UnpinSnapshot { .. }
            | Change::DeleteSnapshot { .. }
            | Change::DropStep { .. }
            | Change::AcknowledgeFreed { .. } => false,
        },
        _ => false,
    }
}

/// Watches the room until the member stops.
pub async fn run(member: Arc<Member>) {
    let free = member.platform.metrics.gauge("node_data_free_bytes", "Free bytes of the data folder's disk");
    let shutdown = member.front.shutdown();
    let reserve = mebibytes(member.config.metadata.reserve_mib);
    while !shutdown.is_cancelled() {
        let (files, path) = (member.platform.files.clone(), member.config.data.clone());
        match blocking(move || files.free_space(&path)).await {
            Ok(space) => {
                free.set(i64::try_from(space.free).unwrap_or(i64::MAX));
                let is_short = space.free < reserve;
                if member.metadata_room.is_short.swap(is_short, Ordering::Relaxed) != is_short {
                    tracing::warn!(is_short, free = space.free, reserve, "the room for metadata has changed");
                }
            }
            Err(error) => tracing::warn!(%error, "cannot see how much room there is for metadata"),
        }
        shutdown.unless_cancelled(member.platform.clock.sleep(PERIOD)).await;
    }
}
