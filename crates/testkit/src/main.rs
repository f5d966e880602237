//! `holdfast-testkit`: trees from a seed, and the comparison of two trees, for scripts.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what this program does")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use runtime::Seed;
use testkit::TestkitError;
use testkit::compare::{CompareOptions, compare};
use testkit::tree::{TreeOptions, change, make};

/// Makes, changes and compares directory trees.
#[derive(Parser)]
#[command(name = "holdfast-testkit", version)]
enum Command {
    /// Makes a tree in a folder that does not exist yet.
    MakeTree {
        /// The folder to make.
        root: PathBuf,
        /// What decides the tree.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Directory entries to make.
        #[arg(long, default_value_t = 1000)]
        entries: u64,
        /// Bytes of data to write at most.
        #[arg(long, default_value_t = 64 << 20)]
        bytes_max: u64,
    },
    /// Changes a tree as a day's work would, and tells what it did.
    ChangeTree {
        /// The tree.
        root: PathBuf,
        /// What decides the changes.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How many.
        #[arg(long, default_value_t = 26)]
        count: u64,
    },
    /// Compares two trees, prints what differs, and fails if anything does.
    CompareTrees {
        /// The original.
        left: PathBuf,
        /// What came back.
        right: PathBuf,
    },
}

fn main() -> ExitCode {
    run(Command::parse()).unwrap_or_else(|error| {
        eprintln!("holdfast-testkit: {error}");
        ExitCode::from(2)
    })
}

fn run(command: Command) -> Result<ExitCode, TestkitError> {
    match command {
        Command::MakeTree { root, seed, entries, bytes_max } => {
            println!("{:?}", make(&root, TreeOptions { entries, bytes_max }, &Seed::fixed(seed))?);
        }
        Command::ChangeTree { root, seed, count } => {
            change(&root, count, &Seed::fixed(seed))?.iter().for_each(|change| println!("{change}"));
        }
        Command::CompareTrees { left, right } => return compare_trees(&left, &right),
    }
    Ok(ExitCode::SUCCESS)
}

fn compare_trees(left: &std::path::Path, right: &std::path::Path) -> Result<ExitCode, TestkitError> {
    let comparison = compare(left, right, CompareOptions::default())?;
    comparison.differences.iter().for_each(|difference| println!("{difference}"));
    println!(
        "{} entries, {} bytes compared: {} differences",
        comparison.entries,
        comparison.bytes,
        comparison.differences.len()
    );
    Ok(if comparison.differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
