//! Checks that nothing is left unfinished: no reminder in a comment, no test that is not run, no code that is not used.

use crate::finding::Finding;
use crate::rust_source::split;
use crate::tree::{SourceFile, Tree};

/// Words that a comment must not hold.
const REMINDERS: [&str; 4] = ["TODO", "FIXME", "XXX", "HACK"];

/// What code must not hold, blanks left out, each with what to do instead.
const CODE_MARKS: [(&str, &str); 4] = [
    ("#[ignore", "make the test run, or remove it"),
    ("allow(dead_code", "remove what is not used"),
    ("expect(dead_code", "remove what is not used"),
    ("allow(clippy::all", "allow one lint by name, with its reason"),
];

/// Finds marks of unfinished work in Rust, and reminders in protocol files, manifests and scripts.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    tree.files().flat_map(check_file).collect()
}

fn check_file(file: &SourceFile) -> Vec<Finding> {
    if file.path.ends_with(".rs") {
        let split = split(&file.text);
        let mut findings = reminders(&file.path, &split.comments);
        findings.extend(code_marks(&file.path, &split.code));
        findings
    } else if file.path.ends_with(".proto") || file.path.ends_with(".toml") || file.text.starts_with("#!") {
        reminders(&file.path, &file.text)
    } else {
        Vec::new()
    }
}

fn reminders(path: &str, text: &str) -> Vec<Finding> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for word in line.split(|c| !is_word(c)).filter(|word| REMINDERS.contains(word)) {
            findings.push(Finding::at_line(path, number + 1, format!("{word}: do it now, or file it and say nothing")));
        }
    }
    findings
}

fn code_marks(path: &str, code: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let dense: String = line.chars().filter(|c| !c.is_whitespace()).collect();
        for (mark, advice) in CODE_MARKS.iter().filter(|(mark, _)| dense.contains(mark)) {
            findings.push(Finding::at_line(path, number + 1, format!("{mark}: {advice}")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&Tree::of(&[(path, text)])).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_reminder_in_a_comment_is_found_and_one_in_a_string_is_not() {
        let found = found("a.rs", "let s = \"TODO\";\nb(); // FIXME: c\n");
        assert_eq!(found, ["a.rs:2: FIXME: do it now, or file it and say nothing"]);
    }

    #[test]
    fn a_reminder_is_a_whole_word() {
        assert_eq!(found("a.rs", "// TODOS and HACKER\n"), [""; 0]);
    }

    #[test]
    fn a_test_that_is_not_run_and_code_that_is_not_used_are_found() {
        let found = found("a.rs", "#[ ignore = \"slow\" ]\n#![allow( dead_code )]\n");
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn scripts_are_told_by_their_first_line() {
        assert_eq!(found("scripts/demo", "#!/bin/sh\n# TODO\n").len(), 1);
        assert_eq!(found("CHANGELOG.md", "TODO\n"), [""; 0]);
    }
}
