//! Tasks that have a name and an owner.
//!
//! A group owns its tasks and those of its children. Each task says what its error means; a panic always ends the
//! process in order, since state that it left half-changed must not be built on. Closing a group says stop to all of it,
//! waits, and reports by name what did not end.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use thiserror::Error;
use tokio::sync::Notify;
use tracing::{Instrument, Span, error, error_span, warn};

use crate::{Shutdown, TaskEnd};

/// What the error of a task means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// The process cannot go on without it: the root is told to stop, and the process ends in order.
    EndProcess,
    /// It concerns one piece of work only: it is logged.
    Log,
}

/// Why the process was told to end.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("task {task} failed: {reason}")]
pub struct TaskFailure {
    /// The task, with the groups above it.
    pub task: String,
    /// Its error with all causes, or its panic.
    pub reason: String,
}

/// Tasks were still running when the deadline came.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("still running after {deadline:?}: {}", names.join(", "))]
pub struct Stuck {
    /// The time they were given.
    pub deadline: Duration,
    /// The tasks, with the groups above them.
    pub names: Vec<String>,
}

/// A group of tasks; clones are the same group.
#[derive(Clone)]
pub struct Tasks {
    group: Arc<Group>,
}

struct Group {
    path: String,
    shutdown: Shutdown,
    parent: Option<Arc<Group>>,
    process: Arc<Process>,
    running: Mutex<BTreeMap<u64, Arc<str>>>,
    idle: Notify,
}

/// What all groups of one tree share.
#[derive(Default)]
struct Process {
    shutdown: Shutdown,
    failure: OnceLock<TaskFailure>,
    started: AtomicU64,
}

/// A task's entry in its group and in all groups above; taken out when the task ends, however it ends.
struct Entry {
    group: Arc<Group>,
    number: u64,
    name: Arc<str>,
    on_error: OnError,
}

impl Tasks {
    /// Makes the root of a tree of groups.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let process = Arc::<Process>::default();
        Self { group: Arc::new(Group::new(name.to_owned(), process.shutdown.clone(), None, process)) }
    }

    /// Makes a group below this one, which can be closed alone.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        let path = format!("{}/{name}", self.group.path);
        let parent = Some(Arc::clone(&self.group));
        let group = Group::new(path, self.group.shutdown.child(), parent, Arc::clone(&self.group.process));
        Self { group: Arc::new(group) }
    }

    /// The word that tells this group's tasks to stop.
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        self.group.shutdown.clone()
    }

    /// The first failure that told the process to end.
    #[must_use]
    pub fn failure(&self) -> Option<TaskFailure> {
        self.group.process.failure.get().cloned()
    }

    /// The tasks that run now, of this group and those below.
    #[must_use]
    pub fn running(&self) -> Vec<String> {
        self.group.running().values().map(ToString::to_string).collect()
    }

    /// Starts a task. It has to watch [`Tasks::shutdown`] itself: nothing is torn away in the middle.
    #[expect(clippy::disallowed_methods, reason = "this is the replacement that the ban names")]
    pub fn spawn<F>(&self, name: &str, on_error: OnError, future: F)
    where
        F: Future<Output: TaskEnd> + Send + 'static,
    {
        let entry = Entry::new(&self.group, name, on_error);
        let span = entry.span();
        let task = async move { entry.end(AssertUnwindSafe(future).catch_unwind().await) };
        tokio::spawn(task.instrument(span));
    }

    /// Starts work that blocks and ends soon, on a thread of the executor's pool.
    #[expect(clippy::disallowed_methods, reason = "this is the replacement that the ban names")]
    pub fn spawn_blocking<F, T>(&self, name: &str, on_error: OnError, work: F)
    where
        F: FnOnce() -> T + Send + 'static,
        T: TaskEnd,
    {
        let entry = Entry::new(&self.group, name, on_error);
        tokio::task::spawn_blocking(move || entry.run(work));
    }

    /// Starts work that blocks as long as the process lives, on a thread of its own.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn spawn_thread<F, T>(&self, name: &str, on_error: OnError, work: F) -> std::io::Result<()>
    where
        F: FnOnce() -> T + Send + 'static,
        T: TaskEnd,
    {
        let entry = Entry::new(&self.group, name, on_error);
        std::thread::Builder::new().name(name.to_owned()).spawn(move || entry.run(work)).map(drop)
    }

    /// Says stop to this group and those below, and waits until their tasks have ended. Not from one of those tasks: it
    /// would wait for itself.
    ///
    /// # Errors
    /// Some had not ended by the deadline; they are named and go on running.
    pub async fn close(&self, deadline: Duration) -> Result<(), Stuck> {
        self.group.shutdown.cancel();
        let ended = tokio::time::timeout(deadline, self.group.wait_idle()).await;
        ended.map_err(|_| Stuck { deadline, names: self.running() })
    }

    /// Waits until no task of this group and those below runs, without saying stop.
    pub async fn wait_idle(&self) {
        self.group.wait_idle().await;
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks").field("path", &self.group.path).field("running", &self.running()).finish()
    }
}

impl Group {
    fn new(path: String, shutdown: Shutdown, parent: Option<Arc<Self>>, process: Arc<Process>) -> Self {
        Self { path, shutdown, parent, process, running: Mutex::default(), idle: Notify::new() }
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<str>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wait_idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.running().is_empty() {
                return;
            }
            idle.await;
        }
    }

    fn with_ancestors(self: &Arc<Self>) -> impl Iterator<Item = &Arc<Self>> {
        std::iter::successors(Some(self), |group| group.parent.as_ref())
    }
}

