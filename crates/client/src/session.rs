//! Sessions: under one, a change that is tried again gives its first result (law 5).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, Semaphore};
use tracing::debug;
use types::{Change, Outcome, SessionId};
use wire::{Failure, InvalidMessage, v1};

use crate::block_ids::{BlockIds, Telling};
use crate::change_batch::{Batch, batches};
use crate::namespace::check_count;
use crate::{Client, ClientError};

/// How many changes one request carries. The node remembers the results of a window of them, so a request is small
/// against that window.
pub const CHANGES_MAX: usize = 256;
/// Requests in flight.
const REQUESTS_IN_FLIGHT: usize = 4;
/// How far the numbers in flight may be apart: so many results the cluster remembers of a session.
const WINDOW: u64 = 1024;

const EXECUTE: &str = "carry out changes";

/// What became of one change.
pub type ChangeResult = Result<Outcome, Failure>;

/// A session; clones share it. End it with [`Session::close`], so that blocks which were put and never published
/// can be cleared away.
#[derive(Clone)]
pub struct Session {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    id: SessionId,
    gear_seed: u64,
    numbers: Mutex<Numbers>,
    answered: Notify,
    blocks: Arc<BlockIds>,
    requests: Semaphore,
}

/// Numbers of changes, and which of them are not answered yet.
#[derive(Debug)]
struct Numbers {
    next: u64,
    in_flight: BTreeSet<u64>,
}

impl Numbers {
    /// Takes numbers, unless they would be too far from the first that is not answered.
    fn take(&mut self, count: u64) -> Option<u64> {
        let first = self.next;
        if first + count > self.low_water() + WINDOW {
            return None;
        }
        self.next += count;
        self.in_flight.insert(first);
        Some(first)
    }

    /// Every result below this number has arrived or is given up.
    fn low_water(&self) -> u64 {
        self.in_flight.first().copied().unwrap_or(self.next)
    }
}

/// Numbers in flight; they count as answered when this is dropped.
struct InFlight<'a> {
    shared: &'a Shared,
    first: u64,
    low_water: u64,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.shared.numbers().in_flight.remove(&self.first);
        self.shared.answered.notify_waiters();
    }
}

impl Shared {
    fn numbers(&self) -> std::sync::MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes numbers, and waits until the window has room for them.
    async fn begin(&self, count: usize) -> InFlight<'_> {
        loop {
            // Made before the look, so that an answer between the look and the wait is not missed.
            let answered = self.answered.notified();
            if let Some(taken) = self.try_begin(count) {
                return taken;
            }
            answered.await;
        }
    }

    fn try_begin(&self, count: usize) -> Option<InFlight<'_>> {
        let mut numbers = self.numbers();
        let first = numbers.take(count as u64)?;
        Some(InFlight { shared: self, first, low_water: numbers.low_water() })
    }
}

impl Client {
    /// Opens a session; the label tells people whose it is.
    ///
    /// # Errors
    /// When no node answers, or the cluster is not yet formed.
    pub async fn open_session(&self, label: &str) -> Result<Session, ClientError> {
        let request = v1::OpenSessionRequest { label: label.to_owned() };
        let send = |to: wire::Connection| {
            let request = request.clone();
            async move { to.namespace().open_session(request).await }
        };
        let opened = self.router().call("open a session", send).await?;
        let shared = Shared {
            client: self.clone(),
            id: SessionId(opened.session),
            gear_seed: opened.gear_seed,
            numbers: Mutex::new(Numbers { next: 1, in_flight: BTreeSet::new() }),
            answered: Notify::new(),
            blocks: BlockIds::new(SessionId(opened.session)),
            requests: Semaphore::new(REQUESTS_IN_FLIGHT),
        };
        Ok(Session { shared: Arc::new(shared) })
    }
}

