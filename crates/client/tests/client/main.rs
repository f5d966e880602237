//! The client against a node that plays a whole cluster, and does wrong when it is told to.

#![expect(clippy::panic, clippy::unwrap_used, reason = "the harness of tests fails by panics as the tests do")]

mod cluster;
mod large_changes;
mod publishing;
mod putting;
mod reading;
mod sessions;
