//! Progress: one line on a terminal, and nothing anywhere else.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use rustix::termios::tcgetwinsize;

use crate::output::{Format, Output, Verbosity, complain};

/// How often the line is drawn anew.
const TICK: Duration = Duration::from_millis(200);

/// The columns of a terminal that does not tell.
const COLUMNS: u16 = 80;
/// Columns that stay free behind the line.
const ROOM: u16 = 3;
/// How often the line may change.
const DRAWN_PER_SECOND: u8 = 10;

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
        let visible = wanted && io::stderr().is_terminal();
        let target = if visible {
            ProgressDrawTarget::term_like_with_hz(Box::new(Screen), DRAWN_PER_SECOND)
        } else {
            ProgressDrawTarget::hidden()
        };
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

/// Standard error as a terminal that is a little narrower than it is: behind the line stays room for the `^C` that a
/// terminal shows, so that both are on one line and are cleared together.
#[derive(Debug)]
struct Screen;

impl Screen {
    fn tell(&self, text: &str) -> io::Result<()> {
        io::stderr().write_all(text.as_bytes())
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        tcgetwinsize(io::stderr()).map_or(COLUMNS, |size| size.ws_col).saturating_sub(ROOM)
    }

    fn move_cursor_up(&self, count: usize) -> io::Result<()> {
        if count == 0 { Ok(()) } else { self.tell(&format!("\x1b[{count}A")) }
    }

    fn move_cursor_down(&self, count: usize) -> io::Result<()> {
        if count == 0 { Ok(()) } else { self.tell(&format!("\x1b[{count}B")) }
    }

    fn move_cursor_right(&self, count: usize) -> io::Result<()> {
        if count == 0 { Ok(()) } else { self.tell(&format!("\x1b[{count}C")) }
    }

    fn move_cursor_left(&self, count: usize) -> io::Result<()> {
        if count == 0 { Ok(()) } else { self.tell(&format!("\x1b[{count}D")) }
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        self.tell(&format!("{line}\n"))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.tell(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.tell("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        io::stderr().flush()
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
