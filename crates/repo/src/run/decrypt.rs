//! Opening the modules of an encrypted Parquet file.
//!
//! Parquet Modular Encryption, algorithm `AES_GCM_V1`
//! (<https://parquet.apache.org/docs/file-format/data-pages/encryption/>): a file is a sequence of modules, each stored
//! as length (4 bytes, little-endian), nonce (12), sealed text, tag (16). What a module is, and where, is authenticated:
//! the file's own random bytes, the module's type, and the numbers of row group, column and page.

use crate::keys::{Sealer, Secret};

const NONCE_LENGTH: usize = 12;
const TAG_LENGTH: usize = 16;
/// Magic and length at the end of a file.
pub(super) const END_LENGTH: usize = 8;
const MAGIC: &[u8; 4] = b"PARE";

/// The most bytes of a column chunk, decompressed: some times what a row group of the longest rows has. A key is no
/// promise: whoever holds the metadata key may write a run whose pages say that they become any length.
const CHUNK_LENGTH_MAX: u64 = 1 << 30;

const FOOTER: u8 = 0;
const DATA_PAGE: u8 = 2;
const DICTIONARY_PAGE: u8 = 3;
const DATA_PAGE_HEADER: u8 = 4;
const DICTIONARY_PAGE_HEADER: u8 = 5;

/// The footer's length, from the last bytes of a file.
pub(super) fn footer_length(tail: &[u8]) -> Option<usize> {
    let (length, magic) = tail.last_chunk::<END_LENGTH>()?.split_first_chunk::<4>()?;
    (magic == MAGIC).then(|| u32::from_le_bytes(*length)).and_then(|length| usize::try_from(length).ok())
}

/// The pages of a chunk, decrypted.
struct Plain {
    bytes: Vec<u8>,
    /// What they say that they are together when they are decompressed.
    length: u64,
}

/// Opens modules of one file.
pub(super) struct Modules {
    sealer: Sealer,
    /// The random bytes that tell the file from every other.
    file: Vec<u8>,
}

impl Modules {
    /// Opens the footer: gives the file's metadata (Thrift) and what opens its other modules. The slice is the footer
    /// without length and magic.
    pub(super) fn open_footer(key: &Secret, footer: &[u8]) -> Result<(Self, Vec<u8>), &'static str> {
        let (file, sealed) = crypto_metadata(footer).ok_or("its encryption header is malformed")?;
        let modules = Self { sealer: Sealer::new(key), file: file.to_vec() };
        let (metadata, rest) = modules.open(sealed, &[FOOTER])?;
        if rest.is_empty() { Ok((modules, metadata)) } else { Err("its footer has a wrong length") }
    }

    /// Opens all pages of a column chunk and gives it as if it had never been encrypted.
    pub(super) fn open_chunk(
        &self,
        group: usize,
        column: usize,
        has_dictionary: bool,
        mut chunk: &[u8],
    ) -> Result<Vec<u8>, &'static str> {
        let [group, column] = [group, column].map(ordinal);
        let place = [group?, column?].concat();
        let mut plain = Plain { bytes: Vec::with_capacity(chunk.len()), length: 0 };
        if has_dictionary {
            chunk = self.append_page(&mut plain, chunk, [DICTIONARY_PAGE_HEADER, DICTIONARY_PAGE], &place)?;
        }
        let mut page = 0;
        while !chunk.is_empty() {
            let place = [&place[..], &ordinal(page)?].concat();
            chunk = self.append_page(&mut plain, chunk, [DATA_PAGE_HEADER, DATA_PAGE], &place)?;
            page += 1;
        }
        Ok(plain.bytes)
    }

    /// Opens header and data of a page, and gives what comes after them.
    fn append_page<'a>(
        &self,
        plain: &mut Plain,
        chunk: &'a [u8],
        [header_kind, data_kind]: [u8; 2],
        place: &[u8],
    ) -> Result<&'a [u8], &'static str> {
        let (header, rest) = self.open(chunk, &[&[header_kind], place].concat())?;
        let (data, rest) = self.open(rest, &[&[data_kind], place].concat())?;
        let (header, length) = with_data_length(&header, data.len()).ok_or("a page header is malformed")?;
        plain.length = plain.length.saturating_add(length);
        if plain.length > CHUNK_LENGTH_MAX {
            return Err("a column of a row group is longer than the format allows");
        }
        plain.bytes.extend_from_slice(&header);
        plain.bytes.extend_from_slice(&data);
        Ok(rest)
    }

    /// Opens the module at the front of the bytes, and gives what comes after it.
    fn open<'a>(&self, bytes: &'a [u8], module: &[u8]) -> Result<(Vec<u8>, &'a [u8]), &'static str> {
        let cut = "a module of it is cut";
        let (length, rest) = bytes.split_first_chunk().ok_or(cut)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| cut)?;
        let (sealed, rest) = rest.split_at_checked(length).ok_or(cut)?;
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LENGTH>().ok_or(cut)?;
        if text.len() < TAG_LENGTH {
            return Err(cut);
        }
        let mut text = text.to_vec();
        let opened = self.sealer.open(*nonce, &[&self.file, module].concat(), &mut text);
        opened.map_err(|_| "a module of it does not open: it was changed, or the metadata key is another one")?;
        Ok((text, rest))
    }
}

fn ordinal(number: usize) -> Result<[u8; 2], &'static str> {
    i16::try_from(number).map(i16::to_le_bytes).map_err(|_| "it has more parts than Parquet can encrypt")
}

