//! The word to stop.

use std::future::Future;

use tokio_util::sync::CancellationToken;

/// Tells tasks to stop. Clones are the same word; a child hears its parent's, the parent does not hear the child's.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    token: CancellationToken,
}

impl Shutdown {
    /// Makes a word of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a part that can be stopped alone.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { token: self.token.child_token() }
    }

    /// Says stop.
    pub fn cancel(&self) {
        self.token.cancel();
    }

    /// Whether stop was said.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until stop is said.
    pub async fn cancelled(&self) {
        self.token.cancelled().await;
    }

    /// Waits until stop is said, for servers that want a future of their own.
    pub fn cancelled_owned(&self) -> impl Future<Output = ()> + Send + 'static {
        self.token.clone().cancelled_owned()
    }

    /// Runs the future until it is ready, or drops it when stop is said, which gives `None`.
    pub async fn unless_cancelled<F: Future>(&self, future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            () = self.cancelled() => None,
            output = future => Some(output),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_child_hears_its_parent_and_not_the_other_way_round() {
        let parent = Shutdown::new();
        let (first, second) = (parent.child(), parent.child());
        first.cancel();
        assert!(!parent.is_cancelled() && !second.is_cancelled());
        parent.cancel();
        second.cancelled().await;
    }

    #[tokio::test]
    async fn work_is_dropped_when_stop_is_said() {
        let shutdown = Shutdown::new();
        assert_eq!(shutdown.unless_cancelled(async { 1 }).await, Some(1));
        shutdown.cancel();
        assert_eq!(shutdown.unless_cancelled(std::future::pending::<()>()).await, None);
    }
}
