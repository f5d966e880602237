//! What POSIX says of names and attributes.

use bytes::Bytes;
use namespace::StoredContent;
use types::{
    AttributeChanges, Change, Content, Create, Device, FileKind, Lin, NewInode, OperationError, RenameMode, Timestamp,
    XattrMode,
};

use crate::world::{World, attributes, create, name, new_inode};

#[test]
fn a_new_store_has_an_empty_root() {
    let world = World::new();
    let root = world.view().attributes(Lin::ROOT).unwrap();
    assert_eq!((root.kind, root.nlink, root.size, root.mode), (FileKind::Directory, 2, 0, 0o755));
    assert!(world.view().links(Lin::ROOT).unwrap().is_empty());
    world.check();
}

#[test]
fn a_directory_counts_its_entries_and_the_subdirectories_that_link_to_it() {
    let mut world = World::new();
    let a = world.directory(Lin::ROOT, "a");
    world.directory(a, "b");
    world.file(a, "f");
    let view = world.view();
    assert_eq!((view.attributes(a).unwrap().nlink, view.attributes(a).unwrap().size), (3, 2));
    assert_eq!(world.names(&view, a), ["b", "f"]);
    world.remove_directory(a, "b").unwrap();
    assert_eq!((world.view().attributes(a).unwrap().nlink, world.view().attributes(a).unwrap().size), (2, 1));
    world.check();
}

#[test]
fn a_removal_gets_what_it_expects_or_is_refused() {
    let mut world = World::new();
    let a = world.directory(Lin::ROOT, "a");
    let f = world.file(a, "f");
    assert_eq!(world.remove(Lin::ROOT, "a"), Err(OperationError::IsDirectory { lin: a }));
    assert_eq!(world.remove_directory(Lin::ROOT, "a"), Err(OperationError::NotEmpty { lin: a }));
    assert_eq!(world.remove_directory(a, "f"), Err(OperationError::NotDirectory { lin: f }));
    assert_eq!(world.remove(a, "g"), Err(OperationError::NoEntry { parent: a, name: "g".into() }));
    world.remove(a, "f").unwrap();
    assert_eq!(world.remove(a, "f"), Err(OperationError::NoEntry { parent: a, name: "f".into() }));
    world.remove_directory(Lin::ROOT, "a").unwrap();
    assert_eq!(world.change(create(a, "x", FileKind::File)), Err(OperationError::NoInode { lin: a }));
    assert_eq!(world.view().usage().inodes, 1);
    world.check();
}

/// Directories one in another, the root first, up to such a depth: short chains, moved to the end of one another.
fn chain(world: &mut World, depth: usize) -> Vec<Lin> {
    let mut chain = vec![Lin::ROOT];
    while chain.len() <= depth {
        let end = *chain.last().unwrap();
        let top = world.directory(Lin::ROOT, "top");
        chain.push(top);
        for _ in 1..(depth + 2 - chain.len()).min(64) {
            chain.push(world.directory(*chain.last().unwrap(), "d"));
        }
        world.rename((Lin::ROOT, "top"), (end, "under"), RenameMode::NoReplace).unwrap();
    }
    chain
}

#[test]
fn no_directory_is_made_in_or_moved_into_one_that_is_deeper_than_the_limit() {
    let mut world = World::new();
    let moved = world.directory(Lin::ROOT, "moved");
    world.directory(moved, "inner");
    let chain = chain(&mut world, 4097);
    assert_eq!(chain.len(), 4098);
    let (deepest, too_deep) = (chain[4096], chain[4097]);
    let refused = OperationError::TooDeep { lin: too_deep, limit: 4096 };
    assert_eq!(world.change(create(too_deep, "made", FileKind::Directory)), Err(refused.clone()));
    world.directory(deepest, "made");
    for mode in [RenameMode::Replace, RenameMode::NoReplace] {
        assert_eq!(world.rename((Lin::ROOT, "moved"), (too_deep, "moved"), mode), Err(refused.clone()));
    }
    // What is in a directory that is moved may come to lie deeper.
    let couple = world.directory(Lin::ROOT, "couple");
    let other = world.directory(couple, "other");
    world.rename((Lin::ROOT, "couple"), (deepest, "couple"), RenameMode::Replace).unwrap();
    let refused = OperationError::TooDeep { lin: couple, limit: 4096 };
    let exchanged = world.rename((Lin::ROOT, "moved"), (couple, "other"), RenameMode::Exchange);
    assert_eq!(exchanged, Err(refused.clone()));
    let exchanged = world.rename((couple, "other"), (Lin::ROOT, "moved"), RenameMode::Exchange);
    assert_eq!(exchanged, Err(refused), "the other way round");
    // Files have no cycle to look for, and what is too deep can be moved up.
    world.file(other, "file");
    world.file(Lin::ROOT, "file");
    world.rename((Lin::ROOT, "file"), (too_deep, "file"), RenameMode::Replace).unwrap();
    world.rename((couple, "other"), (Lin::ROOT, "other"), RenameMode::Replace).unwrap();
    world.rename((Lin::ROOT, "moved"), (deepest, "moved"), RenameMode::Replace).unwrap();
    world.check();
}

