//! Repositories, written and read as nodes and people do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy allows them in tests, and not in what tests share"
)]

mod check;
mod damage;
mod export;
mod joins;
mod keys;
mod limits;
mod merging;
mod model;
mod rebuild;
mod refusals;
mod round_trip;
mod world;
