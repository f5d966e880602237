//! Real daemons on loopback, asked through the protocol by the crate `client`.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the harness of tests fails by panics as the tests do"
)]
#![expect(clippy::disallowed_methods, reason = "tests look at real files and processes from outside")]

mod appending;
mod backups;
mod broken_disks;
mod daemons;
mod doors;
mod ending;
mod fetching;
mod files;
mod forming;
mod full_disk;
mod holding;
mod joining;
mod kills;
mod moving;
mod orphans;
mod overwriting;
mod quotas;
mod refusals;
mod requests;
mod secrets;
mod sites;
mod slow_way;
mod space;
