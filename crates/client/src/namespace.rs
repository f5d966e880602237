//! Typed reads. Each takes a snapshot, or reads the head.

use types::{Attributes, Extent, Lin, Name, SnapshotId};
use wire::{InvalidMessage, each, v1};

use crate::inode::{entry, inode};
use crate::{Client, ClientError, Entry, Inode, StatFs};

/// Entries of a directory that one call gives; with attributes about 100 bytes each.
const DIRECTORY_PAGE: u32 = 1024;
/// Extents that one call gives.
const EXTENT_PAGE: u32 = 2048;

/// What to tell of a LIN beside its attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Extended attributes.
    pub xattrs: bool,
    /// Where the content is.
    pub content: bool,
}

impl Client {
    /// Walks names down from a directory: the attributes of the start and of each step, as far as they lead.
    ///
    /// # Errors
    /// `NotFound` when an entry is not there.
    pub async fn lookup(
        &self,
        start: Lin,
        names: &[Name],
        snapshot: Option<SnapshotId>,
    ) -> Result<Vec<Attributes>, ClientError> {
        let action = "look up";
        let request = v1::LookupRequest {
            start: start.0,
            names: names.iter().map(Name::to_bytes).collect(),
            snapshot: snapshot.map(SnapshotId::get),
        };
        let send = |to: wire::Connection| {
            let request = request.clone();
            async move { to.namespace().lookup(request).await }
        };
        let steps = self.router().call(action, send).await?.steps;
        each(steps).map_err(|source| ClientError::BadAnswer { action, source })
    }

    /// Tells all about one LIN.
    ///
    /// # Errors
    /// `NotFound` when it is not there.
    pub async fn describe(&self, lin: Lin, parts: Parts, at: Option<SnapshotId>) -> Result<Inode, ClientError> {
        let action = "stat";
        let results = self.describe_all(&[lin], parts, at).await?;
        let found = results.len();
        let result = results.into_iter().next().ok_or(ClientError::AnswerCount { action, found, expected: 1 })?;
        result.map_err(|failure| ClientError::Refused { action, failure })
    }

    /// Tells all about some LINs, at most 1024, in their order; each may be missing by itself.
    ///
    /// # Errors
    /// When the call as a whole fails.
    pub async fn describe_all(
        &self,
        lins: &[Lin],
        parts: Parts,
        snapshot: Option<SnapshotId>,
    ) -> Result<Vec<Result<Inode, wire::Failure>>, ClientError> {
        let action = "stat";
        let request = v1::DescribeRequest {
            lins: lins.iter().map(|lin| lin.get()).collect(),
            snapshot: snapshot.map(SnapshotId::get),
            with_xattrs: parts.xattrs,
            with_content: parts.content,
        };
        let send = |to: wire::Connection| {
            let request = request.clone();
            async move { to.namespace().describe(request).await }
        };
        let results = self.router().call(action, send).await?.results;
        check_count(action, results.len(), lins.len())?;
        let inodes = results.into_iter().map(inode).collect::<Result<Vec<_>, InvalidMessage>>();
        inodes.map_err(|source| ClientError::BadAnswer { action, source })
    }

    /// One page of a directory after that name, with attributes, and whether there is more.
    ///
    /// # Errors
    /// `NotFound`, or `InvalidRequest` when it is no directory.
    pub async fn read_directory(
        &self,
        lin: Lin,
        after: Option<&Name>,
        snapshot: Option<SnapshotId>,
    ) -> Result<(Vec<Entry>, bool), ClientError> {
        let action = "list the directory";
        let request = v1::ReadDirectoryRequest {
            lin: lin.0,
            after: after.map(Name::to_bytes).unwrap_or_default(),
            limit: DIRECTORY_PAGE,
            snapshot: snapshot.map(SnapshotId::get),
            with_attributes: true,
        };
        let send = |to: wire::Connection| {
            let request = request.clone();
            async move { to.namespace().read_directory(request).await }
        };
        let page = self.router().call(action, send).await?;
        let entries = page.entries.into_iter().map(entry).collect::<Result<Vec<_>, InvalidMessage>>();
        Ok((entries.map_err(|source| ClientError::BadAnswer { action, source })?, page.more))
    }

    /// One page of a file's extents from an offset on, and where the next one begins.
    ///
    /// # Errors
    /// `NotFound` when the file is not there.
    pub async fn read_extents(
        &self,
        lin: Lin,
        offset: u64,
        snapshot: Option<SnapshotId>,
    ) -> Result<(Vec<Extent>, Option<u64>), ClientError> {
        let action = "list the extents";
        let request =
            v1::ReadExtentsRequest { lin: lin.0, offset, limit: EXTENT_PAGE, snapshot: snapshot.map(SnapshotId::get) };
        let send = |to: wire::Connection| async move { to.namespace().read_extents(request).await };
        let page = self.router().call(action, send).await?;
        let extents = each(page.extents).map_err(|source| ClientError::BadAnswer { action, source })?;
        Ok((extents, page.next_offset))
    }

    /// How full the file system is.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn stat_fs(&self) -> Result<StatFs, ClientError> {
        let send = |to: wire::Connection| async move { to.namespace().stat_fs(v1::StatFsRequest {}).await };
        let answer = self.router().call("tell how full the file system is", send).await?;
        Ok(StatFs {
            capacity_bytes: answer.capacity_bytes,
            available_bytes: answer.available_bytes,
            used_bytes: answer.used_bytes,
            inodes: answer.inodes,
        })
    }
}

pub fn check_count(action: &'static str, found: usize, expected: usize) -> Result<(), ClientError> {
    if found == expected { Ok(()) } else { Err(ClientError::AnswerCount { action, found, expected }) }
}