#[test]
fn a_file_lives_until_its_last_name_goes() {
    let mut world = World::new();
    let a = world.directory(Lin::ROOT, "a");
    let f = world.file(a, "f");
    let linked = attributes(world.change(Change::Link { lin: f, parent: Lin::ROOT, name: name("g") }));
    assert_eq!(linked.nlink, 2);
    assert_eq!(world.view().links(f).unwrap(), [(Lin::ROOT, name("g")), (a, name("f"))]);
    world.remove(a, "f").unwrap();
    assert_eq!(world.view().attributes(f).unwrap().nlink, 1);
    world.remove(Lin::ROOT, "g").unwrap();
    assert!(world.view().attributes(f).is_err());
    let dir = world.change(Change::Link { lin: a, parent: Lin::ROOT, name: name("h") });
    assert_eq!(dir, Err(OperationError::IsDirectory { lin: a }));
    world.check();
}

#[test]
fn a_create_is_refused_or_replaces_what_is_no_directory() {
    let mut world = World::new();
    let f = world.file(Lin::ROOT, "f");
    world.directory(Lin::ROOT, "d");
    let taken = OperationError::EntryExists { parent: Lin::ROOT, name: "f".into() };
    assert_eq!(world.change(create(Lin::ROOT, "f", FileKind::File)), Err(taken));
    let replacing =
        |text| Create { parent: Lin::ROOT, name: name(text), inode: new_inode(FileKind::Symlink), replace: true };
    assert!(matches!(world.change(Change::Create(replacing("d"))), Err(OperationError::IsDirectory { .. })));
    let link = attributes(world.change(Change::Create(replacing("f"))));
    assert!(world.view().attributes(f).is_err());
    assert_eq!(world.view().symlink_target(link.lin).unwrap(), "target");
    assert_eq!(link.size, 6);
    world.check();
}

#[test]
fn a_special_file_is_made_and_holds_nothing_but_its_device() {
    let mut world = World::new();
    let device = Device { major: 8, minor: u32::MAX };
    let kinds = [
        (FileKind::Pipe, Content::Empty, StoredContent::Nothing),
        (FileKind::Socket, Content::Empty, StoredContent::Nothing),
        (FileKind::CharDevice, Content::Device(device), StoredContent::Device(device)),
        (FileKind::BlockDevice, Content::Device(device), StoredContent::Device(device)),
    ];
    for (kind, content, stored) in kinds {
        let text = format!("{kind:?}");
        let inode = NewInode { content, size: 7, ..new_inode(kind) };
        let create = Create { parent: Lin::ROOT, name: name(&text), inode, replace: false };
        let made = attributes(world.change(Change::Create(create)));
        assert_eq!((made.kind, made.nlink, made.size, made.mode), (kind, 1, 0, 0o644));
        assert_eq!(world.view().content(made.lin).unwrap(), stored);
        assert_eq!(world.view().lookup(Lin::ROOT, &name(&text)).unwrap().kind, kind);
        let longer = AttributeChanges { size: Some(1), ..AttributeChanges::default() };
        let wrong = OperationError::WrongKind { lin: made.lin, kind };
        assert_eq!(world.change(Change::SetAttributes { lin: made.lin, changes: longer }), Err(wrong.clone()));
        assert_eq!(world.write(made.lin, Content::Inline(Bytes::from_static(b"x"))), Err(wrong));
        assert_eq!(
            world.remove_directory(Lin::ROOT, &text),
            Err(OperationError::NotDirectory { lin: made.lin }),
            "it is removed as a file is"
        );
    }
    world.check();
    world.rename((Lin::ROOT, "Pipe"), (Lin::ROOT, "Socket"), RenameMode::Replace).unwrap();
    for text in ["Socket", "CharDevice", "BlockDevice"] {
        world.remove(Lin::ROOT, text).unwrap();
    }
    assert_eq!(world.view().usage().inodes, 1);
    world.check();
}

