use namespace::{Entry, Store};
use types::{Attributes, Batch, Change, Content, Create, NewInode, Operation, Outcome, Request, Timestamp, XattrMode};

use super::*;

/// A store that is fed change by change.
struct World {
    store: Store,
    _folder: tempfile::TempDir,
    index: u64,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { store: Store::open(folder.path().join("state")).unwrap(), _folder: folder, index: 0 }
    }

    fn view(&self) -> View {
        self.store.view().unwrap()
    }

    fn run(&mut self, changes: Vec<Change>) -> Vec<Outcome> {
        self.index += 1;
        let request = |change| Request { key: None, operation: Operation::Change(change) };
        let requests = changes.into_iter().map(request).collect();
        let batch = Some(Batch { proposed_at: Timestamp::default(), requests });
        let entry = Entry { index: self.index, position: Bytes::new(), membership: None, batch };
        self.store.apply(&[entry]).unwrap().remove(0).into_iter().map(Result::unwrap).collect()
    }

    fn create(&mut self, name: &str) -> Attributes {
        match self.run(vec![create(name)]).remove(0) {
            Outcome::Inode(attributes) => attributes,
            other => panic!("{other:?}"),
        }
    }

    /// A file with so many extended attributes of 64 KiB.
    fn file_with_xattrs(&mut self, name: &str, count: usize) -> Lin {
        let lin = self.create(name).lin;
        let value = Bytes::from(vec![7; 65_536]);
        let set = |number| Change::SetXattr { lin, name: xattr(number), value: value.clone(), mode: XattrMode::Any };
        self.run((0..count).map(set).collect());
        lin
    }
}

fn xattr(number: usize) -> Bytes {
    format!("user.{number:04}").into()
}

fn create(name: &str) -> Change {
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
        size: 0,
    };
    Change::Create(Create { parent: Lin::ROOT, name: Name::new(name.to_owned()).unwrap(), inode, replace: false })
}

fn ask(view: &View, lins: &[Lin], xattrs_after: Bytes) -> (Vec<v1::Inode>, u32) {
    let lins = lins.iter().map(|lin| lin.get()).collect();
    let request = v1::DescribeRequest { lins, with_xattrs: true, xattrs_after, ..Default::default() };
    let answer = describe(view, &request).unwrap();
    assert!(answer.encoded_len() < 2 * ANSWER_LENGTH, "an answer of {} bytes", answer.encoded_len());
    let inode = |result: v1::DescribeResult| match result.result {
        Some(v1::describe_result::Result::Inode(inode)) => inode,
        other => panic!("{other:?}"),
    };
    (answer.results.into_iter().map(inode).collect(), answer.left)
}

#[test]
fn a_lin_with_many_long_xattrs_is_described_page_by_page() {
    let mut world = World::new();
    let lin = world.file_with_xattrs("file", 200);
    let view = world.view();
    let (mut names, mut after) = (Vec::new(), Bytes::new());
    loop {
        let (inodes, left) = ask(&view, &[lin], after);
        let [inode] = &inodes[..] else { panic!("{} inodes", inodes.len()) };
        assert_eq!(left, 0);
        names.extend(inode.xattrs.iter().map(|xattr| xattr.name.clone()));
        after = names.last().unwrap().clone();
        if !inode.more_xattrs {
            break;
        }
    }
    assert_eq!(names, (0..200).map(xattr).collect::<Vec<_>>());
}

#[test]
fn lins_that_do_not_fit_into_an_answer_are_left_for_the_next() {
    let mut world = World::new();
    let lins = ["a", "b", "c", "d"].map(|name| world.file_with_xattrs(name, 40));
    let view = world.view();
    let (inodes, left) = ask(&view, &lins, Bytes::new());
    assert_eq!((inodes.len(), left), (2, 2), "each has 2.5 MiB, and the second one is cut");
    assert_eq!((inodes[0].more_xattrs, inodes[1].more_xattrs), (false, true));
}

#[test]
fn a_directory_is_listed_in_pages_of_bounded_length() {
    let mut world = World::new();
    // Names as long as they may be.
    let name = |number: usize| format!("{number:0>255}");
    for begin in (0..5000).step_by(1000) {
        world.run((begin..begin + 1000).map(|number| create(&name(number))).collect());
    }
    let view = world.view();
    let request = v1::ReadDirectoryRequest { lin: Lin::ROOT.0, with_attributes: true, ..Default::default() };
    let (mut after, mut names) = (None, Vec::new());
    loop {
        let page = directory(&view, &request, after.as_ref(), 1024).unwrap();
        assert!(page.entries.len() <= 1024 && page.encoded_len() < 512 << 10, "{} bytes", page.encoded_len());
        names.extend(page.entries.into_iter().map(|entry| entry.name));
        after = names.last().map(|name| Name::new(name.clone()).unwrap());
        if !page.more {
            break;
        }
    }
    assert_eq!(names, (0..5000).map(|number| Bytes::from(name(number))).collect::<Vec<_>>());
}
