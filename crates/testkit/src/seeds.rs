//! The seed of a randomised test, and how long it goes on.

use runtime::Seed;

const VARIABLE: &str = "HOLDFAST_SEED";
const ROUNDS: &str = "HOLDFAST_ROUNDS";

/// A seed for this test: from `HOLDFAST_SEED` if that is set, else a new one. Prints it either way, so that a failing
/// test, whose output is shown, can be replayed.
///
/// # Panics
///
/// When the variable is set and is not a number.
#[must_use]
pub fn seed() -> Seed {
    let number = asked_for(VARIABLE).unwrap_or_else(|| Seed::from_os().u64());
    announce(number);
    Seed::fixed(number)
}

/// How many rounds a randomised test goes: as many as `HOLDFAST_ROUNDS` says, for a long run, else the usual number.
///
/// # Panics
///
/// When the variable is set and is not a number.
#[must_use]
pub fn rounds(usual: u64) -> u64 {
    asked_for(ROUNDS).unwrap_or(usual)
}

fn asked_for(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| unusable(variable, &text)))
}

#[expect(clippy::panic, reason = "a test that was asked to replay a seed must not run with another one")]
fn unusable(variable: &str, text: &str) -> u64 {
    panic!("{variable}={text}: not a number of 64 bits")
}

#[expect(clippy::print_stdout, reason = "the test runner shows it when the test fails")]
fn announce(number: u64) {
    println!("replay with {VARIABLE}={number}");
}
