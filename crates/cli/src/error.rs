//! Everything that can end a command.

use std::io;
use std::path::{Path, PathBuf};

use client::{ClientError, FilePath, PathError};
use repo::{KitError, RepoError};
use restore::{RestoreError, TargetError};
use runtime::FileError;
use site::SiteError;
use thiserror::Error;
use types::{Epoch, ErrorKind};

use crate::exit::Exit;
use crate::stop::Signal;

/// Why a command did not do what it should.
#[derive(Debug, Error)]
pub enum CliError {
    /// The cluster, or the way to it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// What was being done when it failed.
    #[error("{path}: {source}")]
    At { path: String, source: Box<CliError> },
    /// A file of ours, such as the configuration.
    #[error(transparent)]
    File(#[from] FileError),
    /// The folder that is written into.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A repository.
    #[error(transparent)]
    Repository(#[from] RepoError),
    /// The newest backup is lost, and nobody said which of the older ones is wanted.
    #[error("{source}; give --epoch {readable} for the newest of them")]
    NewestLost { source: RepoError, readable: Epoch },
    /// A table is damaged, which stops a restore that was not told to make tables again.
    #[error("{source}; give --rebuild-tables to make the table again from the objects of its backup")]
    DamagedTable { source: RepoError },
    /// A restore.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// A site.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// A recovery kit.
    #[error("{}: {source}", file.display())]
    Kit { file: PathBuf, source: KitError },
    /// A check found damage; each thing was printed.
    #[error("the check found {findings} things that are wrong, see above")]
    DamageFound { findings: u64 },
    /// A file of the user's.
    #[error("cannot {action} {}: {source}", path.display())]
    Local { action: &'static str, path: PathBuf, source: io::Error },
    /// The configuration file cannot be used.
    #[error("the configuration {} cannot be used: {reason}", file.display())]
    Configuration { file: PathBuf, reason: String },
    /// Nothing says which cluster is meant.
    #[error(
        "which cluster? Give --socket or --context, or make a context with `holdfast cluster init` ({} has no current one)",
        file.display()
    )]
    NoCluster { file: PathBuf },
    /// The command line makes no sense in a way that the parser cannot see.
    #[error("{message}")]
    Usage { message: String },
    /// A name that nothing has.
    #[error("there is no {what} {name:?}")]
    NoRecord { what: &'static str, name: String },
    /// Not one of what was asked for.
    #[error("there is no {what}")]
    Nothing { what: String },
    /// A name that is taken.
    #[error("there is already a {what} {name:?}: {advice}")]
    Exists { what: &'static str, name: String, advice: &'static str },
    /// A site that is still needed.
    #[error("site {site:?} is used by the policies {policies}: delete them first with `holdfast policy delete`")]
    SiteInUse { site: String, policies: String },
    /// Something was done in part; each failure was printed when it happened.
    #[error("{failed} of {what} failed, see above")]
    Partial { failed: u64, what: &'static str },
    /// All that could not be restored is damaged in the repository; each failure was printed when it happened.
    #[error(
        "{failed} of the paths are damaged in the repository, see above: `holdfast repo check` tells what is wrong"
    )]
    Damaged { failed: u64 },
    /// The job ended without a backup.
    #[error("backup job {job} {ending}")]
    Job { job: u64, ending: String },
    /// No passphrase could be had.
    #[error("no passphrase: {reason}")]
    Passphrase { reason: &'static str },
    /// Nodes cannot use a site.
    #[error("{failed} of the nodes cannot use the site, see above")]
    SiteUnusable { failed: usize },
    /// A signal asked for the end.
    #[error("{}", if *signal == Signal::Interrupt { "interrupted" } else { "terminated" })]
    Stopped { signal: Signal },
    /// The reader of our output has gone, which is its right.
    #[error("nobody reads the output")]
    OutputClosed,
    /// Standard output cannot be written.
    #[error("cannot write the output: {source}")]
    Output { source: io::Error },
    /// The operating system gave no threads.
    #[error("cannot start: {source}")]
    Start { source: io::Error },
}

impl CliError {
    /// An error of a file of the user's.
    pub fn local(action: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Local { action, path: path.to_owned(), source: source.into() }
    }

    /// Says which path an error is about, for those of the cluster that know LINs alone.
    pub fn at<E: Into<Self>>(path: &FilePath) -> impl FnOnce(E) -> Self + use<E> {
        let path = path.to_string();
        move |error| match error.into() {
            Self::Client(
                error @ (ClientError::Refused { .. }
                | ClientError::Damaged { .. }
                | ClientError::BadExtent { .. }
                | ClientError::NotAFile { .. }),
            ) => Self::At { path, source: Box::new(error.into()) },
            error => error,
        }
    }

    /// How the program ends with it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Client(error) => error.kind().into(),
            Self::At { source, .. } => source.exit(),
            Self::File(error) => exit_of(error.io_kind()),
            Self::Target(error) => error.kind().into(),
            Self::Repository(error) | Self::NewestLost { source: error, .. } | Self::DamagedTable { source: error } => {
                exit_of_repository(error)
            }
            Self::Restore(RestoreError::Repository(error)) => exit_of_repository(error),
            Self::Restore(error) => error.kind().into(),
            Self::Site(error) => error.kind().into(),
            Self::Kit { source, .. } => source.kind().into(),
            Self::Damaged { .. } => Exit::Corrupt,
            Self::DamageFound { .. } => Exit::DamageFound,
            Self::Local { source, .. } => exit_of(source.kind()),
            Self::Configuration { .. } | Self::NoCluster { .. } | Self::Usage { .. } | Self::Passphrase { .. } => {
                Exit::Usage
            }
            Self::NoRecord { .. } | Self::Nothing { .. } => Exit::NotFound,
            Self::Exists { .. } | Self::SiteInUse { .. } => Exit::Conflict,
            Self::Partial { .. } | Self::Job { .. } | Self::Start { .. } => Exit::Failed,
            Self::SiteUnusable { .. } => Exit::Unavailable,
            Self::Stopped { signal: Signal::Interrupt } => Exit::Interrupted,
            Self::Stopped { signal: Signal::Terminate } => Exit::Terminated,
            Self::OutputClosed => Exit::Done,
            Self::Output { source } => exit_of(source.kind()),
        }
    }

