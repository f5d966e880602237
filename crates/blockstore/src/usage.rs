//! How full a volume is.

/// How full a volume is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Blocks that are held.
    pub blocks: u64,
    /// Bytes of their records, headers included.
    pub live_bytes: u64,
    /// Bytes of records that are dead; the largest part of them is given back to the file system already.
    pub dead_bytes: u64,
    /// Blocks whose bytes were found damaged, and that no put has replaced.
    pub quarantined_blocks: u64,
    /// Segments.
    pub segments: u64,
    /// Bytes of puts that are not answered yet.
    pub waiting_bytes: u64,
    /// What is free on the disk, in bytes.
    pub free_bytes: u64,
    /// The size of the disk, in bytes.
    pub total_bytes: u64,
    /// What puts leave alone, in bytes.
    pub reserve_bytes: u64,
    /// What the records of blocks may take, in bytes; the disk if there is no limit.
    pub capacity_bytes: u64,
}

impl Usage {
    /// What puts can still use, in bytes.
    #[must_use]
    pub fn available_bytes(&self) -> u64 {
        let on_disk = self.free_bytes.saturating_sub(self.reserve_bytes);
        on_disk.min(self.capacity_bytes.saturating_sub(self.live_bytes))
    }
}
