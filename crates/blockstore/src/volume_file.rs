//! The frame of the small files beside the segments, each of which is written as a whole.
//!
//! Four bytes of magic, the version, three bytes of flags, the volume (16), the body, and the CRC-32 of all before.

use types::VolumeId;
use uuid::Uuid;

use crate::fields::Fields;

/// What tells one kind of file from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) magic: [u8; 4],
    pub(crate) version: u8,
}

/// A file that is what was written.
pub(crate) struct Opened<'a> {
    pub(crate) flags: [u8; 3],
    pub(crate) volume: VolumeId,
    pub(crate) body: Fields<'a>,
}

impl Kind {
    pub(crate) fn seal(self, flags: [u8; 3], volume: VolumeId, body: &[u8]) -> Vec<u8> {
        let mut bytes = [&self.magic[..], &[self.version], &flags, volume.0.as_bytes(), body].concat();
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    /// Gives what is in the frame, or why this is no such file.
    pub(crate) fn open(self, bytes: &[u8]) -> Result<Opened<'_>, &'static str> {
        const TOO_SHORT: &str = "it is too short";
        let (covered, checksum) = bytes.split_last_chunk::<4>().ok_or(TOO_SHORT)?;
        let mut body = Fields(covered);
        if body.take() != Some(self.magic) {
            return Err("it does not begin like one");
        }
        let [version, flags @ ..] = body.take::<4>().ok_or(TOO_SHORT)?;
        if version != self.version {
            return Err("it has a version that this release does not know");
        }
        if crc32fast::hash(covered) != u32::from_le_bytes(*checksum) {
            return Err("its checksum is wrong");
        }
        let volume = VolumeId(Uuid::from_bytes(body.take().ok_or(TOO_SHORT)?));
        Ok(Opened { flags, volume, body })
    }

    /// As [`Kind::open`], for a file of one volume.
    pub(crate) fn open_of(self, bytes: &[u8], volume: VolumeId) -> Option<Opened<'_>> {
        self.open(bytes).ok().filter(|opened| opened.volume == volume)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    /// Nothing but the whole file, unharmed, must be taken for one.
    pub(crate) fn assert_only_whole<T: std::fmt::Debug>(bytes: &[u8], parse: impl Fn(&[u8]) -> Option<T>) {
        assert!(parse(bytes).is_some());
        assert!((0..bytes.len()).all(|length| parse(&bytes[..length]).is_none()));
        assert!(parse(&[bytes, &[0]].concat()).is_none());
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&bad).is_none(), "bit {bit}");
        }
    }
}
