//! Passphrases: from a file, from the environment, or from the terminal; never from the command line, where every
//! process of the machine could read them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use runtime::{Files, blocking};
use rustix::fs::{Mode, OFlags};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
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
    pub async fn read(&self, typed: Typed) -> Result<Zeroizing<String>, CliError> {
        let found = match (&self.passphrase_file, std::env::var(VARIABLE)) {
            (Some(file), _) => from_file(file)?,
            (None, Ok(value)) => Zeroizing::new(value),
            (None, Err(_)) => from_terminal(typed).await?,
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

async fn from_terminal(typed: Typed) -> Result<Zeroizing<String>, CliError> {
    let no_terminal = |_| CliError::Passphrase {
        reason: "there is no terminal to ask on; use --passphrase-file or $HOLDFAST_PASSPHRASE",
    };
    let terminal = rustix::fs::open("/dev/tty", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).map_err(no_terminal)?;
    let terminal = Arc::new(File::from(terminal));
    let first = ask(&terminal, "Passphrase: ").await?;
    if typed == Typed::New && *ask(&terminal, "The same again: ").await? != *first {
        return Err(CliError::Passphrase { reason: "the two are not the same" });
    }
    Ok(first)
}

/// Asks without showing what is typed. The line is read on a thread of its own, so that Ctrl-C gives up the wait.
async fn ask(terminal: &Arc<File>, question: &str) -> Result<Zeroizing<String>, CliError> {
    let hidden = Hidden::begin(terminal)?;
    terminal.as_ref().write_all(question.as_bytes()).map_err(unreadable)?;
    let reading = Arc::clone(terminal);
    let line = blocking(move || {
        let mut line = Zeroizing::new(String::new());
        let read = BufReader::new(reading.as_ref().take(LENGTH_MAX as u64)).read_line(&mut line);
        read.map(|_| line)
    });
    let line = line.await.map_err(unreadable)?;
    drop(hidden);
    Ok(first_line(&line))
}

fn unreadable(_: io::Error) -> CliError {
    CliError::Passphrase { reason: "the terminal cannot be read" }
}

/// A terminal that does not show what is typed. Dropping it shows it again, however the question ended: a terminal that
/// stays mute is of no use to its owner.
struct Hidden {
    terminal: Arc<File>,
    shown: Termios,
}

impl Hidden {
    fn begin(terminal: &Arc<File>) -> Result<Self, CliError> {
        let shown = tcgetattr(terminal.as_ref()).map_err(|errno| unreadable(errno.into()))?;
        let mut hidden = shown.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        // Before the question is seen: nothing that answers it is ever shown.
        tcsetattr(terminal.as_ref(), OptionalActions::Flush, &hidden).map_err(|errno| unreadable(errno.into()))?;
        Ok(Self { terminal: Arc::clone(terminal), shown })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // Nothing more can be done for a terminal that has gone away. The line's end was typed, but not shown.
        let _ = tcsetattr(self.terminal.as_ref(), OptionalActions::Now, &self.shown);
        let _ = self.terminal.as_ref().write_all(b"\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(content: &[u8]) -> Result<Zeroizing<String>, CliError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("passphrase");
        Files::real().write_atomic(&file, content, 0o600).unwrap();
        PassphraseSource { passphrase_file: Some(file) }.read(Typed::Known).await
    }

    #[tokio::test]
    async fn the_first_line_of_the_file_is_the_passphrase() {
        assert_eq!(*read(b"correct horse\nbattery\n").await.unwrap(), "correct horse");
        assert_eq!(*read(b" spaces count ").await.unwrap(), " spaces count ");
    }

    #[tokio::test]
    async fn an_empty_long_or_binary_file_is_no_passphrase() {
        for content in [&b""[..], b"\nsecond", &[b'a'; 5000], b"\xff\xfe"] {
            assert!(matches!(read(content).await, Err(CliError::Passphrase { .. })));
        }
    }
}
