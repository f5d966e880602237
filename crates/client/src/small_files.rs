//! Many small files at once: their blocks in a few puts, their names in one request.

use std::collections::BTreeSet;

use block::{CUT_LENGTH_MIN, Cutter, CutterOptions};
use bytes::Bytes;
use types::{Change, Content, Create, FileKind, INLINE_LENGTH_MAX, Lin, Name, NewInode};

use crate::block_ids::Telling;
use crate::block_put::PlainBlock;
use crate::publication::{Remedy, Rounds, Unpublished};
use crate::{ChangeResult, ClientError, Piece, PlacementKey, Session};

/// Files from this length on are streamed by a [`crate::FileWriter`]; shorter ones lie with their directory.
pub const SMALL_FILE_LENGTH_MAX: u64 = 1 << 20;
/// A file, directory or symbolic link to be made, with all of its bytes.
#[derive(Clone, Debug)]
pub struct SmallFile {
    /// The directory.
    pub parent: Lin,
    /// The name in it.
    pub name: Name,
    /// What is made; its content is made from `pieces`.
    pub inode: NewInode,
    /// The bytes of a file, sorted by offset; what none covers is a hole.
    pub pieces: Vec<Piece>,
    /// Whether an existing non-directory of that name is replaced.
    pub replace: bool,
}

/// A file that is not made yet.
struct Making {
    /// Its place among all.
    place: usize,
    file: SmallFile,
    /// What it holds, once that is put; it is put again when the placement has changed.
    content: Option<Prepared>,
}

/// The content of a file, as far as the cluster has to know it.
enum Prepared {
    /// It has blocks, which are put.
    Extents(Vec<Unpublished>),
    /// It needs none.
    WithoutBlocks(Content),
}

impl Session {
    /// Makes files, at most [`crate::CHANGES_MAX`] and together about 8 MiB at a time; each has a result of its own.
    ///
    /// # Errors
    /// When blocks cannot be put or the outcome is not known.
    pub async fn make_small_files(&self, files: Vec<SmallFile>) -> Result<Vec<ChangeResult>, ClientError> {
        let mut results: Vec<Option<ChangeResult>> = files.iter().map(|_| None).collect();
        let files = files.into_iter().enumerate();
        let mut left: Vec<_> = files.map(|(place, file)| Making { place, file, content: None }).collect();
        let mut rounds = Rounds::new(self);
        while !left.is_empty() {
            self.prepare(&mut left).await?;
            let answers = self.execute(left.iter().map(Making::create).collect()).await?;
            let mut again = Vec::new();
            let mut remedies = BTreeSet::new();
            for (mut making, answer) in left.into_iter().zip(answers) {
                if let Some(remedy) = rounds.remedy(&answer) {
                    making.content = making.content.filter(|_| remedy != Remedy::PutAgain);
                    remedies.insert(remedy);
                    again.push(making);
                } else if let Some(result) = results.get_mut(making.place) {
                    *result = Some(answer);
                }
            }
            left = again;
            for remedy in remedies {
                rounds.prepare(remedy).await;
            }
        }
        self.raise_block_mark(Telling::Seldom).await;
        Ok(results.into_iter().flatten().collect())
    }

    /// Puts the blocks of the files that have no content yet.
    async fn prepare(&self, files: &mut [Making]) -> Result<(), ClientError> {
        let mut blocks = Vec::new();
        let mut counts = Vec::new();
        let mut unprepared: Vec<_> = files.iter_mut().filter(|making| making.content.is_none()).collect();
        for making in &unprepared {
            let of_file = making.file.blocks(self.gear_seed());
            counts.push(of_file.len());
            blocks.extend(of_file);
        }
        let mut put = self.put_blocks(blocks).await?.into_iter();
        for (making, count) in unprepared.iter_mut().zip(counts) {
            making.content = Some(match count {
                0 => Prepared::WithoutBlocks(making.file.content_without_blocks()),
                count => Prepared::Extents(put.by_ref().take(count).collect()),
            });
        }
        Ok(())
    }
}

impl Making {
    fn create(&self) -> Change {
        let content = match &self.content {
            Some(Prepared::Extents(extents)) => {
                Content::Extents(extents.iter().map(|extent| extent.new.clone()).collect())
            }
            Some(Prepared::WithoutBlocks(content)) => content.clone(),
            None => Content::Empty,
        };
        self.file.create(content)
    }
}

impl SmallFile {
    /// The bytes that it holds in memory: content, name, link target and extended attributes.
    #[must_use]
    pub fn length(&self) -> u64 {
        let pieces: usize = self.pieces.iter().map(|piece| piece.bytes.len()).sum();
        let xattrs: usize = self.inode.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        (pieces + xattrs + self.name.as_bytes().len() + self.inode.target.len()) as u64
    }

