//! Who can read a repository, and with what.
//!
//! - The *data key* is an X25519 pair. Nodes hold the public half: each upload object has a random key of its own, which
//!   they wrap to it (HPKE), so that they can write and not read. The private half lives with people.
//! - The *metadata key* is symmetric: all tables, footers and commits are sealed under keys derived from it. Nodes hold
//!   it, since they list and merge.
//! - The *digest key* makes digests in tables keyed (rule P29); it never changes in the life of a repository.
//!
//! A key object in the series `keys/` carries the public half in clear, the private half wrapped under a passphrase
//! (Argon2id), and the metadata and digest keys sealed to the public half. So the passphrase alone, or the private key
//! alone, opens everything; the recovery kit is the private key on paper.
//!
//! No type here shows its secret in `Debug`, and all of them wipe it when they are dropped.

mod aead;
mod derive;
mod hpke;
mod key_object;
mod kit;
mod passphrase;
mod secret;
mod sets;

pub(crate) use aead::{Sealer, TAG_LENGTH};
pub(crate) use derive::{derive, slot_nonce};
pub use hpke::WrappedKey;
pub(crate) use hpke::{unwrap_object_key, wrap_object_key};
pub(crate) use key_object::VERSION as KEY_VERSION;
pub use key_object::{KeyObject, NewKeys, PASSPHRASE_LENGTH_MIN};
pub use kit::{KitError, RecoveryKit};
pub use passphrase::PassphraseCost;
pub use secret::{PrivateKey, Secret};
pub use sets::{ReaderKeys, WriterKeys};
