//! One record of the log: see `FORMAT.md`.

use bytes::Bytes;

use super::fields::{put_u32, put_u64, take_u32, take_u64};
use crate::position::Position;

/// Bytes of a record before its body.
pub(crate) const HEADER_LENGTH: usize = 48;
/// The largest body: far above what [`crate::Batching`] lets through, far below what would exhaust memory.
pub(crate) const BODY_LENGTH_MAX: usize = 64 << 20;

const MAGIC: [u8; 4] = *b"HFLR";
pub(crate) const VERSION: u8 = 1;

/// An entry as the log keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub position: Position,
    pub kind: Kind,
    pub body: Bytes,
}

/// What the body of a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing: the first entry of a leader.
    Blank,
    /// An encoded batch.
    Batch,
    /// An encoded membership.
    Membership,
}

/// What the header of a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub position: Position,
    pub kind: Kind,
    pub body_length: u32,
    pub body_crc: u32,
    /// How much of the segment was durable when the record was written. A damaged record below such a mark was
    /// acknowledged once, and so is no cut tail.
    pub durable: u32,
}

impl Record {
    /// Bytes that it takes in a segment.
    pub fn length(&self) -> usize {
        HEADER_LENGTH + self.body.len()
    }

    /// Appends header and body.
    pub fn encode(&self, durable: u32, out: &mut Vec<u8>) {
        let header = Header {
            position: self.position,
            kind: self.kind,
            body_length: u32::try_from(self.body.len()).expect("the body's length was checked on append"),
            body_crc: crc32fast::hash(&self.body),
            durable,
        };
        header.encode(out);
        out.extend_from_slice(&self.body);
    }
}

impl Header {
    fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[VERSION, self.kind.code(), 0, 0]);
        put_u64(out, self.position.index);
        put_u64(out, self.position.term);
        put_u64(out, self.position.leader);
        put_u32(out, self.body_length);
        put_u32(out, self.body_crc);
        put_u32(out, self.durable);
        let crc = crc32fast::hash(out.get(start..).unwrap_or_default());
        put_u32(out, crc);
    }

    /// Reads a header; `None` if the bytes are none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..HEADER_LENGTH)?;
        let (checked, crc) = bytes.split_at_checked(HEADER_LENGTH - 4)?;
        if crc32fast::hash(checked) != take_u32(crc, 0)? {
            return None;
        }
        let (magic, version, kind) = (bytes.get(..4)?, *bytes.get(4)?, Kind::from_code(*bytes.get(5)?)?);
        if magic != MAGIC || version != VERSION {
            return None;
        }
        let position =
            Position { index: take_u64(bytes, 8)?, term: take_u64(bytes, 16)?, leader: take_u64(bytes, 24)? };
        let body_length = take_u32(bytes, 32)?;
        if body_length as usize > BODY_LENGTH_MAX {
            return None;
        }
        Some(Self { position, kind, body_length, body_crc: take_u32(bytes, 36)?, durable: take_u32(bytes, 40)? })
    }

    /// Where in `bytes` the next header begins.
    pub fn find(bytes: &[u8]) -> Option<usize> {
        bytes.windows(HEADER_LENGTH).position(|window| window.starts_with(&MAGIC) && Self::decode(window).is_some())
    }

    /// Makes the record, if the body is the one that was written.
    pub fn with_body(&self, body: Bytes) -> Option<Record> {
        let same = body.len() == self.body_length as usize && crc32fast::hash(&body) == self.body_crc;
        same.then_some(Record { position: self.position, kind: self.kind, body })
    }
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Blank => 0,
            Self::Batch => 1,
            Self::Membership => 2,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Blank),
            1 => Some(Self::Batch),
            2 => Some(Self::Membership),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let position = Position { term: 7, leader: 3, index: 41 };
        Record { position, kind: Kind::Batch, body: Bytes::from_static(b"a batch") }
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        let mut bytes = Vec::new();
        record().encode(640, &mut bytes);
        assert_eq!(bytes.len(), record().length());
        let header = Header::decode(&bytes).expect("a header");
        assert_eq!(header.durable, 640);
        assert_eq!(header.with_body(Bytes::copy_from_slice(&bytes[HEADER_LENGTH..])), Some(record()));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let mut bytes = Vec::new();
        record().encode(0, &mut bytes);
        for bit in 0..bytes.len() * 8 {
            let mut harmed = bytes.clone();
            harmed[bit / 8] ^= 1 << (bit % 8);
            let body = Bytes::copy_from_slice(&harmed[HEADER_LENGTH..]);
            let found = Header::decode(&harmed).and_then(|header| header.with_body(body));
            assert_eq!(found, None, "bit {bit}");
        }
    }

    #[test]
    fn a_header_is_found_behind_rubbish() {
        let mut bytes = b"HFLR is not enough".to_vec();
        let start = bytes.len();
        record().encode(0, &mut bytes);
        assert_eq!(Header::find(&bytes), Some(start));
        assert_eq!(Header::find(&bytes[..start + HEADER_LENGTH - 1]), None);
    }
}
