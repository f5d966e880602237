//! `holdfastd`: one per node of a cluster.

use std::process::ExitCode;

fn main() -> ExitCode {
    node::main(std::env::args_os())
}
