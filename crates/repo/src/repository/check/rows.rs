//! Do the rows of a backup fit each other?

use super::Check;
use crate::RepoError;
use crate::repository::{Backup, RowStream};
use crate::rows::{ExtentRow, InodeRow};

/// How far the extents of the file that is being looked at reach.
#[derive(Default)]
struct File {
    inode: Option<InodeRow>,
    end: u64,
}

impl Check<'_> {
    /// Walks the rows of every backup.
    pub(super) async fn backups(&mut self) -> Result<(), RepoError> {
        for info in self.repository.backups() {
            self.report.backups += 1;
            let backup = self.repository.at(info.set, info.epoch)?;
            if let Some(mut entries) = self.began(backup.entries().await)? {
                while self.next(entries.next().await)?.is_some() {}
            }
            let (inodes, extents) = (self.began(backup.inodes().await)?, self.began(backup.extents().await)?);
            if let (Some(inodes), Some(extents)) = (inodes, extents) {
                self.files(&backup, inodes, extents).await?;
            }
        }
        Ok(())
    }

    /// Joins inodes and extents, which are both in the order of LINs.
    async fn files(
        &mut self,
        backup: &Backup,
        mut inodes: RowStream<InodeRow>,
        mut extents: RowStream<ExtentRow>,
    ) -> Result<(), RepoError> {
        let mut file = File::default();
        while let Some(extent) = self.next(extents.next().await)? {
            while file.inode.as_ref().is_none_or(|inode| inode.lin < extent.lin) {
                let inode = self.next(inodes.next().await)?;
                if inode.is_none() {
                    return Ok(());
                }
                file = File { inode, end: 0 };
            }
            if let Some(what) = self.misfit(&mut file, &extent) {
                let (commit, lin, offset) = (&backup.info().commit, extent.lin, extent.offset);
                self.report.finding(commit, format!("the extent of inode {lin} at {offset} {what}"));
            }
        }
        while self.next(inodes.next().await)?.is_some() {}
        Ok(())
    }

    /// What is wrong with an extent of the file; extents of an inode that is gone mean nothing.
    fn misfit(&self, file: &mut File, extent: &ExtentRow) -> Option<&'static str> {
        let inode = file.inode.as_ref().filter(|inode| inode.lin == extent.lin)?.inode.as_ref()?;
        let record = extent.extent.as_ref()?;
        let begins_before = extent.offset < file.end;
        file.end = extent.offset.saturating_add(u64::from(record.length));
        let in_block = u64::from(record.block_offset) + u64::from(record.length);
        if begins_before {
            Some("overlaps the one before it")
        } else if file.end > inode.size {
            Some("goes beyond the end of the file")
        } else if in_block > u64::from(record.location.plain_length) {
            Some("goes beyond the end of its block")
        } else if !self.objects.contains(&record.location.object) {
            Some("lies in an object that the repository does not have")
        } else {
            None
        }
    }
}