    /// The cluster's stable name for it, or ours.
    pub fn code(&self) -> &str {
        match self {
            Self::Client(error) => error.code(),
            Self::At { source, .. } => source.code(),
            Self::File(_) | Self::Local { .. } => "file",
            Self::Target(_) => "target",
            Self::Repository(_) | Self::NewestLost { .. } | Self::DamagedTable { .. } => "repository",
            Self::Restore(_) => "restore",
            Self::Site(_) => "site",
            Self::Kit { .. } => "kit",
            Self::DamageFound { .. } => "damage_found",
            Self::Configuration { .. } => "configuration",
            Self::NoCluster { .. } => "no_context",
            Self::Usage { .. } => "usage",
            Self::NoRecord { .. } | Self::Nothing { .. } => "no_record",
            Self::Exists { .. } => "record_exists",
            Self::SiteInUse { .. } => "site_in_use",
            Self::Partial { .. } => "partial",
            Self::Damaged { .. } => "damaged",
            Self::Job { .. } => "job",
            Self::Passphrase { .. } => "passphrase",
            Self::SiteUnusable { .. } => "site_unusable",
            Self::OutputClosed | Self::Output { .. } => "output",
            Self::Start { .. } => "start",
            Self::Stopped { .. } => "stopped",
        }
    }

    /// Whether one file failed while the next one may well succeed.
    pub fn is_about_one_file(&self) -> bool {
        match self {
            Self::Local { .. } => true,
            Self::Client(ClientError::Refused { failure, .. }) => !matches!(
                failure.kind,
                ErrorKind::Unavailable | ErrorKind::NotLeader | ErrorKind::NoSpace | ErrorKind::Denied
            ),
            Self::Client(ClientError::Damaged { .. } | ClientError::BadExtent { .. }) => true,
            Self::Client(ClientError::Path(_) | ClientError::NotAFile { .. }) | Self::Usage { .. } => true,
            Self::At { source, .. } => source.is_about_one_file(),
            Self::Target(error) => error.kind() != ErrorKind::NoSpace,
            _ => false,
        }
    }
}

impl From<PathError> for CliError {
    fn from(error: PathError) -> Self {
        Self::Client(error.into())
    }
}

/// A wrong key is denied to everybody, so scripts see it apart from what is denied to them.
fn exit_of_repository(error: &RepoError) -> Exit {
    match error {
        RepoError::WrongPassphrase { .. } | RepoError::WrongKey { .. } | RepoError::NeedsPrivateKey { .. } => {
            Exit::WrongKey
        }
        error => error.kind().into(),
    }
}

fn exit_of(kind: io::ErrorKind) -> Exit {
    match kind {
        io::ErrorKind::NotFound => Exit::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Exit::Denied,
        io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => Exit::Conflict,
        io::ErrorKind::StorageFull => Exit::NoSpace,
        io::ErrorKind::QuotaExceeded => Exit::OverQuota,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use types::Lin;

    use super::*;

    #[test]
    fn what_the_cluster_says_of_a_lin_is_told_with_its_path() {
        let path = FilePath::new("/a/b".to_owned()).unwrap();
        let error = CliError::at(&path)(ClientError::BadExtent { lin: Lin(7), offset: 0 });
        assert!(error.to_string().starts_with("/a/b: an extent of inode 7"), "{error}");
        assert!(error.is_about_one_file());
        let twice = CliError::at(&path)(error);
        assert_eq!(twice.to_string().matches("/a/b").count(), 1, "{twice}");
    }
}
