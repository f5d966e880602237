//! Runs every check and prints what each found.

use anyhow::{Context, Result};

use crate::finding::Finding;
use crate::metadata::Metadata;
use crate::tree::Tree;
use crate::{edges, layout, manifests, marks, sizes};

/// Whether the tree keeps the rules.
pub(crate) enum Verdict {
    /// It does.
    Clean,
    /// It does not; what is wrong has been printed.
    Findings,
}

/// Checks the tree that the current folder belongs to.
pub(crate) fn run() -> Result<Verdict> {
    let tree = Tree::read().context("read the source tree")?;
    let metadata = Metadata::read(tree.root()).context("read cargo's metadata")?;
    let table = edges::Table::read(&tree).context("read the table of edges")?;
    let checks: [(&str, Vec<Finding>); 7] = [
        ("folders, generated files, crate documentation", layout::check(&tree)),
        ("manifests", manifests::check(&tree)),
        ("edges between crates", edges::check_edges(&table, &metadata)),
        ("crates that only some may name", edges::check_named(&table, &metadata)),
        ("crates that must not be pulled in", edges::check_forbidden(&table, &metadata)),
        ("marks of unfinished work", marks::check(&tree)),
        ("sizes of files and functions", sizes::check(&tree)),
    ];
    for (name, findings) in &checks {
        println!("{name}: {}", if findings.is_empty() { "ok" } else { "FAILED" });
        findings.iter().for_each(|finding| println!("  {finding}"));
    }
    println!("{}", sizes::summary(&tree));
    let failed = checks.iter().any(|(_, findings)| !findings.is_empty());
    Ok(if failed { Verdict::Findings } else { Verdict::Clean })
}
