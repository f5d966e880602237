//! Writing into files that are there.

use bytes::Bytes;
use types::{Append, Change, Content, Lin, NewExtent};

use crate::inode::StoredContent;
use crate::namespace::Parts;
use crate::small_files::cut;
use crate::{ClientError, PlacementKey, Session};

const WRITE: &str = "write into the file";

impl Session {
    /// Writes bytes, some MiB at most, into a file; what lies elsewhere in it stays, and between its end and the offset is a
    /// hole. Of two that write to one place at the same time one is the later.
    ///
    /// # Errors
    /// `NotFound` when the file is not there, `InvalidRequest` when it is no regular file; nothing is written then.
    pub async fn write_at(&self, lin: Lin, offset: u64, bytes: Bytes) -> Result<(), ClientError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.make_room_for_extents(lin).await?;
        let key = |offset| PlacementKey::of_file(lin, offset);
        let end = offset.saturating_add(bytes.len() as u64);
        let extents = self.put_cut(offset, cut(&bytes, self.gear_seed()), key).await?;
        let write = |new: Vec<NewExtent>| Change::Write { lin, content: Content::Extents(new), mtime: None };
        self.publish(WRITE, extents, write, key).await?;
        self.merge_around(lin, offset, end).await;
        Ok(())
    }

    /// A file that is kept in its inode cannot have extents beside: an append of none makes its bytes a tail. That keeps
    /// what others write at the same time, which reading the bytes and writing them back would not.
    async fn make_room_for_extents(&self, lin: Lin) -> Result<(), ClientError> {
        let parts = Parts { content: true, ..Parts::default() };
        if let Some(StoredContent::Inline(_)) = self.client().describe(lin, parts, None).await?.content {
            let nothing = Append { lin, content: Content::Extents(Vec::new()), mtime: None };
            self.execute_one(WRITE, Change::Append(nothing)).await?;
        }
        Ok(())
    }
}
