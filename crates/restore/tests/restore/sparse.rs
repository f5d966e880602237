//! Files of many extents and long holes.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use restore::{Existing, Report};
use runtime::Files;
use types::FileKind;

use crate::world::{Options, Tree, World};

/// Bytes of an extent, and from one to the next: some lie in one block of the disk, because disks that discard what is
/// freed take half a minute to remove a file of so many pieces.
const EXTENT: usize = 40;
const STRIDE: u64 = 256;
/// Where the first extent begins: a hole comes before it.
const FIRST: u64 = 1 << 20;
/// Length of the hole after the last.
const LAST_HOLE: u64 = 100_000;
const TERABYTE: u64 = 1 << 40;

fn content(number: u64) -> Vec<u8> {
    number.to_be_bytes().repeat(EXTENT / 8)
}

const fn size(extents: u64) -> u64 {
    FIRST + extents * STRIDE + LAST_HOLE
}

fn fill(tree: &mut Tree) {
    tree.directory(1);
    for (lin, extents) in [(10, 2500), (11, 12_000)] {
        tree.file(lin, 1, &format!("of {extents}"), size(extents));
        for number in 0..extents {
            let plain = content(number);
            let location = tree.small(&plain);
            tree.extent(lin, FIRST + number * STRIDE, EXTENT, &plain, 0, location);
        }
    }
    tree.file(12, 1, "hole", TERABYTE);
    tree.file(13, 1, "far", TERABYTE);
    let location = tree.small(b"far out");
    tree.extent(13, TERABYTE / 2, 7, b"far out", 0, location);
    tree.inode(14, FileKind::File, TERABYTE, b"");
    tree.entry(1, "end", 14, FileKind::File);
    let location = tree.small(b"at the end");
    tree.extent(14, TERABYTE - 10, 10, b"at the end", 0, location);
}

fn check(data: &Path) {
    for extents in [2500, 12_000] {
        let path = data.join(format!("of {extents}"));
        let file = Files::real().open_read(&path).unwrap();
        assert_eq!(file.len().unwrap(), size(extents));
        for number in 0..extents {
            let at = FIRST + number * STRIDE;
            let around = file.read_exact_at(at - 8, EXTENT + 16).unwrap();
            assert_eq!(around, [&[0; 8][..], &content(number), &[0; 8]].concat(), "extent {number} of {extents}");
        }
        assert!(path.metadata().unwrap().blocks() * 512 < FIRST + extents * STRIDE, "the first hole takes no space");
    }
    for (name, at, content) in [("far", TERABYTE / 2, &b"far out"[..]), ("end", TERABYTE - 10, b"at the end")] {
        let file = Files::real().open_read(&data.join(name)).unwrap();
        assert_eq!(file.read_exact_at(at, content.len()).unwrap(), content);
    }
    for name in ["hole", "far", "end"] {
        let stat = data.join(name).metadata().unwrap();
        assert!(stat.len() == TERABYTE && stat.blocks() * 512 < 100_000, "{name} has {} blocks", stat.blocks());
    }
}

async fn restore(world: &World, existing: Existing, options: Options) -> Report {
    let (_, report) = world.restore(Some("/srv/data"), existing, options).await;
    assert_eq!(report.failed, 0, "{:?}", report.failures);
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_many_extents_and_of_nothing_but_holes_come_back() {
    let world = World::of(b"/srv/data", fill).await;
    let report = restore(&world, Existing::Refuse, Options::Usual).await;
    check(&world.out());
    assert_eq!(report.bytes_written, 14_500 * EXTENT as u64 + 17, "no zeros are written");

    let kept = restore(&world, Existing::Overwrite, Options::Usual).await;
    assert_eq!((kept.files_kept, kept.bytes_written), (5, 0));

    let files = Files::real();
    let wrong = files.open_write(&world.out().join("of 12000")).unwrap();
    wrong.write_all_at(FIRST + 11_000 * STRIDE, b"wrong").unwrap();
    files.open_write(&world.out().join("hole")).unwrap().write_all_at(TERABYTE / 3, b"not a hole").unwrap();
    let repaired = restore(&world, Existing::Overwrite, Options::Usual).await;
    assert_eq!((repaired.files_kept, repaired.bytes_written), (3, EXTENT as u64));
    check(&world.out());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_many_extents_that_no_window_holds_comes_back() {
    let world = World::of(b"/srv/data", fill).await;
    restore(&world, Existing::Refuse, Options::Tiny).await;
    check(&world.out());
    let files = Files::real();
    for number in [3, 11_000] {
        let file = files.open_write(&world.out().join("of 12000")).unwrap();
        file.write_all_at(FIRST + number * STRIDE, b"wrong").unwrap();
    }
    let repaired = restore(&world, Existing::Overwrite, Options::Tiny).await;
    assert_eq!((repaired.files_kept, repaired.bytes_written), (4, 2 * EXTENT as u64));
    check(&world.out());
}
