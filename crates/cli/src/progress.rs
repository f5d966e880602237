//! Progress: on a terminal, and nowhere else.

use std::fmt::Display;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget};

use crate::output::Format;

/// How often the line is drawn anew.
const TICK: Duration = Duration::from_millis(200);

/// Counts of what was done, shown while it goes on.
pub struct Progress {
    what: &'static str,
    files: AtomicU64,
    bytes: AtomicU64,
    bar: ProgressBar,
}

impl Progress {
    /// Begins; nothing is shown for programs, or when nobody sees standard error.
    pub fn new(what: &'static str, format: Format) -> Self {
        let visible = format == Format::Text && std::io::stderr().is_terminal();
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if visible {
            bar.enable_steady_tick(TICK);
        }
        Self { what, files: AtomicU64::new(0), bytes: AtomicU64::new(0), bar }
    }

    /// Counts a file, directory or link.
    pub fn add_file(&self) {
        self.files.fetch_add(1, Ordering::Relaxed);
        self.show();
    }

    /// Counts bytes.
    pub fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.show();
    }

    /// Shows a text of the caller's.
    pub fn message(&self, text: impl Display) {
        if !self.bar.is_hidden() {
            self.bar.set_message(text.to_string());
        }
    }

    /// The bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Says something that must be seen, without tearing the progress line.
    #[expect(clippy::print_stderr, reason = "warnings of a running command go to people, not to the log")]
    pub fn warn(&self, text: impl Display) {
        self.bar.suspend(|| eprintln!("holdfast: {text}"));
    }

    /// Removes the line.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn show(&self) {
        if !self.bar.is_hidden() {
            let (files, bytes) = (self.files.load(Ordering::Relaxed), self.bytes());
            self.bar.set_message(format!("{} {} files, {}", self.what, HumanCount(files), HumanBytes(bytes)));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}
