//! What a store tells of itself, compared with the model.

use std::collections::{BTreeMap, BTreeSet};

use namespace::{ChangeFlags, Sought, StoredContent, View};
use types::{
    Attributes, BlockId, CLONE_ALIGNMENT, FileKind, Lin, Name, NodeId, PgId, Run, Seek, SessionId, ShortCopy, Timestamp,
};

use super::{FILE_BYTES_MAX, History};
use crate::model::{Inode, Tree, put_block, put_bytes};

impl History {
    /// Compares the head, every live snapshot, what differs between each two of them, and every block; checks every
    /// invariant, and that a second node has come to the same.
    pub fn compare(&mut self) {
        let view = self.world.view();
        assert_eq!(read_tree(&view), self.model.head, "the head");
        for taken in self.model.live() {
            let then = view.at(taken.snapshot.id).unwrap();
            assert_eq!(read_tree(&then), taken.tree, "snapshot {}", taken.snapshot.id);
        }
        self.compare_holds(&view);
        self.compare_holes(&view);
        self.compare_differences(&view);
        let freed = self.compare_freed(&view);
        self.compare_short(&view, &freed);
        self.compare_orphans(&view, &freed);
        self.world.check();
        let unfollowed = std::mem::take(&mut self.unfollowed);
        self.follower.apply(&unfollowed).unwrap();
        assert_eq!(self.follower.view().unwrap().digest(), view.digest());
    }

    /// The blocks that were freed so far, those included that a holder has removed by now. What a snapshot uses that is
    /// being dropped is freed or not, as far as that has come; but for it the state and the model agree block by block.
    fn compare_freed(&self, view: &View) -> BTreeSet<BlockId> {
        let freed_of = |node| {
            let told: BTreeSet<BlockId> = view.freed(node, None, usize::MAX).unwrap().into_iter().collect();
            let done = self.model.acknowledged.get(&node).cloned().unwrap_or_default();
            assert!(told.is_disjoint(&done), "node {node} is told again: {:?}", &told & &done);
            &told | &done
        };
        let mut freed: Vec<_> = view.nodes().unwrap().iter().map(|node| freed_of(node.id)).collect();
        assert!(freed.windows(2).all(|pair| pair[0] == pair[1]), "every holder frees the same blocks");
        let freed = freed.swap_remove(0);
        let (unused, dead) = (self.model.unused_blocks(), self.model.dead_blocks());
        assert!(freed.is_subset(&unused), "freed and still used: {:?}", &freed - &unused);
        assert!(dead.is_subset(&freed), "dead and not freed: {:?}", &dead - &freed);
        freed
    }

    /// Exactly the copies that were not acknowledged are missing, of the blocks that are not freed.
    fn compare_short(&self, view: &View, freed: &BTreeSet<BlockId>) {
        let groups = view.placement_groups().unwrap();
        let told = groups.iter().flat_map(|group| view.short(group.id, None, usize::MAX).unwrap());
        let told: BTreeSet<(PgId, BlockId, NodeId)> =
            told.map(|ShortCopy { pg, block, holder }| (pg, block, holder)).collect();
        let placed = self.model.placed.iter().filter(|(block, _)| !freed.contains(block));
        let expected: BTreeSet<(PgId, BlockId, NodeId)> = placed
            .flat_map(|(&block, &(pg, acknowledged))| {
                let group = groups.iter().find(|group| group.id == pg).unwrap();
                let seats = group.seats.iter().enumerate().filter(move |(seat, _)| !acknowledged.contains(*seat));
                seats.map(move |(_, seat)| (pg, block, seat.node))
            })
            .collect();
        assert_eq!(told, expected, "the copies that are missing");
    }

    /// Blocks that nothing uses and nobody may publish are orphans, and none that somebody may still publish or that
    /// something uses. In between are those that were published and freed: the state need not know of each.
    fn compare_orphans(&self, view: &View, freed: &BTreeSet<BlockId>) {
        let published = self.model.published.iter().map(|block| block.session);
        let sessions: BTreeSet<SessionId> = self.model.sessions.keys().copied().chain(published).collect();
        let some = |session| (0..=self.block).step_by(16).map(move |sequence| BlockId { session, sequence });
        let all: BTreeSet<BlockId> = sessions.into_iter().flat_map(some).chain(self.model.published.clone()).collect();
        let all: Vec<_> = all.into_iter().collect();
        let orphans: BTreeSet<BlockId> = view.orphaned_blocks(&all).unwrap().into_iter().collect();
        for block in all {
            let was_published = self.model.published.contains(&block);
            let in_use = was_published && !freed.contains(&block);
            let publishable = self.model.is_publishable(block);
            let judged = orphans.contains(&block);
            assert!(!judged || !in_use, "block {block} is used and judged an orphan");
            assert!(!judged || !publishable || was_published, "block {block} may still be published");
            assert!(judged || in_use || publishable, "block {block} would stay for ever");
        }
    }

    fn compare_holds(&mut self, view: &View) {
        for &lin in self.model.head.0.keys() {
            self.nameless += u64::from(lin != Lin::ROOT && self.model.head.links(lin).is_empty());
            let holds = self.model.holds.iter().filter(|(_, held)| *held == lin);
            let holders: Vec<SessionId> = holds.map(|(session, _)| *session).collect();
            assert_eq!(view.holders(lin).unwrap(), holders, "who holds {lin}");
        }
    }

