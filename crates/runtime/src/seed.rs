//! Randomness, from the operating system or from a number that replays it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ring::rand::{SecureRandom, SystemRandom};
use uuid::Uuid;

/// Where random numbers come from. Clones draw from the same stream; [`Seed::child`] begins a stream of its own.
#[derive(Clone)]
pub struct Seed {
    source: Source,
}

#[derive(Clone)]
enum Source {
    System(SystemRandom),
    Fixed { key: [u8; 32], stream: Arc<Mutex<blake3::OutputReader>> },
}

impl Seed {
    /// The operating system's generator, fit for keys.
    #[must_use]
    pub fn from_os() -> Self {
        Self { source: Source::System(SystemRandom::new()) }
    }

    /// A generator that gives the same numbers for the same seed: for tests and simulations, never for keys.
    #[must_use]
    pub fn fixed(seed: u64) -> Self {
        Self::from_key(blake3::derive_key("holdfast runtime fixed seed", &seed.to_le_bytes()))
    }

    fn from_key(key: [u8; 32]) -> Self {
        let stream = blake3::Hasher::new_keyed(&key).finalize_xof();
        Self { source: Source::Fixed { key, stream: Arc::new(Mutex::new(stream)) } }
    }

    /// A source for one purpose. Of a fixed seed the child depends on the name alone, not on what was drawn before, so
    /// that one component's draws do not shift another's; the same name gives the same stream.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        match &self.source {
            Source::System(_) => self.clone(),
            Source::Fixed { key, .. } => Self::from_key(*blake3::keyed_hash(key, name.as_bytes()).as_bytes()),
        }
    }

    /// Fills the buffer.
    pub fn fill(&self, buffer: &mut [u8]) {
        match &self.source {
            Source::System(system) => {
                system.fill(buffer).expect("getrandom(2) does not fail on a kernel that we run on")
            }
            Source::Fixed { stream, .. } => stream.lock().unwrap_or_else(PoisonError::into_inner).fill(buffer),
        }
    }

    /// Random bytes, as many as the array has.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// Any number.
    #[must_use]
    pub fn u64(&self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }

    /// A number below `bound`; zero if the bound is zero. The bias is below bound / 2⁶⁴.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        ((u128::from(self.u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A random UUID (version 4).
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.bytes()).into_uuid()
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.source {
            Source::System(_) => "Seed(system)",
            Source::Fixed { .. } => "Seed(fixed)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_seed_replays() {
        let draw = |seed: u64| {
            let source = Seed::fixed(seed);
            [source.u64(), source.u64(), source.below(1000), source.child("a").u64()]
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn a_child_does_not_depend_on_what_was_drawn_before() {
        let source = Seed::fixed(7);
        let before = source.child("network").u64();
        let _ = source.u64();
        assert_eq!(source.child("network").u64(), before);
        assert_ne!(source.child("disk").u64(), before);
    }

    #[test]
    fn clones_draw_from_one_stream() {
        let source = Seed::fixed(7);
        assert_ne!(source.u64(), source.clone().u64());
    }

    #[test]
    fn below_stays_below() {
        let source = Seed::fixed(7);
        assert!((0..1000).all(|_| source.below(3) < 3));
        assert_eq!(source.below(0), 0);
    }

    #[test]
    fn uuids_are_random_and_of_version_4() {
        let source = Seed::from_os();
        assert_ne!(source.uuid(), source.uuid());
        assert_eq!(source.uuid().get_version_num(), 4);
    }
}