#[test]
fn a_special_file_is_refused_with_what_is_not_its_own() {
    let mut world = World::new();
    let f = world.file(Lin::ROOT, "f");
    let device = Content::Device(Device::default());
    let inline = Content::Inline(Bytes::from_static(b"x"));
    let refused = [
        (FileKind::Pipe, inline.clone()),
        (FileKind::Socket, device.clone()),
        (FileKind::CharDevice, Content::Empty),
        (FileKind::BlockDevice, inline),
        (FileKind::File, device.clone()),
        (FileKind::Directory, device.clone()),
    ];
    for (kind, content) in refused {
        let inode = NewInode { content, ..new_inode(kind) };
        let create = Change::Create(Create { parent: Lin::ROOT, name: name("x"), inode, replace: false });
        assert!(matches!(world.change(create), Err(OperationError::OutOfRange { .. })), "{kind:?}");
    }
    assert_eq!(world.write(f, device), Err(OperationError::WrongKind { lin: f, kind: FileKind::File }));
    assert_eq!(world.names(&world.view(), Lin::ROOT), ["f"]);
    world.check();
}

#[test]
fn a_rename_replaces_what_posix_lets_it_replace() {
    let mut world = World::new();
    let (a, b) = (world.directory(Lin::ROOT, "a"), world.directory(Lin::ROOT, "b"));
    let f = world.file(a, "f");
    let g = world.file(b, "g");
    let root = Lin::ROOT;
    let replace = RenameMode::Replace;
    assert_eq!(world.rename((root, "a"), (b, "g"), replace), Err(OperationError::NotDirectory { lin: g }));
    assert_eq!(world.rename((a, "f"), (root, "b"), replace), Err(OperationError::IsDirectory { lin: b }));
    assert_eq!(world.rename((root, "a"), (root, "b"), replace), Err(OperationError::NotEmpty { lin: b }));
    let taken = OperationError::EntryExists { parent: b, name: "g".into() };
    assert_eq!(world.rename((a, "f"), (b, "g"), RenameMode::NoReplace), Err(taken));
    world.rename((a, "f"), (b, "g"), replace).unwrap();
    assert!(world.view().attributes(g).is_err());
    assert_eq!(world.view().lookup(b, &name("g")).unwrap().lin, f);
    world.rename((root, "b"), (root, "a"), replace).unwrap();
    assert_eq!(world.names(&world.view(), root), ["a"]);
    assert_eq!(world.view().lookup(root, &name("a")).unwrap().lin, b);
    world.check();
}

#[test]
fn a_directory_never_becomes_its_own_descendant() {
    let mut world = World::new();
    let a = world.directory(Lin::ROOT, "a");
    let b = world.directory(a, "b");
    let c = world.directory(b, "c");
    for (into, mode) in [(a, RenameMode::Replace), (c, RenameMode::NoReplace), (b, RenameMode::Replace)] {
        let refused = world.rename((Lin::ROOT, "a"), (into, "x"), mode);
        assert_eq!(refused, Err(OperationError::Cycle { lin: a }), "into {into}");
    }
    let exchanged = world.rename((Lin::ROOT, "a"), (b, "c"), RenameMode::Exchange);
    assert_eq!(exchanged, Err(OperationError::Cycle { lin: a }));
    let exchanged = world.rename((b, "c"), (Lin::ROOT, "a"), RenameMode::Exchange);
    assert_eq!(exchanged, Err(OperationError::Cycle { lin: a }));
    world.rename((b, "c"), (Lin::ROOT, "c"), RenameMode::NoReplace).unwrap();
    world.rename((Lin::ROOT, "a"), (c, "a"), RenameMode::NoReplace).unwrap();
    world.check();
}

