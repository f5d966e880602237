//! Reads of one view, in the protocol's words. All of it blocks.

use bytes::Bytes;
use namespace::{Runs, StoredContent, View};
use prost::Message as _;
use types::{Account, FileKind, Lin, Name, Quota, Revision};
use wire::{Failure, v1};

use crate::NodeError;

/// Extents and tails that come with a description; most files have fewer.
const RUNS_WITH_DESCRIPTION: usize = 256;
/// Bytes from which on an answer describes no further LIN. One may have 64 MiB of extended attributes.
const ANSWER_LENGTH: usize = 4 << 20;

/// Walks names down from a LIN; ends early at the first that is no directory.
pub fn walk(view: &View, start: Lin, names: &[Name]) -> Result<Vec<v1::Attributes>, NodeError> {
    let mut at = view.attributes(start)?;
    let mut steps = Vec::with_capacity(names.len() + 1);
    for name in names {
        let (lin, kind) = (at.lin, at.kind);
        steps.push(at.into());
        if kind != FileKind::Directory {
            return Ok(steps);
        }
        at = view.attributes(view.lookup(lin, name)?.lin)?;
    }
    steps.push(at.into());
    Ok(steps)
}

/// How full a quota is, in the words in which that is told of the whole file system.
pub fn fullness(quota: &Quota) -> v1::StatFsResponse {
    let directory = match quota.account {
        Account::Directory(lin) => Some(lin.0),
        Account::User(_) => None,
    };
    v1::StatFsResponse {
        capacity_bytes: quota.limits.bytes.unwrap_or(u64::MAX),
        available_bytes: quota.free_bytes().unwrap_or(u64::MAX),
        used_bytes: quota.used_bytes,
        inodes: quota.used_inodes,
        quota: directory,
    }
}

/// Describes LINs, each with a result of its own, until the answer is long enough.
pub fn describe(view: &View, request: &v1::DescribeRequest) -> Result<v1::DescribeResponse, NodeError> {
    let (mut results, mut length, mut is_full) = (Vec::new(), 0, false);
    let mut after = Some(&request.xattrs_after).filter(|name| !name.is_empty());
    for &lin in &request.lins {
        if is_full {
            break;
        }
        let xattrs = Xattrs { after: after.take(), bytes_max: ANSWER_LENGTH.saturating_sub(length) };
        let result = match inode(view, Lin(lin), request, xattrs) {
            Ok(inode) => {
                is_full = inode.more_xattrs;
                v1::describe_result::Result::Inode(inode)
            }
            Err(NodeError::Operation(refused)) => v1::describe_result::Result::Error(Failure::from(refused).into()),
            Err(failed) => return Err(failed),
        };
        let result = v1::DescribeResult { result: Some(result) };
        length += result.encoded_len();
        is_full |= length >= ANSWER_LENGTH;
        results.push(result);
    }
    let left = u32::try_from(request.lins.len() - results.len()).unwrap_or(u32::MAX);
    Ok(v1::DescribeResponse { results, left })
}

/// Which extended attributes of a LIN are wanted.
#[derive(Clone, Copy)]
struct Xattrs<'a> {
    /// Those after that name.
    after: Option<&'a Bytes>,
    /// So many bytes of them, and one in any case.
    bytes_max: usize,
}

fn inode(
    view: &View,
    lin: Lin,
    request: &v1::DescribeRequest,
    Xattrs { after, bytes_max }: Xattrs<'_>,
) -> Result<v1::Inode, NodeError> {
    let file = view.file(lin)?;
    let mut inode = v1::Inode { attributes: Some(file.attributes.into()), ..Default::default() };
    if request.with_xattrs {
        let (xattrs, more) = view.xattrs_after(lin, after, bytes_max)?;
        inode.xattrs = xattrs.into_iter().map(Into::into).collect();
        inode.more_xattrs = more;
    }
    match file.content {
        StoredContent::Target(target) => inode.target = target,
        StoredContent::Inline(bytes) if request.with_content => inode.content = Some(inline(bytes)),
        StoredContent::Extents if request.with_content => {
            let Runs { runs, next, since, .. } = view.runs(lin, 0, RUNS_WITH_DESCRIPTION)?;
            let runs = runs.into_iter().map(Into::into).collect();
            let content = v1::stored_content::Content::Runs(v1::Runs { runs });
            let since = since.map_or(0, Revision::get);
            inode.content = Some(v1::StoredContent { content: Some(content), next_offset: next, since });
        }
        StoredContent::Device(device) => inode.device = Some(device.into()),
        StoredContent::Entries | StoredContent::Nothing | StoredContent::Inline(_) | StoredContent::Extents => {}
    }
    Ok(inode)
}

fn inline(bytes: Bytes) -> v1::StoredContent {
    v1::StoredContent { content: Some(v1::stored_content::Content::Inline(bytes)), next_offset: None, since: 0 }
}

/// A page of a directory.
pub fn directory(
    view: &View,
    request: &v1::ReadDirectoryRequest,
    after: Option<&Name>,
    limit: usize,
) -> Result<v1::ReadDirectoryResponse, NodeError> {
    // One more than asked for tells whether there are more.
    let mut found = view.read_directory(Lin(request.lin), after, limit + 1)?;
    let more = found.len() > limit;
    found.truncate(limit);
    let entry = |entry: namespace::DirectoryEntry| {
        let attributes = match request.with_attributes {
            true => Some(view.attributes(entry.lin)?.into()),
            false => None,
        };
        let kind = wire::Numbered::number(entry.kind);
        Ok(v1::DirectoryEntry { name: entry.name.to_bytes(), lin: entry.lin.0, kind, attributes })
    };
    let entries = found.into_iter().map(entry).collect::<Result<_, NodeError>>()?;
    Ok(v1::ReadDirectoryResponse { entries, more })
}

#[cfg(test)]
mod tests;
