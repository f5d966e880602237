//! The rows in an object: pages, each sealed apart, so that a merge over many objects holds one page of each.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use types::RepositoryId;

use super::directory::{Directory, PagePlace};
use super::reader::ObjectReader;
use crate::keys::{Sealer, WriterKeys, derive};
use crate::rows::Row;
use crate::{RepoError, Table};

/// Plain bytes of a page, about.
pub(super) const PAGE_LENGTH: usize = 64 << 10;
/// The most plain bytes of a page or a directory: a row is at most some 70 KiB, but a set of xattrs may be larger.
const PAGE_LENGTH_MAX: usize = 64 << 20;
const ZSTD_LEVEL: i32 = 3;
/// The directory's place among the nonces of the footer's key; pages count from 0.
const DIRECTORY_NONCE: u32 = u32::MAX;

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

    fn seal(&self, index: u32, plain: &[u8]) -> Vec<u8> {
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

    /// Seals the directory; its plain length comes first, in clear.
    pub(super) fn seal_directory(&self, directory: &Directory) -> Vec<u8> {
        let plain = encode(directory);
        let length = u32::try_from(plain.len()).unwrap_or(u32::MAX).to_be_bytes();
        [&length[..], &self.seal(DIRECTORY_NONCE, &plain)].concat()
    }

    pub(super) fn open_directory(&self, sealed: &[u8]) -> Result<Directory, &'static str> {
        let (length, sealed) = sealed.split_first_chunk().ok_or("its directory is cut")?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| "its directory is too large")?;
        let plain = self.open(DIRECTORY_NONCE, sealed, length)?;
        postcard::from_bytes(&plain).map_err(|_| "its directory is malformed")
    }

    /// Opens a page.
    fn open_page<R: DeserializeOwned>(
        &self,
        index: u32,
        page: &PagePlace,
        sealed: &[u8],
    ) -> Result<Vec<R>, &'static str> {
        let length = usize::try_from(page.plain_length).map_err(|_| "a page of its footer is too large")?;
        let plain = self.open(index, sealed, length)?;
        let mut rest = &plain[..];
        let mut rows = Vec::new();
        while !rest.is_empty() {
            let (row, after) = postcard::take_from_bytes(rest).map_err(|_| "a row of its footer is malformed")?;
            rows.push(row);
            rest = after;
        }
        if rows.len() as u64 == u64::from(page.rows) { Ok(rows) } else { Err("a page of its footer lacks rows") }
    }
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("plain values of ours have no part that postcard refuses")
}

/// Appends sealed pages of rows to an object.
pub(super) struct PageWriter<'a> {
    pub(super) key: &'a FooterKey,
    pub(super) body: &'a mut Vec<u8>,
    pub(super) pages: Vec<PagePlace>,
}

impl PageWriter<'_> {
    /// Writes sorted rows as pages of one table.
    pub(super) fn table<R: Row>(&mut self, rows: &[R]) {
        let (mut plain, mut count) = (Vec::new(), 0);
        for row in rows {
            plain.extend_from_slice(&encode(row));
            count += 1;
            if plain.len() >= PAGE_LENGTH {
                self.page(R::TABLE, &plain, count);
                (plain, count) = (Vec::new(), 0);
            }
        }
        if count > 0 {
            self.page(R::TABLE, &plain, count);
        }
    }

    fn page(&mut self, table: Table, plain: &[u8], rows: u32) {
        let index = u32::try_from(self.pages.len()).expect("pages are fewer than the bytes of an object");
        let sealed = self.key.seal(index, plain);
        self.pages.push(PagePlace {
            table,
            offset: self.body.len() as u64,
            sealed_length: u32::try_from(sealed.len()).expect("a page is about 64 KiB"),
            plain_length: u32::try_from(plain.len()).expect("a page is about 64 KiB"),
            rows,
        });
        self.body.extend_from_slice(&sealed);
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
