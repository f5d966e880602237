//! Tests that this machine cannot run.

use std::fs::OpenOptions;
use std::io::Write;

const VARIABLE: &str = "HOLDFAST_SKIPS";

/// Notes that the calling test cannot run here, and why; the test returns right after.
///
/// The line goes to the file that `HOLDFAST_SKIPS` names, because the test runner hides what a test prints; the script
/// that runs all tests counts and shows these lines. Without that file it goes to standard error.
///
/// # Panics
///
/// When that file cannot be written: a skip that nobody sees is a lie.
#[expect(clippy::print_stderr, reason = "there is nobody else to tell")]
pub fn skip(reason: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("{test}: {reason}\n");
    match std::env::var_os(VARIABLE) {
        None => eprint!("skipped {line}"),
        Some(path) => {
            let file = OpenOptions::new().append(true).create(true).open(&path);
            file.and_then(|mut file| file.write_all(line.as_bytes()))
                .expect("the file of skipped tests can be written");
        }
    }
}
