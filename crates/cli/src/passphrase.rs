//! Passphrases: from a file, from the environment, or from the terminal; never from the command line, where every
//! process of the machine could read them.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use runtime::Files;
use rustix::fs::{Mode, OFlags};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::error::CliError;

/// The variable that holds a passphrase for programs.
const VARIABLE: &str = "HOLDFAST_PASSPHRASE";
/// Longer ones are a mistake: somebody named the wrong file.
const LENGTH_MAX: usize = 4096;

/// Where the passphrase comes from.
#[derive(Clone, Debug, Default, Args)]
pub struct PassphraseSource {
    /// Read the passphrase from the first line of this file (else from $HOLDFAST_PASSPHRASE, else ask on the terminal)
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// Whether a passphrase that is typed is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed {
    /// It is asked for once.
    Known,
    /// It is asked for twice: a slip would lock its owner out for ever.
    New,
}

impl PassphraseSource {
    /// Gets the passphrase.
    pub fn read(&self, typed: Typed) -> Result<Zeroizing<String>, CliError> {
        let found = match (&self.passphrase_file, std::env::var(VARIABLE)) {
            (Some(file), _) => from_file(file)?,
            (None, Ok(value)) => Zeroizing::new(value),
            (None, Err(_)) => from_terminal(typed)?,
        };
        match found.is_empty() {
            true => Err(CliError::Passphrase { reason: "it is empty" }),
            false => Ok(found),
        }
    }
}

fn from_file(file: &Path) -> Result<Zeroizing<String>, CliError> {
    let bytes = Zeroizing::new(Files::real().read(file)?);
    if bytes.len() > LENGTH_MAX {
        return Err(CliError::Passphrase { reason: "the file is too long to hold one" });
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| CliError::Passphrase { reason: "the file is not text" })?;
    Ok(first_line(text))
}

fn first_line(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.lines().next().unwrap_or_default().to_owned())
}

fn from_terminal(typed: Typed) -> Result<Zeroizing<String>, CliError> {
    let no_terminal = |_| CliError::Passphrase {
        reason: "there is no terminal to ask on; use --passphrase-file or $HOLDFAST_PASSPHRASE",
    };
    let terminal = rustix::fs::open("/dev/tty", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).map_err(no_terminal)?;
    let mut terminal = std::fs::File::from(terminal);
    let first = ask(&mut terminal, "Passphrase: ")?;
    if typed == Typed::New && *ask(&mut terminal, "The same again: ")? != *first {
        return Err(CliError::Passphrase { reason: "the two are not the same" });
    }
    Ok(first)
}

/// Asks without showing what is typed.
fn ask(terminal: &mut std::fs::File, question: &str) -> Result<Zeroizing<String>, CliError> {
    let failed = |_| CliError::Passphrase { reason: "the terminal cannot be read" };
    let shown = tcgetattr(&*terminal).map_err(|errno| failed(errno.into()))?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    terminal.write_all(question.as_bytes()).map_err(failed)?;
    tcsetattr(&*terminal, OptionalActions::Flush, &hidden).map_err(|errno| failed(errno.into()))?;
    let mut line = Zeroizing::new(String::new());
    let read = BufReader::new(terminal.take(LENGTH_MAX as u64)).read_line(&mut line);
    tcsetattr(&*terminal, OptionalActions::Flush, &shown).map_err(|errno| failed(errno.into()))?;
    terminal.write_all(b"\n").map_err(failed)?;
    read.map_err(failed)?;
    Ok(first_line(&line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8]) -> Result<Zeroizing<String>, CliError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("passphrase");
        Files::real().write_atomic(&file, content, 0o600).unwrap();
        PassphraseSource { passphrase_file: Some(file) }.read(Typed::Known)
    }

    #[test]
    fn the_first_line_of_the_file_is_the_passphrase() {
        assert_eq!(*read(b"correct horse\nbattery\n").unwrap(), "correct horse");
        assert_eq!(*read(b" spaces count ").unwrap(), " spaces count ");
    }

    #[test]
    fn an_empty_long_or_binary_file_is_no_passphrase() {
        for content in [&b""[..], b"\nsecond", &[b'a'; 5000], b"\xff\xfe"] {
            assert!(matches!(read(content), Err(CliError::Passphrase { .. })));
        }
    }
}
