//! Opening every block of an object.

use std::collections::BTreeMap;

use super::Check;
use crate::RepoError;
use crate::names::Name;
use crate::object::{FooterCursor, ObjectReader};
use crate::rows::{BlockRow, Location, ObjectRow};

impl Check<'_> {
    /// Opens every slot that the object's own footer tells of, and compares every block in it with its digest.
    pub(super) async fn blocks(&mut self, reader: &ObjectReader, row: &ObjectRow) -> Result<(), RepoError> {
        let shared = &self.repository.shared;
        let Some(private) = &shared.private else { return Ok(()) };
        let key = reader.key(private)?;
        let directory = reader.directory(&shared.keys).await?;
        let mut rows = FooterCursor::<BlockRow>::new(reader.clone(), &shared.keys, &directory, 1 << 20);
        let mut slots: BTreeMap<u32, Vec<BlockRow>> = BTreeMap::new();
        while let Some(block) = rows.next().await? {
            slots.entry(block.location.slot).or_default().push(block);
        }
        for (slot, blocks) in slots {
            let Some(Location { slot_offset, slot_length, .. }) = blocks.first().map(|block| block.location) else {
                continue;
            };
            let end = slot_offset.saturating_add(u64::from(slot_length));
            let sealed = shared.site.get_range(&Name::Object(row.writer).to_string(), slot_offset..end).await;
            let sealed = sealed.map_err(|error| RepoError::missing(error, "the table of objects"))?;
            let opened = key.open(slot, &sealed)?;
            for block in blocks {
                key.member(&opened, &block.location, &block.digest, &shared.keys)?;
                self.report.blocks += 1;
            }
        }
        Ok(())
    }
}
