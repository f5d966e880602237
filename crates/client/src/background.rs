//! Work that goes on while its starter does something else.

use std::future::Future;

use runtime::{OnError, Tasks};
use tokio::sync::oneshot;

use crate::ClientError;

/// The result of work in the background, still to come.
pub struct Pending<T>(oneshot::Receiver<T>);

impl<T: Send + 'static> Pending<T> {
    /// Starts the work.
    pub fn start(tasks: &Tasks, name: &str, work: impl Future<Output = T> + Send + 'static) -> Self {
        let (sender, receiver) = oneshot::channel();
        tasks.spawn(name, OnError::Log, async move {
            // Nobody waits any more when the starter gave up, and then nobody needs the result.
            let _ = sender.send(work.await);
        });
        Self(receiver)
    }

    /// Waits for the result.
    ///
    /// # Errors
    /// [`ClientError::Interrupted`] when the work ended without one.
    pub async fn finish(self) -> Result<T, ClientError> {
        self.0.await.map_err(|_| ClientError::Interrupted)
    }
}
