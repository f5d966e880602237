//! `holdfastd`, the storage daemon: one per node of a Holdfast cluster. What it does is in the library beside this file.

use std::process::ExitCode;

fn main() -> ExitCode {
    node::main(std::env::args_os())
}