#[test]
fn an_exchange_swaps_what_two_names_name() {
    let mut world = World::new();
    let a = world.directory(Lin::ROOT, "a");
    let f = world.file(a, "f");
    let d = world.directory(Lin::ROOT, "d");
    world.rename((a, "f"), (Lin::ROOT, "d"), RenameMode::Exchange).unwrap();
    let view = world.view();
    assert_eq!(view.lookup(a, &name("f")).unwrap().lin, d);
    assert_eq!(view.lookup(Lin::ROOT, &name("d")).unwrap().lin, f);
    assert_eq!((view.attributes(a).unwrap().nlink, view.attributes(Lin::ROOT).unwrap().nlink), (3, 3));
    let missing = OperationError::NoEntry { parent: a, name: "x".into() };
    assert_eq!(world.rename((a, "f"), (a, "x"), RenameMode::Exchange), Err(missing));
    world.check();
}

#[test]
fn two_names_of_one_file_survive_a_rename_of_one_to_the_other() {
    let mut world = World::new();
    let f = world.file(Lin::ROOT, "f");
    world.change(Change::Link { lin: f, parent: Lin::ROOT, name: name("g") }).unwrap();
    world.rename((Lin::ROOT, "f"), (Lin::ROOT, "g"), RenameMode::Replace).unwrap();
    assert_eq!(world.names(&world.view(), Lin::ROOT), ["f", "g"]);
    world.rename((Lin::ROOT, "f"), (Lin::ROOT, "f"), RenameMode::Replace).unwrap();
    assert_eq!(world.view().attributes(f).unwrap().nlink, 2);
    world.check();
}

#[test]
fn attributes_change_alone_and_every_change_moves_ctime() {
    let mut world = World::new();
    let f = world.file(Lin::ROOT, "f");
    let before = world.view().attributes(f).unwrap();
    let mtime = Some(Timestamp { seconds: -5, nanoseconds: 999_999_999 });
    let changes = AttributeChanges { mode: Some(0o10_4755), mtime, ..AttributeChanges::default() };
    let now = attributes(world.change(Change::SetAttributes { lin: f, changes }));
    assert_eq!((now.mode, now.uid, now.gid), (0o4755, 1, 2));
    assert_eq!(Some(now.mtime), mtime);
    assert_eq!(now.atime, before.atime);
    assert!(now.ctime > before.ctime);
}

#[test]
fn a_time_beyond_its_second_is_refused() {
    let mut world = World::new();
    let f = world.file(Lin::ROOT, "f");
    let beyond = Some(Timestamp { seconds: 0, nanoseconds: 1_000_000_000 });
    let changes = AttributeChanges { atime: beyond, ..AttributeChanges::default() };
    let mut inode = new_inode(FileKind::File);
    inode.mtime = beyond;
    let create = Create { parent: Lin::ROOT, name: name("g"), inode, replace: false };
    for refused in [
        Change::SetAttributes { lin: f, changes },
        Change::Create(create),
        Change::Write { lin: f, content: Content::Empty, mtime: beyond },
    ] {
        assert!(matches!(world.change(refused), Err(OperationError::OutOfRange { .. })));
    }
}

#[test]
fn files_may_be_longer_together_than_any_number_can_say() {
    let mut world = World::new();
    let longest = AttributeChanges { size: Some(i64::MAX.unsigned_abs()), ..AttributeChanges::default() };
    for text in ["a", "b", "c"] {
        let lin = world.file(Lin::ROOT, text);
        world.change(Change::SetAttributes { lin, changes: longest.clone() }).unwrap();
    }
    world.check();
    for text in ["a", "b", "c"] {
        world.remove(Lin::ROOT, text).unwrap();
    }
    assert_eq!(world.view().usage().bytes, 0);
}

