//! What reads of the namespace give.

use bytes::Bytes;
use types::{Attributes, Device, FileKind, Lin, Name, Revision, Run};
use wire::v1::{self, stored_content};
use wire::{Failure, InvalidMessage, Numbered, each};

/// A LIN with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inode {
    /// Its attributes.
    pub attributes: Attributes,
    /// Where a symbolic link leads; empty for everything else.
    pub target: Bytes,
    /// The device that it stands for, if it is a special file that does.
    pub device: Option<Device>,
    /// Extended attributes, if they were asked for.
    pub xattrs: Vec<(Bytes, Bytes)>,
    /// The content of a file, if it was asked for.
    pub content: Option<StoredContent>,
}

/// Where the bytes of a file are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredContent {
    /// Here.
    Inline(Bytes),
    /// In blocks and tails.
    Runs {
        /// The first runs, sorted by offset.
        runs: Vec<Run>,
        /// Where further ones begin.
        next_offset: Option<u64>,
        /// The operation that began the content.
        since: Revision,
    },
}

/// Extents and tails of a file, as they are at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunPage {
    /// Sorted by offset.
    pub runs: Vec<Run>,
    /// Where further ones begin.
    pub next_offset: Option<u64>,
    /// The last operation that changed anything of the file.
    pub changed: Revision,
    /// The length of the file, in bytes.
    pub size: u64,
    /// The operation that began the content: a file that is emptied goes on with another. 0 if it is kept inline.
    pub since: Revision,
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: Name,
    /// What it names.
    pub lin: Lin,
    /// The kind of that.
    pub kind: FileKind,
    /// The attributes of that, if they were asked for.
    pub attributes: Option<Attributes>,
}

/// How full the file system is, or a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatFs {
    /// Plain bytes that fit.
    pub capacity_bytes: u64,
    /// Plain bytes that can still be written.
    pub available_bytes: u64,
    /// Plain bytes of the files.
    pub used_bytes: u64,
    /// Files of every kind.
    pub inodes: u64,
    /// The directory whose quota this is about; none if it is about the whole file system.
    pub quota: Option<Lin>,
}

/// A LIN as one answer describes it.
#[derive(Clone, Debug)]
pub struct Described {
    pub inode: Inode,
    /// Whether it has more extended attributes than these.
    pub more_xattrs: bool,
}

pub fn described(result: v1::DescribeResult) -> Result<Result<Described, Failure>, InvalidMessage> {
    use v1::describe_result::Result as Answer;
    Ok(match result.result.ok_or(InvalidMessage::Missing { field: "result" })? {
        Answer::Error(error) => Err(error.try_into()?),
        Answer::Inode(inode) => {
            let attributes = inode.attributes.ok_or(InvalidMessage::Missing { field: "attributes" })?;
            let more_xattrs = inode.more_xattrs;
            let inode = Inode {
                attributes: attributes.try_into()?,
                target: inode.target,
                device: inode.device.map(Into::into),
                xattrs: inode.xattrs.into_iter().map(Into::into).collect(),
                content: inode.content.map(content).transpose()?,
            };
            Ok(Described { inode, more_xattrs })
        }
    })
}

fn content(content: v1::StoredContent) -> Result<StoredContent, InvalidMessage> {
    Ok(match content.content.ok_or(InvalidMessage::Missing { field: "content" })? {
        stored_content::Content::Inline(bytes) => StoredContent::Inline(bytes),
        stored_content::Content::Runs(v1::Runs { runs }) => {
            StoredContent::Runs { runs: each(runs)?, next_offset: content.next_offset, since: Revision(content.since) }
        }
    })
}

pub fn entry(entry: v1::DirectoryEntry) -> Result<Entry, InvalidMessage> {
    let name = Name::new(entry.name).map_err(|source| InvalidMessage::Name { field: "entry.name", source })?;
    Ok(Entry {
        name,
        lin: Lin(entry.lin),
        kind: FileKind::from_number("entry.kind", entry.kind)?,
        attributes: entry.attributes.map(Attributes::try_from).transpose()?,
    })
}
