//! What outlives the process, and sameness on every node.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use namespace::{Entry, Store, StoreError};
use types::{Content, FileKind, Lin, Operation, Request};

use crate::world::{World, create, name};

fn make(name: &str) -> Vec<Request> {
    vec![Request { key: None, operation: Operation::Change(create(Lin::ROOT, name, FileKind::File)) }]
}

#[test]
fn stores_that_apply_one_log_in_different_batches_are_equal() {
    let mut world = World::new();
    let other = Store::open(world.folder.path().join("other")).unwrap();
    let entries: Vec<Entry> = (0..20).map(|number| world.entry(make(&format!("f{}", number % 13)))).collect();
    for entry in &entries {
        world.store.apply(std::slice::from_ref(entry)).unwrap();
    }
    for pack in entries.chunks(7) {
        other.apply(pack).unwrap();
    }
    let (one, two) = (world.view(), other.view().unwrap());
    assert_eq!(one.digest(), two.digest());
    assert_eq!(one.dump_digest().unwrap(), two.dump_digest().unwrap());
    let more = world.entry(make("g"));
    other.apply(&[more]).unwrap();
    assert_ne!(one.digest(), other.view().unwrap().digest());
    assert_ne!(one.dump_digest().unwrap(), other.view().unwrap().dump_digest().unwrap());
}

#[test]
fn a_store_opens_where_its_last_flush_left_it_or_later() {
    let mut world = World::new();
    world.file(Lin::ROOT, "a");
    let flushed = world.store.flush().unwrap();
    assert_eq!(flushed, world.store.applied().index);
    let copy = world.folder.path().join("copy");
    let applied = world.store.checkpoint(&copy).unwrap();
    world.file(Lin::ROOT, "b");
    let reopened = Store::open(&copy).unwrap();
    assert_eq!(reopened.applied(), applied);
    assert_eq!(world.names(&reopened.view().unwrap(), Lin::ROOT), ["a"]);
    let folder = world.folder.path().join("state");
    let applied = world.store.applied();
    let World { store, folder: _kept, .. } = world;
    drop(store);
    let store = Store::open(folder).unwrap();
    assert_eq!(store.applied(), applied, "closing in order flushes");
    assert_eq!(store.applied().position, Some(Bytes::from_static(b"2")));
}

#[test]
fn an_entry_is_applied_once_and_in_order() {
    let mut world = World::new();
    let first = world.entry(make("a"));
    let second = world.entry(make("b"));
    world.store.apply(std::slice::from_ref(&second)).unwrap();
    let refused = world.store.apply(&[first]);
    assert!(matches!(refused, Err(StoreError::OutOfOrder { index: 1, applied: 2 })), "{refused:?}");
    assert!(matches!(world.store.apply(&[second]), Err(StoreError::Stopped)));
}

#[test]
fn the_membership_stays_until_the_next_one() {
    let world = World::new();
    let entry = |index, membership: Option<&'static [u8]>| Entry {
        index,
        position: Bytes::from(index.to_string()),
        membership: membership.map(Bytes::from_static),
        batch: None,
    };
    world.store.apply(&[entry(0, Some(b"one")), entry(1, None)]).unwrap();
    let applied = world.store.applied();
    assert_eq!((applied.index, applied.membership), (1, Some(Bytes::from_static(b"one"))));
    assert_eq!(world.view().revision(), namespace::GENESIS, "an entry without operations takes no revision");
}

#[test]
fn a_view_does_not_move_and_can_be_read_from_other_threads() {
    let mut world = World::new();
    let f = world.file(Lin::ROOT, "f");
    let view = world.view();
    world.write(f, Content::Inline(Bytes::from_static(b"x"))).unwrap();
    world.remove(Lin::ROOT, "f").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let view = view.clone();
            scope.spawn(move || {
                assert_eq!(view.attributes(f).unwrap().size, 0);
                assert_eq!(view.lookup(Lin::ROOT, &name("f")).unwrap().lin, f);
            });
        }
    });
    let World { store, .. } = world;
    drop(store);
    assert_eq!(view.attributes(f).unwrap().size, 0, "a view keeps its store open");
}

/// Names the folder of the store in the process that is to die.
const DOOMED: &str = "HOLDFAST_TEST_DOOMED_STORE";

#[test]
fn a_kill_loses_only_what_was_not_flushed_and_the_log_brings_it_back() {
    let mut world = World::new();
    let entries: Vec<Entry> = (0..30).map(|number| world.entry(make(&format!("f{number}")))).collect();
    if let Ok(folder) = std::env::var(DOOMED) {
        apply_and_die(&Store::open(folder).unwrap(), &entries);
    }
    let folder = world.folder.path().join("killed");
    let this_test = "durability::a_kill_loses_only_what_was_not_flushed_and_the_log_brings_it_back";
    let died = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", this_test])
        .env(DOOMED, &folder)
        .output()
        .unwrap();
    assert_eq!(died.status.code(), None, "ended by a signal: {died:?}");
    let revived = Store::open(&folder).unwrap();
    assert_eq!(revived.applied().index, 25, "the last flush");
    assert_eq!(world.names(&revived.view().unwrap(), Lin::ROOT).len(), 25, "all families are of one moment");
    assert_eq!(revived.view().unwrap().check().unwrap(), []);
    revived.apply(&entries[25..]).unwrap();
    world.store.apply(&entries).unwrap();
    let (lived, revived) = (world.view(), revived.view().unwrap());
    assert_eq!(lived.digest(), revived.digest());
    assert_eq!(lived.dump_digest().unwrap(), revived.dump_digest().unwrap());
}

fn apply_and_die(store: &Store, entries: &[Entry]) -> ! {
    for (number, entry) in entries.iter().enumerate() {
        store.apply(std::slice::from_ref(entry)).unwrap();
        if number % 10 == 4 {
            assert_eq!(store.flush().unwrap(), entry.index);
        }
    }
    std::process::abort()
}

#[test]
fn a_flipped_byte_is_a_typed_error_and_never_an_answer() {
    let mut world = World::new();
    for number in 0..100 {
        world.file(Lin::ROOT, &format!("f{number}"));
    }
    world.store.flush().unwrap();
    let World { store, folder, .. } = world;
    drop(store);
    let folder = folder.path().join("state");
    let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    let tables: Vec<_> = files.filter(|file| file.extension().is_some_and(|extension| extension == "sst")).collect();
    assert!(tables.len() > 3, "{tables:?}");
    for (number, table) in tables.iter().enumerate() {
        let damaged = folder.with_file_name(format!("damaged{number}"));
        copy_folder(&folder, &damaged);
        flip_byte(&damaged.join(table.file_name().unwrap()), 10);
        let told = Store::open(&damaged).and_then(|store| store.view()?.check());
        let error = told.expect_err("every row is read");
        assert!(matches!(error, StoreError::Database { .. }), "{error:?}");
    }
    assert_eq!(Store::open(&folder).unwrap().view().unwrap().check().unwrap(), [], "the copies were good");
}

/// Copies the files of a store that is closed.
fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for file in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// Inverts a byte of a file.
fn flip_byte(path: &Path, offset: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[!byte[0]], offset).unwrap();
}
