//! The selected files, some at a time.

use std::sync::Arc;

use repo::{ExtentRecord, InodeRecord};
use types::{Device, FileKind, Lin};

use super::Directories;
use super::links::LinkReader;
use super::rows::Rows;
use crate::selection::{Claim, PlacedFile, Placement};
use crate::{Metadata, RelativePath, RestoreError, RestoreOptions};

/// A file that is to be restored.
#[derive(Clone, Debug)]
pub struct PlannedFile {
    /// Its number in the cluster.
    pub lin: Lin,
    /// Where it goes, under all its names; the first is made, the others are linked to it.
    pub paths: Vec<RelativePath>,
    /// What it carries besides its content.
    pub metadata: Metadata,
    /// Its length in bytes; what no extent covers is a hole.
    pub size: u64,
}

/// A symbolic link that is to be restored.
#[derive(Clone, Debug)]
pub struct PlannedSymlink {
    /// Where it goes, under all its names.
    pub paths: Vec<RelativePath>,
    /// What it carries.
    pub metadata: Metadata,
    /// Its target.
    pub target: bytes::Bytes,
}

/// A pipe, a socket or a device that is to be restored.
#[derive(Clone, Debug)]
pub struct PlannedSpecial {
    /// Where it goes, under all its names.
    pub paths: Vec<RelativePath>,
    /// What it carries.
    pub metadata: Metadata,
    /// What it stands for; nothing in particular, of a pipe or a socket.
    pub device: Device,
}

/// A file, or as much of it as one window takes.
#[derive(Clone, Debug)]
pub struct Part {
    /// The file.
    pub file: Arc<PlannedFile>,
    /// Extents with their offsets in the file, in order.
    pub extents: Vec<(u64, ExtentRecord)>,
    /// Whether the file begins here.
    pub is_first: bool,
    /// Whether the file ends here.
    pub is_last: bool,
}

/// Files that are restored together.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// Files. Only the first may have begun in an earlier window, and only the last may go on in a later one.
    pub parts: Vec<Part>,
    /// Symbolic links.
    pub symlinks: Vec<PlannedSymlink>,
    /// Pipes, sockets and devices.
    pub specials: Vec<PlannedSpecial>,
    /// Names that the tables cannot tell how to restore, and why.
    pub failures: Vec<(RelativePath, &'static str)>,
}

/// Gives the windows of a plan.
pub struct Windows<'a> {
    directories: &'a Directories,
    placed: std::iter::Peekable<std::collections::btree_map::Iter<'a, Lin, PlacedFile>>,
    links: LinkReader<'a>,
    rows: Rows,
    options: &'a RestoreOptions,
    /// A file whose extents were not all given yet, and the next of them.
    open: Option<(Arc<PlannedFile>, (u64, ExtentRecord))>,
}

impl<'a> Windows<'a> {
    pub(super) fn new(
        directories: &'a Directories,
        placement: &'a Placement,
        links: LinkReader<'a>,
        rows: Rows,
        options: &'a RestoreOptions,
    ) -> Self {
        Self { directories, placed: placement.files.iter().peekable(), links, rows, options, open: None }
    }

    /// The next window.
    ///
    /// # Errors
    /// The repository cannot be read.
    pub async fn next(&mut self) -> Result<Option<Window>, RestoreError> {
        let mut window = Window::default();
        let mut bytes = 0;
        if let Some((file, extent)) = self.open.take() {
            self.add_file(&mut window, &mut bytes, file, Some(extent)).await?;
        }
        while bytes < self.options.window_bytes && window.len() < self.options.window_files {
            let Some((lin, paths)) = self.next_lin(&mut window)? else { break };
            match self.rows.inode(lin).await? {
                Some(inode) => self.add(&mut window, &mut bytes, lin, paths, inode).await?,
                None => window.failures.extend(paths.into_iter().map(|path| (path, "its inode is missing"))),
            }
        }
        let is_empty = window.len() == 0;
        Ok((!is_empty).then_some(window))
    }

    /// The inodes of the selected directories; after the last window.
    ///
    /// # Errors
    /// The repository cannot be read.
    pub async fn directory_inodes(self) -> Result<Vec<(Lin, InodeRecord)>, RestoreError> {
        self.rows.directories(self.directories).await
    }

