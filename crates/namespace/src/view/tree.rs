//! Reads of files and directories.

use bytes::Bytes;
use types::{Attributes, Device, FileKind, Lin, Name, OperationError, PublishedExtent, Revision, Run, Seek, SessionId};

use super::View;
use crate::error::{Failure, StoreError};
use crate::extents::end_of;
use crate::history::{version, versions};
use crate::keys::{ContentKey, EntryKey, ExtentKey, Key as _, KeyRange, XattrKey};
use crate::read::Read as _;
use crate::rows::{Body, Dated, RunRow};
use crate::tables::{Entries, Inodes, Opens, Xattrs};
use crate::tree;

/// The longest path, in bytes (`PATH_MAX` of Linux).
const PATH_LENGTH_MAX: usize = 4096;

/// Bytes of tails from which on a page of runs ends.
const TAILS_LENGTH_MAX: usize = 1 << 20;

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Its name.
    pub name: Name,
    /// What it names.
    pub lin: Lin,
    /// The kind of that.
    pub kind: FileKind,
}

/// An inode with everything that is kept in its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// What `stat` tells.
    pub attributes: Attributes,
    /// The last operation that changed anything of the LIN: its attributes, content, links or extended attributes.
    pub changed: Revision,
    /// What it holds.
    pub content: StoredContent,
}

/// What an inode holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredContent {
    /// The entries of a directory, by [`View::read_directory`].
    Entries,
    /// The target of a symbolic link.
    Target(Bytes),
    /// The first bytes of a file without extents; a file longer than them goes on with a hole.
    Inline(Bytes),
    /// The extents and tails of a file, by [`View::runs`]; what none of them covers is a hole.
    Extents,
    /// Nothing, of a pipe or a socket.
    Nothing,
    /// The device that a special file stands for.
    Device(Device),
}

/// A page of the extents and tails of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runs {
    /// The first ones.
    pub runs: Vec<Run>,
    /// Where the next one is that reaches beyond the offset, if there are more.
    pub next: Option<u64>,
    /// The last operation that changed anything of the file.
    pub changed: Revision,
    /// The length of the file, in bytes.
    pub size: u64,
    /// The operation that began the content: a file that is emptied goes on with another. None if it is kept inline.
    pub since: Option<Revision>,
}

/// What a search in a file comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sought {
    /// It is there.
    At(u64),
    /// There is none from the offset on, or the offset is behind the end (`ENXIO`).
    Nothing,
    /// There is none before this offset: search on from there.
    ReadOn(u64),
}

/// Reads of files and directories, as the view's moment has them. All calls block.
impl View {
    /// What `stat` tells of a LIN.
    ///
    /// # Errors
    /// The LIN is not there, or the store failed.
    pub fn attributes(&self, lin: Lin) -> Result<Attributes, Failure> {
        Ok(tree::inode(&*self.rows, self.moment, lin)?.row.attributes(lin))
    }

    /// Everything that one read of a LIN's row gives.
    ///
    /// # Errors
    /// The LIN is not there, or the store failed.
    pub fn file(&self, lin: Lin) -> Result<File, Failure> {
        let version = tree::inode(&*self.rows, self.moment, lin)?;
        let attributes = version.row.attributes(lin);
        Ok(File { attributes, changed: version.revision, content: version.row.body.into() })
    }

    /// What a name in a directory names.
    ///
    /// # Errors
    /// The directory or the name is not there, the LIN is not a directory, or the store failed.
    pub fn lookup(&self, parent: Lin, name: &Name) -> Result<DirectoryEntry, Failure> {
        tree::directory(&*self.rows, self.moment, parent)?;
        let key = EntryKey { parent, name: name.clone() };
        let row = tree::existing_entry(&*self.rows, self.moment, &key)?;
        Ok(DirectoryEntry { name: key.name, lin: row.lin, kind: row.kind })
    }

    /// At most so many entries of a directory after a name, in the order of their bytes.
    ///
    /// # Errors
    /// The LIN is not there or not a directory, or the store failed.
    pub fn read_directory(&self, lin: Lin, after: Option<&Name>, limit: usize) -> Result<Vec<DirectoryEntry>, Failure> {
        tree::directory(&*self.rows, self.moment, lin)?;
        let mut range = KeyRange::prefix(lin.encode());
        if let Some(name) = after {
            range = range.after(&EntryKey { parent: lin, name: name.clone() });
        }
        let entries = versions::<Entries>(&*self.rows, self.moment, range).take(limit).map(|row| {
            let (key, version) = row?;
            Ok(DirectoryEntry { name: key.name, lin: version.row.lin, kind: version.row.kind })
        });
        entries.collect()
    }

