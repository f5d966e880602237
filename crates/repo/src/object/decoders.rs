//! What is read from upload objects, as functions of bytes: for the fuzzer.

use serde::de::DeserializeOwned;
use types::RepositoryId;
use uuid::Uuid;

use super::directory::{Directory, PagePlace, SlotPlace};
use super::footer::{DIRECTORY_NONCE, FooterKey, encode};
use super::trailer::Trailer;
use crate::keys::WriterKeys;
use crate::{BlockRow, EntryRow, ExtentRow, InodeRow, ObjectRow, Table};

const NAME: &str = "objects/decoded";
/// Version and magic, which are behind the checksum.
const END_LENGTH: usize = 8;
const CRC_LENGTH: usize = 4;

/// A trailer: the length of its object, and its bytes; these also with a checksum that fits, for chance finds none.
pub fn trailer(bytes: &[u8]) {
    let Some((size, tail)) = bytes.split_first_chunk() else { return };
    let size = u64::from_be_bytes(*size);
    for tail in [tail.to_vec(), with_checksum(tail)] {
        if let Ok(trailer) = Trailer::parse(NAME, size, &tail) {
            assert_eq!(trailer.encode(), tail, "a trailer has one encoding");
            assert!(trailer.body_length() <= size);
        }
    }
}

/// The trailer of an object, with the object's length.
#[must_use]
pub fn trailer_example(object: &[u8]) -> Vec<u8> {
    let size = object.len() as u64;
    let length = usize::try_from(Trailer::length_for(size)).unwrap_or_default();
    let tail = object.get(object.len().saturating_sub(length)..).unwrap_or_default();
    [&size.to_be_bytes(), tail].concat()
}

/// A footer as whoever has the metadata key can write it: how many rows a page says that it has, how long directory or
/// page say that they are, and their plain bytes.
pub fn footer(bytes: &[u8]) {
    let Some(([rows, lengths @ ..], plain)) = bytes.split_first_chunk::<5>() else { return };
    let key = FooterKey::new(&keys(), RepositoryId(Uuid::from_u128(1)), &[3; 16], NAME);
    let directory = key.open_directory(&[&lengths[..], &key.seal(DIRECTORY_NONCE, plain)].concat());
    if let Ok(directory) = directory {
        assert_eq!(postcard::from_bytes(&encode(&directory)).as_ref(), Ok(&directory));
    }
    let plain_length = u32::from_be_bytes(*lengths);
    let page = PagePlace { table: Table::Inodes, offset: 0, sealed_length: 0, plain_length, rows: u32::from(*rows) };
    page_of::<InodeRow>(&key, &page, plain);
    page_of::<EntryRow>(&key, &page, plain);
    page_of::<ExtentRow>(&key, &page, plain);
    page_of::<BlockRow>(&key, &page, plain);
    page_of::<ObjectRow>(&key, &page, plain);
}

/// Footers whose lengths are right.
#[must_use]
pub fn footer_examples() -> Vec<Vec<u8>> {
    let place = SlotPlace { offset: 0, length: 77 };
    let page = PagePlace { table: Table::Inodes, offset: 100, sealed_length: 80, plain_length: 200, rows: 3 };
    let directory = Directory { slots: vec![place; 3], pages: vec![page; 2], references: Vec::new() };
    [Directory::default(), directory].map(|directory| example(0, &encode(&directory))).into()
}

/// A footer with so many rows in a page.
#[must_use]
pub fn example(rows: u8, plain: &[u8]) -> Vec<u8> {
    let length = u32::try_from(plain.len()).unwrap_or(u32::MAX);
    [&[rows], &length.to_be_bytes()[..], plain].concat()
}

fn page_of<R: DeserializeOwned>(key: &FooterKey, page: &PagePlace, plain: &[u8]) {
    let _ = key.open_page::<R>(0, page, &key.seal(0, plain));
}

fn keys() -> WriterKeys {
    WriterKeys::from_bytes(&[5; 96]).expect("three keys")
}

fn with_checksum(tail: &[u8]) -> Vec<u8> {
    let (rest, end) = tail.split_at(tail.len().saturating_sub(END_LENGTH));
    let checked = rest.get(..rest.len().saturating_sub(CRC_LENGTH)).unwrap_or_default();
    [checked, &crc32fast::hash(checked).to_be_bytes(), end].concat()
}
