//! Checks of the project itself: `cargo xtask verify` reads the tree, writes nothing, and fails with a list of what is
//! wrong and where.
//!
//! What clippy, rustfmt and cargo-deny can check is theirs. Here are the rules that no tool of theirs knows: the table
//! of edges between crates, sizes of files and functions, marks of unfinished work, and the layout of the tree.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what this program does")]

mod edges;
mod finding;
mod functions;
mod layout;
mod manifests;
mod marks;
mod metadata;
mod rust_source;
mod sizes;
mod tree;
mod verify;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask verify";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.as_slice() {
        [command] if command == "verify" => verify::run(),
        _ => Err(anyhow::anyhow!(USAGE)),
    };
    match outcome {
        Ok(verify::Verdict::Clean) => ExitCode::SUCCESS,
        Ok(verify::Verdict::Findings) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}
