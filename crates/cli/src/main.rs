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
    let arguments = arguments::Arguments::parse();
    match invocation::run(arguments) {
        Ok(()) => exit::Exit::Done.into(),
        Err(exit) => exit.into(),
    }
}
