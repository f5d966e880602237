//! Compares who uses whom with the written table.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::finding::Finding;
use crate::metadata::Metadata;
use crate::tree::Tree;

const TABLE: &str = "crates/xtask/edges.toml";

/// The written table: levels, edges, and what must not be pulled in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    crates: BTreeMap<String, Crate>,
    #[serde(default)]
    named: Vec<Named>,
    forbidden: Vec<Forbidden>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Crate {
    level: u8,
    uses: BTreeSet<String>,
}

/// Crates from outside that only some of ours may name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    crates: BTreeSet<String>,
    by: BTreeSet<String>,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Forbidden {
    /// A crate of ours, or `*` for all.
    from: String,
    crates: BTreeSet<String>,
    reason: String,
}

impl Table {
    /// Reads the table of this tree.
    pub(crate) fn read(tree: &Tree) -> Result<Self> {
        let file = tree.file(TABLE).with_context(|| format!("find {TABLE}"))?;
        toml::from_str(&file.text).with_context(|| format!("parse {TABLE}"))
    }
}

/// Finds edges that the table lacks or has in vain, and rows that point to their own level or above.
pub(crate) fn check_edges(table: &Table, metadata: &Metadata) -> Vec<Finding> {
    let actual = metadata.edges();
    let mut findings = check_levels(table);
    for name in table.crates.keys().filter(|name| !actual.contains_key(name.as_str())) {
        findings.push(Finding::at(TABLE, format!("`{name}` is in the table and not in the workspace")));
    }
    for (name, uses) in &actual {
        let Some(row) = table.crates.get(*name) else {
            findings.push(Finding::at(format!("crates/{name}"), format!("has no row in {TABLE}")));
            continue;
        };
        for used in uses.iter().filter(|used| !row.uses.contains(**used)) {
            findings
                .push(Finding::at(format!("crates/{name}"), format!("uses `{used}`, which {TABLE} does not allow")));
        }
        for idle in row.uses.iter().filter(|allowed| !uses.contains(allowed.as_str())) {
            findings.push(Finding::at(TABLE, format!("`{name}` does not use `{idle}`: remove the edge")));
        }
    }
    findings
}

fn check_levels(table: &Table) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, row) in &table.crates {
        for used in &row.uses {
            let problem = match table.crates.get(used) {
                None => format!("`{name}` uses `{used}`, which has no row"),
                Some(other) if other.level >= row.level => {
                    format!("`{name}` at level {} uses `{used}` at level {}", row.level, other.level)
                }
                Some(_) => continue,
            };
            findings.push(Finding::at(TABLE, problem));
        }
    }
    findings
}

/// Finds manifests, tests included, that name a crate from outside which is not theirs to name; and leave to name one
/// that nobody uses.
pub(crate) fn check_named(table: &Table, metadata: &Metadata) -> Vec<Finding> {
    let named = metadata.named();
    let mut findings = Vec::new();
    for rule in &table.named {
        let names = |of: &BTreeSet<&str>| rule.crates.iter().find(|wanted| of.contains(wanted.as_str())).cloned();
        for (name, foreign) in named.iter().filter_map(|(name, all)| Some((*name, names(all)?))) {
            if !rule.by.contains(name) {
                findings.push(Finding::at(format!("crates/{name}"), format!("names `{foreign}`, but {}", rule.reason)));
            }
        }
        for idle in rule.by.iter().filter(|by| named.get(by.as_str()).and_then(names).is_none()) {
            findings.push(Finding::at(TABLE, format!("`{idle}` names none of {:?}: remove the leave", rule.crates)));
        }
    }
    findings
}

