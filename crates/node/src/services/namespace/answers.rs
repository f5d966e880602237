//! Reads of one view, in the protocol's words. All of it blocks.

use namespace::{StoredContent, View};
use types::{Extent, FileKind, Lin, Name};
use wire::{Failure, v1};

use crate::NodeError;

/// Extents that come with a description; most files have fewer.
const EXTENTS_WITH_DESCRIPTION: usize = 256;

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

/// Describes LINs, each with a result of its own.
pub fn describe(view: &View, request: &v1::DescribeRequest) -> Result<Vec<v1::DescribeResult>, NodeError> {
    let one = |lin: &u64| {
        let result = match inode(view, Lin(*lin), request) {
            Ok(inode) => v1::describe_result::Result::Inode(inode),
            Err(NodeError::Operation(refused)) => v1::describe_result::Result::Error(Failure::from(refused).into()),
            Err(failed) => return Err(failed),
        };
        Ok(v1::DescribeResult { result: Some(result) })
    };
    request.lins.iter().map(one).collect()
}

fn inode(view: &View, lin: Lin, request: &v1::DescribeRequest) -> Result<v1::Inode, NodeError> {
    let file = view.file(lin)?;
    let mut inode = v1::Inode { attributes: Some(file.attributes.into()), ..Default::default() };
    if request.with_xattrs {
        inode.xattrs = view.xattrs(lin)?.into_iter().map(Into::into).collect();
    }
    match file.content {
        StoredContent::Target(target) => inode.target = target,
        StoredContent::Inline(bytes) if request.with_content => inode.content = Some(inline(bytes)),
        StoredContent::Extents if request.with_content => {
            let (extents, next_offset) = extents(view, lin, 0, EXTENTS_WITH_DESCRIPTION)?;
            let content = v1::stored_content::Content::Extents(v1::Extents { extents });
            inode.content = Some(v1::StoredContent { content: Some(content), next_offset });
        }
        StoredContent::Entries | StoredContent::Inline(_) | StoredContent::Extents => {}
    }
    Ok(inode)
}

fn inline(bytes: bytes::Bytes) -> v1::StoredContent {
    v1::StoredContent { content: Some(v1::stored_content::Content::Inline(bytes)), next_offset: None }
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

/// A page of a file's extents, and where the next page begins if there is one.
pub fn extents(view: &View, lin: Lin, offset: u64, limit: usize) -> Result<(Vec<v1::Extent>, Option<u64>), NodeError> {
    let mut found = view.extents(lin, offset, limit + 1)?;
    let more = found.len() > limit;
    found.truncate(limit);
    let end = |extent: &Extent| extent.offset.saturating_add(extent.length.into());
    let next = found.last().map(|last| end(&last.extent)).filter(|_| more);
    Ok((found.into_iter().map(|published| published.extent.into()).collect(), next))
}
