//! Appends to one member: those that only tell how far the log is committed hold nothing up.
//!
//! openraft tells the followers of each commit in a request without entries, unless some are to be sent anyway. Whatever
//! it says, a later request says too. So it waits a moment for entries to go with, which a lone writer sends as soon as it
//! has its answer: half of all messages are spared. A member that is asked to read what was just written needs the commit
//! at once, and asks the leader first; so a commit waits no longer when the leader was asked.
//!
//! The next entries do not wait for the answer to a request without entries: it may be overtaken, for a follower takes
//! neither its log nor what it knows to be committed back. Entries themselves are sent one request at a time, because they
//! have to come in order; while they are under way, more come together for the next.
//!
//! An answer is told only if no request was taken since its own was sent: that of the newest one speaks for all, and an old
//! one must not pass for it.
//!
//! **Limits.** [`COMMITS_MAX`] requests without entries, and one with. A commit waits for [`COMMIT_WAIT`] at most.

use std::time::Duration;

use futures::future::{BoxFuture, pending};
use futures::stream::{self, FuturesOrdered};
use futures::{FutureExt, Stream, StreamExt};
use openraft::entry::RaftEntry;
use runtime::Clock;
use tokio::sync::watch;

use crate::raft_types::{AppendRequest, AppendResponse, RpcError, StreamAppendResult};

/// Requests without entries that may be under way at once: a member that does not answer gets no more.
const COMMITS_MAX: usize = 4;
/// How long a commit waits for entries: several round trips of a lone writer, and short beside a heartbeat.
const COMMIT_WAIT: Duration = Duration::from_millis(5);

/// What came of one request.
struct Answered {
    /// How many requests had been taken when it was sent.
    number: u64,
    carried_entries: bool,
    result: Result<StreamAppendResult, RpcError>,
    /// Whether the requests behind it still make sense.
    goes_on: bool,
}

struct Pipeline<'s, S, F> {
    input: S,
    send: F,
    calls: FuturesOrdered<BoxFuture<'s, Answered>>,
    /// Requests that were taken from the input.
    taken: u64,
    /// A commit that waits for entries.
    held: Option<AppendRequest>,
    patience: Patience,
    entries_under_way: bool,
    ended: bool,
}

/// Ends the wait of a commit.
pub(crate) struct Patience {
    clock: Clock,
    /// Has news when somebody is about to read what is committed.
    asked: watch::Receiver<()>,
    /// Set when a commit begins to wait, and not before it has run out: a lone writer would set it with each entry.
    timer: Option<BoxFuture<'static, ()>>,
}

impl Patience {
    pub fn new(clock: Clock, asked: watch::Receiver<()>) -> Self {
        Self { clock, asked, timer: None }
    }

    /// Waits until a commit has waited long enough.
    async fn is_over(&mut self) {
        let timer = self.timer.get_or_insert_with(|| {
            let clock = self.clock.clone();
            async move { clock.sleep(COMMIT_WAIT).await }.boxed()
        });
        let asked = async {
            // Nobody can ask any more when this member stops.
            if self.asked.changed().await.is_err() {
                pending().await
            }
        };
        tokio::select! {
            () = timer => self.timer = None,
            () = asked => {}
        }
    }
}

