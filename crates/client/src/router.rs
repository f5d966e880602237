//! Which node a call goes to, how long it is waited for, and when it is tried again.
//!
//! **A node that hangs** may hold a call for minutes while it still answers to pings. So each try has a bound of its own;
//! when that is over, the next node is asked. A request that must not be sent twice has one try, and when it gets no
//! answer, its caller is told that it may have been carried out.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use runtime::{Clock, Seed};
use tokio::time::Instant;
use tonic::{Response, Status};
use tracing::debug;
use wire::{ConnectError, Connection, Endpoint, Failure};

use crate::ClientError;

/// The first pause before a call is tried again; an election takes one to two seconds, so it doubles up to that.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How long one node is waited for. Longer than a node itself waits for a leader, so that it can say what is wrong.
const CALL_MAX: Duration = Duration::from_secs(20);
/// How long one node is waited for with some MiB of blocks, which may have a slow line to cross.
const TRANSFER_MAX: Duration = Duration::from_secs(60);
/// How long a node is waited for that tries a site first, and asks all others to do so.
const LONG_MAX: Duration = Duration::from_secs(180);

/// How long one node is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// As long as a usual call may take.
    Call,
    /// As long as some MiB of blocks may take on a slow line.
    Transfer,
    /// As long as trying a site may take.
    Long,
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a call is tried again.
    pub patience: Duration,
    /// [`Bound::Call`].
    pub call: Duration,
    /// [`Bound::Transfer`].
    pub transfer: Duration,
    /// [`Bound::Long`].
    pub long: Duration,
}

impl Limits {
    /// The limits of a client with that patience.
    pub const fn of_patience(patience: Duration) -> Self {
        Self { patience, call: CALL_MAX, transfer: TRANSFER_MAX, long: LONG_MAX }
    }

    const fn of(&self, bound: Bound) -> Duration {
        match bound {
            Bound::Call => self.call,
            Bound::Transfer => self.transfer,
            Bound::Long => self.long,
        }
    }
}

/// Keeps one connection to one of the endpoints, and moves to the next when that one fails.
pub struct Router {
    endpoints: Vec<Endpoint>,
    limits: Limits,
    clock: Clock,
    seed: Seed,
    current: Mutex<Current>,
}

/// How often the endpoint was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn(u64);

struct Current {
    turn: Turn,
    endpoint: usize,
    connection: Option<Connection>,
}

impl Router {
    pub fn new(endpoints: Vec<Endpoint>, limits: Limits, clock: Clock, seed: Seed) -> Self {
        let current = Mutex::new(Current { turn: Turn(0), endpoint: 0, connection: None });
        Self { endpoints, limits, clock, seed, current }
    }

    /// How long a call is tried again.
    pub const fn patience(&self) -> Duration {
        self.limits.patience
    }

    /// Connects to the first endpoint that answers, asking each once.
    pub async fn connect_any(&self) -> Result<(), ClientError> {
        let mut last = None;
        for _ in &self.endpoints {
            let turn = self.turn();
            match self.connection().await {
                Ok(_) => return Ok(()),
                Err(error) => last = Some(error),
            }
            self.move_on(turn);
        }
        Err(last.unwrap_or_else(no_endpoint))
    }

    /// Sends a request that may be sent again, until it is answered or patience is over.
    pub async fn call<T, F, Fut>(&self, action: &'static str, send: F) -> Result<T, ClientError>
    where
        F: Fn(Connection) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        self.call_within(Bound::Call, action, send).await
    }

    /// As [`Router::call`], with another bound for each node.
    pub async fn call_within<T, F, Fut>(&self, bound: Bound, action: &'static str, send: F) -> Result<T, ClientError>
    where
        F: Fn(Connection) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        self.retry(action, |_| self.try_within(bound, action, &send)).await
    }

