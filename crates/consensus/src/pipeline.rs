//! Appends to one member: those that only tell how far the log is committed hold nothing up.
//!
//! openraft tells the followers of each commit in a request without entries, unless some are to be sent anyway. The next
//! entries would have to wait for its answer, and a lone writer for a round trip more with each of its operations. Such a
//! request may be overtaken: whatever it says, a later one says too, and a follower takes neither its log nor what it
//! knows to be committed back. So entries are sent while it is still on its way. Entries themselves are sent one request
//! at a time, because they have to come in order; while they are under way, more come together for the next.
//!
//! **Limits.** [`COMMITS_MAX`] requests without entries, and one with.

use futures::future::BoxFuture;
use futures::stream::{self, FuturesOrdered};
use futures::{Stream, StreamExt};
use openraft::entry::RaftEntry;

use crate::raft_types::{AppendRequest, AppendResponse, RpcError, StreamAppendResult};

/// Requests without entries that may be under way at once: a member that does not answer gets no more.
const COMMITS_MAX: usize = 4;

/// What came of one request.
struct Answered {
    carried_entries: bool,
    result: Result<StreamAppendResult, RpcError>,
    /// Whether the requests behind it still make sense.
    goes_on: bool,
}

struct Pipeline<'s, S, F> {
    input: S,
    send: F,
    calls: FuturesOrdered<BoxFuture<'s, Answered>>,
    entries_under_way: bool,
    ended: bool,
}

/// Sends requests and gives their answers, in the order of the requests; ends at the first that went wrong.
pub(crate) fn answers<'s, S, F>(
    input: S,
    send: F,
) -> impl Stream<Item = Result<StreamAppendResult, RpcError>> + Send + 's
where
    S: Stream<Item = AppendRequest> + Send + Unpin + 's,
    F: Fn(AppendRequest) -> BoxFuture<'s, Result<AppendResponse, RpcError>> + Send + 's,
{
    let calls = FuturesOrdered::new();
    let pipeline = Pipeline { input, send, calls, entries_under_way: false, ended: false };
    stream::unfold(pipeline, |mut pipeline| async move { Some((pipeline.next().await?, pipeline)) })
}

impl<'s, S, F> Pipeline<'s, S, F>
where
    S: Stream<Item = AppendRequest> + Send + Unpin,
    F: Fn(AppendRequest) -> BoxFuture<'s, Result<AppendResponse, RpcError>> + Send + 's,
{
    async fn next(&mut self) -> Option<Result<StreamAppendResult, RpcError>> {
        loop {
            let room = !self.ended && !self.entries_under_way && self.calls.len() < COMMITS_MAX;
            tokio::select! {
                biased;
                Some(answered) = self.calls.next(), if !self.calls.is_empty() => return Some(self.take(answered)),
                request = self.input.next(), if room => match request {
                    Some(request) => self.send(request),
                    None => self.ended = true,
                },
                else => return None,
            }
        }
    }

    fn send(&mut self, request: AppendRequest) {
        let carried_entries = !request.entries.is_empty();
        self.entries_under_way |= carried_entries;
        let previous = request.prev_log_id;
        let last = request.entries.last().map(|entry| entry.log_id()).or(previous);
        let sent = (self.send)(request);
        self.calls.push_back(Box::pin(async move {
            match sent.await {
                Ok(response) => {
                    let whole = !matches!(&response, AppendResponse::PartialSuccess(reached) if *reached != last);
                    let result = response.into_stream_result(previous, last);
                    Answered { carried_entries, goes_on: whole && result.is_ok(), result: Ok(result) }
                }
                Err(error) => Answered { carried_entries, goes_on: false, result: Err(error) },
            }
        }));
    }

    fn take(&mut self, answered: Answered) -> Result<StreamAppendResult, RpcError> {
        self.entries_under_way &= !answered.carried_entries;
        if !answered.goes_on {
            self.ended = true;
            self.calls.clear();
        }
        answered.result
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use futures::FutureExt;
    use runtime::Clock;
    use tokio::sync::Notify;

    use super::*;
    use crate::position::Position;
    use crate::raft_types::{Entry, EntryPayload, LeaderId, LogId, Unreachable, Vote};

    fn id(index: u64) -> LogId {
        Position { term: 1, leader: 1, index }.into()
    }

    /// A request with so many entries behind one.
    fn append(previous: u64, entries: u64) -> AppendRequest {
        let entry = |index| Entry::new(id(index), EntryPayload::Blank);
        AppendRequest {
            vote: Vote { leader_id: LeaderId { term: 1, node_id: 1 }, committed: true },
            prev_log_id: Some(id(previous)),
            entries: (previous + 1..=previous + entries).map(entry).collect(),
            leader_commit: Some(id(previous)),
        }
    }

    async fn collect(answers: impl Stream<Item = Result<StreamAppendResult, RpcError>>) -> Vec<Option<u64>> {
        let index = |answer: Result<StreamAppendResult, RpcError>| answer.ok()?.ok()?.map(|reached| reached.index);
        let answers = answers.map(index).collect();
        Clock::real().timeout(Duration::from_secs(60), answers).await.expect("nothing waits for ever")
    }

    #[tokio::test]
    async fn entries_do_not_wait_until_the_commit_before_them_is_answered() {
        let entries_sent = Arc::new(Notify::new());
        let requests = stream::iter([append(7, 0), append(7, 2)]);
        let answers = answers(requests, |request| {
            let entries_sent = Arc::clone(&entries_sent);
            async move {
                if request.entries.is_empty() {
                    entries_sent.notified().await
                } else {
                    entries_sent.notify_one()
                }
                Ok(AppendResponse::Success)
            }
            .boxed()
        });
        assert_eq!(collect(answers).await, [Some(7), Some(9)], "and the answers keep their order");
    }

    #[tokio::test]
    async fn entries_are_sent_one_request_at_a_time() {
        let under_way = AtomicUsize::new(0);
        let requests = stream::iter([append(0, 1), append(1, 1), append(2, 0), append(2, 1)]);
        let answers = answers(requests, |request| {
            let under_way = &under_way;
            async move {
                let entries = usize::from(!request.entries.is_empty());
                assert_eq!(under_way.fetch_add(entries, Ordering::SeqCst) * entries, 0, "two requests with entries");
                tokio::task::yield_now().await;
                under_way.fetch_sub(entries, Ordering::SeqCst);
                Ok(AppendResponse::Success)
            }
            .boxed()
        });
        assert_eq!(collect(answers).await, [Some(1), Some(2), Some(2), Some(3)]);
    }

    #[tokio::test]
    async fn nothing_is_answered_behind_what_went_wrong() {
        for wrong in [
            Ok(AppendResponse::Conflict),
            Ok(AppendResponse::PartialSuccess(Some(id(4)))),
            Err(Unreachable::from_string("cut").into()),
        ] {
            let requests = stream::iter([append(3, 0), append(3, 2), append(5, 0), append(5, 1)]);
            let reached = wrong.as_ref().ok().filter(|wrong| !wrong.is_conflict()).map(|_| 4);
            let answers = answers(requests, |request: AppendRequest| {
                let wrong = wrong.clone();
                let first = request.prev_log_id == Some(id(3));
                async move { if first && !request.entries.is_empty() { wrong } else { Ok(AppendResponse::Success) } }
                    .boxed()
            });
            assert_eq!(collect(answers).await, [Some(3), reached]);
        }
    }
}