/// Reads `FileCryptoMetaData` (Thrift compact): algorithm `AES_GCM_V1` with the file's random bytes, and the metadata of
/// the key. Gives the random bytes and what follows the structure.
pub(super) fn crypto_metadata(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    const STRUCT_1: u8 = 0x1c;
    const BINARY_2_AFTER_0: u8 = 0x28;
    const BINARY_NEXT: u8 = 0x18;
    const STOP: u8 = 0;
    let rest = bytes.strip_prefix(&[STRUCT_1, STRUCT_1, BINARY_2_AFTER_0])?;
    let (file, rest) = binary(rest)?;
    let rest = rest.strip_prefix(&[STOP, STOP])?;
    let rest = match rest.strip_prefix(&[BINARY_NEXT]) {
        Some(rest) => binary(rest)?.1,
        None => rest,
    };
    Some((file, rest.strip_prefix(&[STOP])?))
}

/// A Thrift binary of less than 128 bytes.
fn binary(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    (*length < 0x80).then(|| rest.split_at_checked(usize::from(*length)))?
}

/// Changes the `compressed_page_size` of a `PageHeader` (Thrift compact): in an encrypted file it is the length of the
/// sealed module. It is the third field, after type and `uncompressed_page_size`, all of them required numbers. Gives
/// the second one, too.
pub(super) fn with_data_length(header: &[u8], length: usize) -> Option<(Vec<u8>, u64)> {
    const NUMBER_NEXT: u8 = 0x15;
    let (_, rest) = take_varint(header.strip_prefix(&[NUMBER_NEXT])?)?;
    let (uncompressed, rest) = take_varint(rest.strip_prefix(&[NUMBER_NEXT])?)?;
    let rest = rest.strip_prefix(&[NUMBER_NEXT])?;
    let before = header.get(..header.len() - rest.len())?;
    let (_, after) = take_varint(rest)?;
    // Zigzag of a number that is not negative.
    let mut number = u32::try_from(length).ok()?.checked_mul(2)?;
    let mut varint = Vec::new();
    while number >= 0x80 {
        varint.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    varint.push(number.to_le_bytes()[0]);
    // Zigzag: a negative number, which is none of ours, becomes a large one, and is refused for that.
    Some(([before, &varint, after].concat(), uncompressed.div_ceil(2)))
}

/// Takes a varint from the front; one that is longer than any of a page header is `None`.
fn take_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let length = bytes.iter().position(|byte| *byte < 0x80).filter(|length| *length < 5)?;
    let (digits, rest) = bytes.split_at_checked(length + 1)?;
    let number = digits.iter().rev().fold(0, |number, digit| number << 7 | u64::from(digit & 0x7f));
    Some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_header_gets_another_length_and_keeps_the_rest() {
        let header = [0x15, 0x00, 0x15, 0x80, 0x01, 0x15, 0x90, 0x03, 0x2c, 0x15, 0x08, 0x00, 0x00];
        let changed = with_data_length(&header, 300).unwrap();
        assert_eq!(changed.0, [0x15, 0x00, 0x15, 0x80, 0x01, 0x15, 0xd8, 0x04, 0x2c, 0x15, 0x08, 0x00, 0x00]);
        assert_eq!(changed.1, 64, "0x80 0x01 is the zigzag of 64");
        assert_eq!(with_data_length(&header[..6], 1), None);
    }

    #[test]
    fn the_encryption_header_gives_the_random_bytes_of_the_file() {
        let header = [&[0x1c, 0x1c, 0x28, 3][..], b"abc", &[0, 0, 0x18, 2], b"kk", &[0], b"rest"].concat();
        assert_eq!(crypto_metadata(&header), Some((&b"abc"[..], &b"rest"[..])));
        assert!((0..header.len() - 4).all(|length| crypto_metadata(&header[..length]).is_none()));
    }

    /// A module as it lies in a file.
    fn module(modules: &Modules, name: &[u8], plain: &[u8]) -> Vec<u8> {
        let (nonce, mut text) = ([7; NONCE_LENGTH], plain.to_vec());
        modules.sealer.seal(nonce, &[&modules.file, name].concat(), &mut text);
        let length = u32::try_from(NONCE_LENGTH + text.len()).unwrap().to_le_bytes();
        [&length[..], &nonce, &text].concat()
    }

    #[test]
    fn pages_that_would_become_longer_than_any_chunk_are_refused_before_they_are_decompressed() {
        let modules = Modules { sealer: Sealer::new(&Secret::new([1; 32])), file: b"file".to_vec() };
        // Data page, 1 GiB / 4 when it is decompressed, 4 bytes of data.
        let header = [0x15, 0x00, 0x15, 0x80, 0x80, 0x80, 0x80, 0x02, 0x15, 0x08, 0x00];
        let page = |number: u8| {
            let place = [0, 0, 0, 0, number, 0];
            let [header_kind, data_kind] = [DATA_PAGE_HEADER, DATA_PAGE].map(|kind| [&[kind][..], &place].concat());
            [module(&modules, &header_kind, &header), module(&modules, &data_kind, b"data")].concat()
        };
        let pages: Vec<_> = (0..5).map(page).collect();
        assert!(modules.open_chunk(0, 0, false, &pages[..4].concat()).is_ok());
        let refused = modules.open_chunk(0, 0, false, &pages.concat());
        assert_eq!(refused, Err("a column of a row group is longer than the format allows"));
    }
}
