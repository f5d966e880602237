//! Whether a volume takes writes, for those who only want to know.

use std::sync::{Arc, Mutex, PoisonError};

/// Why nothing can be written, while that is so. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Broken {
    reason: Arc<Mutex<Option<String>>>,
}

impl Broken {
    pub(crate) fn reason(&self) -> Option<String> {
        self.locked(|reason| reason.clone())
    }

    pub(crate) fn begin(&self, why: &str) {
        self.locked(|reason| {
            if reason.is_none() {
                *reason = Some(why.to_owned());
            }
        });
    }

    pub(crate) fn end(&self) {
        self.locked(|reason| *reason = None);
    }

    fn locked<T>(&self, work: impl FnOnce(&mut Option<String>) -> T) -> T {
        work(&mut self.reason.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
