//! How long a request may be, by its method.
//!
//! Each message has its length in front, and a server refuses one that is too long before it takes the rest into memory.
//! A connection may have hundreds of calls at a time, so what is short by its nature has a short limit: only blocks,
//! changes and Raft's own messages are long.

use std::task::{Context, Poll};

use tonic::codegen::http::Request;
use tonic::server::NamedService;
use tower::Service;
use wire::{BULK_LENGTH_MAX, MESSAGE_LENGTH_MAX, REQUEST_LENGTH_MAX};

/// How long the requests of a method may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    /// Names, numbers, settings.
    Ordinary,
    /// Blocks, changes of the file system, and lists of the work of jobs.
    Bulk,
    /// Entries of the log, and parts of snapshots of the state.
    Raft,
}

const BULK: &[&str] = &[
    "/holdfast.v1.Blocks/Replicate",
    "/holdfast.v1.Blocks/Put",
    "/holdfast.v1.Namespace/Execute",
    "/holdfast.v1.Policies/Create",
    "/holdfast.v1.Work/Pull",
    "/holdfast.v1.Work/Report",
];
const RAFT: &[&str] = &["/holdfast.v1.Raft/Exchange"];

impl Length {
    fn of(method: &str) -> Self {
        if BULK.contains(&method) {
            Self::Bulk
        } else if RAFT.contains(&method) {
            Self::Raft
        } else {
            Self::Ordinary
        }
    }
}

/// A service that takes from each method as much as the method needs.
#[derive(Clone)]
pub struct SizedByMethod<S> {
    ordinary: S,
    bulk: S,
    raft: S,
}

impl<S> SizedByMethod<S> {
    /// A service that is made once for each limit, in bytes.
    pub fn new(make: impl Fn(usize) -> S) -> Self {
        Self { ordinary: make(REQUEST_LENGTH_MAX), bulk: make(BULK_LENGTH_MAX), raft: make(MESSAGE_LENGTH_MAX) }
    }
}

impl<S: NamedService> NamedService for SizedByMethod<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, Body> Service<Request<Body>> for SizedByMethod<S>
where
    S: Service<Request<Body>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        for service in [&mut self.ordinary, &mut self.bulk, &mut self.raft] {
            match service.poll_ready(context) {
                Poll::Ready(Ok(())) => {}
                not_ready => return not_ready,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        match Length::of(request.uri().path()) {
            Length::Ordinary => &mut self.ordinary,
            Length::Bulk => &mut self.bulk,
            Length::Raft => &mut self.raft,
        }
        .call(request)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use cluster::RolePolicy;
    use tower::{ServiceExt as _, service_fn};

    use super::*;

    #[test]
    fn every_long_method_is_one_of_the_protocol() {
        let methods: Vec<_> = RolePolicy::rules().map(|rule| rule.method).collect();
        for long in BULK.iter().chain(RAFT) {
            assert!(methods.contains(long), "{long}");
        }
    }

    #[tokio::test]
    async fn a_method_takes_no_more_than_it_needs() {
        let limited =
            SizedByMethod::new(|limit| service_fn(move |_: Request<()>| async move { Ok::<_, Infallible>(limit) }));
        for rule in RolePolicy::rules() {
            let request = Request::builder().uri(rule.method).body(()).unwrap();
            let limit = limited.clone().oneshot(request).await.unwrap();
            let is_long = BULK.contains(&rule.method) || RAFT.contains(&rule.method);
            assert_eq!(limit > 1 << 20, is_long, "{} takes {limit} bytes", rule.method);
        }
    }
}
