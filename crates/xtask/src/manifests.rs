//! Checks the manifests of the crates: names after folders, lints of the workspace, dependencies listed once.

use std::collections::BTreeSet;

use toml::{Table, Value};

use crate::finding::Finding;
use crate::tree::Tree;

/// The tables of a manifest that name dependencies.
const DEPENDENCIES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// Checks the manifest of every package, and the list from which they take their dependencies.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files() {
        let (["crates", folder, "Cargo.toml"] | [folder, "Cargo.toml"]) = file.path.split('/').collect::<Vec<_>>()[..]
        else {
            continue;
        };
        let problems = match file.text.parse::<Table>() {
            Ok(manifest) => check_manifest(folder, &manifest),
            Err(error) => vec![format!("does not parse: {}", error.message())],
        };
        findings.extend(problems.into_iter().map(|problem| Finding::at(&file.path, problem)));
    }
    findings.extend(check_listed(tree));
    findings
}

/// Finds rows of `[workspace.dependencies]` that no package takes.
fn check_listed(tree: &Tree) -> Vec<Finding> {
    let manifests = tree.files().filter(|file| file.path.ends_with("Cargo.toml"));
    let manifests: Vec<Table> = manifests.filter_map(|file| file.text.parse().ok()).collect();
    let taken: BTreeSet<&str> = manifests.iter().flat_map(taken_by).collect();
    let listed = manifests.iter().filter_map(|manifest| value(manifest, &["workspace", "dependencies"])?.as_table());
    let idle = listed.flat_map(Table::keys).filter(|name| !taken.contains(name.as_str()));
    idle.map(|name| Finding::at("Cargo.toml", format!("no package takes `{name}`: remove it"))).collect()
}

/// The names of all dependencies of a package.
fn taken_by(manifest: &Table) -> impl Iterator<Item = &str> {
    let tables = DEPENDENCIES.iter().filter_map(|table| manifest.get(*table)?.as_table());
    tables.flat_map(Table::keys).map(String::as_str)
}

fn check_manifest(folder: &str, manifest: &Table) -> Vec<String> {
    let mut problems = Vec::new();
    let name = value(manifest, &["package", "name"]).and_then(Value::as_str).unwrap_or_default();
    if name != folder && name.strip_prefix("holdfast-") != Some(folder) {
        problems.push(format!("the package `{name}` is not named after its folder"));
    }
    if !inherits(value(manifest, &["lints"])) {
        problems.push("does not take the lints of the workspace".to_owned());
    }
    for key in ["version", "edition", "rust-version", "license", "publish"] {
        if !inherits(value(manifest, &["package", key])) {
            problems.push(format!("`{key}` does not come from the workspace"));
        }
    }
    for table in DEPENDENCIES {
        let dependencies = manifest.get(table).and_then(Value::as_table);
        for (name, _) in dependencies.into_iter().flatten().filter(|(_, from)| !inherits(Some(from))) {
            problems.push(format!("`{name}` in [{table}] is not taken from [workspace.dependencies]"));
        }
    }
    problems
}

fn inherits(value: Option<&Value>) -> bool {
    value.and_then(|value| value.get("workspace")).and_then(Value::as_bool) == Some(true)
}

fn value<'a>(manifest: &'a Table, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(manifest.get(*first)?, |value, key| value.get(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[package]\nname = \"holdfast-site\"\nversion.workspace = true\nedition.workspace = true\n\
        rust-version.workspace = true\nlicense.workspace = true\npublish.workspace = true\n\
        [dependencies]\nbytes.workspace = true\n[lints]\nworkspace = true\n";

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&Tree::of(&[(path, text)])).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_manifest_that_inherits_everything_passes() {
        assert_eq!(found("crates/site/Cargo.toml", GOOD), [""; 0]);
        assert_eq!(found("Cargo.toml", "[workspace]\n"), [""; 0]);
    }

    #[test]
    fn another_name_or_an_own_version_of_a_dependency_is_found() {
        assert_eq!(found("crates/cloud/Cargo.toml", GOOD).len(), 1);
        let own = GOOD.replace("bytes.workspace = true", "bytes = \"1\"");
        let expected = "crates/site/Cargo.toml: `bytes` in [dependencies] is not taken from [workspace.dependencies]";
        assert_eq!(found("crates/site/Cargo.toml", &own), [expected]);
    }

    #[test]
    fn a_dependency_that_is_listed_and_not_taken_is_found() {
        let root = "[workspace.dependencies]\nbytes = \"1\"\nturmoil = \"0.7\"\n";
        let tree = Tree::of(&[("Cargo.toml", root), ("crates/site/Cargo.toml", GOOD)]);
        let found: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["Cargo.toml: no package takes `turmoil`: remove it"]);
    }

    #[test]
    fn missing_lints_and_a_broken_manifest_are_found() {
        let lax = GOOD.replace("[lints]\nworkspace = true\n", "");
        assert_eq!(found("crates/site/Cargo.toml", &lax).len(), 1);
        assert_eq!(found("crates/site/Cargo.toml", "[package").len(), 1);
    }
}
