//! Everything that reads bytes from outside, as targets of a fuzzer (law 11).
//!
//! Each [`Target`] takes any bytes. It must neither panic nor take more memory or time than its input may ask for, and
//! what it accepts must come back as it was when it is encoded and read again. Its examples are real encodings, made by the
//! code itself. Two things use the targets: `scripts/fuzz` runs them under libFuzzer, which looks for inputs that reach
//! code that none before has reached; and a test of this crate runs the examples, and many mutations of them, in every run
//! of the tests.

mod mutate;
mod node_files;
mod samples;
mod targets;

pub use mutate::mutated;
pub use targets::{TARGETS, Target};

#[cfg(test)]
mod tests {
    use super::*;

    /// Mutations of each target in one round of the test.
    const MUTATIONS: u64 = 4000;

    #[test]
    fn no_target_falls_over_its_examples_or_mutations_of_them() {
        let seed = testkit::seed();
        for target in TARGETS {
            let examples = (target.examples)();
            assert!(!examples.is_empty(), "{} begins with something", target.name);
            examples.iter().for_each(|example| (target.run)(example));
            let seed = seed.child(target.name);
            for _ in 0..MUTATIONS * testkit::rounds(1) {
                (target.run)(&mutated(&examples, &seed));
            }
        }
    }

    #[test]
    fn each_target_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = TARGETS.iter().map(|target| target.name).collect();
        assert_eq!(names.len(), TARGETS.len());
    }
}
