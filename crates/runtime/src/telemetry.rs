//! Logs: structured, to standard error.

use std::io::IsTerminal as _;
use std::str::FromStr;

use thiserror::Error;
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// What is logged and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetryOptions {
    /// The look of a line.
    pub format: LogFormat,
    /// What is logged, in the syntax of `RUST_LOG`: a level, or `target=level` pairs with commas between.
    pub filter: String,
}

/// Logging could not be started.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The filter is not in the syntax.
    #[error("cannot understand the log filter {filter:?}")]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
    /// It was started before.
    #[error("logging was already started")]
    Started(#[from] TryInitError),
}

/// Not a log format.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no log format {name:?}: use \"text\" or \"json\"")]
pub struct NoLogFormat {
    /// What was given.
    pub name: String,
}

impl Default for TelemetryOptions {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned() }
    }
}

impl FromStr for LogFormat {
    type Err = NoLogFormat;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(NoLogFormat { name: name.to_owned() }),
        }
    }
}

/// Starts logging for the whole process. Whoever logs takes care that no secret is among the fields (rule P32).
///
/// # Errors
/// The filter is not in the syntax, or logging was started before.
pub fn init(options: &TelemetryOptions) -> Result<(), TelemetryError> {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(parse(&options.filter)?)
        .with_span_events(FmtSpan::NONE)
        // Colours are for eyes: in a file or a journal they are noise.
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match options.format {
        LogFormat::Text => lines.finish().try_init()?,
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).finish().try_init()?,
    }
    Ok(())
}

/// Checks a filter without starting anything.
///
/// # Errors
/// The filter is not in the syntax.
pub fn check_filter(filter: &str) -> Result<(), TelemetryError> {
    parse(filter).map(drop)
}

fn parse(filter: &str) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::builder().parse(filter).map_err(|source| TelemetryError::Filter { filter: filter.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_filter_is_named() {
        let error = check_filter("info,raft=loudest").unwrap_err();
        assert!(error.to_string().contains("raft=loudest"), "{error}");
        assert!(check_filter("info,raft=debug").is_ok());
    }

    #[test]
    fn an_unknown_format_is_named() {
        assert_eq!("json".parse(), Ok(LogFormat::Json));
        assert_eq!("xml".parse::<LogFormat>(), Err(NoLogFormat { name: "xml".to_owned() }));
    }

    #[test]
    fn logging_is_started_once() {
        let options = TelemetryOptions { format: LogFormat::Json, filter: "off".to_owned() };
        assert!(init(&options).is_ok());
        assert!(matches!(init(&options), Err(TelemetryError::Started(_))));
    }
}
