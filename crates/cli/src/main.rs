//! `holdfast`: the command line.
//!
//! It talks to a cluster over gRPC, and reads, checks and restores repositories without one. It links no Raft and no
//! RocksDB.

mod arguments;
mod commands;
mod context;
mod error;
mod exit;
mod fs;
mod invocation;
mod listing;
mod output;
mod passphrase;
mod progress;
mod stop;
mod summary;
mod text;
mod tree;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    wire::install_crypto_provider();
    match arguments::Arguments::try_parse() {
        Ok(arguments) => invocation::run(arguments).err().unwrap_or(exit::Exit::Done).into(),
        Err(error) => invocation::refuse(&error),
    }
}