#[test]
fn inline_content_is_cut_and_extended_with_its_file() {
    let mut world = World::new();
    let f = world.file(Lin::ROOT, "f");
    let inline = |text: &'static [u8]| Content::Inline(Bytes::from_static(text));
    assert_eq!(attributes(world.write(f, inline(b"hello"))).size, 5);
    let resize = |size| AttributeChanges { size: Some(size), ..AttributeChanges::default() };
    attributes(world.change(Change::SetAttributes { lin: f, changes: resize(1 << 20) }));
    assert_eq!(world.view().content(f).unwrap(), StoredContent::Inline(Bytes::from_static(b"hello")));
    assert_eq!(world.view().usage().bytes, 1 << 20);
    attributes(world.change(Change::SetAttributes { lin: f, changes: resize(3) }));
    assert_eq!(world.view().content(f).unwrap(), StoredContent::Inline(Bytes::from_static(b"hel")));
    attributes(world.change(Change::SetAttributes { lin: f, changes: resize(0) }));
    assert_eq!(world.view().content(f).unwrap(), StoredContent::Extents);
    let long = Content::Inline(Bytes::from(vec![0; 4097]));
    assert!(matches!(world.write(f, long), Err(OperationError::OutOfRange { .. })));
    let d = world.directory(Lin::ROOT, "d");
    let refused = world.change(Change::SetAttributes { lin: d, changes: resize(3) });
    assert_eq!(refused, Err(OperationError::IsDirectory { lin: d }));
    world.check();
}

#[test]
fn extended_attributes_are_made_and_replaced_as_asked() {
    let mut world = World::new();
    let f = world.file(Lin::ROOT, "f");
    let xattr = Bytes::from_static(b"user.a");
    let set = |value: &'static [u8], mode| Change::SetXattr {
        lin: f,
        name: Bytes::from_static(b"user.a"),
        value: Bytes::from_static(value),
        mode,
    };
    let missing = OperationError::NoXattr { lin: f, name: "user.a".into() };
    assert_eq!(world.change(set(b"1", XattrMode::Replace)), Err(missing.clone()));
    world.change(set(b"1", XattrMode::Create)).unwrap();
    let there = OperationError::XattrExists { lin: f, name: "user.a".into() };
    assert_eq!(world.change(set(b"2", XattrMode::Create)), Err(there));
    world.change(set(b"3", XattrMode::Any)).unwrap();
    assert_eq!(world.view().xattr(f, &xattr).unwrap(), "3");
    assert_eq!(world.view().xattrs(f).unwrap(), [(xattr.clone(), Bytes::from_static(b"3"))]);
    world.change(Change::RemoveXattr { lin: f, name: xattr.clone() }).unwrap();
    assert_eq!(world.change(Change::RemoveXattr { lin: f, name: xattr }), Err(missing));
    world.check();
}

#[test]
fn a_directory_is_read_page_by_page_in_the_order_of_bytes() {
    let mut world = World::new();
    for text in ["b", "a\u{1}", "a", "é", "aa"] {
        world.file(Lin::ROOT, text);
    }
    let view = world.view();
    let mut names = Vec::new();
    loop {
        let page = view.read_directory(Lin::ROOT, names.last(), 2).unwrap();
        if page.is_empty() {
            break;
        }
        names.extend(page.into_iter().map(|entry| entry.name));
    }
    assert_eq!(names, ["a", "a\u{1}", "aa", "b", "é"].map(name));
}

#[test]
fn a_refused_operation_changes_nothing_and_takes_a_revision() {
    let mut world = World::new();
    let f = world.file(Lin::ROOT, "f");
    let before = world.view();
    let mut inode = new_inode(FileKind::File);
    inode.size = u64::MAX;
    // The entry of the same name is unlinked before the size is found to be wrong.
    let refused = world.change(Change::Create(Create { parent: Lin::ROOT, name: name("f"), inode, replace: true }));
    assert!(matches!(refused, Err(OperationError::OutOfRange { .. })), "{refused:?}");
    let after = world.view();
    assert_eq!(after.attributes(f).unwrap(), before.attributes(f).unwrap());
    assert_eq!(after.attributes(Lin::ROOT).unwrap(), before.attributes(Lin::ROOT).unwrap());
    assert_eq!(after.usage(), before.usage());
    assert_eq!(after.revision(), before.revision().next());
    world.check();
}
