//! Checks that files and functions stay small enough to be read in one go.

use crate::finding::Finding;
use crate::functions::functions;
use crate::rust_source::{Split, split};
use crate::tree::{SourceFile, Tree};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// Finds files with too many lines before their tests, and functions with too many lines of code.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust_files().flat_map(check_file).collect()
}

fn check_file(file: &SourceFile) -> Vec<Finding> {
    let split = split(&file.text);
    let mut findings = Vec::new();
    let lines = lines_before_tests(&split);
    if lines > FILE_LINES_MAX && !file.is_test() {
        let message = format!("{lines} lines before its tests, at most {FILE_LINES_MAX}: divide it by subject");
        findings.push(Finding::at(&file.path, message));
    }
    for function in functions(&file.text, &split).iter().filter(|found| found.code_lines > FUNCTION_LINES_MAX) {
        let message = format!(
            "function `{}` has {} lines of code, at most {FUNCTION_LINES_MAX}: divide it by step",
            function.name, function.code_lines
        );
        findings.push(Finding::at_line(&file.path, function.line, message));
    }
    findings
}

/// The lines above the first test module of the file, or all of them.
fn lines_before_tests(split: &Split) -> usize {
    let lines: Vec<&str> = split.code.lines().collect();
    let opens_tests =
        |pair: &[&str]| matches!(pair, [first, second] if *first == "#[cfg(test)]" && second.starts_with("mod "));
    lines.windows(2).position(opens_tests).unwrap_or(lines.len())
}

/// Tells how the project's functions are spread, tests left out.
pub(crate) fn summary(tree: &Tree) -> String {
    let mut sizes: Vec<usize> = Vec::new();
    for file in tree.rust_files().filter(|file| !file.is_test()) {
        let split = split(&file.text);
        let before_tests = lines_before_tests(&split);
        let own = functions(&file.text, &split).into_iter().filter(|function| function.line <= before_tests);
        sizes.extend(own.map(|function| function.code_lines));
    }
    sizes.sort_unstable();
    let share = |percent: usize| sizes.get(sizes.len() * percent / 100).copied().unwrap_or_default();
    format!(
        "{} functions outside tests: median {} lines, 90th percentile {}, largest {}",
        sizes.len(),
        share(50),
        share(90),
        sizes.last().copied().unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&Tree::of(&[(path, text)])).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_counts_up_to_its_tests() {
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "// line\n".repeat(600));
        assert_eq!(found("crates/a/src/lib.rs", &format!("{}{tests}", "// line\n".repeat(500))), [""; 0]);
        let long = found("crates/a/src/lib.rs", &format!("{}{tests}", "// line\n".repeat(501)));
        assert_eq!(long, ["crates/a/src/lib.rs: 501 lines before its tests, at most 500: divide it by subject"]);
    }

    #[test]
    fn a_file_of_tests_may_be_long() {
        assert_eq!(found("crates/a/tests/all.rs", &"// line\n".repeat(900)), [""; 0]);
    }

    #[test]
    fn a_long_function_is_found_in_tests_too() {
        let function = |lines: usize| format!("\nfn long() {{\n{}}}\n", "    a();\n".repeat(lines));
        assert_eq!(found("crates/a/tests/all.rs", &function(70)), [""; 0]);
        let long = found("crates/a/tests/all.rs", &function(71));
        assert_eq!(
            long,
            ["crates/a/tests/all.rs:2: function `long` has 71 lines of code, at most 70: divide it by step"]
        );
    }
}