impl Session {
    /// Its number.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.shared.id
    }

    /// The client that it belongs to.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.shared.client
    }

    /// The secret seed of the cluster's gear table.
    pub(crate) fn gear_seed(&self) -> u64 {
        self.shared.gear_seed
    }

    /// The numbers of its blocks.
    pub(crate) fn block_ids(&self) -> &Arc<BlockIds> {
        &self.shared.blocks
    }

    /// Tells the cluster the block mark if it is time to. What it is told is an offer to forget, so a failure is left to
    /// the next time.
    pub(crate) async fn raise_block_mark(&self, when: Telling) {
        let blocks = &self.shared.blocks;
        let Some(mark) = blocks.mark_to_tell(when) else { return };
        let request = v1::RaiseBlockMarkRequest { session: self.shared.id.0, mark };
        let send = |to: wire::Connection| async move { to.namespace().raise_block_mark(request).await };
        match self.shared.client.router().call("raise the block mark", send).await {
            Ok(_) => blocks.told(mark),
            Err(error) => debug!(%error, mark, "the block mark was not raised"),
        }
    }

    /// Carries out changes in order; each has a result of its own, and one that is refused does not stop the others.
    /// One that no entry of the log can hold is refused here.
    ///
    /// # Errors
    /// When the outcome of a request is not known, because no node answered for as long as patience lasts.
    pub async fn execute(&self, changes: Vec<Change>) -> Result<Vec<ChangeResult>, ClientError> {
        let mut results = Vec::with_capacity(changes.len());
        let batches = batches(changes).map_err(|source| ClientError::BadAnswer { action: EXECUTE, source })?;
        for batch in batches {
            match batch {
                Batch::Request(changes) => results.extend(self.execute_batch(changes).await?),
                Batch::TooLarge(failure) => results.push(Err(failure)),
            }
        }
        Ok(results)
    }

    /// Carries out one change.
    ///
    /// # Errors
    /// As [`Session::execute`], or when the change is refused.
    pub async fn execute_one(&self, action: &'static str, change: Change) -> Result<Outcome, ClientError> {
        let results = self.execute(vec![change]).await?;
        let result = results.into_iter().next().ok_or(ClientError::AnswerCount { action, found: 0, expected: 1 })?;
        result.map_err(|failure| ClientError::Refused { action, failure })
    }

    async fn execute_batch(&self, changes: Vec<v1::Change>) -> Result<Vec<ChangeResult>, ClientError> {
        let action = EXECUTE;
        let shared = &*self.shared;
        let count = changes.len();
        // The semaphore is never closed.
        let _permit = shared.requests.acquire().await.map_err(|_| ClientError::Interrupted)?;
        let numbers = shared.begin(count).await;
        let request = numbered(shared.id, &numbers, changes);
        let send = |to: wire::Connection| {
            let request = request.clone();
            async move { to.namespace().execute(request).await }
        };
        let answer = shared.client.router().call(action, send).await?;
        check_count(action, answer.results.len(), count)?;
        let results = answer.results.into_iter().map(ChangeResult::try_from).collect::<Result<_, InvalidMessage>>();
        results.map_err(|source| ClientError::BadAnswer { action, source })
    }

    /// Ends the session.
    ///
    /// # Errors
    /// When no node answers.
    pub async fn close(self) -> Result<(), ClientError> {
        let session = self.shared.id.0;
        let send = |to: wire::Connection| async move {
            to.namespace().close_session(v1::CloseSessionRequest { session }).await
        };
        self.shared.client.router().call("close the session", send).await.map(drop)
    }
}

fn numbered(session: SessionId, numbers: &InFlight<'_>, changes: Vec<v1::Change>) -> v1::ExecuteRequest {
    let number = |(sequence, change)| v1::NumberedChange { sequence, change: Some(change) };
    let changes = (numbers.first..).zip(changes).map(number).collect();
    v1::ExecuteRequest { session: session.0, low_water: numbers.low_water, changes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_low_water_mark_stays_below_everything_in_flight() {
        let mut numbers = Numbers { next: 1, in_flight: BTreeSet::new() };
        assert_eq!((numbers.take(10), numbers.low_water()), (Some(1), 1));
        assert_eq!((numbers.take(5), numbers.low_water()), (Some(11), 1));
        numbers.in_flight.remove(&1);
        assert_eq!(numbers.low_water(), 11);
        numbers.in_flight.remove(&11);
        assert_eq!(numbers.low_water(), 16);
    }

    #[test]
    fn numbers_never_leave_the_window_of_the_first_that_is_not_answered() {
        let mut numbers = Numbers { next: 1, in_flight: BTreeSet::new() };
        let batches: Vec<_> = std::iter::from_fn(|| numbers.take(256)).collect();
        assert_eq!(batches, [1, 257, 513, 769]);
        numbers.in_flight.remove(&257);
        assert_eq!(numbers.take(1), None, "the first batch still holds the window");
        numbers.in_flight.remove(&1);
        assert_eq!(numbers.take(512), Some(1025));
    }
}
