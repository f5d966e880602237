//! Inodes and extents of the selected LINs, which are asked for in ascending order.

use repo::{Backup, ExtentRecord, ExtentRow, InodeRecord, InodeRow, RowStream};
use types::{FileKind, Lin};

use super::Directories;
use crate::RestoreError;

/// The rows of a backup, read in the order of their LINs.
pub enum Rows {
    /// Everything is selected: each table is read once from end to end.
    Scan(Box<Scan>),
    /// A part is selected: only its rows are looked up.
    Lookup(Box<Lookup>),
}

/// Two tables that are read side by side.
pub struct Scan {
    inodes: RowStream<InodeRow>,
    extents: RowStream<ExtentRow>,
    inode: Option<InodeRow>,
    extent: Option<ExtentRow>,
    /// Directories that were passed by.
    directories: Vec<(Lin, InodeRecord)>,
}

/// The rows of one LIN at a time.
pub struct Lookup {
    backup: Backup,
    extents: Option<(Lin, RowStream<ExtentRow>)>,
}

impl Rows {
    /// Begins before the first LIN.
    pub async fn scan(backup: &Backup) -> Result<Self, RestoreError> {
        let (mut inodes, mut extents) = (backup.inodes().await?, backup.extents().await?);
        let (inode, extent) = (inodes.next().await?, extents.next().await?);
        Ok(Self::Scan(Box::new(Scan { inodes, extents, inode, extent, directories: Vec::new() })))
    }

    /// Looks rows up.
    pub fn lookup(backup: &Backup) -> Self {
        Self::Lookup(Box::new(Lookup { backup: backup.clone(), extents: None }))
    }

    /// The inode of a LIN that is not below one that was asked for before.
    pub async fn inode(&mut self, lin: Lin) -> Result<Option<InodeRecord>, RestoreError> {
        match self {
            Self::Scan(scan) => scan.inode(lin).await,
            Self::Lookup(lookup) => Ok(lookup.backup.inode(lin).await?.and_then(|row| row.inode)),
        }
    }

    /// The next extent of that LIN.
    pub async fn extent(&mut self, lin: Lin) -> Result<Option<(u64, ExtentRecord)>, RestoreError> {
        let row = match self {
            Self::Scan(scan) => scan.extent(lin).await?,
            Self::Lookup(lookup) => lookup.extent(lin).await?,
        };
        Ok(row.and_then(|row| Some((row.offset, row.extent?))))
    }

    /// The inodes of the selected directories; after all others were asked for.
    pub async fn directories(self, selected: &Directories) -> Result<Vec<(Lin, InodeRecord)>, RestoreError> {
        let mut found = Vec::new();
        match self {
            Self::Scan(mut scan) => {
                scan.inode(Lin(u64::MAX)).await?;
                found = scan.directories;
                found.retain(|(lin, _)| selected.contains(*lin));
            }
            Self::Lookup(lookup) => {
                let mut lins: Vec<_> = selected.all().collect();
                lins.sort_unstable();
                for lin in lins {
                    found.extend(lookup.backup.inode(lin).await?.and_then(|row| Some((lin, row.inode?))));
                }
            }
        }
        Ok(found)
    }
}

impl Scan {
    async fn inode(&mut self, lin: Lin) -> Result<Option<InodeRecord>, RestoreError> {
        while let Some(row) = self.inode.take() {
            if row.lin > lin {
                self.inode = Some(row);
                break;
            }
            self.inode = self.inodes.next().await?;
            let found = row.inode;
            if row.lin == lin {
                return Ok(found);
            }
            let directory = found.filter(|inode| inode.kind == FileKind::Directory);
            self.directories.extend(directory.map(|inode| (row.lin, inode)));
        }
        Ok(None)
    }

    async fn extent(&mut self, lin: Lin) -> Result<Option<ExtentRow>, RestoreError> {
        while let Some(row) = self.extent.take() {
            if row.lin > lin {
                self.extent = Some(row);
                break;
            }
            self.extent = self.extents.next().await?;
            if row.lin == lin {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }
}

impl Lookup {
    async fn extent(&mut self, lin: Lin) -> Result<Option<ExtentRow>, RestoreError> {
        if self.extents.as_ref().is_none_or(|(of, _)| *of != lin) {
            self.extents = Some((lin, self.backup.extents_of(lin).await?));
        }
        match &mut self.extents {
            Some((_, extents)) => Ok(extents.next().await?),
            None => Ok(None),
        }
    }
}
