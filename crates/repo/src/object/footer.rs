//! The rows in an object: pages, each sealed apart, so that a merge over many objects holds one page of each.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use types::{RepositoryId, XATTR_NAME_LENGTH_MAX, XATTR_VALUE_LENGTH_MAX, XATTRS_MAX};

use super::directory::{Directory, PagePlace};
use super::reader::ObjectReader;
use crate::keys::{Sealer, WriterKeys, derive};
use crate::rows::Row;
use crate::{RepoError, Table};

/// Plain bytes of a page at which no further row is added to it.
const PAGE_LENGTH: usize = 64 << 10;
/// The most plain bytes of the attributes of one inode: each is a name and a value with their lengths before them.
const XATTRS_LENGTH_MAX: usize = XATTRS_MAX * (XATTR_NAME_LENGTH_MAX + XATTR_VALUE_LENGTH_MAX + 2 + 3);
/// The most plain bytes of a page or a directory: rows that do not fill a page, and the longest of all rows, an inode
/// with all the attributes that it may have, whose other fields and target are shorter than a page.
const PAGE_LENGTH_MAX: usize = XATTRS_LENGTH_MAX + 2 * PAGE_LENGTH;
/// The most rows of a page: each has at least a byte, and none is added to so many bytes.
const PAGE_ROWS_MAX: usize = PAGE_LENGTH;
const ZSTD_LEVEL: i32 = 3;
/// The directory's place among the nonces of the footer's key; pages count from 0.
pub(super) const DIRECTORY_NONCE: u32 = u32::MAX;

/// Seals and opens the parts of one object's footer. Its key is derived from the metadata key, the object's name and a
/// random salt, so a nonce only has to be unlike the others in the same footer.
pub(crate) struct FooterKey {
    sealer: Sealer,
    repository: RepositoryId,
}

impl FooterKey {
    pub(super) fn new(keys: &WriterKeys, repository: RepositoryId, salt: &[u8; 16], name: &str) -> Self {
        let key = derive(&keys.metadata, salt, "holdfast repository object footer v1", name);
        Self { sealer: Sealer::new(&key), repository }
    }

    fn nonce(index: u32) -> [u8; 12] {
        let [a, b, c, d] = index.to_be_bytes();
        [0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]
    }

    pub(super) fn seal(&self, index: u32, plain: &[u8]) -> Vec<u8> {
        let mut bytes = zstd::bulk::compress(plain, ZSTD_LEVEL).expect("zstd compresses whatever fits in memory");
        self.sealer.seal(Self::nonce(index), self.repository.0.as_bytes(), &mut bytes);
        bytes
    }

    fn open(&self, index: u32, sealed: &[u8], length_max: usize) -> Result<Vec<u8>, &'static str> {
        let mut bytes = sealed.to_vec();
        let opened = self.sealer.open(Self::nonce(index), self.repository.0.as_bytes(), &mut bytes);
        opened.map_err(|_| "a part of its footer does not open: it was changed, or the metadata key is another one")?;
        if length_max > PAGE_LENGTH_MAX {
            return Err("a page of its footer is larger than the format allows");
        }
        zstd::bulk::decompress(&bytes, length_max).map_err(|_| "a part of its footer does not decompress")
    }

    /// Seals the directory; its plain length comes first, in clear. The error is the limit that it would exceed.
    pub(super) fn seal_directory(&self, directory: &Directory) -> Result<Vec<u8>, &'static str> {
        let plain = encode(directory);
        let length = plain_length(&plain)?.to_be_bytes();
        Ok([&length[..], &self.seal(DIRECTORY_NONCE, &plain)].concat())
    }

    pub(super) fn open_directory(&self, sealed: &[u8]) -> Result<Directory, &'static str> {
        let (length, sealed) = sealed.split_first_chunk().ok_or("its directory is cut")?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| "its directory is too large")?;
        let plain = self.open(DIRECTORY_NONCE, sealed, length)?;
        postcard::from_bytes(&plain).map_err(|_| "its directory is malformed")
    }

    /// Opens a page.
    pub(super) fn open_page<R: DeserializeOwned>(
        &self,
        index: u32,
        page: &PagePlace,
        sealed: &[u8],
    ) -> Result<Vec<R>, &'static str> {
        let length = usize::try_from(page.plain_length).map_err(|_| "a page of its footer is too large")?;
        let count = usize::try_from(page.rows).ok().filter(|count| *count <= PAGE_ROWS_MAX);
        let count = count.ok_or("a page of its footer has more rows than the format allows")?;
        let plain = self.open(index, sealed, length)?;
        let mut rest = &plain[..];
        let mut rows = Vec::new();
        while rows.len() < count {
            let (row, after) = postcard::take_from_bytes(rest).map_err(|_| "a row of its footer is malformed")?;
            rows.push(row);
            rest = after;
        }
        if rest.is_empty() { Ok(rows) } else { Err("a page of its footer has more rows than its directory says") }
    }
}

