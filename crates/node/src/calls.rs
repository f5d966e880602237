//! The calls that are under way at the doors.
//!
//! A node that stops takes no new call, and lets those that it has taken come to their end. Both are decided here, in
//! front of the services, and not by the servers of the doors: a server that stops takes nothing from anybody, and what
//! is under way may still need what Raft brings in. So the messages of Raft are neither refused nor counted.
//!
//! A call counts until its answer begins: the one method that answers with a stream is fed by a task of its own, which
//! ends with the work in the background.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Either, Ready, ready};
use http::HeaderValue;
use runtime::metrics::{Family, Gauge, Labels};
use runtime::{Clock, Metrics, Seed};
use tokio::sync::watch;
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::Instrument as _;
use types::ErrorKind;
use wire::{Failure, REQUEST_HEADER, RequestId, code};

/// What a node needs to come to its end, and gives to others until it has.
const OF_RAFT: &str = "/holdfast.v1.Raft/";

/// The calls of all doors; clones are the same.
#[derive(Clone)]
pub struct Calls {
    shared: Arc<Shared>,
}

struct Shared {
    /// What tells this start of the process from all others.
    start: u64,
    numbers: AtomicU64,
    state: watch::Sender<State>,
    gauges: Family<Labels, Gauge>,
}

#[derive(Default)]
struct State {
    closed: bool,
    under_way: BTreeMap<u64, String>,
}

/// A call that was taken; it counts until this is dropped.
struct Pass {
    calls: Calls,
    number: u64,
    gauge: Gauge,
}

impl Calls {
    /// No calls yet; all are taken.
    #[must_use]
    pub fn new(metrics: &Metrics, seed: &Seed) -> Self {
        let gauges = metrics.gauges("calls_under_way", "Calls that were taken and not answered yet, by door");
        let start = seed.u64();
        let shared = Shared { start, numbers: AtomicU64::new(1), state: watch::Sender::default(), gauges };
        Self { shared: Arc::new(shared) }
    }

    /// Refuses every call from now on, but those of Raft.
    pub fn close(&self) {
        self.shared.state.send_modify(|state| state.closed = true);
    }

    /// Waits until none is under way, and gives the methods of those that still are after `limit`.
    pub async fn ended(&self, clock: &Clock, limit: Duration) -> Vec<String> {
        let mut state = self.shared.state.subscribe();
        let none = state.wait_for(|state| state.under_way.is_empty());
        match clock.timeout(limit, none).await {
            Ok(_) => Vec::new(),
            Err(_) => self.shared.state.borrow().under_way.values().cloned().collect(),
        }
    }

    fn take(&self, number: u64, method: &str, gauge: &Gauge) -> Option<Pass> {
        let mut taken = false;
        // That there is one more is no news to anybody who waits until there is none.
        self.shared.state.send_if_modified(|state| {
            taken = !state.closed;
            if taken {
                state.under_way.insert(number, method.to_owned());
            }
            false
        });
        taken.then(|| {
            gauge.inc();
            Pass { calls: self.clone(), number, gauge: gauge.clone() }
        })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gauge.dec();
        self.calls.shared.state.send_if_modified(|state| {
            state.under_way.remove(&self.number);
            state.closed
        });
    }
}

fn stopping() -> Status {
    let message = "this node stops: ask another one, or wait until it is back";
    Failure::new(ErrorKind::Unavailable, code::STOPPING, message).into()
}

/// The name of the request that a peer serves with this call.
fn came_with<B>(request: &http::Request<B>) -> Option<RequestId> {
    RequestId::parse(request.headers().get(REQUEST_HEADER)?.to_str().ok()?)
}

fn named<B>(mut answer: http::Response<B>, id: Option<&RequestId>) -> http::Response<B> {
    if let Some(Ok(id)) = id.map(|id| HeaderValue::from_str(id.as_str())) {
        answer.headers_mut().insert(REQUEST_HEADER, id);
    }
    answer
}

/// Says how a call ended. What its caller can mend alone is nothing that an admin has to see.
fn log<B>(answer: &http::Response<B>) {
    match Status::from_header_map(answer.headers()) {
        None => tracing::debug!("answered"),
        Some(status) => match status.code() {
            Code::Unavailable | Code::Internal | Code::DataLoss | Code::Unknown | Code::ResourceExhausted => {
                tracing::info!(code = ?status.code(), reason = status.message(), "a call failed");
            }
            code => tracing::debug!(?code, reason = status.message(), "a call was refused"),
        },
    }
}

/// Puts a [`CallsService`] in front of services.
#[derive(Clone)]
pub struct CallsLayer {
    calls: Calls,
    /// The calls of the door that are under way.
    gauge: Gauge,
}

impl CallsLayer {
    /// The layer of one door, which `door` names in the figures.
    #[must_use]
    pub fn new(calls: Calls, door: &'static str) -> Self {
        let gauge = calls.shared.gauges.get_or_create(&vec![("door", door.to_owned())]).clone();
        Self { calls, gauge }
    }
}

impl<S> Layer<S> for CallsLayer {
    type Service = CallsService<S>;

    fn layer(&self, inner: S) -> CallsService<S> {
        CallsService { layer: self.clone(), inner }
    }
}

/// A service whose calls are counted, named, and refused while the node stops. A message of Raft has a name only if it
/// comes for one request.
#[derive(Clone)]
pub struct CallsService<S> {
    layer: CallsLayer,
    inner: S,
}

impl<S, RequestBody, ResponseBody> Service<http::Request<RequestBody>> for CallsService<S>
where
    S: Service<http::Request<RequestBody>, Response = http::Response<ResponseBody>>,
    S::Future: Send + 'static,
    ResponseBody: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    /// The service's own answer, or a refusal.
    type Future = Either<BoxFuture<'static, Result<S::Response, S::Error>>, Ready<Result<S::Response, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<RequestBody>) -> Self::Future {
        let CallsLayer { calls, gauge } = &self.layer;
        let method = request.uri().path();
        let of_raft = method.starts_with(OF_RAFT);
        let number = calls.shared.numbers.fetch_add(1, Ordering::Relaxed);
        let new = || (!of_raft).then(|| RequestId::new(calls.shared.start, number));
        let id = came_with(&request).or_else(new);
        let span = match &id {
            Some(id) => tracing::info_span!("call", request = %id, method),
            None => tracing::debug_span!("call", method),
        };
        let pass = if of_raft { Some(None) } else { calls.take(number, method, gauge).map(Some) };
        let Some(pass) = pass else { return Either::Right(ready(Ok(named(stopping().into_http(), id.as_ref())))) };
        let answer = span.in_scope(|| self.inner.call(request));
        let answered = async move {
            let _counted_until_here = pass;
            let answer = match &id {
                Some(id) => id.clone().scope(answer).await?,
                None => answer.await?,
            };
            let answer = named(answer, id.as_ref());
            log(&answer);
            Ok(answer)
        };
        Either::Left(answered.instrument(span).boxed())
    }
}
