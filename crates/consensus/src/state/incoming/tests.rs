use std::path::Path;

use bytes::Bytes;
use runtime::Seed;
use tempfile::TempDir;
use types::{Batch, Change, Content, Create, FileKind, Lin, Name, NewInode, Operation, Request, Timestamp};

use super::*;
use crate::position::{self, Position};

/// The first seeds, or the one to replay.
fn seeds(count: u64) -> std::ops::Range<u64> {
    let replayed = std::env::var("HOLDFAST_SEED").ok().and_then(|text| text.parse().ok());
    replayed.map_or(0..count, |seed: u64| seed..seed + 1)
}

/// A node with a state store.
struct Side {
    stores: Stores,
    folder: TempDir,
    entries: u64,
}

impl Side {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let stores = Stores::open(&Files::real(), &folder.path().join("state")).expect("a store");
        Self { stores, folder, entries: 0 }
    }

    /// Makes some files of some KiB, and a new file of the store with them.
    fn fill(&mut self, seed: &Seed, files: u64) {
        self.entries += 1;
        let requests = (0..files).map(|number| create(&format!("{} {number}", self.entries), seed)).collect();
        let batch = Some(Batch { proposed_at: Timestamp { seconds: 1, nanoseconds: 0 }, requests });
        let position = position::encode(&Position { term: 1, leader: 1, index: self.entries }).into();
        let entry = namespace::Entry { index: self.entries, position, membership: None, batch };
        let results = self.stores.current().apply(&[entry]).expect("applied");
        assert!(results.iter().flatten().all(Result::is_ok), "{results:?}");
        self.stores.flush().expect("flushed");
    }

    fn digest(&self) -> [u8; 32] {
        self.stores.view().expect("a view").dump_digest().expect("a digest")
    }

    fn incoming(&self) -> Incoming {
        Incoming::new(Files::real(), self.stores.clone(), Clock::real())
    }

    fn restart(self) -> Self {
        let Self { stores, folder, entries } = self;
        drop(stores);
        let stores = Stores::open(&Files::real(), &folder.path().join("state")).expect("a store");
        Self { stores, folder, entries }
    }

    fn parts(&self) -> Vec<PathBuf> {
        let files = Files::real();
        let folder = self.stores.parts_folder();
        if !files.exists(&folder).expect("looked") {
            return Vec::new();
        }
        files.list(&folder).expect("a list").into_iter().map(|entry| entry.path).collect()
    }
}

fn create(name: &str, seed: &Seed) -> Request {
    let mut bytes = vec![0; 2048];
    seed.fill(&mut bytes);
    let inode = NewInode {
        kind: FileKind::File,
        mode: 0o644,
        uid: 0,
        gid: 0,
        atime: None,
        mtime: None,
        target: Bytes::new(),
        xattrs: Vec::new(),
        size: bytes.len() as u64,
        content: Content::Inline(bytes.into()),
    };
    let name = Name::new(name.to_owned()).expect("a name");
    let create = Create { parent: Lin::ROOT, name, inode, replace: false };
    Request { key: None, operation: Operation::Change(Change::Create(create)) }
}

/// What a leader does, in pieces of that size, until so many bytes are sent; gives how many were, and the copy if it is
/// complete.
fn send(copy: &Checkpoint, to: &Incoming, piece: u64, bytes_max: u64) -> (u64, Option<Arc<Checkpoint>>) {
    let contents = copy.contents().expect("described").clone();
    let (transfer, have) = to.offer(contents.clone()).expect("offered");
    let mut sent = 0;
    for (number, (entry, have)) in contents.files.iter().zip(have).enumerate() {
        let file = copy.open_file(&entry.name).expect("opened");
        let mut offset = have;
        while offset < entry.length {
            let length = piece.min(entry.length - offset).min(bytes_max - sent);
            if length == 0 {
                return (sent, None);
            }
            let bytes = file.read_exact_at(offset, length as usize).expect("read");
            let crc = crc32fast::hash(&bytes);
            assert!(to.chunk(&Chunk { transfer, file: number, offset, crc, bytes: &bytes }).expect("taken"));
            (offset, sent) = (offset + length, sent + length);
        }
    }
    (sent, to.finish(transfer).expect("no failure"))
}

fn damage(path: &Path, at: u64) {
    let file = Files::real().open_update(path).expect("opened");
    let byte = file.read_exact_at(at, 1).expect("read")[0];
    file.write_all_at(at, &[byte ^ 16]).expect("written");
}

#[test]
fn a_transfer_that_was_cut_off_goes_on_with_the_rest_wherever_that_was_and_over_a_restart() {
    let mut leader = Side::new();
    let random = Seed::fixed(1);
    (0..3).for_each(|_| leader.fill(&random, 100));
    let copy = leader.stores.checkpoint().expect("a copy");
    let whole = copy.contents().expect("described").length();
    for seed in seeds(12) {
        println!("HOLDFAST_SEED={seed}");
        let random = Seed::fixed(seed);
        let mut follower = Side::new();
        let mut rest = whole;
        for _ in 0..1 + random.below(3) {
            let limit = random.below(rest);
            let (sent, received) = send(&copy, &follower.incoming(), 1 + random.below(50_000), limit);
            assert_eq!((sent, received.is_none()), (limit, true));
            rest -= sent;
            if random.below(2) == 0 {
                follower = follower.restart();
            }
        }
        let (sent, received) = send(&copy, &follower.incoming(), 50_000, u64::MAX);
        assert_eq!(sent, rest, "nothing is sent twice");
        follower.stores.install(received.expect("all of it")).expect("installed");
        assert_eq!(follower.digest(), leader.digest());
        assert!(follower.parts().is_empty());
    }
}

