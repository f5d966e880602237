//! Walking local directories, in a thread of its own, ahead of the upload.

use std::collections::HashSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use runtime::{OnError, Tasks};
use tokio::sync::mpsc;
use types::Name;

use super::source::{self, FileId, LocalInode};
use crate::error::CliError;

/// Entries that wait to be uploaded; each may hold a file of just under 1 MiB.
const ENTRIES_WAITING: usize = 64;

/// Something that was found in a directory.
pub struct Found {
    /// The number of the directory within its window.
    pub directory: usize,
    pub name: Name,
    pub path: PathBuf,
    pub result: Result<LocalInode, CliError>,
}

/// Files with several names that were met; the content of such a file is read only once.
#[derive(Clone, Default)]
pub struct Met(Arc<Mutex<HashSet<FileId>>>);

impl Met {
    /// Notes a file; whether it was met for the first time.
    fn is_first(&self, id: FileId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id)
    }
}

/// Walks a window of directories. What cannot be listed is among what is found, under the directory's own path.
pub fn scan(tasks: &Tasks, window: Vec<PathBuf>, met: Met) -> mpsc::Receiver<Result<Found, CliError>> {
    let (sender, receiver) = mpsc::channel(ENTRIES_WAITING);
    tasks.spawn_blocking("read directories", OnError::Log, move || {
        for (directory, path) in window.iter().enumerate() {
            if scan_one(directory, path, &met, &sender).is_err() {
                // Nobody waits for the rest.
                return;
            }
        }
    });
    receiver
}

struct NobodyWaits;

fn scan_one(
    directory: usize,
    path: &Path,
    met: &Met,
    sender: &mpsc::Sender<Result<Found, CliError>>,
) -> Result<(), NobodyWaits> {
    let send = |found| sender.blocking_send(found).map_err(|_| NobodyWaits);
    let names = match names(path) {
        Ok(names) => names,
        Err(error) => return send(Err(error)),
    };
    for name in names {
        let path = path.join(&name);
        let Ok(name) = Name::new(Bytes::copy_from_slice(name.as_bytes())) else { continue };
        let result = take(&path, met);
        send(Ok(Found { directory, name, path, result }))?;
    }
    Ok(())
}

/// Sorted, so that two runs over one tree do the same.
fn names(path: &Path) -> Result<Vec<OsString>, CliError> {
    let failed = |error| CliError::local("list", path, error);
    let entries = std::fs::read_dir(path).map_err(failed)?;
    let mut names = entries.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    names.sort_unstable();
    Ok(names)
}

fn take(path: &Path, met: &Met) -> Result<LocalInode, CliError> {
    let mut inode = source::inspect(path)?;
    if inode.shared.is_none_or(|id| met.is_first(id)) {
        source::read(path, &mut inode)?;
    }
    Ok(inode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn entries_come_in_order_and_a_shared_file_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let files = runtime::Files::real();
        files.write_atomic(&folder.path().join("a"), b"content", 0o600).unwrap();
        std::fs::hard_link(folder.path().join("a"), folder.path().join("b")).unwrap();
        std::os::unix::net::UnixListener::bind(folder.path().join("c")).unwrap();
        let tasks = Tasks::new("test");
        let mut found = scan(&tasks, vec![folder.path().to_owned(), "/nowhere".into()], Met::default());
        let mut seen = Vec::new();
        while let Some(found) = found.recv().await {
            seen.push(match found {
                Err(_) => "unlisted".to_owned(),
                Ok(Found { name, result, .. }) => match result {
                    Err(_) => format!("{name} unreadable"),
                    Ok(LocalInode { body: source::Body::Here(_), .. }) => format!("{name} here"),
                    Ok(_) => format!("{name} none"),
                },
            });
        }
        assert_eq!(seen, ["a here", "b none", "c none", "unlisted"]);
    }
}
