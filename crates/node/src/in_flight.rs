//! Bounds on the bytes of puts that are in memory on this node.
//!
//! A call that replicates waits until all such calls together hold few enough bytes. A seat whose disk hangs keeps the
//! bytes of its puts until their deadline, long after their calls have a quorum and are gone; so each seat has a budget
//! of its own. It is a part of what the calls may hold, so that such a seat never stops the puts of other groups.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use runtime::{ByteBudget, BytePermit};
use types::{Seat, VolumeId};

/// Enough for a fast network's latency with several seats that hang.
const CALLS_BYTES: u64 = 256 << 20;
/// Enough for the longest message.
pub const SEAT_BYTES: u64 = 64 << 20;

/// The bytes of puts that are in memory on this node.
#[derive(Debug)]
pub struct InFlight {
    calls: ByteBudget,
    /// There are as many as there are volumes in the cluster.
    seats: Mutex<BTreeMap<VolumeId, ByteBudget>>,
}

impl Default for InFlight {
    fn default() -> Self {
        Self { calls: ByteBudget::new(CALLS_BYTES), seats: Mutex::default() }
    }
}

impl InFlight {
    /// Waits until a call may hold that many bytes.
    pub async fn call(&self, bytes: u64) -> BytePermit {
        self.calls.acquire(bytes).await
    }

    /// The budget of what is sent to a seat and not answered yet.
    pub fn seat(&self, seat: &Seat) -> ByteBudget {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        seats.entry(seat.volume).or_insert_with(|| ByteBudget::new(SEAT_BYTES)).clone()
    }
}
