//! The one way to standard output. A reader that goes away ends the program quietly.

use std::fmt::{self, Display};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::mem;

use client::printable;
use serde_json::{Value, json};

use crate::error::CliError;

/// What results look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// Progress and summaries too.
    Normal,
    /// Results, warnings and errors alone.
    Quiet,
}

/// Where results go.
pub struct Output {
    format: Format,
    verbosity: Verbosity,
    is_terminal: bool,
    out: BufWriter<StandardOutput>,
}

/// Standard output without the buffer of the standard library, which is written out at the end of the process whether
/// anybody reads or not.
struct StandardOutput;

impl Write for StandardOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(io::stdout(), bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output {
    pub fn new(format: Format, verbosity: Verbosity) -> Self {
        Self { format, verbosity, is_terminal: io::stdout().is_terminal(), out: BufWriter::new(StandardOutput) }
    }

    pub const fn format(&self) -> Format {
        self.format
    }

    pub const fn verbosity(&self) -> Verbosity {
        self.verbosity
    }

    /// Writes what a command that did something has to say about it, unless nobody wants to hear it.
    pub fn summary(&mut self, text: impl Display, value: &Value) -> Result<(), CliError> {
        match (self.format, self.verbosity) {
            (Format::Text, Verbosity::Quiet) => Ok(()),
            _ => self.result(text, value),
        }
    }

    /// Writes a result: the text for people, or the value for programs.
    pub fn result(&mut self, text: impl Display, value: &Value) -> Result<(), CliError> {
        let written = match self.format {
            Format::Text => writeln!(self.out, "{text}"),
            Format::Json => writeln!(self.out, "{value}"),
        };
        written.map_err(error)
    }

    /// Writes a list: aligned columns for people, an object for each row for programs.
    pub fn table(&mut self, heads: &[&str], rows: &[(Vec<String>, Value)]) -> Result<(), CliError> {
        if self.format == Format::Json {
            return rows.iter().try_for_each(|(_, value)| writeln!(self.out, "{value}")).map_err(error);
        }
        let heads: Vec<String> = heads.iter().map(ToString::to_string).collect();
        let lines: Vec<&Vec<String>> = std::iter::once(&heads).chain(rows.iter().map(|(cells, _)| cells)).collect();
        for line in aligned(&lines) {
            writeln!(self.out, "{line}").map_err(error)?;
        }
        Ok(())
    }

    /// Writes bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.out.write_all(bytes).map_err(error)
    }

    /// Writes the name of a file. A pipe gets its bytes, all of them; a terminal would obey what they say, so there
    /// control characters and what is not text are escaped.
    pub fn name(&mut self, name: &[u8]) -> Result<(), CliError> {
        if !self.is_terminal {
            return self.bytes(name);
        }
        self.bytes(printable(name).as_bytes())
    }

    /// Drops what is still held back.
    pub fn discard(&mut self) {
        let held_back = mem::replace(&mut self.out, BufWriter::new(StandardOutput));
        drop(held_back.into_parts());
    }

    /// Writes what is still held back.
    pub fn flush(&mut self) -> Result<(), CliError> {
        self.out.flush().map_err(error)
    }
}

/// Says on standard error what went wrong: a line for people, or an object with a message for programs.
pub fn complain(format: Format, kind: &str, text: &impl Display) {
    match format {
        Format::Text => complain_line(format_args!("holdfast: {text}")),
        Format::Json => complain_line(format_args!("{}", json!({ kind: { "message": text.to_string() } }))),
    }
}

/// Writes a line to standard error. Nobody may be there to read it: that is no reason to fail, and none to stop.
pub fn complain_line(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Pads all columns but the last to their longest cell.
fn aligned(lines: &[&Vec<String>]) -> Vec<String> {
    let columns = lines.iter().map(|line| line.len()).max().unwrap_or(0);
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let pad = |line: &&Vec<String>| {
        let cells = line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(pad).collect()
}

fn error(source: io::Error) -> CliError {
    match source.kind() {
        io::ErrorKind::BrokenPipe => CliError::OutputClosed,
        _ => CliError::Output { source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let lines = [["NAME", "SIZE"], ["a", "1"], ["longer", "22"]].map(|line| line.map(str::to_owned).to_vec());
        let lines: Vec<_> = lines.iter().collect();
        assert_eq!(aligned(&lines), ["NAME    SIZE", "a       1", "longer  22"]);
    }
}