/// Finds crates from outside that must not be in a tree of ours, and says how they got there.
pub(crate) fn check_forbidden(table: &Table, metadata: &Metadata) -> Vec<Finding> {
    let all = metadata.edges();
    let mut findings = Vec::new();
    for rule in &table.forbidden {
        let from: Vec<&str> = if rule.from == "*" { all.keys().copied().collect() } else { vec![&rule.from] };
        for (name, wanted) in from.iter().flat_map(|name| rule.crates.iter().map(move |wanted| (name, wanted))) {
            if let Some(path) = metadata.path_to(name, wanted) {
                let message = format!("pulls in `{wanted}` by {}, but {}", path.join(" -> "), rule.reason);
                findings.push(Finding::at(format!("crates/{name}"), message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `fs` uses `types` and, in tests, `kit`; `types` uses `deep`, which uses `openssl`.
    const METADATA: &str = r#"{
        "packages": [
            {"id": "1", "name": "holdfast-fs", "dependencies": [
                {"name": "holdfast-types", "kind": null}, {"name": "holdfast-kit", "kind": "dev"}]},
            {"id": "2", "name": "holdfast-types", "dependencies": [{"name": "deep", "kind": null}]},
            {"id": "3", "name": "holdfast-kit", "dependencies": []},
            {"id": "4", "name": "deep", "dependencies": [{"name": "openssl", "kind": "build"}]},
            {"id": "5", "name": "openssl", "dependencies": []}
        ],
        "workspace_members": ["1", "2", "3"],
        "resolve": {"nodes": [
            {"id": "1", "dependencies": ["2", "3"]}, {"id": "2", "dependencies": ["4"]},
            {"id": "3", "dependencies": []}, {"id": "4", "dependencies": ["5"]}, {"id": "5", "dependencies": []}
        ]}
    }"#;

    fn table(rows: &str) -> Table {
        let forbidden = "[[forbidden]]\nfrom = \"*\"\ncrates = [\"openssl\"]\nreason = \"there is ring\"\n";
        toml::from_str(&format!("[crates]\n{rows}\n{forbidden}")).unwrap()
    }

    fn messages(findings: &[Finding]) -> String {
        findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_table_that_says_what_is_true_passes() {
        let table = table(
            "fs = { level = 1, uses = [\"types\"] }\ntypes = { level = 0, uses = [] }\nkit = { level = 2, uses = [] }",
        );
        let metadata = Metadata::parse(METADATA.as_bytes()).unwrap();
        assert_eq!(messages(&check_edges(&table, &metadata)), "");
    }

    #[test]
    fn an_edge_that_is_not_written_down_is_found() {
        let table =
            table("fs = { level = 1, uses = [] }\ntypes = { level = 0, uses = [] }\nkit = { level = 2, uses = [] }");
        let metadata = Metadata::parse(METADATA.as_bytes()).unwrap();
        assert_eq!(
            messages(&check_edges(&table, &metadata)),
            format!("crates/fs: uses `types`, which {TABLE} does not allow")
        );
    }

    #[test]
    fn an_edge_upwards_an_idle_edge_and_a_missing_row_are_found() {
        let table = table("fs = { level = 0, uses = [\"types\", \"kit\"] }\ntypes = { level = 0, uses = [] }");
        let metadata = Metadata::parse(METADATA.as_bytes()).unwrap();
        let found = messages(&check_edges(&table, &metadata));
        assert!(found.contains("`fs` at level 0 uses `types` at level 0"), "{found}");
        assert!(found.contains("`fs` does not use `kit`: remove the edge"), "{found}");
        assert!(found.contains("crates/kit: has no row"), "{found}");
    }

    #[test]
    fn only_who_may_names_a_crate_and_a_leave_that_nobody_uses_is_found() {
        let rule = |by: &str| {
            let rows = "types = { level = 0, uses = [] }";
            let named = format!("[[named]]\ncrates = [\"deep\"]\nby = [\"{by}\"]\nreason = \"it has a face\"\n");
            let table: Table = toml::from_str(&format!("forbidden = []\n[crates]\n{rows}\n{named}")).unwrap();
            messages(&check_named(&table, &Metadata::parse(METADATA.as_bytes()).unwrap()))
        };
        assert_eq!(rule("types"), "");
        let found = rule("fs");
        assert!(found.contains("crates/types: names `deep`, but it has a face"), "{found}");
        assert!(found.contains("`fs` names none of"), "{found}");
    }

    #[test]
    fn a_forbidden_crate_is_found_with_the_way_to_it() {
        let table = table("");
        let metadata = Metadata::parse(METADATA.as_bytes()).unwrap();
        let found = messages(&check_forbidden(&table, &metadata));
        let expected =
            "crates/fs: pulls in `openssl` by holdfast-fs -> holdfast-types -> deep -> openssl, but there is ring";
        assert!(found.contains(expected), "{found}");
        assert!(!found.contains("crates/kit"), "{found}");
    }
}
