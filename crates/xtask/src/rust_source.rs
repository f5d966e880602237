//! Splits Rust source into code and comments, so that a brace in a string or a word in a comment misleads no check.
//!
//! Both halves have the shape of the source: each character that belongs to the other half, and each character inside a
//! literal, is a space. Lines therefore keep their numbers.

/// A source text in two layers.
pub(crate) struct Split {
    /// The code; what stands between the quotes of a literal is blank.
    pub(crate) code: String,
    /// The comments.
    pub(crate) comments: String,
}

/// Splits a source text. Text that does not lex as Rust gives some split, never a panic.
pub(crate) fn split(source: &str) -> Split {
    let mut splitter = Splitter {
        rest: source.chars().collect::<Vec<_>>().into_iter().collect(),
        previous: ' ',
        split: Split { code: String::with_capacity(source.len()), comments: String::with_capacity(source.len()) },
    };
    while splitter.step() {}
    splitter.split
}

struct Splitter {
    rest: std::collections::VecDeque<char>,
    previous: char,
    split: Split,
}

/// Where a character goes.
#[derive(Clone, Copy)]
enum Layer {
    Code,
    Comment,
    Literal,
}

impl Splitter {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.rest.get(ahead).copied()
    }

    fn take(&mut self, layer: Layer) -> Option<char> {
        let taken = self.rest.pop_front()?;
        let blank = if taken == '\n' { '\n' } else { ' ' };
        let (code, comment) = match layer {
            Layer::Code => (taken, blank),
            Layer::Comment => (blank, taken),
            Layer::Literal => (blank, blank),
        };
        self.split.code.push(code);
        self.split.comments.push(comment);
        self.previous = taken;
        Some(taken)
    }

    fn take_many(&mut self, layer: Layer, count: usize) {
        for _ in 0..count {
            self.take(layer);
        }
    }

    /// Takes one comment, literal or character; false at the end.
    fn step(&mut self) -> bool {
        match (self.peek(0), self.peek(1)) {
            (None, _) => return false,
            (Some('/'), Some('/')) => self.line_comment(),
            (Some('/'), Some('*')) => self.block_comment(),
            (Some('"'), _) => self.string(),
            (Some('\''), _) => self.character_or_lifetime(),
            (Some('r'), Some('"' | '#')) if self.starts_raw_string() => self.raw_string(),
            _ => self.take_many(Layer::Code, 1),
        }
        true
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|next| next != '\n') {
            self.take(Layer::Comment);
        }
    }

    /// Block comments nest in Rust.
    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => {
                    depth += 1;
                    self.take_many(Layer::Comment, 2);
                }
                (Some('*'), Some('/')) => {
                    depth -= 1;
                    self.take_many(Layer::Comment, 2);
                }
                (Some(_), _) => self.take_many(Layer::Comment, 1),
                (None, _) => return,
            }
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self) {
        self.take(Layer::Code);
        loop {
            match self.peek(0) {
                None => return,
                Some('"') => return self.take_many(Layer::Code, 1),
                Some('\\') => self.take_many(Layer::Literal, 2),
                Some(_) => self.take_many(Layer::Literal, 1),
            }
        }
    }

    /// A quote opens a character when a closing one follows it or its escape; else it is a lifetime or a label.
    fn character_or_lifetime(&mut self) {
        self.take(Layer::Code);
        if self.peek(0) == Some('\\') {
            self.take_many(Layer::Literal, 2);
            while self.peek(0).is_some_and(|next| next != '\'' && next != '\n') {
                self.take(Layer::Literal);
            }
            self.take(Layer::Code);
        } else if self.peek(1) == Some('\'') {
            self.take(Layer::Literal);
            self.take(Layer::Code);
        }
    }

    /// Tells `r"` and `r#"` from a raw identifier and from the last letter of a word; `br` and `cr` are prefixes too.
    fn starts_raw_string(&self) -> bool {
        let word_before = self.previous.is_alphanumeric() || self.previous == '_';
        let hashes = self.hashes_from(1);
        self.peek(1 + hashes) == Some('"') && (!word_before || self.ends_in_literal_prefix())
    }

    fn ends_in_literal_prefix(&self) -> bool {
        let mut back = self.split.code.chars().rev();
        let prefix = matches!(back.next(), Some('b' | 'c'));
        prefix && !back.next().is_some_and(|before| before.is_alphanumeric() || before == '_')
    }

    fn hashes_from(&self, ahead: usize) -> usize {
        self.rest.iter().skip(ahead).take_while(|next| **next == '#').count()
    }

    fn raw_string(&mut self) {
        let hashes = self.hashes_from(1);
        self.take_many(Layer::Code, 2 + hashes);
        while let Some(next) = self.peek(0) {
            if next == '"' && self.hashes_from(1) >= hashes {
                return self.take_many(Layer::Code, 1 + hashes);
            }
            self.take(Layer::Literal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(source: &str) -> String {
        split(source).code
    }

    #[test]
    fn comments_and_the_insides_of_literals_are_blank() {
        assert_eq!(code("a(\"{\"); // }"), "a(\" \");     ");
        assert_eq!(code("/* { /* { */ } */ b"), "                  b");
        assert_eq!(code(r#""\"{" x"#), "\"   \" x");
    }

    #[test]
    fn comments_keep_their_own_layer() {
        assert_eq!(split("x(); // why").comments, "     // why");
        assert_eq!(split("\"// no\" /* y */").comments, "        /* y */");
    }

    #[test]
    fn characters_are_told_from_lifetimes() {
        assert_eq!(code("'{' '\\'' 'a x<'b>"), "' ' '  ' 'a x<'b>");
        assert_eq!(code("'\\u{7d}' }"), "'      ' }");
    }

    #[test]
    fn raw_strings_end_at_their_own_hashes() {
        assert_eq!(code("r#\"{\"}\"# }"), "r#\"   \"# }");
        assert_eq!(code("br\"\\\" }"), "br\" \" }");
        assert_eq!(code("r#fn bar\"{\""), "r#fn bar\" \"");
    }

    #[test]
    fn lines_keep_their_numbers() {
        let source = "a\n\"x\ny\"\n/* b\nc */ d\n";
        let split = split(source);
        assert_eq!(split.code.matches('\n').count(), 5);
        assert_eq!(split.comments.matches('\n').count(), 5);
        assert_eq!(split.code.lines().nth(4), Some("     d"));
    }

    #[test]
    fn an_open_literal_ends_with_the_text() {
        assert_eq!(code("\"abc"), "\"   ");
        assert_eq!(code("r#\"abc\""), "r#\"    ");
        assert_eq!(code("/* abc"), "      ");
        assert_eq!(code("'"), "'");
    }
}
