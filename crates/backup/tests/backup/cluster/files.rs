//! Files of the cluster, as a client makes and reads them.

use blockstore::NewBlock;
use bytes::Bytes;
use namespace::View;
use types::{
    BlockId, Change, Content, Create, Extent, FileKind, Lin, Name, NewExtent, NewInode, Outcome, Run, SeatSet,
    Timestamp,
};

use super::Cluster;

impl Cluster {
    pub fn mkdir(&self, parent: Lin, name: &str) -> Lin {
        self.create(parent, name, FileKind::Directory, Content::Empty, 0, "")
    }

    pub fn symlink(&self, parent: Lin, name: &str, target: &str) -> Lin {
        self.create(parent, name, FileKind::Symlink, Content::Empty, 0, target)
    }

    /// Makes a file: inline if it is short, else in blocks on the volume.
    pub async fn file(&mut self, parent: Lin, name: &str, content: &[u8]) -> Lin {
        let stored = self.content(0, content).await;
        self.create(parent, name, FileKind::File, stored, content.len() as u64, "")
    }

    /// Puts bytes as blocks, to be published at an offset of a file.
    pub async fn content(&mut self, offset: u64, content: &[u8]) -> Content {
        if content.len() <= 1000 && offset == 0 {
            return Content::Inline(Bytes::copy_from_slice(content));
        }
        let group = self.view().placement_groups().unwrap().remove(0);
        let (mut extents, mut blocks) = (Vec::new(), Vec::new());
        let mut at = offset;
        for plain in content.chunks(300_000) {
            let encoded = block::encode(plain).unwrap();
            self.sequence += 1;
            let id = BlockId { session: self.session, sequence: self.sequence };
            let length = u32::try_from(plain.len()).unwrap();
            let extent = Extent {
                offset: at,
                length,
                block: id,
                block_offset: 0,
                block_length: length,
                digest: encoded.digest,
                pg: group.id,
            };
            let acknowledged = SeatSet(0b111);
            extents.push(NewExtent { extent, pg_version: group.version, acknowledged });
            blocks.push(NewBlock { id, pg: group.id, digest: encoded.digest, stored: encoded.stored });
            at += plain.len() as u64;
        }
        self.shared.blocks.put(blocks).await.unwrap();
        Content::Extents(extents)
    }

    /// Puts bytes as a block that is said to have that digest, as a client does that lies.
    pub async fn content_claiming(&mut self, content: &[u8], digest: types::Digest) -> Content {
        let group = self.view().placement_groups().unwrap().remove(0);
        self.sequence += 1;
        let id = BlockId { session: self.session, sequence: self.sequence };
        let length = u32::try_from(content.len()).unwrap();
        let (offset, block_offset, block_length, pg) = (0, 0, length, group.id);
        let extent = Extent { offset, length, block: id, block_offset, block_length, digest, pg };
        let stored = block::encode(content).unwrap().stored;
        self.shared.blocks.put(vec![NewBlock { id, pg, digest, stored }]).await.unwrap();
        Content::Extents(vec![NewExtent { extent, pg_version: group.version, acknowledged: SeatSet(0b111) }])
    }

    pub fn create(&self, parent: Lin, name: &str, kind: FileKind, content: Content, size: u64, target: &str) -> Lin {
        let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let inode = NewInode {
            kind,
            mode: 0o750,
            uid,
            gid,
            atime: None,
            mtime: Some(Timestamp { seconds: 1_600_000_000, nanoseconds: 123_456_789 }),
            target: Bytes::from(target.to_owned()),
            xattrs: Vec::new(),
            content,
            size,
        };
        let name = Name::new(name.to_owned()).unwrap();
        match self.change(Change::Create(Create { parent, name, inode, replace: false })) {
            Outcome::Inode(attributes) => attributes.lin,
            other => panic!("{other:?}"),
        }
    }

    /// Reads a whole file of a view, block by block.
    pub async fn read(&self, view: &View, lin: Lin) -> Vec<u8> {
        let file = view.file(lin).unwrap();
        let mut content = vec![0; usize::try_from(file.attributes.size).unwrap()];
        match file.content {
            namespace::StoredContent::Inline(bytes) => content[..bytes.len()].copy_from_slice(&bytes),
            namespace::StoredContent::Extents => {
                for run in view.runs(lin, 0, usize::MAX).unwrap().runs {
                    let extent = match run {
                        Run::Block(extent) => extent,
                        Run::Tail(tail) => {
                            let to = usize::try_from(tail.offset).unwrap();
                            content[to..to + tail.bytes.len()].copy_from_slice(&tail.bytes);
                            continue;
                        }
                    };
                    let stored = self.shared.blocks.get(extent.block).await.unwrap().unwrap();
                    let plain = block::decode(&stored.stored, &extent.digest).unwrap();
                    let (to, from) = (usize::try_from(extent.offset).unwrap(), extent.block_offset as usize);
                    let length = extent.length as usize;
                    content[to..to + length].copy_from_slice(&plain[from..from + length]);
                }
            }
            other => panic!("{other:?}"),
        }
        content
    }
}
