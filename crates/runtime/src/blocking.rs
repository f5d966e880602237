//! Work that blocks, kept off the threads that run tasks.

use tracing::Span;

/// Runs work that blocks (disk, compression, hashing) on a thread of its own, within the caller's tracing span.
///
/// A panic in the work goes on in the caller. If the caller is dropped, work that has begun still runs to its end.
#[expect(clippy::disallowed_methods, reason = "this is the replacement that the ban names")]
pub async fn blocking<T, F>(work: F) -> T
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let span = Span::current();
    match tokio::task::spawn_blocking(move || span.in_scope(work)).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The executor is being dropped, and this caller with it.
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_value_comes_back() {
        assert_eq!(blocking(|| 6 * 7).await, 42);
    }

    #[tokio::test]
    #[should_panic(expected = "lost")]
    async fn a_panic_goes_on_in_the_caller() {
        blocking(|| panic!("lost")).await;
    }
}
