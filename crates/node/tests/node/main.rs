//! Real daemons on loopback, asked through the protocol by the crate `client`.

mod daemons;
mod forming;
mod refusals;
