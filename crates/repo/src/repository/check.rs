//! Checking a repository.

/// How deep a check goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckDepth {
    /// Every commit, run and object that is named is there, with its length; rows fit each other.
    Structure,
    /// And every byte is what was written, by CRC-32 and BLAKE3. Needs no private key.
    Bytes,
    /// And every block opens and has its digest. Needs the private key.
    Blocks,
}

/// Something that a check found to be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The object that is wrong.
    pub name: String,
    /// What is wrong with it.
    pub what: String,
}

/// What a check did and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Backups that were looked at.
    pub backups: u64,
    /// Runs that were looked at.
    pub runs: u64,
    /// Upload objects that were looked at.
    pub objects: u64,
    /// Rows that were read.
    pub rows: u64,
    /// Blocks that were opened.
    pub blocks: u64,
    /// What is wrong. At most [`CheckReport::FINDINGS_MAX`] are kept; `findings_total` counts all.
    pub findings: Vec<Finding>,
    /// How many things are wrong.
    pub findings_total: u64,
}