    /// What a file holds.
    ///
    /// # Errors
    /// The LIN is not there, or the store failed.
    pub fn content(&self, lin: Lin) -> Result<StoredContent, Failure> {
        Ok(self.file(lin)?.content)
    }

    /// The extents and tails of a file that reach beyond an offset, in order: at most so many, and fewer if there are
    /// many bytes in tails. A file that is kept inline has none.
    ///
    /// # Errors
    /// The LIN is not there or not a file, or the store failed.
    pub fn runs(&self, lin: Lin, offset: u64, limit: usize) -> Result<Runs, Failure> {
        let Dated { revision: changed, row } = tree::inode(&*self.rows, self.moment, lin)?;
        let mut page = Runs { runs: Vec::new(), next: None, changed, size: row.size, since: None };
        let Body::Extents(since) = row.expect_file(lin)?.body else { return Ok(page) };
        page.since = Some(since);
        let (content, mut tails) = (ContentKey { lin, since }, 0);
        for found in tree::runs(&*self.rows, self.moment, ExtentKey { content, offset })? {
            let (key, version) = found?;
            if page.runs.len() >= limit || tails >= TAILS_LENGTH_MAX {
                page.next = Some(key.offset.max(offset));
                break;
            }
            tails += if let RunRow::Tail(bytes) = &version.row { bytes.len() } else { 0 };
            page.runs.push(version.row.at(key.offset));
        }
        Ok(page)
    }

    /// At most so many extents of a file that reach beyond an offset, in order: what lies in tails is left out. The next
    /// page begins at the end of the last one.
    ///
    /// # Errors
    /// The LIN is not there or not a file, or the store failed.
    pub fn extents(&self, lin: Lin, offset: u64, limit: usize) -> Result<Vec<PublishedExtent>, Failure> {
        let Body::Extents(since) = tree::file(&*self.rows, self.moment, lin)?.body else { return Ok(Vec::new()) };
        let content = ContentKey { lin, since };
        let runs = tree::runs(&*self.rows, self.moment, ExtentKey { content, offset })?;
        let extents = runs.filter_map(|found| match found {
            Ok((key, Dated { row: RunRow::Block(extent), .. })) => Some(Ok(extent.at(key.offset))),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        });
        Ok(extents.take(limit).collect::<Result<_, _>>()?)
    }

    /// Searches a file from an offset on. A search for a hole looks at so many extents and tails and no more.
    ///
    /// # Errors
    /// The LIN is not there or not a file, or the store failed.
    pub fn seek(&self, lin: Lin, offset: u64, what: Seek, limit: usize) -> Result<Sought, Failure> {
        let inode = tree::file(&*self.rows, self.moment, lin)?;
        if offset >= inode.size {
            return Ok(Sought::Nothing);
        }
        let content = match inode.body {
            Body::Extents(since) => ContentKey { lin, since },
            Body::Inline(bytes) => return Ok(seek_inline(offset, what, bytes.len() as u64)),
            _ => return Ok(Sought::Nothing),
        };
        let mut runs = tree::runs(&*self.rows, self.moment, ExtentKey { content, offset })?;
        if what == Seek::Data {
            let next = runs.next().transpose()?;
            return Ok(next.map_or(Sought::Nothing, |(key, _)| Sought::At(key.offset.max(offset))));
        }
        let mut data_end = offset;
        for _ in 0..limit {
            match runs.next().transpose()? {
                Some((key, run)) if key.offset <= data_end => data_end = end_of(key.offset, &run.row),
                _ => return Ok(Sought::At(data_end)),
            }
        }
        Ok(if data_end < inode.size { Sought::ReadOn(data_end) } else { Sought::At(data_end) })
    }

    /// The target of a symbolic link.
    ///
    /// # Errors
    /// The LIN is not there or not a symbolic link, or the store failed.
    pub fn symlink_target(&self, lin: Lin) -> Result<Bytes, Failure> {
        let file = self.file(lin)?;
        match file.content {
            StoredContent::Target(target) => Ok(target),
            _ => Err(OperationError::WrongKind { lin, kind: file.attributes.kind }.into()),
        }
    }

    /// The extended attributes of a LIN with their values, in the order of their names.
    ///
    /// # Errors
    /// The LIN is not there, or the store failed.
    pub fn xattrs(&self, lin: Lin) -> Result<Vec<(Bytes, Bytes)>, Failure> {
        tree::inode(&*self.rows, self.moment, lin)?;
        Ok(tree::xattrs(&*self.rows, self.moment, lin).collect::<Result<_, _>>()?)
    }

