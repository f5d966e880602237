//! What cargo knows about the workspace: packages, and who depends on whom.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// The part of `cargo metadata` that the checks use.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
    resolve: Resolve,
}

/// One package of the workspace or from outside.
#[derive(Deserialize)]
pub(crate) struct Package {
    id: String,
    name: String,
    dependencies: Vec<Dependency>,
}

/// One line of a manifest's tables of dependencies.
#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    dependencies: Vec<String>,
}

impl Metadata {
    /// Asks cargo, for the platform that Holdfast runs on.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["metadata", "--format-version=1", "--locked", "--filter-platform=x86_64-unknown-linux-gnu"])
            .current_dir(root)
            .output()
            .context("start cargo")?;
        ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
        Self::parse(&output.stdout)
    }

    /// Reads what `cargo metadata` printed.
    pub(crate) fn parse(json: &[u8]) -> Result<Self> {
        serde_json::from_slice(json).context("parse the output of cargo metadata")
    }

    /// Our crates by their short names, each with the short names of ours that it uses outside tests.
    pub(crate) fn edges(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let members: Vec<&Package> =
            self.packages.iter().filter(|package| self.workspace_members.contains(&package.id)).collect();
        let ours: BTreeSet<&str> = members.iter().map(|package| package.name.as_str()).collect();
        let used = |package: &'_ Package| -> Vec<String> {
            let built = package.dependencies.iter().filter(|dependency| dependency.kind.as_deref() != Some("dev"));
            built.map(|dependency| dependency.name.clone()).collect()
        };
        let mut edges = BTreeMap::new();
        for package in members {
            let uses = used(package).into_iter().filter_map(|name| ours.get(name.as_str()).copied());
            edges.insert(short_name(&package.name), uses.map(short_name).collect());
        }
        edges
    }

    /// Our crates by their short names, each with all that its manifest names, for tests too.
    pub(crate) fn named(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let members = self.packages.iter().filter(|package| self.workspace_members.contains(&package.id));
        members.map(|package| (short_name(&package.name), package.names())).collect()
    }

    /// The path by which a crate of ours gets one from outside, tests included, if it gets it at all.
    pub(crate) fn path_to(&self, from: &str, wanted: &str) -> Option<Vec<&str>> {
        let names: BTreeMap<&str, &str> =
            self.packages.iter().map(|package| (package.id.as_str(), package.name.as_str())).collect();
        let next: BTreeMap<&str, &[String]> =
            self.resolve.nodes.iter().map(|node| (node.id.as_str(), node.dependencies.as_slice())).collect();
        let start = self
            .packages
            .iter()
            .find(|package| self.workspace_members.contains(&package.id) && short_name(&package.name) == from)?;
        let mut queue = vec![vec![start.id.as_str()]];
        let mut seen = BTreeSet::from([start.id.as_str()]);
        while !queue.is_empty() {
            let mut longer = Vec::new();
            for path in queue {
                let last = path.last().copied()?;
                if names.get(last) == Some(&wanted) {
                    return Some(path.iter().filter_map(|id| names.get(id).copied()).collect());
                }
                for id in next.get(last).copied().unwrap_or_default().iter().filter(|id| seen.insert(id)) {
                    longer.push([path.as_slice(), &[id.as_str()]].concat());
                }
            }
            queue = longer;
        }
        None
    }
}

impl Package {
    fn names(&self) -> BTreeSet<&str> {
        self.dependencies.iter().map(|dependency| dependency.name.as_str()).collect()
    }
}

/// The name of a crate as its folder has it.
fn short_name(package: &str) -> &str {
    package.strip_prefix("holdfast-").unwrap_or(package)
}