    /// Finds data and holes from the bytes of every file; a search for a hole looks at one extent at a time.
    fn compare_holes(&self, view: &View) {
        let files = self.model.head.0.iter().filter(|(_, inode)| inode.kind == FileKind::File);
        for (&lin, inode) in files {
            // Behind the first bytes of each unit a file has nothing but what it begins with.
            let length = inode.bytes.len() as u64;
            let near = |offset: &u64| offset % CLONE_ALIGNMENT < 2 * FILE_BYTES_MAX || length - offset < 3;
            for offset in (0..=length).filter(near) {
                for what in [Seek::Data, Seek::Hole] {
                    let found = seek(view, lin, offset, what);
                    assert_eq!(found, self.model.head.seek(lin, offset, what), "{what:?} of {lin} from {offset}");
                }
            }
        }
    }

    fn compare_differences(&self, view: &View) {
        let live: Vec<_> = self.model.live().collect();
        for (place, to) in live.iter().enumerate() {
            for base in &live[..place] {
                let page = view.changed_since(Some(base.snapshot.id), to.snapshot.id, None, usize::MAX).unwrap();
                let found: BTreeMap<Lin, ChangeFlags> =
                    page.changes.iter().map(|change| (change.lin, change.flags)).collect();
                for (lin, expected) in differences(&base.tree, &to.tree) {
                    let flags = found.get(&lin).copied().unwrap_or_default();
                    let (base, to) = (base.snapshot.id, to.snapshot.id);
                    assert!(flags.contains(expected), "{lin} from {base} to {to}: {flags:?} lacks {expected:?}");
                }
                for (lin, flags) in &found {
                    let (before, after) = (base.tree.0.contains_key(lin), to.tree.0.contains_key(lin));
                    assert!(before || after, "{lin} is in the difference and in neither snapshot");
                    assert_eq!(flags.contains(ChangeFlags::CREATED), !before, "{lin}: {flags:?}");
                    assert_eq!(flags.contains(ChangeFlags::REMOVED), !after, "{lin}: {flags:?}");
                }
            }
        }
    }
}

fn seek(view: &View, lin: Lin, mut offset: u64, what: Seek) -> Option<u64> {
    loop {
        match view.seek(lin, offset, what, 1).unwrap() {
            Sought::At(found) => return Some(found),
            Sought::Nothing => return None,
            Sought::ReadOn(next) => offset = next,
        }
    }
}

/// What changed of which LIN, as far as the index has to tell.
fn differences(base: &Tree, to: &Tree) -> Vec<(Lin, ChangeFlags)> {
    let lins: BTreeSet<Lin> = base.0.keys().chain(to.0.keys()).copied().collect();
    let difference = |lin| {
        let flags = match (base.0.get(&lin), to.0.get(&lin)) {
            (Some(_), None) => ChangeFlags::REMOVED,
            (None, _) => ChangeFlags::CREATED,
            (Some(before), Some(after)) => {
                let mut flags = ChangeFlags::default();
                if base.attributes(lin).map(without_ctime) != to.attributes(lin).map(without_ctime) {
                    flags = flags | ChangeFlags::ATTRIBUTES;
                }
                if (&before.bytes, &before.inline) != (&after.bytes, &after.inline) {
                    flags = flags | ChangeFlags::CONTENT;
                }
                if before.xattrs != after.xattrs {
                    flags = flags | ChangeFlags::XATTRS;
                }
                if base.links(lin) != to.links(lin) {
                    flags = flags | ChangeFlags::LINKS;
                }
                flags
            }
        };
        (lin, flags)
    };
    lins.into_iter().map(difference).filter(|(_, flags)| *flags != ChangeFlags::default()).collect()
}

fn without_ctime(attributes: Attributes) -> Attributes {
    Attributes { ctime: Timestamp::default(), ..attributes }
}

/// Everything that a view tells of its tree, in the words of the model.
fn read_tree(view: &View) -> Tree {
    let mut tree = Tree(BTreeMap::new());
    for lin in view.lins(None, usize::MAX).unwrap() {
        tree.0.insert(lin, read_inode(view, lin));
    }
    for &lin in tree.0.keys() {
        assert_eq!(view.attributes(lin).unwrap(), tree.attributes(lin).unwrap(), "attributes of {lin}");
        let links: BTreeSet<(Lin, Name)> = view.links(lin).unwrap().into_iter().collect();
        assert_eq!(links, tree.links(lin), "links of {lin}");
    }
    tree
}

fn read_inode(view: &View, lin: Lin) -> Inode {
    let file = view.file(lin).unwrap();
    let attributes = file.attributes;
    let mut inode = Inode::new(attributes.kind, attributes.mode, attributes.ctime);
    (inode.uid, inode.gid) = (attributes.uid, attributes.gid);
    (inode.atime, inode.mtime) = (attributes.atime, attributes.mtime);
    inode.xattrs = view.xattrs(lin).unwrap().into_iter().collect();
    if attributes.kind == FileKind::File {
        inode.bytes.resize(usize::try_from(attributes.size).unwrap(), None);
    }
    match file.content {
        StoredContent::Entries => {
            let entries = view.read_directory(lin, None, usize::MAX).unwrap();
            inode.entries = entries.into_iter().map(|entry| (entry.name, entry.lin)).collect();
        }
        StoredContent::Target(target) => inode.target = target,
        StoredContent::Inline(bytes) => inode.inline = bytes,
        StoredContent::Nothing => {}
        StoredContent::Device(device) => inode.device = Some(device),
        StoredContent::Extents => {
            let page = view.runs(lin, 0, usize::MAX).unwrap();
            assert_eq!((page.next, page.changed), (None, file.changed));
            for run in page.runs {
                let range = usize::try_from(run.offset()).unwrap()..usize::try_from(run.end()).unwrap();
                let holes = &mut inode.bytes[range];
                match run {
                    Run::Block(extent) => put_block(holes, extent.block, extent.block_offset),
                    Run::Tail(tail) => put_bytes(holes, &tail.bytes),
                }
            }
        }
    }
    inode
}
