//! The columns of each table.

use bytes::Bytes;
use types::{Epoch, FileKind, Lin, Name, SetId, Timestamp};

use super::{Column, ColumnRow, Columns};
use crate::keys::WrappedKey;
use crate::names;
use crate::rows::{
    BlockRow, EntryRecord, EntryRow, ExtentRecord, ExtentRow, InodeRecord, InodeRow, KeyedDigest, Location,
    MemberCodec, ObjectNumber, ObjectRow, Row, Version,
};

/// The kinds of files as tables have them: the type bits of `st_mode`, shifted down by twelve.
const fn kind_code(kind: FileKind) -> u32 {
    match kind {
        FileKind::Pipe => 1,
        FileKind::CharDevice => 2,
        FileKind::Directory => 4,
        FileKind::BlockDevice => 6,
        FileKind::File => 8,
        FileKind::Symlink => 10,
        FileKind::Socket => 12,
    }
}

const fn kind_of(code: u32) -> Option<FileKind> {
    match code {
        1 => Some(FileKind::Pipe),
        2 => Some(FileKind::CharDevice),
        4 => Some(FileKind::Directory),
        6 => Some(FileKind::BlockDevice),
        8 => Some(FileKind::File),
        10 => Some(FileKind::Symlink),
        12 => Some(FileKind::Socket),
        _ => None,
    }
}

/// What every version of a key carries besides key and value.
struct Stamp {
    from: Epoch,
    seq: ObjectNumber,
    is_removed: bool,
}

fn stamp_columns<R: Version>(rows: &[R]) -> (Column, Column, Column) {
    (
        Column::u64s(rows.iter().map(|row| Row::from(row).0)),
        Column::bools(rows.iter().map(Version::is_removal)),
        Column::u64s(rows.iter().map(|row| row.seq().0)),
    )
}

fn stamps(columns: &mut Columns) -> Option<impl FnMut() -> Option<Stamp> + use<>> {
    let (mut from, mut removed, mut seq) = (columns.u64s()?, columns.bools()?, columns.u64s()?);
    Some(move || Some(Stamp { from: Epoch(from.next()?), is_removed: removed.next()?, seq: ObjectNumber(seq.next()?) }))
}

impl ColumnRow for InodeRow {
    const SCHEMA: &'static str = "message inodes {
        required int64 backup_set (INTEGER(64,false));
        required int64 lin (INTEGER(64,false));
        required int64 from_epoch (INTEGER(64,false));
        required boolean removed;
        required int64 seq (INTEGER(64,false));
        required int32 kind (INTEGER(32,false));
        required int32 mode (INTEGER(32,false));
        required int32 uid (INTEGER(32,false));
        required int32 gid (INTEGER(32,false));
        required int32 nlink (INTEGER(32,false));
        required int64 size (INTEGER(64,false));
        required int64 atime_s;
        required int32 atime_ns (INTEGER(32,false));
        required int64 mtime_s;
        required int32 mtime_ns (INTEGER(32,false));
        required int64 ctime_s;
        required int32 ctime_ns (INTEGER(32,false));
        required binary target;
        required binary xattrs;
    }";

    fn to_columns(rows: &[Self]) -> Vec<Column> {
        let inode = |row: &Self| row.inode.clone().unwrap_or_else(absent_inode);
        let inodes: Vec<InodeRecord> = rows.iter().map(inode).collect();
        let inodes = || inodes.iter();
        let stamps = stamp_columns(rows);
        vec![
            Column::u64s(rows.iter().map(|row| row.set.0)),
            Column::u64s(rows.iter().map(|row| row.lin.0)),
            stamps.0,
            stamps.1,
            stamps.2,
            Column::u32s(inodes().map(|inode| kind_code(inode.kind))),
            Column::u32s(inodes().map(|inode| inode.mode)),
            Column::u32s(inodes().map(|inode| inode.uid)),
            Column::u32s(inodes().map(|inode| inode.gid)),
            Column::u32s(inodes().map(|inode| inode.nlink)),
            Column::u64s(inodes().map(|inode| inode.size)),
            Column::i64s(inodes().map(|inode| inode.atime.seconds)),
            Column::u32s(inodes().map(|inode| inode.atime.nanoseconds)),
            Column::i64s(inodes().map(|inode| inode.mtime.seconds)),
            Column::u32s(inodes().map(|inode| inode.mtime.nanoseconds)),
            Column::i64s(inodes().map(|inode| inode.ctime.seconds)),
            Column::u32s(inodes().map(|inode| inode.ctime.nanoseconds)),
            Column::bytes(inodes().map(|inode| inode.target.clone())),
            Column::bytes(inodes().map(|inode| encode_xattrs(&inode.xattrs))),
        ]
    }

    fn from_columns(mut columns: Columns, rows: usize) -> Option<Vec<Self>> {
        let (mut set, mut lin) = (columns.u64s()?, columns.u64s()?);
        let mut stamp = stamps(&mut columns)?;
        let (mut kind, mut mode, mut uid) = (columns.u32s()?, columns.u32s()?, columns.u32s()?);
        let (mut gid, mut nlink, mut size) = (columns.u32s()?, columns.u32s()?, columns.u64s()?);
        let mut atime = (columns.i64s()?, columns.u32s()?);
        let mut mtime = (columns.i64s()?, columns.u32s()?);
        let mut ctime = (columns.i64s()?, columns.u32s()?);
        let (mut target, mut xattrs) = (columns.bytes()?, columns.bytes()?);
        let mut row = || {
            let inode = InodeRecord {
                kind: kind_of(kind.next()?)?,
                mode: mode.next()?,
                uid: uid.next()?,
                gid: gid.next()?,
                nlink: nlink.next()?,
                size: size.next()?,
                atime: time(&mut atime)?,
                mtime: time(&mut mtime)?,
                ctime: time(&mut ctime)?,
                target: target.next()?,
                xattrs: decode_xattrs(&xattrs.next()?)?,
            };
            let Stamp { from, seq, is_removed } = stamp()?;
            let inode = (!is_removed).then_some(inode);
            Some(Self { set: SetId(set.next()?), lin: Lin(lin.next()?), from, seq, inode })
        };
        (0..rows).map(|_| row()).collect()
    }
}