/// The length of a page or directory if it can be read again.
fn plain_length(plain: &[u8]) -> Result<u32, &'static str> {
    let length = u32::try_from(plain.len()).ok().filter(|_| plain.len() <= PAGE_LENGTH_MAX);
    length.ok_or("a row as long as that of an inode with all extended attributes that it may have")
}

pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("plain values of ours have no part that postcard refuses")
}

/// Appends sealed pages of rows to an object.
pub(super) struct PageWriter<'a> {
    pub(super) key: &'a FooterKey,
    pub(super) body: &'a mut Vec<u8>,
    pub(super) pages: Vec<PagePlace>,
}

impl PageWriter<'_> {
    /// Writes sorted rows as pages of one table. The error is the limit that a row would exceed.
    pub(super) fn table<R: Row>(&mut self, rows: &[R]) -> Result<(), &'static str> {
        let (mut plain, mut count) = (Vec::new(), 0);
        for row in rows {
            plain.extend_from_slice(&encode(row));
            count += 1;
            if plain.len() >= PAGE_LENGTH {
                self.page(R::TABLE, &plain, count)?;
                (plain, count) = (Vec::new(), 0);
            }
        }
        if count > 0 { self.page(R::TABLE, &plain, count) } else { Ok(()) }
    }

    fn page(&mut self, table: Table, plain: &[u8], rows: u32) -> Result<(), &'static str> {
        let plain_length = plain_length(plain)?;
        let index = u32::try_from(self.pages.len()).expect("pages are fewer than the bytes of an object");
        let sealed = self.key.seal(index, plain);
        self.pages.push(PagePlace {
            table,
            offset: self.body.len() as u64,
            sealed_length: u32::try_from(sealed.len()).expect("zstd adds little to what it cannot compress"),
            plain_length,
            rows,
        });
        self.body.extend_from_slice(&sealed);
        Ok(())
    }
}

/// Walks the rows of one table in one object's footer, in their order, with one read of several pages in memory.
pub(crate) struct FooterCursor<R> {
    reader: ObjectReader,
    key: FooterKey,
    pages: VecDeque<(u32, PagePlace)>,
    /// Sealed bytes of the pages that were read ahead, and where they begin in the object.
    ahead: Bytes,
    ahead_offset: u64,
    read_ahead: u64,
    rows: std::vec::IntoIter<R>,
}

impl<R: Row> FooterCursor<R> {
    /// Begins at the first row. A read takes as many whole pages as fit into `read_ahead` bytes, at least one.
    pub(crate) fn new(reader: ObjectReader, keys: &WriterKeys, directory: &Directory, read_ahead: u64) -> Self {
        let pages = (0..).zip(&directory.pages).filter(|(_, page)| page.table == R::TABLE);
        Self {
            key: reader.footer_key(keys),
            pages: pages.map(|(index, page)| (index, *page)).collect(),
            reader,
            ahead: Bytes::new(),
            ahead_offset: 0,
            read_ahead,
            rows: Vec::new().into_iter(),
        }
    }

    /// The next row.
    pub(crate) async fn next(&mut self) -> Result<Option<R>, RepoError> {
        loop {
            if let Some(row) = self.rows.next() {
                return Ok(Some(row));
            }
            let Some((index, page)) = self.pages.pop_front() else { return Ok(None) };
            let sealed = self.sealed(&page).await?;
            let rows = self.key.open_page(index, &page, &sealed);
            self.rows = rows.map_err(|what| RepoError::damaged(self.reader.name(), what))?.into_iter();
        }
    }

    async fn sealed(&mut self, page: &PagePlace) -> Result<Bytes, RepoError> {
        if self.held(page).is_none() {
            let end_of = |page: &PagePlace| page.offset.saturating_add(u64::from(page.sealed_length));
            let limit = page.offset.saturating_add(self.read_ahead);
            let following = self.pages.iter().map(|(_, page)| end_of(page)).take_while(|end| *end <= limit);
            let end = following.last().unwrap_or(0).max(end_of(page));
            self.ahead = self.reader.read(page.offset..end).await?;
            self.ahead_offset = page.offset;
        }
        self.held(page).ok_or_else(|| RepoError::damaged(self.reader.name(), "a page of its footer lies outside of it"))
    }

    fn held(&self, page: &PagePlace) -> Option<Bytes> {
        let start = usize::try_from(page.offset.checked_sub(self.ahead_offset)?).ok()?;
        let end = start.checked_add(usize::try_from(page.sealed_length).ok()?)?;
        (end <= self.ahead.len()).then(|| self.ahead.slice(start..end))
    }
}