    /// Does something until it succeeds, fails for good, or patience is over; it is told the number of the attempt,
    /// from 0.
    pub async fn retry<T, F, Fut>(&self, action: &'static str, attempt: F) -> Result<T, ClientError>
    where
        F: Fn(u32) -> Fut,
        Fut: Future<Output = Result<T, ClientError>>,
    {
        let mut tries = self.tries(action);
        loop {
            match attempt(tries.number()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => tries.again_after(error).await?,
            }
        }
    }

    /// The tries of one thing, for those that keep something from one to the next.
    pub fn tries(&self, action: &'static str) -> Tries<'_> {
        let deadline = self.clock.now() + self.limits.patience;
        Tries { router: self, action, turn: self.turn(), deadline, pause: PAUSE_MIN, number: 0 }
    }

    /// Sends a request that must not be sent twice. A node that it cannot be sent to is passed over.
    pub async fn call_once<T, F, Fut>(&self, action: &'static str, send: F) -> Result<T, ClientError>
    where
        F: FnOnce(Connection) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        self.connect_any().await?;
        let turn = self.turn();
        let answer = self.try_within(Bound::Long, action, send).await.map_err(ClientError::or_unknown);
        // What comes after it should not wait for the same node.
        answer.inspect_err(|error| {
            if matches!(error, ClientError::OutcomeUnknown { .. }) {
                self.move_on(turn);
            }
        })
    }

    /// Sends a request once; whether it may be sent again is the caller's business.
    pub async fn try_within<T, F, Fut>(&self, bound: Bound, action: &'static str, send: F) -> Result<T, ClientError>
    where
        F: FnOnce(Connection) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let limit = self.limits.of(bound);
        let endpoint = self.current().endpoint;
        let sent = self.clock.timeout(limit, async {
            let answer = send(self.connection().await?).await.map(Response::into_inner);
            answer.map_err(|status| ClientError::Refused { action, failure: Failure::from(status) })
        });
        sent.await.unwrap_or_else(|_| {
            let endpoint = self.endpoints.get(endpoint).map(Endpoint::name).unwrap_or_default();
            Err(ClientError::NoAnswer { action, endpoint, limit })
        })
    }

    async fn connection(&self) -> Result<Connection, ClientError> {
        let endpoint = {
            let current = self.current();
            if let Some(connection) = &current.connection {
                return Ok(connection.clone());
            }
            current.endpoint
        };
        let connection = self.endpoints.get(endpoint).ok_or_else(no_endpoint)?.connect().await?;
        let mut current = self.current();
        // Another task may have connected or moved on meanwhile; both connections are good.
        if current.endpoint == endpoint {
            current.connection.get_or_insert_with(|| connection.clone());
        }
        Ok(connection)
    }

    /// Takes the next endpoint, unless another call that failed on the same one did so already. A lone one keeps its
    /// channel, which connects again by itself.
    fn move_on(&self, failed: Turn) {
        let mut current = self.current();
        if self.endpoints.len() > 1 && current.turn == failed {
            current.turn = Turn(failed.0 + 1);
            current.endpoint = (current.endpoint + 1) % self.endpoints.len();
            current.connection = None;
        }
    }

    fn turn(&self) -> Turn {
        self.current().turn
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Current> {
        // Nothing panics while the lock is held.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Between half of the pause and all of it, so that many clients do not come back at once.
    fn jittered(&self, pause: Duration) -> Duration {
        let half = pause / 2;
        let spread = u64::try_from(half.as_micros()).unwrap_or(u64::MAX);
        half + Duration::from_micros(self.seed.below(spread))
    }
}

/// The tries of one thing.
pub struct Tries<'a> {
    router: &'a Router,
    action: &'static str,
    turn: Turn,
    deadline: Instant,
    pause: Duration,
    number: u32,
}

impl Tries<'_> {
    /// The number of the try, from 0.
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Waits until the next try, which goes to the next node.
    ///
    /// # Errors
    /// That one, when it is final, or patience is over; but no node that hangs keeps the others from being asked.
    pub async fn again_after(&mut self, error: ClientError) -> Result<(), ClientError> {
        if !error.is_transient() {
            return Err(error);
        }
        let router = self.router;
        let is_over = router.clock.now() + self.pause >= self.deadline;
        let others_left = (self.number as usize + 1) < router.endpoints.len();
        let hangs = matches!(error, ClientError::NoAnswer { .. });
        if is_over && !(hangs && others_left) {
            return Err(error);
        }
        debug!(action = self.action, %error, "trying again");
        router.move_on(self.turn);
        router.clock.sleep(router.jittered(self.pause)).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        self.turn = router.turn();
        self.number += 1;
        Ok(())
    }
}

fn no_endpoint() -> ClientError {
    ConnectError::Address { address: String::new() }.into()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::net::UnixListener;

    use super::*;

    const LIMITS: Limits = Limits {
        patience: Duration::from_secs(10),
        call: Duration::from_millis(100),
        transfer: Duration::from_millis(100),
        long: Duration::from_millis(100),
    };

    /// Nodes that take connections and never say a word.
    struct Hung {
        folder: tempfile::TempDir,
        _listeners: Vec<UnixListener>,
    }

    impl Hung {
        fn new(names: &[&str]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let listen = |name: &&str| runtime::net::listen_unix(&socket(folder.path(), name), 0o600).unwrap().0;
            let listeners = names.iter().map(listen).collect();
            Self { folder, _listeners: listeners }
        }

        fn router(&self, names: &[&str], patience: Duration) -> Router {
            let endpoint = |name: &&str| Endpoint::Unix(socket(self.folder.path(), name));
            let endpoints = names.iter().map(endpoint).collect();
            Router::new(endpoints, Limits { patience, ..LIMITS }, Clock::real(), Seed::fixed(1))
        }
    }

    fn socket(folder: &Path, name: &str) -> PathBuf {
        folder.join(name)
    }

    /// Counts what is sent, and never answers.
    async fn never(sent: &AtomicU32) -> Result<Response<()>, Status> {
        sent.fetch_add(1, Ordering::Relaxed);
        std::future::pending().await
    }

    fn name_of(error: &ClientError) -> String {
        match error {
            ClientError::NoAnswer { endpoint, .. } | ClientError::OutcomeUnknown { endpoint, .. } => {
                Path::new(endpoint).file_name().unwrap().to_str().unwrap().to_owned()
            }
            other => panic!("{other}"),
        }
    }

    #[tokio::test]
    async fn a_node_that_hangs_does_not_hold_a_call_that_another_node_answers() {
        let hung = Hung::new(&["a", "b"]);
        let router = hung.router(&["a", "b"], LIMITS.patience);
        let sent = AtomicU32::new(0);
        let send = |_| async {
            match sent.fetch_add(1, Ordering::Relaxed) {
                0 => std::future::pending().await,
                _ => Ok(Response::new("answer")),
            }
        };
        assert_eq!(router.call("ask", send).await.unwrap(), "answer");
        assert_eq!(router.current().endpoint, 1, "the node that hangs was left");
    }

    #[tokio::test]
    async fn every_node_is_asked_although_the_first_that_hangs_took_all_the_patience() {
        let hung = Hung::new(&["a", "b", "c"]);
        let router = hung.router(&["a", "b", "c"], Duration::from_millis(1));
        let sent = AtomicU32::new(0);
        let error = router.call("ask", |_| never(&sent)).await.unwrap_err();
        assert_eq!((name_of(&error).as_str(), sent.into_inner()), ("c", 3));
    }

    #[tokio::test]
    async fn a_request_that_must_not_be_sent_twice_is_not_and_its_outcome_is_called_unknown() {
        let hung = Hung::new(&["a", "b"]);
        let router = hung.router(&["a", "b"], LIMITS.patience);
        let sent = AtomicU32::new(0);
        let error = router.call_once("make it", |_| never(&sent)).await.unwrap_err();
        assert!(matches!(error, ClientError::OutcomeUnknown { .. }), "{error}");
        assert_eq!((name_of(&error).as_str(), sent.load(Ordering::Relaxed)), ("a", 1));
        assert_eq!(router.current().endpoint, 1, "what comes next goes to another node");
    }

    #[tokio::test]
    async fn a_request_that_must_not_be_sent_twice_passes_over_a_node_that_is_not_there() {
        let hung = Hung::new(&["b"]);
        let router = hung.router(&["a", "b"], LIMITS.patience);
        let answer = router.call_once("make it", |_| async { Ok(Response::new("made")) }).await;
        assert_eq!(answer.unwrap(), "made");
    }

    #[test]
    fn calls_that_fail_together_take_the_next_endpoint_together() {
        let endpoints = ["a", "b", "c"].map(|path| Endpoint::Unix(path.into())).to_vec();
        let router = Router::new(endpoints, Limits::of_patience(PAUSE_MAX), Clock::real(), Seed::from_os());
        let endpoint = || router.current().endpoint;
        let failed = [router.turn(), router.turn(), router.turn()];
        for turn in failed {
            router.move_on(turn);
        }
        assert_eq!(endpoint(), 1, "three calls through one dead node must not come back to it");
        router.move_on(router.turn());
        router.move_on(router.turn());
        assert_eq!(endpoint(), 0);
    }
}