fn time(parts: &mut (impl Iterator<Item = i64>, impl Iterator<Item = u32>)) -> Option<Timestamp> {
    Some(Timestamp { seconds: parts.0.next()?, nanoseconds: parts.1.next()? })
}

/// What the columns of a gone inode hold; `removed` says that they mean nothing.
fn absent_inode() -> InodeRecord {
    InodeRecord {
        kind: FileKind::File,
        mode: 0,
        uid: 0,
        gid: 0,
        nlink: 0,
        size: 0,
        atime: Timestamp::default(),
        mtime: Timestamp::default(),
        ctime: Timestamp::default(),
        target: Bytes::new(),
        xattrs: Vec::new(),
    }
}

/// For each attribute: length of the name (2 bytes, big-endian), name, length of the value (4), value.
fn encode_xattrs(xattrs: &[(Bytes, Bytes)]) -> Bytes {
    let mut bytes = Vec::new();
    for (name, value) in xattrs {
        bytes.extend_from_slice(&u16::try_from(name.len()).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(value);
    }
    bytes.into()
}

fn decode_xattrs(mut bytes: &[u8]) -> Option<Vec<(Bytes, Bytes)>> {
    let mut xattrs = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk()?;
        let (name, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let (length, rest) = rest.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        xattrs.push((Bytes::copy_from_slice(name), Bytes::copy_from_slice(value)));
        bytes = rest;
    }
    Some(xattrs)
}

impl ColumnRow for EntryRow {
    const SCHEMA: &'static str = "message entries {
        required int64 backup_set (INTEGER(64,false));
        required int64 parent (INTEGER(64,false));
        required binary name;
        required int64 from_epoch (INTEGER(64,false));
        required boolean removed;
        required int64 seq (INTEGER(64,false));
        required int64 lin (INTEGER(64,false));
        required int32 kind (INTEGER(32,false));
    }";

    fn to_columns(rows: &[Self]) -> Vec<Column> {
        let absent = EntryRecord { lin: Lin(0), kind: FileKind::File };
        let entries = || rows.iter().map(|row| row.entry.unwrap_or(absent));
        let stamps = stamp_columns(rows);
        vec![
            Column::u64s(rows.iter().map(|row| row.set.0)),
            Column::u64s(rows.iter().map(|row| row.parent.0)),
            Column::bytes(rows.iter().map(|row| row.name.to_bytes())),
            stamps.0,
            stamps.1,
            stamps.2,
            Column::u64s(entries().map(|entry| entry.lin.0)),
            Column::u32s(entries().map(|entry| kind_code(entry.kind))),
        ]
    }

    fn from_columns(mut columns: Columns, rows: usize) -> Option<Vec<Self>> {
        let (mut set, mut parent, mut name) = (columns.u64s()?, columns.u64s()?, columns.bytes()?);
        let mut stamp = stamps(&mut columns)?;
        let (mut lin, mut kind) = (columns.u64s()?, columns.u32s()?);
        let mut row = || {
            let entry = EntryRecord { lin: Lin(lin.next()?), kind: kind_of(kind.next()?)? };
            let Stamp { from, seq, is_removed } = stamp()?;
            let (parent, name) = (Lin(parent.next()?), Name::new(name.next()?).ok()?);
            Some(Self { set: SetId(set.next()?), parent, name, from, seq, entry: (!is_removed).then_some(entry) })
        };
        (0..rows).map(|_| row()).collect()
    }
}