impl Process {
    fn end(&self, failure: TaskFailure) {
        error!(task = %failure.task, reason = %failure.reason, "the process ends because a task failed");
        let _ = self.failure.set(failure);
        self.shutdown.cancel();
    }
}

impl Entry {
    fn new(group: &Arc<Group>, name: &str, on_error: OnError) -> Self {
        let number = group.process.started.fetch_add(1, Ordering::Relaxed);
        let name: Arc<str> = format!("{}/{name}", group.path).into();
        for group in group.with_ancestors() {
            group.running().insert(number, Arc::clone(&name));
        }
        Self { group: Arc::clone(group), number, name, on_error }
    }

    fn span(&self) -> Span {
        error_span!("task", name = %self.name)
    }

    fn run<T: TaskEnd>(self, work: impl FnOnce() -> T) {
        let end = self.span().in_scope(|| catch_unwind(AssertUnwindSafe(work)));
        self.end(end);
    }

    fn end<T: TaskEnd>(self, end: Result<T, Box<dyn Any + Send>>) {
        match end {
            Ok(end) => end.failure().into_iter().for_each(|reason| self.failed(reason)),
            Err(panic) => self.group.process.end(self.failure(format!("panic: {}", message(panic.as_ref())))),
        }
    }

    fn failed(&self, reason: String) {
        match self.on_error {
            OnError::EndProcess => self.group.process.end(self.failure(reason)),
            OnError::Log => warn!(%reason, "the task failed"),
        }
    }

    fn failure(&self, reason: String) -> TaskFailure {
        TaskFailure { task: self.name.to_string(), reason }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        for group in self.group.with_ancestors() {
            let mut running = group.running();
            running.remove(&self.number);
            if running.is_empty() {
                group.idle.notify_waiters();
            }
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Duration = Duration::from_secs(1);

    async fn wait_for(shutdown: Shutdown) {
        shutdown.cancelled().await;
    }

    async fn broken() {
        panic!("index out of range");
    }

    #[tokio::test(start_paused = true)]
    async fn close_waits_for_tasks_of_the_groups_below() {
        let root = Tasks::new("node");
        let child = root.child("blocks");
        child.spawn("writer", OnError::EndProcess, wait_for(child.shutdown()));
        assert_eq!(root.running(), ["node/blocks/writer"]);
        assert_eq!(root.close(DEADLINE).await, Ok(()));
        assert!(root.running().is_empty() && child.running().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn close_names_what_is_stuck() {
        let root = Tasks::new("node");
        root.child("raft").spawn("ticker", OnError::Log, std::future::pending::<()>());
        root.spawn("server", OnError::Log, wait_for(root.shutdown()));
        let names = vec!["node/raft/ticker".to_owned()];
        assert_eq!(root.close(DEADLINE).await, Err(Stuck { deadline: DEADLINE, names }));
    }

    #[tokio::test]
    async fn an_error_that_matters_stops_the_whole_tree() {
        let root = Tasks::new("node");
        let (raft, blocks) = (root.child("raft"), root.child("blocks"));
        raft.spawn("core", OnError::EndProcess, async { Err::<(), _>(std::io::Error::other("disk gone")) });
        blocks.shutdown().cancelled().await;
        let failure = TaskFailure { task: "node/raft/core".to_owned(), reason: "disk gone".to_owned() };
        assert_eq!(blocks.failure(), Some(failure));
    }

    #[tokio::test]
    async fn an_error_that_is_only_logged_stops_nothing() {
        let root = Tasks::new("node");
        root.spawn("connection", OnError::Log, async { Err::<(), _>("reset") });
        root.wait_idle().await;
        assert!(!root.shutdown().is_cancelled());
        assert_eq!(root.failure(), None);
    }

    #[tokio::test]
    async fn a_panic_ends_the_process_in_order_whatever_was_declared() {
        let root = Tasks::new("node");
        root.spawn("connection", OnError::Log, broken());
        root.shutdown().cancelled().await;
        assert_eq!(root.failure().map(|failure| failure.reason), Some("panic: index out of range".to_owned()));
        assert_eq!(root.close(DEADLINE).await, Ok(()));
    }

    #[tokio::test]
    async fn closing_a_group_leaves_its_siblings_alone() {
        let root = Tasks::new("node");
        let (raft, blocks) = (root.child("raft"), root.child("blocks"));
        raft.spawn("core", OnError::EndProcess, wait_for(raft.shutdown()));
        blocks.spawn("writer", OnError::EndProcess, wait_for(blocks.shutdown()));
        assert_eq!(raft.close(DEADLINE).await, Ok(()));
        assert_eq!(root.running(), ["node/blocks/writer"]);
    }

    #[tokio::test]
    async fn threads_and_blocking_work_are_waited_for() {
        let root = Tasks::new("node");
        let (release, released) = std::sync::mpsc::sync_channel::<()>(0);
        root.spawn_thread("sync", OnError::EndProcess, move || released.recv().map_err(|error| error.to_string()))
            .expect("a thread is to be had");
        root.spawn_blocking("scrub", OnError::Log, || ());
        assert!(root.running().contains(&"node/sync".to_owned()));
        release.send(()).expect("the thread waits");
        assert_eq!(root.close(DEADLINE).await, Ok(()));
        assert_eq!(root.failure(), None);
    }
}
