//! The seed of a randomised test.

use runtime::Seed;

const VARIABLE: &str = "HOLDFAST_SEED";

/// A seed for this test: from `HOLDFAST_SEED` if that is set, else a new one. Prints it either way, so that a failing
/// test, whose output is shown, can be replayed.
///
/// # Panics
///
/// When the variable is set and is not a number.
#[must_use]
pub fn seed() -> Seed {
    let number = match std::env::var(VARIABLE) {
        Ok(text) => text.parse().unwrap_or_else(|_| unusable(&text)),
        Err(_) => Seed::from_os().u64(),
    };
    announce(number);
    Seed::fixed(number)
}

#[expect(clippy::panic, reason = "a test that was asked to replay a seed must not run with another one")]
fn unusable(text: &str) -> u64 {
    panic!("{VARIABLE}={text}: not a number of 64 bits")
}

#[expect(clippy::print_stdout, reason = "the test runner shows it when the test fails")]
fn announce(number: u64) {
    println!("replay with {VARIABLE}={number}");
}