#[test]
fn a_part_that_is_damaged_is_found_and_sent_again_and_no_other() {
    let mut leader = Side::new();
    let random = Seed::fixed(2);
    (0..2).for_each(|_| leader.fill(&random, 100));
    let copy = leader.stores.checkpoint().expect("a copy");
    let contents = copy.contents().expect("described").clone();
    let largest = contents.files.iter().max_by_key(|file| file.length).expect("files");
    // All but the last bytes: the largest file is there in full or in part, as a crash leaves it.
    let follower = Side::new();
    send(&copy, &follower.incoming(), 10_000, contents.length() - 10);
    let part = part_names(std::slice::from_ref(largest)).remove(0);
    let part = follower.stores.parts_folder().join(part);
    damage(&part, 5);

    let follower = follower.restart();
    let incoming = follower.incoming();
    let (sent, received) = send(&copy, &incoming, 10_000, u64::MAX);
    assert_eq!((sent, received.is_none()), (10, true), "what is damaged shows when all of it is there");
    let (sent, received) = send(&copy, &incoming, 10_000, u64::MAX);
    assert_eq!(sent, largest.length);
    follower.stores.install(received.expect("all of it")).expect("installed");
    assert_eq!(follower.digest(), leader.digest());
}

#[test]
fn a_part_that_is_longer_than_its_file_counts_for_nothing() {
    let mut leader = Side::new();
    leader.fill(&Seed::fixed(3), 50);
    let copy = leader.stores.checkpoint().expect("a copy");
    let whole = copy.contents().expect("described").length();
    let follower = Side::new();
    send(&copy, &follower.incoming(), 1 << 20, whole - 1);
    let longest = follower
        .parts()
        .into_iter()
        .max_by_key(|part| Files::real().open_read(part).and_then(|file| file.len()).expect("a length"))
        .expect("parts");
    let file = Files::real().open_update(&longest).expect("opened");
    let length = file.len().expect("a length");
    file.write_all_at(length, b"more").expect("written");
    let (sent, received) = send(&copy, &follower.incoming(), 1 << 20, u64::MAX);
    assert!(sent >= length && received.is_some(), "{sent} of {length}");
}

#[test]
fn a_later_copy_shares_what_did_not_change_and_leaves_nothing_else_behind() {
    let mut leader = Side::new();
    let random = Seed::fixed(4);
    // With the next one three files of a family: RocksDB merges four, whenever it comes to it.
    (0..2).for_each(|_| leader.fill(&random, 200));
    let earlier = leader.stores.checkpoint().expect("a copy");
    let whole = earlier.contents().expect("described").length();
    let follower = Side::new();
    let incoming = follower.incoming();
    let (_, cut) = send(&earlier, &incoming, 10_000, whole - 1);
    assert!(cut.is_none());

    leader.fill(&random, 1);
    let later = leader.stores.checkpoint().expect("a copy");
    let entries = &later.contents().expect("described").files;
    let known: BTreeSet<_> = earlier.contents().expect("described").files.iter().map(|file| file.digest).collect();
    let new: u64 = entries.iter().filter(|file| !known.contains(&file.digest)).map(|file| file.length).sum();
    assert!(new < whole / 2, "{new} of {whole}: the large files stay the same");
    let (sent, cut) = send(&later, &incoming, 10_000, 0);
    assert!(sent == 0 && cut.is_none());
    assert_eq!(follower.parts().len(), entries.len(), "no part of the earlier copy alone");
    let (sent, received) = send(&later, &incoming, 10_000, u64::MAX);
    assert!(sent <= new + 1, "{sent} bytes, and {new} of them new");
    follower.stores.install(received.expect("all of it")).expect("installed");
    assert_eq!(follower.digest(), leader.digest());
}

#[tokio::test(start_paused = true)]
async fn parts_with_which_nobody_goes_on_are_removed() {
    let mut leader = Side::new();
    leader.fill(&Seed::fixed(5), 10);
    let copy = leader.stores.checkpoint().expect("a copy");
    let follower = Side::new();
    send(&copy, &follower.incoming(), 1000, 5000);
    let follower = follower.restart();
    let incoming = follower.incoming();
    Clock::real().sleep(IDLE).await;
    incoming.drop_idle();
    assert!(!follower.parts().is_empty());
    send(&copy, &incoming, 1000, 5000);
    Clock::real().sleep(IDLE).await;
    incoming.drop_idle();
    assert!(!follower.parts().is_empty(), "somebody went on");
    Clock::real().sleep(Duration::from_secs(1)).await;
    incoming.drop_idle();
    assert!(follower.parts().is_empty());
    let (_, received) = send(&copy, &incoming, 1000, u64::MAX);
    assert!(received.is_some(), "it begins anew");
}