    /// The next LIN with all its paths.
    fn next_lin(&mut self, window: &mut Window) -> Result<Option<(Lin, Vec<RelativePath>)>, RestoreError> {
        let placed = self.placed.peek().map(|(lin, _)| **lin);
        let Some(lin) = self.links.peek().into_iter().chain(placed).min() else { return Ok(None) };
        let mut paths = Vec::new();
        while self.links.peek() == Some(lin) {
            let Some(link) = self.links.take()? else { break };
            match self.directories.path(link.parent) {
                Ok(directory) => paths.push(directory.join(&link.name)),
                Err(adrift) => window.failures.push((RelativePath::root().join(&link.name), adrift.what())),
            }
        }
        if let Some((_, PlacedFile { path, claim })) = self.placed.next_if(|(placed, _)| **placed == lin)
            && (paths.is_empty() || (*claim == Claim::Name && !paths.contains(path)))
        {
            paths.push(path.clone());
        }
        Ok(Some((lin, paths)))
    }

    async fn add(
        &mut self,
        window: &mut Window,
        bytes: &mut u64,
        lin: Lin,
        paths: Vec<RelativePath>,
        inode: InodeRecord,
    ) -> Result<(), RestoreError> {
        if paths.is_empty() {
            return Ok(());
        }
        *bytes += inode.variable_length() as u64;
        let (size, target) = (inode.size, inode.target.clone());
        let metadata = metadata(inode);
        match metadata.kind {
            FileKind::Symlink => window.symlinks.push(PlannedSymlink { paths, metadata, target }),
            FileKind::File => {
                let first = self.rows.extent(lin).await?;
                let file = Arc::new(PlannedFile { lin, paths, metadata, size });
                self.add_file(window, bytes, file, first).await?;
                if let Some(part) = window.parts.last_mut() {
                    part.is_first = true;
                }
            }
            FileKind::Directory => {
                window.failures.extend(paths.into_iter().map(|path| (path, "it is a directory and a file at once")));
            }
            FileKind::Pipe | FileKind::Socket => {
                window.specials.push(PlannedSpecial { paths, metadata, device: Device::default() });
            }
            FileKind::CharDevice | FileKind::BlockDevice => match device(&target) {
                Some(device) => window.specials.push(PlannedSpecial { paths, metadata, device }),
                None => {
                    window.failures.extend(paths.into_iter().map(|path| (path, "it is a device without a number")));
                }
            },
        }
        Ok(())
    }

    /// Adds as many extents of a file as the window takes.
    async fn add_file(
        &mut self,
        window: &mut Window,
        bytes: &mut u64,
        file: Arc<PlannedFile>,
        first: Option<(u64, ExtentRecord)>,
    ) -> Result<(), RestoreError> {
        let mut part = Part { file, extents: Vec::new(), is_first: false, is_last: true };
        let mut next = first;
        while let Some((offset, extent)) = next {
            if *bytes >= self.options.window_bytes && !part.extents.is_empty() {
                part.is_last = false;
                self.open = Some((part.file.clone(), (offset, extent)));
                break;
            }
            *bytes += u64::from(extent.location.plain_length);
            part.extents.push((offset, extent));
            next = self.rows.extent(part.file.lin).await?;
        }
        window.parts.push(part);
        Ok(())
    }
}

impl Window {
    fn len(&self) -> usize {
        self.parts.len() + self.symlinks.len() + self.specials.len() + self.failures.len()
    }

    /// Whether a file of this window began in another one, or goes on in another one.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.parts.first().is_some_and(|part| !part.is_first) || self.parts.last().is_some_and(|part| !part.is_last)
    }
}

/// The device that the target of an inode names.
fn device(target: &[u8]) -> Option<Device> {
    std::str::from_utf8(target).ok()?.parse().ok()
}

/// What of an inode a restore sets.
pub(crate) fn metadata(inode: InodeRecord) -> Metadata {
    let InodeRecord { kind, mode, uid, gid, atime, mtime, xattrs, .. } = inode;
    Metadata { kind, mode, uid, gid, atime, mtime, xattrs }
}
