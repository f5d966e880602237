//! What is read from runs, as functions of bytes: for the fuzzer.

use bytes::Bytes;
use types::{Epoch, FileKind, Lin, Name, SetId, Timestamp};

use super::Columns;
use super::decrypt::{END_LENGTH, Modules, crypto_metadata, footer_length, with_data_length};
use super::reader::{bounds, chunk_range, decode_group, decode_metadata, range_of};
use super::writer::{open_parquet, write_group};
use crate::keys::{Secret, WrappedKey};
use crate::names::Writer;
use crate::rows::{
    BlockRow, EntryRecord, EntryRow, ExtentRecord, ExtentRow, InodeRecord, InodeRow, KeyedDigest, Location,
    MemberCodec, ObjectNumber, ObjectRow, Row, Table,
};

const PAGE_LENGTH: usize = 300;

/// A run as whoever has the metadata key can write it: its table, its metadata, and the opened pages of each column of its
/// first row group. Before each part but the first is its length.
pub fn run(bytes: &[u8]) {
    let Some((&table, mut rest)) = bytes.split_first() else { return };
    let Some(metadata) = take_part(&mut rest) else { return };
    let chunks: Vec<&[u8]> = std::iter::from_fn(|| take_part(&mut rest)).collect();
    match Table::ALL.get(usize::from(table)) {
        Some(Table::Inodes) => read::<InodeRow>(metadata, &chunks),
        Some(Table::Entries) => read::<EntryRow>(metadata, &chunks),
        Some(Table::Extents) => read::<ExtentRow>(metadata, &chunks),
        Some(Table::Blocks) => read::<BlockRow>(metadata, &chunks),
        Some(Table::Objects) => read::<ObjectRow>(metadata, &chunks),
        None => {}
    }
}

/// A run of each table.
#[must_use]
pub fn run_examples() -> Vec<Vec<u8>> {
    vec![
        example(0, &inodes()),
        example(1, &entries()),
        example(2, &extents()),
        example(3, &[BlockRow { digest: KeyedDigest([8; 32]), location: location() }]),
        example(4, &objects()),
    ]
}

/// Parts of a run that are read without the crate `parquet`: the encryption header, the header of a page, the end.
pub fn run_part(bytes: &[u8]) {
    if let Some((file, rest)) = crypto_metadata(bytes) {
        assert!(file.len() + rest.len() < bytes.len());
    }
    if let Some((header, length)) = with_data_length(bytes, PAGE_LENGTH) {
        assert_eq!(with_data_length(&header, PAGE_LENGTH), Some((header, length)), "it comes back as it was");
    }
    let _ = footer_length(bytes);
}

/// One of each.
#[must_use]
pub fn run_part_examples() -> Vec<Vec<u8>> {
    let page_header = vec![0x15, 0x00, 0x15, 0x80, 0x01, 0x15, 0x90, 0x03, 0x2c, 0x15, 0x08, 0x00, 0x00];
    let crypto_metadata = [&[0x1c, 0x1c, 0x28, 3][..], b"abc", &[0, 0, 0x18, 2], b"kk", &[0], b"rest"].concat();
    vec![page_header, crypto_metadata, [&70_u32.to_le_bytes()[..], b"PARE"].concat()]
}

fn read<R: Row>(metadata: &[u8], chunks: &[&[u8]]) {
    let Ok(metadata) = decode_metadata(metadata) else { return };
    let Some(group) = metadata.row_groups().first() else { return };
    let _ = range_of(group);
    let _: Vec<_> = group.columns().iter().map(bounds).collect();
    let chunk = |index: usize, _: &_| chunks.get(index).map(|chunk| Bytes::copy_from_slice(chunk)).ok_or("it is cut");
    if let Ok(rows) = decode_group::<R>(group, chunk) {
        let again = R::from_columns(Columns(R::to_columns(&rows).into_iter()), rows.len());
        assert_eq!(again, Some(rows), "rows come back as they were");
    }
}

fn take_part<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (part, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    *bytes = rest;
    Some(part)
}

