//! Sessions: under one, a change that is tried again gives its first result (law 5). One that is open is kept alive.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use runtime::{OnError, Shutdown};
use tokio::sync::{Notify, Semaphore};
use tracing::{debug, warn};
use types::{Change, Outcome, SessionId};
use wire::{Failure, InvalidMessage, code, v1};

use crate::block_ids::{BlockIds, Telling};
use crate::change_batch::{Batch, batches};
use crate::lease::Lease;
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
    lease: Arc<Lease>,
    /// Ends what keeps it alive.
    ended: Shutdown,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.ended.cancel();
    }
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

    /// Tells the cluster a block mark, which renews the lease.
    async fn tell_block_mark(&self, mark: u64) -> Result<(), ClientError> {
        let request = v1::RaiseBlockMarkRequest { session: self.id.0, mark };
        let send = |to: wire::Connection| async move { to.namespace().raise_block_mark(request).await };
        let sent = self.lease.now();
        self.client.router().call("keep the session", send).await?;
        self.blocks.told(mark);
        self.lease.renew(sent);
        Ok(())
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
            lease: Arc::new(Lease::new(self.shared.clock.clone(), Duration::from_millis(opened.lease_ms))),
            ended: self.shared.tasks.shutdown().child(),
        };
        let shared = Arc::new(shared);
        let keep_alive = keep_alive(Arc::downgrade(&shared), shared.ended.clone());
        self.shared.tasks.spawn("session", OnError::Log, keep_alive);
        Ok(Session { shared })
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
        let Some(mark) = self.shared.blocks.mark_to_tell(when) else { return };
        if let Err(error) = self.shared.tell_block_mark(mark).await {
            debug!(%error, mark, "the block mark was not raised");
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
        let sent = shared.lease.now();
        let answer = shared.client.router().call(action, send).await?;
        check_count(action, answer.results.len(), count)?;
        let results =
            answer.results.into_iter().map(ChangeResult::try_from).collect::<Result<Vec<_>, InvalidMessage>>();
        let results = results.map_err(|source| ClientError::BadAnswer { action, source })?;
        // No tick comes between the changes of one request, so the session is over for all of them or for none.
        let over = |result: &ChangeResult| matches!(result, Err(failure) if failure.code == code::NO_SESSION);
        if results.iter().any(over) {
            return Err(ClientError::SessionOver { action, session: shared.id });
        }
        shared.lease.renew(sent);
        Ok(results)
    }

    /// Ends the session.
    ///
    /// # Errors
    /// When no node answers.
    pub async fn close(self) -> Result<(), ClientError> {
        let session = self.shared.id.0;
        self.shared.ended.cancel();
        let send = |to: wire::Connection| async move {
            to.namespace().close_session(v1::CloseSessionRequest { session }).await
        };
        self.shared.client.router().call("close the session", send).await.map(drop)
    }
}

/// Renews the lease of a session that makes no changes, until it is closed, dropped or over.
async fn keep_alive(session: Weak<Shared>, ended: Shutdown) {
    loop {
        // What waits does not hold the session.
        let Some(lease) = session.upgrade().map(|shared| Arc::clone(&shared.lease)) else { return };
        if ended.unless_cancelled(lease.pause()).await.is_none() {
            return;
        }
        let Some(shared) = session.upgrade().filter(|shared| shared.lease.is_due()) else { continue };
        match ended.unless_cancelled(shared.tell_block_mark(shared.blocks.mark())).await {
            None => return,
            Some(Ok(())) => {}
            Some(Err(error)) if error.code() == code::NO_SESSION => {
                warn!(session = %shared.id, "the session is over: the cluster did not hear of it for too long");
                return;
            }
            Some(Err(error)) => debug!(%error, "the session was not renewed"),
        }
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
