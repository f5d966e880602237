//! What an upload has done so far, told while it goes on.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use types::FileKind;

use crate::progress::Progress;
use crate::summary::Copied;

/// What was uploaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub copied: Copied,
    /// Files that somebody wrote to while they were read.
    pub changed: u64,
    pub failed: u64,
}

/// Counts, and tells whoever looks.
pub struct Tally {
    pub progress: Arc<Progress>,
    pub report: Report,
}

impl Tally {
    pub fn new(progress: Arc<Progress>) -> Self {
        Self { progress, report: Report::default() }
    }

    /// Notes something that is in the cluster now.
    pub fn made(&mut self, kind: FileKind, bytes: u64) {
        self.progress.add_file();
        let copied = &mut self.report.copied;
        match kind {
            FileKind::File => copied.files += 1,
            FileKind::Directory => copied.directories += 1,
            FileKind::Symlink => copied.symlinks += 1,
            FileKind::Pipe | FileKind::Socket | FileKind::CharDevice | FileKind::BlockDevice => copied.specials += 1,
        }
        copied.bytes += bytes;
    }

    /// Notes a further name of a file.
    pub fn linked(&mut self) {
        self.progress.add_file();
        self.report.copied.links += 1;
    }

    /// Notes something that could not be uploaded.
    pub fn failed(&mut self, error: &impl Display) {
        self.progress.warn(error);
        self.report.failed += 1;
    }

    /// Notes a file that was written to while it was read.
    pub fn changed(&mut self, path: &Path) {
        self.progress.warn(format!("{}: it changed while it was read", path.display()));
        self.report.changed += 1;
    }
}
