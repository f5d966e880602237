//! Compares one path of the left tree with the same path of the right one.

use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::difference::{Aspect, Difference};
use super::holes::{data_ranges, uncovered};
use super::walk::CompareOptions;
use crate::error::{Context, FileOperation, TestkitError};
use crate::inode;

/// Bytes compared at a time.
const CHUNK: usize = 1 << 20;

/// One path on one side.
pub(super) struct Side<'a> {
    pub(super) path: &'a Path,
    pub(super) metadata: &'a Metadata,
}

/// Collects what differs at one path.
pub(super) struct Pair<'a> {
    relative: &'a Path,
    left: Side<'a>,
    right: Side<'a>,
    differences: Vec<Difference>,
}

impl<'a> Pair<'a> {
    pub(super) fn new(relative: &'a Path, left: Side<'a>, right: Side<'a>) -> Self {
        Self { relative, left, right, differences: Vec::new() }
    }

    /// Compares everything but link groups, which need the whole trees.
    pub(super) fn compare(mut self, options: CompareOptions) -> Result<Vec<Difference>, TestkitError> {
        let kinds = [&self.left, &self.right].map(|side| inode::kind(side.metadata));
        if kinds[0] != kinds[1] {
            self.note(Aspect::Kind, kinds.map(str::to_owned));
            return Ok(self.differences);
        }
        self.compare_attributes()?;
        match kinds[0] {
            "file" => self.compare_files(options)?,
            "directory" => {}
            "symlink" => self.compare_targets()?,
            _ => {
                let devices = [&self.left, &self.right].map(|side| format!("device {:#x}", side.metadata.rdev()));
                self.note_if_different(Aspect::Target, devices);
            }
        }
        Ok(self.differences)
    }

    fn note(&mut self, aspect: Aspect, [left, right]: [String; 2]) {
        self.differences.push(Difference { path: self.relative.to_owned(), aspect, left, right });
    }

    fn note_if_different(&mut self, aspect: Aspect, sides: [String; 2]) {
        if sides[0] != sides[1] {
            self.note(aspect, sides);
        }
    }

    fn compare_attributes(&mut self) -> Result<(), TestkitError> {
        let sides = [self.left.metadata, self.right.metadata];
        // Linux gives every symlink all permissions; there is nothing to keep.
        if !self.left.metadata.is_symlink() {
            self.note_if_different(Aspect::Mode, sides.map(|metadata| format!("{:04o}", inode::mode(metadata))));
        }
        self.note_if_different(Aspect::Owner, sides.map(|metadata| format!("{}:{}", metadata.uid(), metadata.gid())));
        let time = |metadata: &Metadata| {
            let (seconds, nanoseconds) = inode::modified(metadata);
            format!("{seconds}.{nanoseconds:09}")
        };
        self.note_if_different(Aspect::Modified, sides.map(time));
        let xattrs = [shown_xattrs(self.left.path)?, shown_xattrs(self.right.path)?];
        self.note_if_different(Aspect::Xattrs, xattrs);
        Ok(())
    }

    fn compare_targets(&mut self) -> Result<(), TestkitError> {
        let target = |path: &Path| -> Result<String, TestkitError> {
            let target = fs::read_link(path).context(FileOperation::Read, path)?;
            Ok(target.as_os_str().as_bytes().escape_ascii().to_string())
        };
        let targets = [target(self.left.path)?, target(self.right.path)?];
        self.note_if_different(Aspect::Target, targets);
        Ok(())
    }

    fn compare_files(&mut self, options: CompareOptions) -> Result<(), TestkitError> {
        let lengths = [self.left.metadata.len(), self.right.metadata.len()];
        if lengths[0] != lengths[1] {
            self.note(Aspect::Length, lengths.map(|length| length.to_string()));
            return Ok(());
        }
        if lengths[0] == 0 {
            return Ok(());
        }
        let mut left = File::open(self.left.path).context(FileOperation::Read, self.left.path)?;
        let mut right = File::open(self.right.path).context(FileOperation::Read, self.right.path)?;
        self.compare_holes(&left, &right, options)?;
        self.compare_bytes(&mut left, &mut right)
    }

    fn compare_holes(&mut self, left: &File, right: &File, options: CompareOptions) -> Result<(), TestkitError> {
        let length = self.left.metadata.len();
        let ranges = |file: &File, side: &Side<'_>| {
            data_ranges(file, length, options.hole_granularity).context(FileOperation::Inspect, side.path)
        };
        let (left, right) = (ranges(left, &self.left)?, ranges(right, &self.right)?);
        if uncovered(&right, &left) > 0 {
            self.note(Aspect::Holes, [format!("data in {left:?}"), format!("data in {right:?}")]);
        }
        Ok(())
    }

    fn compare_bytes(&mut self, left: &mut File, right: &mut File) -> Result<(), TestkitError> {
        let (mut a, mut b) = (Vec::with_capacity(CHUNK), Vec::with_capacity(CHUNK));
        let mut offset = 0;
        loop {
            read_chunk(left, &mut a).context(FileOperation::Read, self.left.path)?;
            read_chunk(right, &mut b).context(FileOperation::Read, self.right.path)?;
            if a != b {
                let at = offset + a.iter().zip(&b).take_while(|(a, b)| a == b).count();
                self.note(Aspect::Bytes, [&a, &b].map(|bytes| format!("{:?} at {at}", bytes.get(at - offset))));
                return Ok(());
            }
            if a.is_empty() {
                return Ok(());
            }
            offset += a.len();
        }
    }
}

fn read_chunk(file: &mut File, chunk: &mut Vec<u8>) -> std::io::Result<usize> {
    chunk.clear();
    file.take(CHUNK as u64).read_to_end(chunk)
}

/// The extended attributes as one line, long values by their length and a sum.
fn shown_xattrs(path: &Path) -> Result<String, TestkitError> {
    let xattrs = inode::xattrs(path)?;
    let shown =
        xattrs.iter().map(|(name, value)| format!("{}={}", name.as_bytes().escape_ascii(), value.escape_ascii()));
    Ok(format!("[{}]", shown.collect::<Vec<_>>().join(" ")))
}
