//! Finds the functions of a source text and counts their lines.

use crate::rust_source::Split;

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// The line of its `fn`, from 1.
    pub(crate) line: usize,
    /// Lines of code strictly between the line of the opening brace and that of the closing one, as clippy counts:
    /// neither blank lines nor lines with nothing but a comment.
    pub(crate) code_lines: usize,
}

/// Finds every function that has a body, those inside others included.
pub(crate) fn functions(source: &str, split: &Split) -> Vec<Function> {
    let tokens = tokens(&split.code);
    let counted = counted_lines(source, split);
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let name = tokens.get(at + 1).filter(|next| token.text == "fn" && next.is_word());
        let Some(name) = name else { continue };
        let Some((open, close)) = body(tokens.get(at + 2..).unwrap_or_default()) else { continue };
        let code_lines = (open + 1..close).filter(|line| counted.get(*line).copied().unwrap_or_default()).count();
        found.push(Function { name: name.text.to_owned(), line: token.line + 1, code_lines });
    }
    found
}

/// A word or a single mark, with the number of its line from 0.
struct Token<'a> {
    text: &'a str,
    line: usize,
}

impl Token<'_> {
    fn is_word(&self) -> bool {
        self.text.starts_with(|first: char| first.is_alphabetic() || first == '_')
    }
}

fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for (line, text) in code.lines().enumerate() {
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let end = if is_word(first) { rest.find(|c| !is_word(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
            let (token, after) = rest.split_at(end);
            tokens.push(Token { text: token, line });
            rest = after.trim_start();
        }
    }
    tokens
}

/// The lines of the braces around the body of a function whose name has just been read; none for a declaration.
fn body(tokens: &[Token<'_>]) -> Option<(usize, usize)> {
    let mut brackets = 0_usize;
    let mut previous = "";
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "(" | "[" => brackets += 1,
            ")" | "]" => brackets = brackets.saturating_sub(1),
            ";" if brackets == 0 => return None,
            // `Array<{ N + 1 }>` is an argument, not a body.
            "{" if brackets == 0 && previous != "<" => {
                return Some((token.line, closing_brace(tokens.get(at..).unwrap_or_default())?));
            }
            _ => {}
        }
        previous = token.text;
    }
    None
}

fn closing_brace(tokens: &[Token<'_>]) -> Option<usize> {
    let mut depth = 0_usize;
    for token in tokens {
        match token.text {
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return Some(token.line);
        }
    }
    None
}

/// For each line, whether it counts: it is not blank, and has more than a comment.
fn counted_lines(source: &str, split: &Split) -> Vec<bool> {
    let layers = source.lines().zip(split.code.lines()).zip(split.comments.lines());
    layers
        .map(|((source, code), comment)| {
            let only_comment = code.trim().is_empty() && !comment.trim().is_empty();
            !source.trim().is_empty() && !only_comment
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rust_source::split;

    fn found(source: &str) -> Vec<(String, usize, usize)> {
        let functions = functions(source, &split(source));
        functions.into_iter().map(|function| (function.name, function.line, function.code_lines)).collect()
    }

    #[test]
    fn lines_of_code_are_counted_and_comments_are_not() {
        let source = "\nfn a(x: u8) {\n    // why\n\n    b();\n    /* c\n    d */\n    let s = \"x\n    } y\";\n}\n";
        assert_eq!(found(source), [("a".into(), 2, 3)]);
    }

    #[test]
    fn declarations_and_function_types_are_not_functions() {
        assert_eq!(found("trait T {\n    fn a(&self) -> [u8; 4];\n    fn b() {\n        c()\n    }\n}").len(), 1);
        assert_eq!(found("type F = fn(u8) -> u8;\nstruct S { f: fn() }"), []);
    }

    #[test]
    fn braces_in_signatures_are_not_bodies() {
        let source = "fn a(x: [u8; { 1 + 1 }]) -> A<{ 2 }> {\n    1;\n    2;\n}";
        assert_eq!(found(source), [("a".into(), 1, 2)]);
    }

    #[test]
    fn a_function_inside_another_counts_in_both() {
        let source = "fn a() {\n    fn b() {\n        1\n    }\n    b()\n}";
        assert_eq!(found(source), [("a".into(), 1, 4), ("b".into(), 2, 1)]);
    }

    #[test]
    fn braces_in_strings_and_comments_do_not_end_a_body() {
        let source = "fn a() {\n    b(\"}\"); // }\n    c('}');\n    d()\n}\nfn e() {\n    1\n}";
        assert_eq!(found(source), [("a".into(), 1, 3), ("e".into(), 6, 1)]);
    }
}
