//! Facts about the stored form, over random blocks and random damage.

use block::{
    BlockError, FRAME_LENGTH, FrameTable, STORED_LENGTH_MAX, check, decode, decode_range, encode, plain_length,
};
use proptest::prelude::*;
use types::{BLOCK_LENGTH_MAX, Digest, ErrorKind};

/// Bytes of runs and noise, so that some frames compress and some do not.
fn plain() -> impl Strategy<Value = Vec<u8>> {
    let run = (any::<u8>(), 1..100_000_usize).prop_map(|(byte, length)| vec![byte; length]);
    let noise = (any::<u64>(), 1..100_000_usize).prop_map(|(seed, length)| noise(seed, length));
    prop::collection::vec(prop_oneof![run, noise], 0..5).prop_map(|parts| parts.concat())
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_encoded_comes_back(plain in plain()) {
        let encoded = encode(&plain).unwrap();
        prop_assert_eq!(&decode(&encoded.stored, &encoded.digest).unwrap(), &plain);
        prop_assert_eq!(plain_length(&encoded.stored).unwrap() as usize, plain.len());
        prop_assert_eq!(encoded.plain_length as usize, plain.len());
        prop_assert!(check(&encoded.stored).is_ok());
        prop_assert!(encoded.stored.len() <= FrameTable::head_length(encoded.plain_length) + plain.len());
    }

    #[test]
    fn any_flipped_bit_is_found(plain in plain(), place in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let encoded = encode(&plain).unwrap();
        let mut stored = encoded.stored.to_vec();
        let place = place.index(stored.len());
        stored[place] ^= 1 << bit;
        prop_assert!(check(&stored).is_err());
        prop_assert!(decode(&stored, &encoded.digest).is_err());
    }

    #[test]
    fn any_other_length_is_found(plain in plain(), cut in any::<prop::sample::Index>(), more in 1..9_usize) {
        let encoded = encode(&plain).unwrap();
        let stored = encoded.stored.to_vec();
        let cut = &stored[..cut.index(stored.len())];
        prop_assert!(check(cut).is_err() && decode(cut, &encoded.digest).is_err() && decode_range(cut, 0, 0).is_err());
        let longer = [&stored[..], &vec![0; more]].concat();
        prop_assert!(check(&longer).is_err() && decode(&longer, &encoded.digest).is_err());
    }

    #[test]
    fn a_range_is_a_slice_of_the_whole(plain in plain(), a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>()) {
        let encoded = encode(&plain).unwrap();
        let (a, b) = (a.index(plain.len() + 1), b.index(plain.len() + 1));
        let (begin, end) = (a.min(b), a.max(b));
        let (offset, length) = (u32::try_from(begin).unwrap(), u32::try_from(end - begin).unwrap());
        prop_assert_eq!(&decode_range(&encoded.stored, offset, length).unwrap(), &plain[begin..end]);
        let table = FrameTable::parse(&encoded.stored).unwrap();
        let part = &encoded.stored[table.stored_range(offset, length).unwrap()];
        prop_assert_eq!(&table.decode_range(offset, length, part).unwrap(), &plain[begin..end]);
    }

    /// Somebody who can compute a checksum can claim any lengths.
    #[test]
    fn a_lie_with_the_right_checksum_gives_an_error_and_no_panic(
        plain_length in 0..300_000_u32,
        stored_lengths in prop::collection::vec(0..70_000_u32, 5),
        behind in prop::collection::vec(any::<u8>(), 0..2000),
        (offset, length) in (any::<u32>(), any::<u32>()),
    ) {
        let mut bytes = [&[1][..], &plain_length.to_le_bytes()].concat();
        for stored_length in &stored_lengths[..(plain_length as usize).div_ceil(FRAME_LENGTH)] {
            bytes.extend_from_slice(&stored_length.to_le_bytes());
            bytes.extend_from_slice(&crc32fast::hash(&behind).to_le_bytes());
        }
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes.extend_from_slice(&behind);
        prop_assert!(plain_length == 0 || decode(&bytes, &Digest::default()).is_err());
        if let Ok(table) = FrameTable::parse(&bytes) {
            prop_assert_eq!(table.plain_length(), plain_length);
            let _ = table.decode_range(offset, length, &behind);
        }
    }

    #[test]
    fn garbage_gives_an_error_and_no_panic(garbage in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut claimed = garbage.clone();
        claimed.insert(0, 1);
        for bytes in [garbage, claimed] {
            prop_assert!(check(&bytes).is_err());
            prop_assert!(decode(&bytes, &Digest::default()).is_err());
            prop_assert!(decode_range(&bytes, 0, 1).is_err());
        }
    }
}