fn put_part(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend_from_slice(&u16::try_from(part.len()).expect("examples are small").to_be_bytes());
    bytes.extend_from_slice(part);
}

fn example<R: Row>(table: u8, rows: &[R]) -> Vec<u8> {
    let key = Secret::new([5; 32]);
    let mut parquet = open_parquet::<R>(key.expose().to_vec(), [6; 16]).expect("a schema of ours");
    write_group(&mut parquet, rows).expect("rows of that schema");
    let file = parquet.into_inner().expect("a file in memory");
    let footer_end = file.len() - END_LENGTH;
    let footer_start = footer_end - footer_length(&file).expect("a file of ours");
    let opened = Modules::open_footer(&key, file.get(footer_start..footer_end).unwrap_or_default());
    let (modules, metadata) = opened.expect("a file of ours");
    let mut bytes = vec![table];
    put_part(&mut bytes, &metadata);
    let metadata = decode_metadata(&metadata).expect("a file of ours");
    for (index, chunk) in metadata.row_group(0).columns().iter().enumerate() {
        let range = chunk_range(chunk).expect("a file of ours");
        let sealed = file.get(range.start as usize..range.end as usize).unwrap_or_default();
        let plain = modules.open_chunk(0, index, chunk.dictionary_page_offset().is_some(), sealed);
        put_part(&mut bytes, &plain.expect("a file of ours"));
    }
    bytes
}

fn inodes() -> Vec<InodeRow> {
    let time = Timestamp { seconds: 1_700_000_000, nanoseconds: 5 };
    let xattrs = vec![("user.a".into(), "b".into())];
    let inode = InodeRecord {
        kind: FileKind::Symlink,
        mode: 0o777,
        uid: 7,
        gid: 8,
        nlink: 1,
        size: 6,
        atime: time,
        mtime: time,
        ctime: time,
        target: "target".into(),
        xattrs,
    };
    let row = |lin, inode| InodeRow { set: SetId(1), lin: Lin(lin), from: Epoch(1), seq: ObjectNumber(0), inode };
    vec![row(2, Some(inode)), row(3, None)]
}

fn entries() -> Vec<EntryRow> {
    let row = |name: &'static str, entry| {
        let (parent, name) = (Lin(1), Name::new(name).expect("a name"));
        EntryRow { set: SetId(1), parent, name, from: Epoch(1), seq: ObjectNumber(0), entry }
    };
    vec![row("a", Some(EntryRecord { lin: Lin(2), kind: FileKind::Symlink })), row("b", None)]
}

fn location() -> Location {
    Location {
        object: ObjectNumber(1 << 32),
        slot: 0,
        slot_offset: 100,
        slot_length: 7000,
        offset: 16,
        stored_length: 500,
        plain_length: 5000,
        codec: MemberCodec::Plain,
    }
}

fn extents() -> Vec<ExtentRow> {
    let (digest, location) = (KeyedDigest([8; 32]), location());
    let extent = ExtentRecord { length: 5000, digest, block_offset: 0, location };
    let row = |offset, extent| {
        let (set, lin, from, seq) = (SetId(1), Lin(2), Epoch(1), ObjectNumber(0));
        ExtentRow { set, lin, offset, from, seq, extent }
    };
    vec![row(0, Some(extent)), row(5000, None)]
}

fn objects() -> Vec<ObjectRow> {
    let wrapped_key = WrappedKey::from_bytes(&[9; WrappedKey::LENGTH]).expect("as many bytes as a wrapped key has");
    let writer = Writer {
        generation: types::Generation(1),
        epoch: Epoch(1),
        fence: types::Fence(1),
        node: types::NodeId(1),
        incarnation: types::Incarnation(1),
        sequence: 1,
    };
    let (number, salt, hash) = (ObjectNumber(1 << 32), [2; 16], [3; 32]);
    vec![ObjectRow { number, writer, size: 70_000, hash, salt, wrapped_key }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_with_any_flipped_bit_is_read_or_refused() {
        let example = example(1, &entries());
        for bit in 0..example.len() * 8 {
            let mut bad = example.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            run(&bad);
        }
    }
}