    /// Whether the bytes fit into the inode.
    fn is_inline(&self) -> bool {
        self.inode.size <= INLINE_LENGTH_MAX as u64
    }

    fn blocks(&self, gear_seed: u64) -> Vec<PlainBlock> {
        if self.is_inline() {
            return Vec::new();
        }
        let key = PlacementKey::of_directory(self.parent);
        let mut blocks = Vec::new();
        for piece in &self.pieces {
            let mut offset = piece.offset;
            for plain in cut(&piece.bytes, gear_seed) {
                let length = plain.len() as u64;
                blocks.push(PlainBlock { offset, plain, key });
                offset += length;
            }
        }
        blocks
    }

    fn content_without_blocks(&self) -> Content {
        if self.inode.kind != FileKind::File {
            return self.inode.content.clone();
        }
        match self.is_inline() && !self.pieces.is_empty() {
            true => Content::Inline(assembled(&self.pieces, self.inode.size)),
            false => Content::Empty,
        }
    }

    fn create(&self, content: Content) -> Change {
        Change::Create(Create {
            parent: self.parent,
            name: self.name.clone(),
            inode: NewInode { content, ..self.inode.clone() },
            replace: self.replace,
        })
    }
}

/// Cuts bytes that are here as a whole. Those that are too short to be cut are not even looked at.
pub fn cut(bytes: &Bytes, gear_seed: u64) -> Vec<Bytes> {
    if bytes.is_empty() {
        return Vec::new();
    }
    if bytes.len() <= CUT_LENGTH_MIN {
        return vec![bytes.clone()];
    }
    let mut cutter = Cutter::new(CutterOptions { seed: gear_seed });
    let mut pieces = cutter.push(bytes);
    pieces.extend(cutter.finish());
    pieces
}

/// The bytes of a short file with zeros for its holes.
pub fn assembled(pieces: &[Piece], size: u64) -> Bytes {
    let mut whole = vec![0; usize::try_from(size).unwrap_or(INLINE_LENGTH_MAX).min(INLINE_LENGTH_MAX)];
    for piece in pieces {
        let target = usize::try_from(piece.offset).ok().and_then(|begin| whole.get_mut(begin..));
        let Some(target) = target else { continue };
        let length = target.len().min(piece.bytes.len());
        if let (Some(to), Some(from)) = (target.get_mut(..length), piece.bytes.get(..length)) {
            to.copy_from_slice(from);
        }
    }
    whole.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(size: u64, pieces: Vec<Piece>) -> SmallFile {
        let inode = NewInode {
            kind: FileKind::File,
            mode: 0o644,
            uid: 0,
            gid: 0,
            atime: None,
            mtime: None,
            target: Bytes::new(),
            xattrs: Vec::new(),
            content: Content::Empty,
            size,
        };
        SmallFile { parent: Lin::ROOT, name: Name::new("f").unwrap(), inode, pieces, replace: false }
    }

    fn piece(offset: u64, bytes: &'static [u8]) -> Piece {
        Piece { offset, bytes: Bytes::from_static(bytes) }
    }

    #[test]
    fn a_short_file_lies_in_its_inode_with_zeros_for_its_holes() {
        let file = file(8, vec![piece(1, b"ab"), piece(6, b"c")]);
        assert!(file.blocks(1).is_empty());
        assert_eq!(file.content_without_blocks(), Content::Inline(Bytes::from_static(b"\0ab\0\0\0c\0")));
    }

    #[test]
    fn a_file_that_is_all_hole_has_no_content() {
        assert_eq!(file(0, Vec::new()).content_without_blocks(), Content::Empty);
        assert_eq!(file(1 << 19, Vec::new()).content_without_blocks(), Content::Empty);
    }

    #[test]
    fn blocks_cover_the_pieces_exactly_and_leave_the_holes() {
        static BYTES: [u8; 700_000] = [7; 700_000];
        let file = file(1 << 20, vec![piece(4096, &BYTES[..5000]), piece(300_000, &BYTES)]);
        let blocks = file.blocks(1);
        let mut covered: Vec<(u64, u64)> = Vec::new();
        for block in &blocks {
            match covered.last_mut() {
                Some((_, end)) if *end == block.offset => *end += block.plain.len() as u64,
                _ => covered.push((block.offset, block.offset + block.plain.len() as u64)),
            }
        }
        assert_eq!(covered, [(4096, 9096), (300_000, 1_000_000)]);
    }
}