#[test]
fn a_range_outside_of_the_block_is_refused() {
    let stored = encode(b"0123456789").unwrap().stored;
    for (offset, length) in [(0, 11), (10, 1), (11, 0), (u32::MAX, 1), (1, u32::MAX), (u32::MAX, u32::MAX)] {
        let error = decode_range(&stored, offset, length).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{offset} {length}: {error}");
    }
}

#[test]
fn a_small_range_needs_no_other_frame() {
    let plain = noise(1, 4 * FRAME_LENGTH);
    let mut stored = encode(&plain).unwrap().stored.to_vec();
    *stored.last_mut().unwrap() ^= 1;
    let begin = u32::try_from(FRAME_LENGTH).unwrap();
    assert_eq!(decode_range(&stored, begin, 10).unwrap(), plain[FRAME_LENGTH..FRAME_LENGTH + 10]);
    assert!(matches!(decode_range(&stored, 3 * begin, 10), Err(BlockError::FrameDamaged { frame: 3, .. })));
}

#[test]
fn noise_is_stored_as_it_is_and_runs_are_compressed() {
    let noise = noise(2, FRAME_LENGTH);
    let stored = encode(&noise).unwrap().stored;
    assert_eq!(&stored[FrameTable::head_length(65_536)..], noise);
    assert!(encode(&vec![7; FRAME_LENGTH]).unwrap().stored.len() < 200);
}

#[test]
fn the_longest_block_fits_and_a_longer_one_is_refused() {
    let longest = noise(3, BLOCK_LENGTH_MAX as usize);
    assert_eq!(encode(&longest).unwrap().stored.len(), STORED_LENGTH_MAX);
    let error = encode(&vec![0; BLOCK_LENGTH_MAX as usize + 1]).unwrap_err();
    assert!(matches!(error, BlockError::TooLong { .. }) && error.kind() == ErrorKind::InvalidRequest);
}

#[test]
fn the_whole_of_another_block_is_refused() {
    let (one, other) = (encode(b"one").unwrap(), encode(b"other").unwrap());
    let error = decode(&one.stored, &other.digest).unwrap_err();
    assert!(matches!(error, BlockError::WrongDigest { .. }) && error.kind() == ErrorKind::Corrupt);
}

#[test]
fn a_later_version_is_named() {
    let mut stored = encode(b"later").unwrap().stored.to_vec();
    stored[0] = 2;
    let error = check(&stored).unwrap_err();
    assert!(matches!(error, BlockError::UnknownVersion { version: 2 }) && error.kind() == ErrorKind::Unsupported);
}

/// The checksum is right, the frame is not: only what zstd gives can tell.
#[test]
fn a_frame_that_decompresses_to_another_length_is_refused() {
    let mut stored = encode(&[7; 1000]).unwrap().stored.to_vec();
    stored[1..5].copy_from_slice(&1001_u32.to_le_bytes());
    let checksum = crc32fast::hash(&stored[..13]).to_le_bytes();
    stored[13..17].copy_from_slice(&checksum);
    assert!(check(&stored).is_ok());
    assert!(matches!(decode_range(&stored, 0, 1), Err(BlockError::FrameUnreadable { frame: 0, .. })));
    stored[1..5].copy_from_slice(&999_u32.to_le_bytes());
    let checksum = crc32fast::hash(&stored[..13]).to_le_bytes();
    stored[13..17].copy_from_slice(&checksum);
    assert!(matches!(decode_range(&stored, 0, 1), Err(BlockError::FrameUnreadable { frame: 0, .. })));
}

/// Every stored block of the first release begins like this; see `FORMAT.md`.
#[test]
fn the_bytes_are_those_that_the_format_page_shows() {
    let encoded = encode(b"hold fast").unwrap();
    let hex: String = encoded.stored.iter().map(|byte| format!("{byte:02x}")).collect();
    let crc_frame = crc32fast::hash(b"hold fast").to_le_bytes();
    assert_eq!(&hex[..26], format!("010900000009000000{}", crc_frame.map(|b| format!("{b:02x}")).concat()));
    assert!(hex.ends_with("686f6c642066617374"));
}
