//! The rows of all tables, joined.

use std::sync::Arc;

use super::circles;
use super::lines::Lines;
use super::names::Names;
use super::noted::Noted;
use super::objects::Objects;
use super::places::Blocks;
use super::runs::Runs;
use super::sorter::{Sorter, Workspace};
use super::tree::Tree;
use super::versions::Versions;
use super::{Check, CheckDepth};
use crate::RepoError;
use crate::names::Name;
use crate::object::ObjectReader;
use crate::repository::BackupInfo;
use crate::rows::{ObjectRow, Table};

impl Check<'_> {
    /// Looks at all objects, and joins the rows of all backups that need no damaged run.
    ///
    /// # Errors
    /// A run turned out to be damaged, or the site failed.
    pub(super) async fn tables(&mut self, runs: &Runs<'_>, space: &Arc<Workspace>) -> Result<(), RepoError> {
        let repository = self.repository;
        let objects = self.objects(runs).await?;
        self.report.rebuildable = runs.damaged_epochs().filter(|epoch| objects.has_all_of(*epoch)).collect();
        let (whole, broken): (Vec<_>, Vec<_>) =
            repository.backups().iter().partition::<Vec<&BackupInfo>, _>(|backup| runs.has_all_of(backup));
        for backup in broken {
            self.report.finding(&backup.commit, "its rows cannot be compared: a run that it needs cannot be read");
        }
        let voids = repository.head().map_or(&[][..], |head| &head.voids);
        let lines = Lines::new(whole.into_iter(), voids);
        self.report.backups = lines.backups();

        let mut noted = Noted::default();
        let mut entries = Versions::new(runs.merge().await?, &lines).await?;
        let names = Names::read(&mut entries, space).await?;
        circles::find(&names.ways, &lines, space, &mut noted).await?;
        let tree = Tree {
            objects: &objects,
            inodes: Versions::new(runs.merge().await?, &lines).await?,
            extents: Versions::new(runs.merge().await?, &lines).await?,
            links: names.links.read().await?,
            changes: names.changes.read().await?,
            roots: lines.roots().peekable(),
            uses: Sorter::new(space, "uses"),
            noted: &mut noted,
        };
        let (uses, rows) = tree.join().await?;
        self.report.rows += entries.rows() + rows;

        let (rows, lost) = (runs.merge().await?, runs.lost(Table::Blocks));
        let blocks = Blocks { rows, objects: &objects, lost: &lost, last: None, report: &mut self.report };
        let uses = uses.finish();
        blocks.join(uses.read().await?, &mut noted).await?;
        drop(uses);
        let total = noted.total;
        self.report.rows_findings(noted.findings(&lines, &names.links).await?, total);
        Ok(())
    }

    /// Looks at each upload object that the table `objects` names.
    async fn objects(&mut self, runs: &Runs<'_>) -> Result<Objects, RepoError> {
        let mut objects = Objects::without(runs.lost(Table::Objects));
        let mut rows = runs.merge::<ObjectRow>().await?;
        while let Some(row) = rows.next().await? {
            self.report.rows += 1;
            self.report.objects += 1;
            let checked = self.object(&row).await;
            let slots_end = self.report.note(Name::Object(row.writer), checked)?;
            match slots_end {
                Some(end) => objects.add(row.number, end),
                None => objects.add_damaged(row.number, row.size),
            }
        }
        Ok(objects)
    }

    /// Looks at an object; gives where its slots end.
    async fn object(&mut self, row: &ObjectRow) -> Result<u64, RepoError> {
        let shared = &self.repository.shared;
        let reader = ObjectReader::open(&shared.site, row.writer, shared.id).await?;
        let damaged = |what| Err(RepoError::damaged(reader.name(), what));
        if reader.row(row.number, row.hash) != *row {
            return damaged("its trailer is not what the table of objects says");
        }
        if self.depth >= CheckDepth::Bytes {
            self.report.bytes += row.size;
            if reader.check().await? != row.hash {
                return damaged("its bytes are not what was written");
            }
        }
        if self.depth == CheckDepth::Blocks {
            self.blocks(&reader, row).await?;
        }
        Ok(reader.trailer().footer_offset)
    }
}