impl ColumnRow for ExtentRow {
    const SCHEMA: &'static str = "message extents {
        required int64 backup_set (INTEGER(64,false));
        required int64 lin (INTEGER(64,false));
        required int64 file_offset (INTEGER(64,false));
        required int64 from_epoch (INTEGER(64,false));
        required boolean removed;
        required int64 seq (INTEGER(64,false));
        required int32 length (INTEGER(32,false));
        required fixed_len_byte_array(32) digest;
        required int32 block_offset (INTEGER(32,false));
        required int64 object (INTEGER(64,false));
        required int32 slot (INTEGER(32,false));
        required int64 slot_offset (INTEGER(64,false));
        required int32 slot_length (INTEGER(32,false));
        required int32 member_offset (INTEGER(32,false));
        required int32 stored_length (INTEGER(32,false));
        required int32 plain_length (INTEGER(32,false));
        required int32 codec (INTEGER(32,false));
    }";

    fn to_columns(rows: &[Self]) -> Vec<Column> {
        let absent = ExtentRecord { length: 0, digest: KeyedDigest::default(), block_offset: 0, location: NOWHERE };
        let extents = || rows.iter().map(|row| row.extent.unwrap_or(absent));
        let stamps = stamp_columns(rows);
        let mut columns = vec![
            Column::u64s(rows.iter().map(|row| row.set.0)),
            Column::u64s(rows.iter().map(|row| row.lin.0)),
            Column::u64s(rows.iter().map(|row| row.offset)),
            stamps.0,
            stamps.1,
            stamps.2,
            Column::u32s(extents().map(|extent| extent.length)),
            Column::fixed(extents().map(|extent| extent.digest.0)),
            Column::u32s(extents().map(|extent| extent.block_offset)),
        ];
        columns.extend(location_columns(|| extents().map(|extent| extent.location)));
        columns
    }

    fn from_columns(mut columns: Columns, rows: usize) -> Option<Vec<Self>> {
        let (mut set, mut lin, mut offset) = (columns.u64s()?, columns.u64s()?, columns.u64s()?);
        let mut stamp = stamps(&mut columns)?;
        let (mut length, mut digest, mut block_offset) = (columns.u32s()?, columns.fixed()?, columns.u32s()?);
        let mut location = locations(&mut columns)?;
        let mut row = || {
            let extent = ExtentRecord {
                length: length.next()?,
                digest: KeyedDigest(digest.next()??),
                block_offset: block_offset.next()?,
                location: location()?,
            };
            let Stamp { from, seq, is_removed } = stamp()?;
            let (set, lin, offset) = (SetId(set.next()?), Lin(lin.next()?), offset.next()?);
            Some(Self { set, lin, offset, from, seq, extent: (!is_removed).then_some(extent) })
        };
        (0..rows).map(|_| row()).collect()
    }
}

const NOWHERE: Location = Location {
    object: ObjectNumber::OWN,
    slot: 0,
    slot_offset: 0,
    slot_length: 0,
    offset: 0,
    stored_length: 0,
    plain_length: 0,
    codec: MemberCodec::Plain,
};

fn location_columns<I: Iterator<Item = Location>>(locations: impl Fn() -> I) -> [Column; 8] {
    [
        Column::u64s(locations().map(|location| location.object.0)),
        Column::u32s(locations().map(|location| location.slot)),
        Column::u64s(locations().map(|location| location.slot_offset)),
        Column::u32s(locations().map(|location| location.slot_length)),
        Column::u32s(locations().map(|location| location.offset)),
        Column::u32s(locations().map(|location| location.stored_length)),
        Column::u32s(locations().map(|location| location.plain_length)),
        Column::u32s(locations().map(|location| u32::from(location.codec.code()))),
    ]
}

fn locations(columns: &mut Columns) -> Option<impl FnMut() -> Option<Location> + use<>> {
    let (mut object, mut slot) = (columns.u64s()?, columns.u32s()?);
    let (mut slot_offset, mut slot_length) = (columns.u64s()?, columns.u32s()?);
    let (mut offset, mut stored, mut plain) = (columns.u32s()?, columns.u32s()?, columns.u32s()?);
    let mut codec = columns.u32s()?;
    Some(move || {
        Some(Location {
            object: ObjectNumber(object.next()?),
            slot: slot.next()?,
            slot_offset: slot_offset.next()?,
            slot_length: slot_length.next()?,
            offset: offset.next()?,
            stored_length: stored.next()?,
            plain_length: plain.next()?,
            codec: u8::try_from(codec.next()?).ok().and_then(MemberCodec::from_code)?,
        })
    })
}

