//! Sessions that number their requests themselves.

use types::{Change, Operation, RequestKey, SessionId};

use crate::world::{Answer, World};

pub struct Callers {
    pub world: World,
    sequence: u64,
}

impl Callers {
    /// A world with a pool, and a session in it.
    pub fn new() -> (Self, SessionId) {
        let (world, session) = World::with_pool();
        (Self { world, sequence: 0 }, session)
    }

    /// Carries a change out in the name of a session.
    pub fn call(&mut self, session: SessionId, change: Change) -> Answer {
        self.sequence += 1;
        let key = RequestKey { session, sequence: self.sequence, low_water: self.sequence };
        self.world.run_in(key, Operation::Change(change))
    }
}
