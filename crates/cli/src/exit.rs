//! Exit codes: what a script can tell from them. The table is part of `--help` and of the README.

use std::process::ExitCode;

use types::ErrorKind;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All was done.
    Done,
    /// Some of it was not done, or a fault of ours.
    Failed,
    /// The command line or a request is wrong.
    Usage,
    /// What was named is not there.
    NotFound,
    /// What was to be made is there already, or the state does not allow it now.
    Conflict,
    /// Not permitted.
    Denied,
    /// No node answers, or it cannot serve now: try again later.
    Unavailable,
    /// Stored bytes are not what was written.
    Corrupt,
    /// There is no room.
    NoSpace,
    /// The passphrase or key does not open the repository.
    WrongKey,
    /// A check was carried out and found damage.
    DamageFound,
    /// Made by a newer version.
    Unsupported,
    /// A quota does not allow more.
    OverQuota,
    /// Stopped by Ctrl-C (SIGINT).
    Interrupted,
    /// Stopped by SIGTERM.
    Terminated,
}

/// The table as people read it.
pub const TABLE: &str = "Exit codes:
   0  done
   1  failed, or done only in part
   2  wrong usage or request
   3  not found
   4  exists already, or not possible in the present state
   5  denied
   6  unavailable: no node answers, or not now
   7  damaged bytes
   8  no space
   9  wrong passphrase or key
  10  a check found damage
  11  made by a newer version
  12  over quota
 130  interrupted (SIGINT)
 143  terminated (SIGTERM)";

impl Exit {
    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            // What clap uses for wrong usage too.
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Conflict => 4,
            Self::Denied => 5,
            Self::Unavailable => 6,
            Self::Corrupt => 7,
            Self::NoSpace => 8,
            Self::WrongKey => 9,
            Self::DamageFound => 10,
            Self::Unsupported => 11,
            Self::OverQuota => 12,
            // As shells have it: 128 and the number of the signal.
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidRequest => Self::Usage,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::AlreadyExists | ErrorKind::Conflict => Self::Conflict,
            ErrorKind::Denied => Self::Denied,
            ErrorKind::NotLeader | ErrorKind::Unavailable => Self::Unavailable,
            ErrorKind::NoSpace => Self::NoSpace,
            ErrorKind::Corrupt => Self::Corrupt,
            ErrorKind::Unsupported => Self::Unsupported,
            ErrorKind::OverQuota => Self::OverQuota,
            ErrorKind::Internal => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Exit; 15] = [
        Exit::Done,
        Exit::Failed,
        Exit::Usage,
        Exit::NotFound,
        Exit::Conflict,
        Exit::Denied,
        Exit::Unavailable,
        Exit::Corrupt,
        Exit::NoSpace,
        Exit::WrongKey,
        Exit::DamageFound,
        Exit::Unsupported,
        Exit::OverQuota,
        Exit::Interrupted,
        Exit::Terminated,
    ];

    #[test]
    fn the_printed_table_has_each_code_once_and_in_order() {
        let printed: Vec<u8> =
            TABLE.lines().skip(1).map(|line| line.split_whitespace().next().unwrap().parse().unwrap()).collect();
        assert_eq!(printed, ALL.map(Exit::code));
    }

    #[test]
    fn the_readme_has_the_same_table() {
        let readme = include_str!("../../../README.md");
        let rows: Vec<_> = TABLE.lines().skip(1).filter_map(|line| line.trim().split_once("  ")).collect();
        assert_eq!(rows.len(), ALL.len());
        for (code, meaning) in rows {
            assert!(readme.contains(&format!("| {code} | {} |\n", meaning.trim())), "{code}");
        }
    }

    #[test]
    fn kinds_that_a_script_treats_differently_have_different_codes() {
        let kinds = [
            ErrorKind::Internal,
            ErrorKind::InvalidRequest,
            ErrorKind::NotFound,
            ErrorKind::Conflict,
            ErrorKind::Denied,
            ErrorKind::Unavailable,
            ErrorKind::Corrupt,
            ErrorKind::NoSpace,
            ErrorKind::Unsupported,
            ErrorKind::OverQuota,
        ];
        let codes: std::collections::BTreeSet<u8> = kinds.map(|kind| Exit::from(kind).code()).into();
        assert_eq!(codes.len(), kinds.len());
        assert!(!codes.contains(&0));
    }
}
