//! Generates the messages and services of `/proto` without `protoc`.

use std::error::Error;
use std::path::Path;

/// One file per service, and the words that they share.
const FILES: [&str; 14] = [
    "types",
    "error",
    "enrolment",
    "cluster",
    "namespace",
    "blocks",
    "snapshots",
    "sites",
    "policies",
    "quotas",
    "backups",
    "raft",
    "work",
    "keys",
];

fn main() -> Result<(), Box<dyn Error>> {
    // Relative to this crate, where cargo runs build scripts: clones share build folders, and a path that one of them
    // compiled in is wrong in the next.
    let root = Path::new("../../proto");
    println!("cargo::rerun-if-changed={}", root.display());
    let files: Vec<_> = FILES.iter().map(|name| root.join(format!("holdfast/v1/{name}.proto"))).collect();
    let descriptors = protox::compile(files, [root])?;
    // Bytes instead of Vec<u8>: a block is taken from the message without being copied. BTreeMap instead of HashMap: the
    // same error always prints the same.
    tonic_prost_build::configure().bytes(".").btree_map(".").compile_fds(descriptors)?;
    Ok(())
}
