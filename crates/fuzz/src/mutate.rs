//! Mutations of real encodings.

use runtime::Seed;

/// Numbers on which readers of lengths and counts fall over.
const NUMBERS: [u64; 8] = [0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX];

/// One of the examples, with a few mistakes in it.
#[must_use]
pub fn mutated(examples: &[Vec<u8>], seed: &Seed) -> Vec<u8> {
    let mut bytes = one_of(examples, seed).to_vec();
    for _ in 0..=seed.below(4) {
        mutate(&mut bytes, examples, seed);
    }
    bytes
}

fn mutate(bytes: &mut Vec<u8>, examples: &[Vec<u8>], seed: &Seed) {
    let place = below(seed, bytes.len() + 1);
    match seed.below(7) {
        0 => bytes.truncate(place),
        1 => drop(bytes.drain(place..(place + 1 + below(seed, 8)).min(bytes.len()).max(place))),
        2 => drop(bytes.splice(place..place, seed.bytes::<4>())),
        3 => flip(bytes, place, 1 << seed.below(8)),
        4 => flip(bytes, place, seed.bytes::<1>()[0]),
        5 => write_number(bytes, place, seed),
        _ => {
            let other = one_of(examples, seed);
            bytes.truncate(place);
            bytes.extend_from_slice(other.get(below(seed, other.len() + 1)..).unwrap_or_default());
        }
    }
}

fn flip(bytes: &mut [u8], place: usize, bits: u8) {
    if let Some(byte) = bytes.get_mut(place) {
        *byte ^= bits;
    }
}

/// Writes a number of one to eight bytes over what is there, in either order.
fn write_number(bytes: &mut [u8], place: usize, seed: &Seed) {
    let number = NUMBERS.get(below(seed, NUMBERS.len())).copied().unwrap_or_default();
    let width = 1 << seed.below(4);
    let mut written = number.to_le_bytes().into_iter().take(width).collect::<Vec<_>>();
    if seed.below(2) == 0 {
        written.reverse();
    }
    bytes.iter_mut().skip(place).zip(written).for_each(|(byte, written)| *byte = written);
}

fn one_of<'a>(examples: &'a [Vec<u8>], seed: &Seed) -> &'a [u8] {
    examples.get(below(seed, examples.len())).map_or(&[], Vec::as_slice)
}

fn below(seed: &Seed, bound: usize) -> usize {
    usize::try_from(seed.below(bound as u64)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mutations_differ_from_their_examples_and_replay() {
        let examples = [b"one example".to_vec(), b"and another one".to_vec()];
        let draw = |seed: Seed| (0..100).map(|_| mutated(&examples, &seed)).collect::<Vec<_>>();
        let drawn = draw(Seed::fixed(1));
        assert_eq!(drawn, draw(Seed::fixed(1)));
        assert!(drawn.iter().filter(|bytes| !examples.contains(bytes)).count() > 80);
        assert!(mutated(&[Vec::new()], &Seed::fixed(3)).len() < 64);
    }
}
