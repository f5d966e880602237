//! Why an operation is refused.

use thiserror::Error;

/// Why an operation is refused; each is one of POSIX's errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// `ENOENT`.
    #[error("no such file or directory")]
    NotFound,
    /// `EEXIST`.
    #[error("it exists")]
    Exists,
    /// `ENOTDIR`.
    #[error("not a directory")]
    NotDirectory,
    /// `EISDIR`.
    #[error("a directory")]
    IsDirectory,
    /// `ENOTEMPTY`.
    #[error("the directory is not empty")]
    NotEmpty,
    /// `ENOSPC`.
    #[error("the disk is full")]
    NoSpace,
    /// `EINVAL`.
    #[error("invalid argument")]
    Invalid,
}
