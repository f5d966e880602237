//! Many inodes. `HOLDFAST_INODES=1000000 cargo test -p holdfast-namespace -- --nocapture scale` makes a million of them
//! and prints how long each step takes.

use std::time::Instant;

use bytes::Bytes;
use types::{Change, Content, Create, FileKind, Lin, Operation, Request};

use crate::world::{World, name, new_inode};

const PER_DIRECTORY: u64 = 1000;
const PER_ENTRY: u64 = 500;

#[test]
fn a_difference_between_snapshots_of_many_inodes_reads_what_changed() {
    let inodes: u64 = std::env::var("HOLDFAST_INODES").map_or(10_000, |inodes| inodes.parse().unwrap());
    let mut world = World::new();
    let files = timed("create", inodes, || fill(&mut world, inodes));
    timed("flush", 1, || world.store.flush().unwrap());
    let copy = world.folder.path().join("copy");
    timed("checkpoint", 1, || world.store.checkpoint(&copy).unwrap());
    let base = timed("snapshot", 1, || world.snapshot("base"));
    let changed: Vec<Lin> = files.iter().step_by(files.len().div_ceil(100)).copied().collect();
    timed("write", changed.len() as u64, || {
        for lin in &changed {
            world.write(*lin, Content::Inline(Bytes::from_static(b"changed"))).unwrap();
        }
    });
    let to = world.snapshot("to");
    let view = world.view();
    let page = timed("difference", changed.len() as u64, || {
        view.changed_since(Some(base.id), to.id, None, usize::MAX).unwrap()
    });
    assert_eq!(page.changes.len(), changed.len());
    assert_eq!(page.rows_read, changed.len() as u64, "the cost follows the changes");
    let then = view.at(base.id).unwrap();
    let seen = timed("walk a snapshot", inodes, || then.lins(None, usize::MAX).unwrap().len());
    assert_eq!(seen as u64, view.usage().inodes);
}

fn fill(world: &mut World, inodes: u64) -> Vec<Lin> {
    let mut files = Vec::new();
    for directory in 0..inodes.div_ceil(PER_DIRECTORY) {
        let parent = world.directory(Lin::ROOT, &format!("d{directory}"));
        for entry in 0..PER_DIRECTORY / PER_ENTRY {
            let requests = (0..PER_ENTRY).map(|file| {
                let (name, inode) = (name(&format!("f{}", entry * PER_ENTRY + file)), new_inode(FileKind::File));
                let create = Change::Create(Create { parent, name, inode, replace: false });
                Request { key: None, operation: Operation::Change(create) }
            });
            let answers = world.apply(requests.collect());
            files.extend(answers.into_iter().map(|answer| crate::world::attributes(answer).lin));
        }
    }
    files
}

#[expect(clippy::disallowed_methods, reason = "a measurement needs the real clock")]
fn timed<T>(what: &str, count: u64, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    let elapsed = start.elapsed();
    println!("{what}: {:.3} s, {:.1} µs each", elapsed.as_secs_f64(), elapsed.as_secs_f64() * 1e6 / count as f64);
    done
}