/// Sends requests and gives the answers of those that were sent, in their order; ends at the first that went wrong.
pub(crate) fn answers<'s, S, F>(
    input: S,
    patience: Patience,
    send: F,
) -> impl Stream<Item = Result<StreamAppendResult, RpcError>> + Send + 's
where
    S: Stream<Item = AppendRequest> + Send + Unpin + 's,
    F: Fn(AppendRequest) -> BoxFuture<'s, Result<AppendResponse, RpcError>> + Send + 's,
{
    let calls = FuturesOrdered::new();
    let pipeline =
        Pipeline { input, send, calls, taken: 0, held: None, patience, entries_under_way: false, ended: false };
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
                Some(answered) = self.calls.next(), if !self.calls.is_empty() => {
                    if let Some(told) = self.take(answered) {
                        return Some(told);
                    }
                }
                request = self.input.next(), if room => self.accept(request),
                () = self.patience.is_over(), if self.held.is_some() => self.send_held(),
                else => return None,
            }
        }
    }

    /// Sends entries, and with them what a held commit says; holds a commit, until nothing more can come.
    fn accept(&mut self, request: Option<AppendRequest>) {
        self.taken += u64::from(request.is_some());
        match request {
            Some(request) if request.entries.is_empty() => self.held = Some(request),
            Some(request) => {
                self.held = None;
                self.send(request);
            }
            None => {
                self.ended = true;
                self.send_held();
            }
        }
    }

    fn send_held(&mut self) {
        if let Some(commit) = self.held.take() {
            self.send(commit);
        }
    }

    fn send(&mut self, request: AppendRequest) {
        let (number, carried_entries) = (self.taken, !request.entries.is_empty());
        self.entries_under_way |= carried_entries;
        let previous = request.prev_log_id;
        let last = request.entries.last().map(|entry| entry.log_id()).or(previous);
        let sent = (self.send)(request);
        self.calls.push_back(Box::pin(async move {
            match sent.await {
                Ok(response) => {
                    let whole = !matches!(&response, AppendResponse::PartialSuccess(reached) if *reached != last);
                    let result = response.into_stream_result(previous, last);
                    Answered { number, carried_entries, goes_on: whole && result.is_ok(), result: Ok(result) }
                }
                Err(error) => Answered { number, carried_entries, goes_on: false, result: Err(error) },
            }
        }));
    }

    /// Gives an answer on, unless it says nothing of the newest request: openraft dates the word of a follower by the newest
    /// request that was taken and ends where the answer does, and counts on it for leases and reads (rule P4).
    fn take(&mut self, answered: Answered) -> Option<Result<StreamAppendResult, RpcError>> {
        self.entries_under_way &= !answered.carried_entries;
        if !answered.goes_on {
            self.ended = true;
            self.held = None;
            self.calls.clear();
            return Some(answered.result);
        }
        (answered.number == self.taken).then_some(answered.result)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::SinkExt;
    use futures::channel::mpsc;
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

    /// Never asked, but for the one who has the sender.
    fn patience() -> (watch::Sender<()>, Patience) {
        let (asker, asked) = watch::channel(());
        (asker, Patience::new(Clock::real(), asked))
    }

    async fn collect(answers: impl Stream<Item = Result<StreamAppendResult, RpcError>>) -> Vec<Option<u64>> {
        let index = |answer: Result<StreamAppendResult, RpcError>| answer.ok()?.ok()?.map(|reached| reached.index);
        let answers = answers.map(index).collect();
        Clock::real().timeout(Duration::from_secs(60), answers).await.expect("nothing waits for ever")
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_goes_with_the_entries_that_follow_it() {
        let sent = AtomicUsize::new(0);
        let (_asker, patience) = patience();
        let requests = stream::iter([append(7, 0), append(7, 0), append(7, 2)]);
        let answers = answers(requests, patience, |_| {
            sent.fetch_add(1, Ordering::SeqCst);
            async { Ok(AppendResponse::Success) }.boxed()
        });
        assert_eq!(collect(answers).await, [Some(9)]);
        assert_eq!(sent.load(Ordering::SeqCst), 1, "one message");
    }

    /// How long a commit waits that nothing follows.
    async fn wait_of_a_commit(asks: impl FnOnce(&watch::Sender<()>)) -> Duration {
        let (asker, patience) = patience();
        let (mut sender, requests) = mpsc::channel(1);
        sender.send(append(7, 0)).await.expect("there is room");
        let mut answers = Box::pin(answers(requests, patience, |_| async { Ok(AppendResponse::Success) }.boxed()));
        asks(&asker);
        let (clock, began) = (Clock::real(), Clock::real().now());
        assert!(answers.next().await.is_some(), "it is sent, though more may come");
        clock.now() - began
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_that_nothing_follows_is_sent_after_a_moment_and_at_once_if_somebody_is_about_to_read() {
        let waited = wait_of_a_commit(|_| {}).await;
        assert!((COMMIT_WAIT..2 * COMMIT_WAIT).contains(&waited), "{waited:?}");
        assert_eq!(wait_of_a_commit(|asker| asker.send_replace(())).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_entries_is_sent_at_once_when_nothing_more_can_come() {
        let (_asker, patience) = patience();
        let began = Clock::real().now();
        let answers =
            answers(stream::iter([append(7, 0)]), patience, |_| async { Ok(AppendResponse::Success) }.boxed());
        assert_eq!(collect(answers).await, [Some(7)]);
        assert_eq!(Clock::real().now() - began, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn entries_do_not_wait_until_the_commit_before_them_is_answered() {
        let (entries_sent, commit_sent) = (Notify::new(), Notify::new());
        let (_asker, patience) = patience();
        let (mut sender, requests) = mpsc::channel(1);
        let answers = answers(requests, patience, |request| {
            let (entries_sent, commit_sent) = (&entries_sent, &commit_sent);
            async move {
                if request.entries.is_empty() {
                    commit_sent.notify_one();
                    entries_sent.notified().await;
                } else {
                    entries_sent.notify_one();
                }
                Ok(AppendResponse::Success)
            }
            .boxed()
        });
        let asking = async {
            sender.send(append(7, 0)).await.expect("it is taken");
            commit_sent.notified().await;
            sender.send(append(7, 2)).await.expect("it is taken");
            drop(sender);
        };
        let (answered, ()) = tokio::join!(collect(answers), asking);
        assert_eq!(answered, [Some(9)], "which speaks for both");
    }

    /// The answer to a commit must not be taken for one to a later commit, which has not been sent: a leader that has been
    /// replaced meanwhile would believe that it leads still.
    #[tokio::test(start_paused = true)]
    async fn an_answer_is_not_told_when_a_later_request_waits() {
        let (_asker, patience) = patience();
        let (mut sender, requests) = mpsc::channel(2);
        let (sent, held_back) = (AtomicUsize::new(0), Notify::new());
        let mut answers = Box::pin(answers(requests, patience, |_| {
            let number = sent.fetch_add(1, Ordering::SeqCst);
            let held_back = &held_back;
            async move {
                if number == 0 {
                    held_back.notified().await;
                }
                Ok(AppendResponse::Success)
            }
            .boxed()
        }));
        sender.send(append(7, 0)).await.expect("it is taken");
        assert!(answers.next().now_or_never().is_none(), "nothing is answered");
        let clock = Clock::real();
        assert!(clock.timeout(2 * COMMIT_WAIT, answers.next()).await.is_err(), "the first is on its way");
        sender.send(append(7, 0)).await.expect("it is taken");
        assert!(answers.next().now_or_never().is_none(), "the second is held");
        held_back.notify_one();
        assert!(answers.next().now_or_never().is_none(), "the first is answered, and that is not told");
        assert_eq!(sent.load(Ordering::SeqCst), 1);
        assert!(answers.next().await.is_some(), "the second is, once it was sent");
        assert_eq!(sent.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn entries_are_sent_one_request_at_a_time() {
        let under_way = AtomicUsize::new(0);
        let (_asker, patience) = patience();
        let requests = stream::iter([append(0, 1), append(1, 1), append(2, 0), append(2, 1)]);
        let answers = answers(requests, patience, |request| {
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
        assert_eq!(collect(answers).await, [Some(1), Some(2), Some(3)]);
    }

    #[tokio::test]
    async fn nothing_is_answered_behind_what_went_wrong() {
        for wrong in [
            Ok(AppendResponse::Conflict),
            Ok(AppendResponse::PartialSuccess(Some(id(4)))),
            Err(Unreachable::from_string("cut").into()),
        ] {
            let (_asker, patience) = patience();
            let requests = stream::iter([append(2, 1), append(3, 2), append(5, 0), append(5, 1)]);
            let reached = wrong.as_ref().ok().filter(|wrong| !wrong.is_conflict()).map(|_| 4);
            let answers = answers(requests, patience, |request: AppendRequest| {
                let wrong = wrong.clone();
                let second = request.prev_log_id == Some(id(3));
                async move { if second { wrong } else { Ok(AppendResponse::Success) } }.boxed()
            });
            assert_eq!(collect(answers).await, [Some(3), reached]);
        }
    }
}
