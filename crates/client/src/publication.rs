//! What helps when the cluster refuses to publish blocks, and how often it is tried.
//!
//! A refusal of the state machine is final for the key of its request: the cluster remembers it like any other result. So
//! what is tried again is a new change under a new key, and it is certain that the refused one did nothing.

use std::time::Duration;

use types::{Change, NewExtent, Outcome};
use wire::{Failure, code};

use crate::block_ids::{Reserved, Telling};
use crate::{ChangeResult, ClientError, PlacementKey, Session};

/// How often blocks are put again when a placement group changed between the put and the publishing. Each time the
/// table of the groups is fetched anew, so a second change has to fall between two steps to need a second time.
const PUTS_AGAIN_MAX: u32 = 3;
/// Between two looks whether other writers of the session have published what is older.
const PAUSE: Duration = Duration::from_millis(100);

/// An extent that was put and is not published; dropping it after it is, or gives its block up.
#[derive(Debug)]
pub struct Unpublished {
    /// The extent, with the proof that its block is on disk.
    pub new: NewExtent,
    /// What keeps the block mark below the block.
    pub _reserved: Reserved,
}

/// What helps against a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remedy {
    /// The placement group has changed: the blocks have to be put again (rule P12).
    PutAgain,
    /// The session has too many gaps between its published blocks: older ones go first (rule P3).
    WaitForOlder,
}

impl Remedy {
    fn against(failure: &Failure) -> Option<Self> {
        match failure.code.as_str() {
            code::STALE_PLACEMENT | code::TOO_FEW_COPIES => Some(Self::PutAgain),
            code::SESSION_FULL => Some(Self::WaitForOlder),
            _ => None,
        }
    }
}

/// How often a publication was tried, and how often it still may be.
pub struct Rounds<'a> {
    session: &'a Session,
    puts_again: u32,
    waits_left: u128,
}

impl<'a> Rounds<'a> {
    /// The first round of a publication.
    pub fn new(session: &'a Session) -> Self {
        let waits_left = session.client().router().patience().as_millis() / PAUSE.as_millis();
        Self { session, puts_again: 0, waits_left }
    }

    /// What is to be done about a result before the next round; nothing if it stands.
    pub fn remedy(&self, result: &ChangeResult) -> Option<Remedy> {
        let remedy = Remedy::against(result.as_ref().err()?)?;
        let may_go_on = match remedy {
            Remedy::PutAgain => self.puts_again < PUTS_AGAIN_MAX,
            Remedy::WaitForOlder => self.waits_left > 0,
        };
        may_go_on.then_some(remedy)
    }

    /// How often blocks have been put again.
    pub const fn puts_again(&self) -> u32 {
        self.puts_again
    }

    /// Prepares the next round.
    pub async fn prepare(&mut self, remedy: Remedy) {
        match remedy {
            Remedy::PutAgain => {
                self.puts_again += 1;
                self.session.client().shared.placement.forget();
            }
            Remedy::WaitForOlder => {
                self.waits_left = self.waits_left.saturating_sub(1);
                self.session.raise_block_mark(Telling::Now).await;
                self.session.client().shared.clock.sleep(PAUSE).await;
            }
        }
    }
}

impl Session {
    /// Publishes extents by the change that is made of them. What is refused for its placement is put again, where its
    /// offset belongs.
    pub async fn publish(
        &self,
        action: &'static str,
        mut extents: Vec<Unpublished>,
        change: impl Fn(Vec<NewExtent>) -> Change,
        key: impl Fn(u64) -> PlacementKey,
    ) -> Result<Outcome, ClientError> {
        let mut rounds = Rounds::new(self);
        loop {
            let new = extents.iter().map(|extent| extent.new.clone()).collect();
            let result = self.execute(vec![change(new)]).await?.pop();
            let result = result.ok_or(ClientError::AnswerCount { action, found: 0, expected: 1 })?;
            let remedy = rounds.remedy(&result);
            let failure = match result {
                Ok(outcome) => return Ok(outcome),
                Err(failure) => failure,
            };
            let Some(remedy) = remedy else { return Err(ClientError::Refused { action, failure }) };
            rounds.prepare(remedy).await;
            if remedy == Remedy::PutAgain {
                extents = self.put_again(extents, &failure, rounds.puts_again(), &key).await?;
            }
        }
    }
}