    /// Extended attributes of a LIN after a name, in the order of their names: as many as have that many bytes together,
    /// and one if there is any; and whether there are more.
    ///
    /// # Errors
    /// The LIN is not there, or the store failed.
    pub fn xattrs_after(
        &self,
        lin: Lin,
        after: Option<&Bytes>,
        bytes_max: usize,
    ) -> Result<(Vec<(Bytes, Bytes)>, bool), Failure> {
        tree::inode(&*self.rows, self.moment, lin)?;
        let mut range = KeyRange::prefix(lin.encode());
        if let Some(name) = after {
            range = range.after(&XattrKey { lin, name: name.clone() });
        }
        let (mut page, mut bytes) = (Vec::new(), 0);
        for row in versions::<Xattrs>(&*self.rows, self.moment, range) {
            let (XattrKey { name, .. }, version) = row?;
            bytes += name.len() + version.row.len();
            if bytes > bytes_max && !page.is_empty() {
                return Ok((page, true));
            }
            page.push((name, version.row));
        }
        Ok((page, false))
    }

    /// One extended attribute.
    ///
    /// # Errors
    /// The LIN or the attribute is not there, or the store failed.
    pub fn xattr(&self, lin: Lin, name: &Bytes) -> Result<Bytes, Failure> {
        tree::inode(&*self.rows, self.moment, lin)?;
        let missing = || OperationError::NoXattr { lin, name: name.escape_ascii().to_string() };
        let found = version::<Xattrs>(&*self.rows, self.moment, &XattrKey { lin, name: name.clone() })?;
        Ok(found.ok_or_else(missing)?.row)
    }

    /// The directories and names of a LIN; none for the root. A directory has one.
    ///
    /// # Errors
    /// The LIN is not there, or the store failed.
    pub fn links(&self, lin: Lin) -> Result<Vec<(Lin, Name)>, Failure> {
        tree::inode(&*self.rows, self.moment, lin)?;
        Ok(tree::links(&*self.rows, self.moment, lin).collect::<Result<_, _>>()?)
    }

    /// The sessions that hold a file, at the head, whatever the view's moment.
    ///
    /// # Errors
    /// The store failed.
    pub fn holders(&self, lin: Lin) -> Result<Vec<SessionId>, StoreError> {
        let holds = self.rows.rows::<Opens>(KeyRange::prefix(lin.encode()));
        holds.map(|row| row.map(|(open, _)| open.session)).collect()
    }

    /// The path of a directory; `None` if it is longer than any path that can be used.
    ///
    /// # Errors
    /// The LIN is not there, or the store failed.
    pub fn directory_path(&self, lin: Lin) -> Result<Option<Bytes>, Failure> {
        let (mut names, mut length) = (Vec::new(), 0);
        let mut above = lin;
        while let Some((parent, name)) = self.links(above)?.into_iter().next() {
            length += 1 + name.as_bytes().len();
            if length > PATH_LENGTH_MAX {
                return Ok(None);
            }
            names.push(name);
            above = parent;
        }
        let path: Vec<u8> = names.iter().rev().flat_map(|name| [b"/", name.as_bytes()].concat()).collect();
        Ok(Some(if path.is_empty() { Bytes::from_static(b"/") } else { path.into() }))
    }

    /// At most so many LINs that are alive, after a LIN, in their order.
    ///
    /// # Errors
    /// The store failed.
    pub fn lins(&self, after: Option<Lin>, limit: usize) -> Result<Vec<Lin>, Failure> {
        let range = after.map_or_else(KeyRange::all, |lin| KeyRange::all().after(&lin));
        let lins = versions::<Inodes>(&*self.rows, self.moment, range).take(limit);
        Ok(lins.map(|row| row.map(|(lin, _)| lin)).collect::<Result<_, _>>()?)
    }
}

/// What is sought in a file of which the first bytes are inline, and all others a hole.
const fn seek_inline(offset: u64, what: Seek, inline: u64) -> Sought {
    match what {
        Seek::Data if offset < inline => Sought::At(offset),
        Seek::Data => Sought::Nothing,
        Seek::Hole if offset < inline => Sought::At(inline),
        Seek::Hole => Sought::At(offset),
    }
}

impl From<Body> for StoredContent {
    fn from(body: Body) -> Self {
        match body {
            Body::Directory => Self::Entries,
            Body::Target(target) => Self::Target(target),
            Body::Inline(bytes) => Self::Inline(bytes),
            Body::Extents(_) => Self::Extents,
            Body::Nothing => Self::Nothing,
            Body::Device(device) => Self::Device(device),
        }
    }
}
