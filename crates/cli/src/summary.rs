//! What a copy of a tree came to: the same words for every command that copies one.

use restore::Warnings;
use serde_json::{Map, Value};

use crate::text;

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    pub files: u64,
    pub directories: u64,
    pub symlinks: u64,
    /// Pipes, sockets and devices.
    pub specials: u64,
    /// Names of files beyond the first.
    pub links: u64,
    pub bytes: u64,
}

impl Copied {
    /// Adds what another copy did.
    pub const fn add(&mut self, other: Self) {
        self.files += other.files;
        self.directories += other.directories;
        self.symlinks += other.symlinks;
        self.specials += other.specials;
        self.links += other.links;
        self.bytes += other.bytes;
    }

    /// For people.
    pub fn line(&self) -> String {
        let counts = [
            (self.files, "file", "files"),
            (self.directories, "directory", "directories"),
            (self.symlinks, "symbolic link", "symbolic links"),
            (self.specials, "special file", "special files"),
            (self.links, "further hard link", "further hard links"),
        ];
        let mut parts: Vec<_> = counts
            .iter()
            .filter(|(count, ..)| *count > 0)
            .map(|(count, one, many)| text::count(*count, one, many))
            .collect();
        parts.push(text::bytes(self.bytes));
        parts.join(", ")
    }

    /// For programs.
    pub fn value(&self) -> Map<String, Value> {
        let Self { files, directories, symlinks, specials, links, bytes } = *self;
        let counts = [
            ("files", files),
            ("directories", directories),
            ("symlinks", symlinks),
            ("special_files", specials),
            ("hard_links", links),
            ("bytes", bytes),
        ];
        counts.map(|(name, count)| (name.to_owned(), count.into())).into_iter().collect()
    }
}

/// Adds what the target did not let us set: it is counted and told once, not for each file.
pub fn add_warnings(warnings: &Warnings, line: &mut String, value: &mut Map<String, Value>) {
    let Warnings { owners, xattrs, set_id_bits } = *warnings;
    let counts = [("owners_not_set", owners), ("xattrs_not_set", xattrs), ("set_id_bits_not_set", set_id_bits)];
    value.extend(counts.map(|(name, count)| (name.to_owned(), count.into())));
    let told = [
        (owners, "owner", "owners"),
        (xattrs, "extended attribute", "extended attributes"),
        (set_id_bits, "set-id bit", "set-id bits"),
    ];
    let told: Vec<_> =
        told.iter().filter(|(count, ..)| *count > 0).map(|(count, one, many)| text::count(*count, one, many)).collect();
    if !told.is_empty() {
        line.push_str(&format!("; not permitted here: {}", told.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_there_is_is_told() {
        let copied = Copied { files: 1, directories: 1200, symlinks: 0, specials: 3, links: 2, bytes: 500 };
        assert_eq!(copied.line(), "1 file, 1,200 directories, 3 special files, 2 further hard links, 500 B");
        assert_eq!(Copied::default().line(), "0 B");
        assert_eq!(copied.value().get("symlinks"), Some(&0.into()));
    }

    #[test]
    fn what_is_not_permitted_is_told_in_one_place() {
        let (mut line, mut value) = (String::from("1 file"), Map::new());
        add_warnings(&Warnings { owners: 7, xattrs: 1, set_id_bits: 0 }, &mut line, &mut value);
        assert_eq!(line, "1 file; not permitted here: 7 owners, 1 extended attribute");
        assert_eq!(value.get("set_id_bits_not_set"), Some(&0.into()));
    }
}
