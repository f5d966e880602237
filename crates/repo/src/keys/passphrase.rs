//! From a passphrase to a key.

use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};

use super::Secret;

/// What Argon2id costs. It is stored with what it protects, so that it can be raised later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassphraseCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl PassphraseCost {
    /// The second recommended option of RFC 9106, section 4: 64 MiB, three passes, four lanes.
    pub const RECOMMENDED: Self = Self { memory_kib: 64 << 10, passes: 3, lanes: 4 };

    /// The least that Argon2 takes: for tests, which do not keep secrets.
    pub const LEAST: Self = Self { memory_kib: 8, passes: 1, lanes: 1 };

    /// A repository is not trusted to ask for any amount of memory and time.
    const MOST: Self = Self { memory_kib: 4 << 20, passes: 64, lanes: 64 };

    /// Derives a key from a passphrase; `None` if the cost is out of bounds.
    pub(super) fn derive(self, passphrase: &str, salt: &[u8; 16]) -> Option<Secret> {
        let most = Self::MOST;
        if self.memory_kib > most.memory_kib || self.passes > most.passes || self.lanes > most.lanes {
            return None;
        }
        let parameters = Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).ok()?;
        let mut key = [0; 32];
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
        argon2.hash_password_into(passphrase.as_bytes(), salt, &mut key).ok()?;
        Some(Secret::new(key))
    }
}
