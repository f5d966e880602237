//! Typed reads. Each takes a snapshot, or reads the head.

use bytes::Bytes;
use types::{Attributes, Lin, Name, Revision, SnapshotId};
use wire::{InvalidMessage, each, v1};

use crate::inode::{Described, described, entry};
use crate::{Client, ClientError, Entry, Inode, RunPage, StatFs};

/// Entries of a directory that one call gives; with attributes about 100 bytes each.
const DIRECTORY_PAGE: u32 = 1024;
/// Extents and tails that one call gives.
const RUN_PAGE: u32 = 2048;

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
    /// A node tells some MiB at a time. At the head, what takes several calls may be of several moments.
    ///
    /// # Errors
    /// When a call as a whole fails.
    pub async fn describe_all(
        &self,
        lins: &[Lin],
        parts: Parts,
        snapshot: Option<SnapshotId>,
    ) -> Result<Vec<Result<Inode, wire::Failure>>, ClientError> {
        let mut inodes = Vec::with_capacity(lins.len());
        let mut left = lins;
        while !left.is_empty() {
            let request = v1::DescribeRequest {
                lins: left.iter().map(|lin| lin.get()).collect(),
                snapshot: snapshot.map(SnapshotId::get),
                with_xattrs: parts.xattrs,
                with_content: parts.content,
                xattrs_after: Bytes::new(),
            };
            let page = self.describe_page(request).await?;
            left = left.get(page.len()..).unwrap_or_default();
            for described in page {
                inodes.push(match described {
                    Ok(described) => self.with_all_xattrs(described, snapshot).await?,
                    Err(failure) => Err(failure),
                });
            }
        }
        Ok(inodes)
    }

    /// The first of some LINs, at least one.
    async fn describe_page(
        &self,
        request: v1::DescribeRequest,
    ) -> Result<Vec<Result<Described, wire::Failure>>, ClientError> {
        let action = "stat";
        let send = |to: wire::Connection| {
            let request = request.clone();
            async move { to.namespace().describe(request).await }
        };
        let answer = self.router().call(action, send).await?;
        check_count(action, answer.results.len(), answered(action, &request.lins, answer.left)?.len())?;
        let described = answer.results.into_iter().map(described).collect::<Result<Vec<_>, InvalidMessage>>();
        described.map_err(|source| ClientError::BadAnswer { action, source })
    }

    /// Reads on where the answer did not have all extended attributes of a LIN.
    async fn with_all_xattrs(
        &self,
        Described { mut inode, mut more_xattrs }: Described,
        snapshot: Option<SnapshotId>,
    ) -> Result<Result<Inode, wire::Failure>, ClientError> {
        while more_xattrs {
            let after = inode.xattrs.last().map(|(name, _)| name.clone()).unwrap_or_default();
            let request = v1::DescribeRequest {
                lins: vec![inode.attributes.lin.get()],
                snapshot: snapshot.map(SnapshotId::get),
                with_xattrs: true,
                with_content: false,
                xattrs_after: after.clone(),
            };
            let page = match self.describe_page(request).await?.pop() {
                Some(Ok(page)) => page,
                Some(Err(failure)) => return Ok(Err(failure)),
                None => break,
            };
            // A node that goes in circles would be asked for ever.
            let goes_on = page.inode.xattrs.first().is_some_and(|(name, _)| *name > after);
            more_xattrs = page.more_xattrs && goes_on;
            inode.xattrs.extend(page.inode.xattrs);
        }
        Ok(Ok(inode))
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
        if page.more && page.entries.is_empty() {
            return Err(ClientError::AnswerCount { action, found: 0, expected: DIRECTORY_PAGE as usize });
        }
        let entries = page.entries.into_iter().map(entry).collect::<Result<Vec<_>, InvalidMessage>>();
        Ok((entries.map_err(|source| ClientError::BadAnswer { action, source })?, page.more))
    }

    /// One page of a file's extents and tails from an offset on.
    ///
    /// # Errors
    /// `NotFound` when the file is not there.
    pub async fn read_runs(&self, lin: Lin, offset: u64, snapshot: Option<SnapshotId>) -> Result<RunPage, ClientError> {
        let action = "list the extents";
        let request =
            v1::ReadRunsRequest { lin: lin.0, offset, limit: RUN_PAGE, snapshot: snapshot.map(SnapshotId::get) };
        let send = |to: wire::Connection| async move { to.namespace().read_runs(request).await };
        let page = self.router().call(action, send).await?;
        let runs = each(page.runs).map_err(|source| ClientError::BadAnswer { action, source })?;
        Ok(RunPage {
            runs,
            next_offset: page.next_offset,
            changed: Revision(page.changed),
            size: page.size,
            since: Revision(page.since),
        })
    }

    /// How full the file system is; of a directory whose content counts for quotas, how full the tightest of them is.
    ///
    /// # Errors
    /// When the call fails, or the LIN is no directory.
    pub async fn stat_fs(&self, directory: Option<Lin>) -> Result<StatFs, ClientError> {
        let request = v1::StatFsRequest { directory: directory.map(Lin::get) };
        let send = |to: wire::Connection| async move { to.namespace().stat_fs(request).await };
        let answer = self.router().call("tell how full the file system is", send).await?;
        Ok(StatFs {
            capacity_bytes: answer.capacity_bytes,
            available_bytes: answer.available_bytes,
            used_bytes: answer.used_bytes,
            inodes: answer.inodes,
            quota: answer.quota.map(Lin),
        })
    }
}

/// The part of what was asked for that an answer is about, which is never nothing; the rest is asked for again.
pub fn answered<'a, T>(action: &'static str, asked: &'a [T], left: u32) -> Result<&'a [T], ClientError> {
    let count = asked.len().saturating_sub(left as usize);
    let part = asked.get(..count).filter(|part| !part.is_empty());
    part.ok_or(ClientError::AnswerCount { action, found: 0, expected: asked.len() })
}

pub fn check_count(action: &'static str, found: usize, expected: usize) -> Result<(), ClientError> {
    if found == expected { Ok(()) } else { Err(ClientError::AnswerCount { action, found, expected }) }
}
