//! How values look, to people and to programs.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use types::{Attributes, Device, FileKind, Timestamp};

/// A time as RFC 3339, in UTC.
pub fn time(time: Timestamp) -> String {
    let nanoseconds = i32::try_from(time.nanoseconds).unwrap_or(0);
    // A file may carry a time that no calendar reaches.
    jiff::Timestamp::new(time.seconds, nanoseconds).map_or_else(|_| decimal(time), |time| time.to_string())
}

/// The time from one to the other, in seconds with one decimal below a minute.
pub fn between(begin: Timestamp, end: Timestamp) -> String {
    let tenths = |time: Timestamp| i128::from(time.seconds) * 10 + i128::from(time.nanoseconds / 100_000_000);
    let tenths = (tenths(end) - tenths(begin)).max(0);
    let (seconds, rest) = (tenths / 10, tenths % 10);
    match seconds {
        0..60 => format!("{seconds}.{rest} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// A time as seconds since 1970 with nine decimals, exact, as `touch -d @...` takes it.
pub fn decimal(time: Timestamp) -> String {
    if time.seconds < 0 && time.nanoseconds > 0 {
        // -2 s and 0.75 s upward is -1.25 s.
        format!("-{}.{:09}", -(time.seconds + 1), 1_000_000_000 - time.nanoseconds)
    } else {
        format!("{}.{:09}", time.seconds, time.nanoseconds)
    }
}

/// A file name or path as JSON: a string if it is UTF-8, an object with its Base64 if it is not.
pub fn name(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({ "base64": BASE64_STANDARD.encode(bytes) }),
    }
}

/// A number of bytes with its binary unit.
pub fn bytes(count: u64) -> String {
    indicatif::HumanBytes(count).to_string()
}

/// A number of things.
pub fn count(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", indicatif::HumanCount(count), if count == 1 { one } else { many })
}

/// The kind of a file in one word.
pub const fn kind(kind: FileKind) -> &'static str {
    match kind {
        FileKind::File => "file",
        FileKind::Directory => "directory",
        FileKind::Symlink => "symlink",
        FileKind::Pipe => "pipe",
        FileKind::Socket => "socket",
        FileKind::CharDevice => "character device",
        FileKind::BlockDevice => "block device",
    }
}

/// Kind and permissions as `ls -l` shows them.
pub fn mode(attributes: &Attributes) -> String {
    let kind = match attributes.kind {
        FileKind::File => '-',
        FileKind::Directory => 'd',
        FileKind::Symlink => 'l',
        FileKind::Pipe => 'p',
        FileKind::Socket => 's',
        FileKind::CharDevice => 'c',
        FileKind::BlockDevice => 'b',
    };
    let mode = attributes.mode;
    let special = |bit: u32, execute: u32, both: char, alone: char| match (mode & bit != 0, mode & execute != 0) {
        (true, true) => both,
        (true, false) => alone,
        (false, true) => 'x',
        (false, false) => '-',
    };
    let flag = |bit: u32, letter: char| if mode & bit != 0 { letter } else { '-' };
    [
        kind,
        flag(0o400, 'r'),
        flag(0o200, 'w'),
        special(0o4000, 0o100, 's', 'S'),
        flag(0o040, 'r'),
        flag(0o020, 'w'),
        special(0o2000, 0o010, 's', 'S'),
        flag(0o004, 'r'),
        flag(0o002, 'w'),
        special(0o1000, 0o001, 't', 'T'),
    ]
    .iter()
    .collect()
}

/// What a long list shows before the name; of a device its number in the place of a size.
pub fn long(attributes: &Attributes, device: Option<Device>) -> String {
    let Attributes { nlink, uid, gid, mtime, .. } = attributes;
    let size = device.map_or_else(|| attributes.size.to_string(), |device| device.to_string());
    format!("{} {nlink:>3} {uid:>5} {gid:>5} {size:>12} {} ", mode(attributes), time(*mtime))
}

/// The attributes of a file as JSON. Times are exact decimal strings, since JSON numbers are not.
pub fn attributes(attributes: &Attributes) -> Value {
    json!({
        "lin": attributes.lin,
        "kind": kind(attributes.kind),
        "mode": format!("{:04o}", attributes.mode),
        "uid": attributes.uid,
        "gid": attributes.gid,
        "nlink": attributes.nlink,
        "size": attributes.size,
        "atime": decimal(attributes.atime),
        "mtime": decimal(attributes.mtime),
        "ctime": decimal(attributes.ctime),
    })
}

#[cfg(test)]
mod tests {
    use types::Lin;

    use super::*;

    #[test]
    fn decimal_times_are_exact_on_both_sides_of_1970() {
        let decimal = |seconds, nanoseconds| decimal(Timestamp { seconds, nanoseconds });
        assert_eq!(decimal(1, 5), "1.000000005");
        assert_eq!(decimal(-2, 750_000_000), "-1.250000000");
        assert_eq!(decimal(-1, 999_999_999), "-0.000000001");
        assert_eq!(decimal(-1, 0), "-1.000000000");
    }

    #[test]
    fn a_duration_is_as_exact_as_people_want_it() {
        let at = |seconds, nanoseconds| Timestamp { seconds, nanoseconds };
        assert_eq!(between(at(10, 900_000_000), at(12, 100_000_000)), "1.2 s");
        assert_eq!(between(at(0, 0), at(125, 0)), "2 min 5 s");
        assert_eq!(between(at(0, 0), at(7265, 0)), "2 h 1 min");
        assert_eq!(between(at(5, 0), at(4, 0)), "0.0 s", "a clock that was set back");
    }

    #[test]
    fn a_time_beyond_every_calendar_is_still_printed() {
        let far = Timestamp { seconds: i64::MAX, nanoseconds: 1 };
        assert_eq!(time(far), format!("{}.000000001", i64::MAX));
        assert_eq!(time(Timestamp { seconds: 0, nanoseconds: 1 }), "1970-01-01T00:00:00.000000001Z");
    }

    #[test]
    fn modes_look_as_ls_prints_them() {
        let with = |kind, bits| {
            mode(&Attributes {
                lin: Lin(1),
                kind,
                mode: bits,
                uid: 0,
                gid: 0,
                nlink: 1,
                size: 0,
                atime: Timestamp::default(),
                mtime: Timestamp::default(),
                ctime: Timestamp::default(),
            })
        };
        assert_eq!(with(FileKind::File, 0o4755), "-rwsr-xr-x");
        assert_eq!(with(FileKind::Directory, 0o1777), "drwxrwxrwt");
        assert_eq!(with(FileKind::File, 0o6640), "-rwSr-S---");
        assert_eq!(with(FileKind::Symlink, 0o777), "lrwxrwxrwx");
        assert_eq!(with(FileKind::Pipe, 0o600), "prw-------");
        assert_eq!(with(FileKind::BlockDevice, 0o660), "brw-rw----");
    }

    #[test]
    fn names_that_are_not_text_come_through_json_whole() {
        assert_eq!(name(b"caf\xc3\xa9"), json!("caf\u{e9}"));
        assert_eq!(name(b"\xff\xfe"), json!({ "base64": "//4=" }));
    }
}
