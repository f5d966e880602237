//! Real daemons on loopback, asked through the protocol by the crate `client`.

#![expect(clippy::indexing_slicing, clippy::panic, reason = "the harness of tests fails by panics as the tests do")]

mod daemons;
mod doors;
mod forming;
mod refusals;
mod secrets;
