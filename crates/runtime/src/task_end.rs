//! What a task may return.

use std::error::Error;
use std::fmt::Write;

/// What a task ends with: nothing, or a result whose error is reported for it.
pub trait TaskEnd {
    /// The whole chain of the error in one line, if there is one.
    fn failure(self) -> Option<String>;
}

impl TaskEnd for () {
    fn failure(self) -> Option<String> {
        None
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> TaskEnd for Result<(), E> {
    fn failure(self) -> Option<String> {
        self.err().map(|error| chain(error.into().as_ref()))
    }
}

fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        // Writing to a string does not fail.
        let _ = write!(line, ": {source}");
        next = source.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::fmt::Error);

    #[test]
    fn the_causes_are_in_the_line() {
        let line = Err::<(), _>(Outer(std::fmt::Error)).failure();
        assert_eq!(line, Some(format!("outer: {}", std::fmt::Error)));
        assert_eq!(Ok::<(), Outer>(()).failure(), None);
    }
}
