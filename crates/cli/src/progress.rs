//! Progress: one line on a terminal, and nothing anywhere else.

use std::fmt::Display;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::{Format, Output, Verbosity, complain};

/// How often the line is drawn anew.
const TICK: Duration = Duration::from_millis(200);

/// Counts of what was done, shown while it goes on.
pub struct Progress {
    what: &'static str,
    format: Format,
    files: AtomicU64,
    bytes: AtomicU64,
    bar: ProgressBar,
}

impl Progress {
    /// Begins; nothing is shown for programs, when nobody wants to see it, or when nobody sees standard error.
    pub fn new(what: &'static str, output: &Output) -> Self {
        let wanted = output.format() == Format::Text && output.verbosity() == Verbosity::Normal;
        let visible = wanted && std::io::stderr().is_terminal();
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        // A wide message is cut at the width of the terminal, so that it never becomes two lines.
        let style = ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = ProgressBar::with_draw_target(None, target).with_style(style);
        if visible {
            bar.enable_steady_tick(TICK);
        }
        Self { what, format: output.format(), files: AtomicU64::new(0), bytes: AtomicU64::new(0), bar }
    }

    /// Whether anybody sees it.
    pub fn is_shown(&self) -> bool {
        !self.bar.is_hidden()
    }

    /// Says how many bytes it will be in all, if that is known.
    pub fn expect(&self, bytes: Option<u64>) {
        if let Some(bytes) = bytes {
            self.bar.set_length(bytes);
        }
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

    /// Takes counts that somebody else keeps.
    pub fn reach(&self, files: u64, bytes: u64) {
        self.files.store(files, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
        self.show();
    }

    /// Shows a text of the caller's with the rate of these bytes.
    pub fn tell(&self, text: impl Display, bytes: u64) {
        if self.is_shown() {
            self.bar.set_position(bytes);
            self.bar.set_message(format!("{text}{}", rate(self.bar.per_sec())));
        }
    }

    /// Says something that must be seen, without tearing the progress line.
    pub fn warn(&self, text: impl Display) {
        self.bar.suspend(|| complain(self.format, "warning", &text));
    }

    /// Removes the line.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn show(&self) {
        if !self.is_shown() {
            return;
        }
        let (files, bytes) = (self.files.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
        self.bar.set_position(bytes);
        let total = self.bar.length().map(|total| Total { bytes: total, left: self.bar.eta() });
        self.bar.set_message(line(self.what, files, bytes, total, self.bar.per_sec()));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// What is known of the end.
struct Total {
    bytes: u64,
    left: Duration,
}

fn line(what: &str, files: u64, bytes: u64, total: Option<Total>, bytes_per_second: f64) -> String {
    let (done, rate) = (HumanBytes(bytes), rate(bytes_per_second));
    let noun = if files == 1 { "file" } else { "files" };
    let files = HumanCount(files);
    match total {
        None => format!("{what} {files} {noun}, {done}{rate}"),
        Some(Total { bytes, left }) => {
            let left = if left.is_zero() { String::new() } else { format!(", {} left", HumanDuration(left)) };
            format!("{what} {files} {noun}, {done} of {}{rate}{left}", HumanBytes(bytes))
        }
    }
}

/// The rate, once there is one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate that is shown need not be exact")]
fn rate(bytes_per_second: f64) -> String {
    if bytes_per_second >= 1.0 { format!(", {}/s", HumanBytes(bytes_per_second as u64)) } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_the_rest_of_the_way_where_it_is_known() {
        let mebibytes = |count: u64| count << 20;
        assert_eq!(line("put", 1, mebibytes(3), None, 0.0), "put 1 file, 3.00 MiB");
        assert_eq!(line("put", 1234, mebibytes(3), None, 1048576.0), "put 1,234 files, 3.00 MiB, 1.00 MiB/s");
        let total = Total { bytes: mebibytes(8), left: Duration::from_secs(5) };
        let shown = line("restored", 2, mebibytes(3), Some(total), 1048576.0);
        assert_eq!(shown, "restored 2 files, 3.00 MiB of 8.00 MiB, 1.00 MiB/s, 5 seconds left");
    }
}