impl ColumnRow for BlockRow {
    const SCHEMA: &'static str = "message blocks {
        required fixed_len_byte_array(32) digest;
        required int64 object (INTEGER(64,false));
        required int32 slot (INTEGER(32,false));
        required int64 slot_offset (INTEGER(64,false));
        required int32 slot_length (INTEGER(32,false));
        required int32 member_offset (INTEGER(32,false));
        required int32 stored_length (INTEGER(32,false));
        required int32 plain_length (INTEGER(32,false));
        required int32 codec (INTEGER(32,false));
    }";

    fn to_columns(rows: &[Self]) -> Vec<Column> {
        let mut columns = vec![Column::fixed(rows.iter().map(|row| row.digest.0))];
        columns.extend(location_columns(|| rows.iter().map(|row| row.location)));
        columns
    }

    fn from_columns(mut columns: Columns, rows: usize) -> Option<Vec<Self>> {
        let mut digest = columns.fixed()?;
        let mut location = locations(&mut columns)?;
        let mut row = || Some(Self { digest: KeyedDigest(digest.next()??), location: location()? });
        (0..rows).map(|_| row()).collect()
    }
}

impl ColumnRow for ObjectRow {
    const SCHEMA: &'static str = "message objects {
        required int64 object (INTEGER(64,false));
        required binary name (STRING);
        required int64 size (INTEGER(64,false));
        required fixed_len_byte_array(32) hash;
        required fixed_len_byte_array(16) salt;
        required fixed_len_byte_array(80) wrapped_key;
    }";

    fn to_columns(rows: &[Self]) -> Vec<Column> {
        vec![
            Column::u64s(rows.iter().map(|row| row.number.0)),
            Column::bytes(rows.iter().map(|row| names::Name::Object(row.writer).to_string().into())),
            Column::u64s(rows.iter().map(|row| row.size)),
            Column::fixed(rows.iter().map(|row| row.hash)),
            Column::fixed(rows.iter().map(|row| row.salt)),
            Column::fixed(rows.iter().map(|row| *row.wrapped_key.as_bytes())),
        ]
    }

    fn from_columns(mut columns: Columns, rows: usize) -> Option<Vec<Self>> {
        let (mut number, mut name, mut size) = (columns.u64s()?, columns.bytes()?, columns.u64s()?);
        let (mut hash, mut salt) = (columns.fixed()?, columns.fixed()?);
        let mut wrapped_key = columns.fixed::<{ WrappedKey::LENGTH }>()?;
        let mut row = || {
            let names::Name::Object(writer) = std::str::from_utf8(&name.next()?).ok()?.parse().ok()? else {
                return None;
            };
            Some(Self {
                number: ObjectNumber(number.next()?),
                writer,
                size: size.next()?,
                hash: hash.next()??,
                salt: salt.next()??,
                wrapped_key: WrappedKey::from_bytes(&wrapped_key.next()??)?,
            })
        };
        (0..rows).map(|_| row()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row of a footer and a run with that name, as whoever has the metadata key may write them.
    fn read(name: &'static str) -> (Option<Vec<EntryRow>>, Result<EntryRow, postcard::Error>) {
        let entry = Some(EntryRecord { lin: Lin(2), kind: FileKind::File });
        let (set, parent, from, seq) = (SetId(1), Lin(1), Epoch(1), ObjectNumber(0));
        let row = EntryRow { set, parent, name: Name::new("name").unwrap(), from, seq, entry };
        let mut columns = EntryRow::to_columns(&[row]);
        columns[2] = Column::bytes(std::iter::once(Bytes::from_static(name.as_bytes())));
        let footer =
            postcard::to_stdvec(&(set, parent, Bytes::from_static(name.as_bytes()), from, seq, entry)).unwrap();
        (EntryRow::from_columns(Columns(columns.into_iter()), 1), postcard::from_bytes(&footer))
    }

    #[test]
    fn an_entry_whose_name_leads_elsewhere_is_refused() {
        let (run, footer) = read("other");
        assert_eq!(run.unwrap(), [footer.unwrap()]);
        for name in ["", ".", "..", "/", "../x", "a/b", "/etc", "a\0b"] {
            let (run, footer) = read(name);
            assert!(run.is_none() && footer.is_err(), "{name:?}");
        }
    }
}
