//! The name under which one request is found again in the logs of every node that worked for it.
//!
//! The node at whose door a request comes in names it, and puts the name into its log lines. Calls that the node makes
//! to others while it works on the request carry the name in the header [`HEADER`], and so does every answer, so that
//! whoever is refused can tell an admin what to look for. Calls that serve several requests at once, as the messages of
//! Raft mostly do, carry none.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use tonic::metadata::MetadataValue;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

/// The header of calls and answers.
pub const HEADER: &str = "holdfast-request";

/// Digits of the part that tells the starts of processes apart.
const START_DIGITS: usize = 12;
/// Digits of the part that tells the requests of one start apart, at most.
const NUMBER_DIGITS_MAX: usize = 20;

tokio::task_local! {
    static CURRENT: RequestId;
}

/// The name of a request: `<random number of the process's start>-<number of the request>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId {
    text: Arc<str>,
}

impl RequestId {
    /// The name of the request with that number in a process; of the random number of its start, 48 bits are used.
    #[must_use]
    pub fn new(start: u64, number: u64) -> Self {
        Self { text: format!("{:0START_DIGITS$x}-{number}", start >> 16).into() }
    }

    /// Reads a name that came from outside; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (start, number) = text.split_once('-')?;
        let is_start = start.len() == START_DIGITS && start.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_number =
            (1..=NUMBER_DIGITS_MAX).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
        (is_start && is_number).then(|| Self { text: text.into() })
    }

    /// The request on which the calling task works, if it works on one.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Runs a future that works on this request.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A channel whose calls carry the name of the request for which they are made.
pub type NamingChannel = InterceptedService<Channel, fn(Request<()>) -> Result<Request<()>, Status>>;

pub(crate) fn naming(channel: Channel) -> NamingChannel {
    InterceptedService::new(channel, name_request)
}

#[expect(clippy::unnecessary_wraps, reason = "the signature is tonic's")]
fn name_request(mut request: Request<()>) -> Result<Request<()>, Status> {
    let name = RequestId::current().and_then(|current| MetadataValue::try_from(current.as_str()).ok());
    if let Some(name) = name {
        request.metadata_mut().insert(HEADER, name);
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_again_and_nothing_else_is_a_name() {
        let name = RequestId::new(u64::MAX, 17);
        assert_eq!(name.to_string(), "ffffffffffff-17");
        assert_eq!(RequestId::parse(name.as_str()), Some(name));
        let long = format!("0123456789ab-{}", "1".repeat(21));
        for text in ["", "-", "0123456789ab-", "0123456789ab", "0123456789ag-1", "0123456789ab-1\n", long.as_str()] {
            assert_eq!(RequestId::parse(text), None, "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_call_carries_the_name_of_the_request_for_which_it_is_made() {
        let carried = || {
            let request = name_request(Request::new(())).unwrap();
            request.metadata().get(HEADER).map(|name| name.to_str().unwrap().to_owned())
        };
        assert_eq!(carried(), None);
        assert_eq!(RequestId::new(1 << 16, 2).scope(async { carried() }).await.as_deref(), Some("000000000001-2"));
    }
}
