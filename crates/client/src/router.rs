//! Which node a call goes to, and when it is tried again.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use runtime::{Clock, Seed};
use tonic::{Response, Status};
use tracing::debug;
use wire::{ConnectError, Connection, Endpoint, Failure};

use crate::ClientError;

/// The first pause before a call is tried again; an election takes one to two seconds, so it doubles up to that.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Keeps one connection to one of the endpoints, and moves to the next when that one fails.
pub struct Router {
    endpoints: Vec<Endpoint>,
    patience: Duration,
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
    pub fn new(endpoints: Vec<Endpoint>, patience: Duration, clock: Clock, seed: Seed) -> Self {
        let current = Mutex::new(Current { turn: Turn(0), endpoint: 0, connection: None });
        Self { endpoints, patience, clock, seed, current }
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
        self.retry(action, |_| self.call_once(action, &send)).await
    }

    /// Does something until it succeeds, fails for good, or patience is over; it is told the number of the attempt,
    /// from 0.
    pub async fn retry<T, F, Fut>(&self, action: &'static str, attempt: F) -> Result<T, ClientError>
    where
        F: Fn(u32) -> Fut,
        Fut: Future<Output = Result<T, ClientError>>,
    {
        let deadline = self.clock.now() + self.patience;
        let mut pause = PAUSE_MIN;
        let mut number = 0;
        loop {
            let turn = self.turn();
            let error = match attempt(number).await {
                Err(error) if error.is_transient() => error,
                answer => return answer,
            };
            if self.clock.now() + pause >= deadline {
                return Err(error);
            }
            debug!(action, %error, "trying again");
            self.move_on(turn);
            self.clock.sleep(self.jittered(pause)).await;
            pause = (pause * 2).min(PAUSE_MAX);
            number += 1;
        }
    }

    /// Sends a request that must not be sent twice.
    pub async fn call_once<T, F, Fut>(&self, action: &'static str, send: F) -> Result<T, ClientError>
    where
        F: FnOnce(Connection) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let connection = self.connection().await?;
        let answer = send(connection).await.map(Response::into_inner);
        answer.map_err(|status| ClientError::Refused { action, failure: Failure::from(status) })
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

fn no_endpoint() -> ClientError {
    ConnectError::Address { address: String::new() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_fail_together_take_the_next_endpoint_together() {
        let endpoints = ["a", "b", "c"].map(|path| Endpoint::Unix(path.into())).to_vec();
        let router = Router::new(endpoints, PAUSE_MAX, Clock::real(), Seed::from_os());
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
