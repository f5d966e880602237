//! Names that a file system allows and programs trip over.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use runtime::Seed;

/// The longest name of a directory entry on Linux, in bytes.
const NAME_LENGTH_MAX: usize = 255;

/// A name for entry number `number` of its directory; the number makes it unique there.
pub(super) fn name(number: u64, seed: &Seed) -> OsString {
    let plain = format!("{number:05}");
    let bytes = match seed.below(16) {
        0 => format!("größe {plain} 日本語.txt").into_bytes(),
        // The same word in both forms of Unicode: two names that look alike and are not.
        1 => format!("{plain}-cafe\u{301}").into_bytes(),
        2 => format!("{plain}-caf\u{e9}").into_bytes(),
        3 => [b"\xff\xfe\x80-".as_slice(), plain.as_bytes()].concat(),
        4 => format!("-rf {plain} *?").into_bytes(),
        5 => format!("{plain}\nsecond line").into_bytes(),
        6 => format!(".{plain}~").into_bytes(),
        7 => format!("{plain}{}", "x".repeat(NAME_LENGTH_MAX - plain.len())).into_bytes(),
        8 => format!("\"{plain}\\'$(x)").into_bytes(),
        _ => format!("file-{plain}.dat").into_bytes(),
    };
    OsString::from_vec(bytes)
}
