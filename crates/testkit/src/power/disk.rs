//! The disk: files, directories, and what is left of them when the power goes.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use runtime::Seed;

use super::Refusal;
use super::fate::Fate;
use super::file::{FileBody, PAGE};
use super::names::{Entries, Names, Step};

/// Names one file or directory for its life; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(pub u64);

/// The directory at the top.
pub const ROOT: Number = Number(1);

/// What a number stands for.
#[derive(Clone, Debug)]
struct Node {
    /// Permission bits.
    mode: u16,
    /// How often it is open: it then stays without a name.
    opens: u64,
    /// None for a directory.
    body: Option<FileBody>,
}

/// What `stat` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Permission bits.
    pub mode: u16,
    /// Length in bytes.
    pub length: u64,
    /// Pages on the disk.
    pub pages: u64,
    /// Names.
    pub names: usize,
}

/// What a rename does if the new name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is replaced.
    Replace,
    /// The rename is refused.
    Refuse,
}

/// A disk. A copy is cheap: it shares the pages.
#[derive(Clone, Debug)]
pub struct Disk {
    nodes: BTreeMap<Number, Node>,
    names: Names,
    next: u64,
    capacity_pages: u64,
    syncs: u64,
}

impl Disk {
    /// An empty disk of so many bytes.
    #[must_use]
    pub fn new(capacity_bytes: u64) -> Self {
        let root = Node { mode: 0o755, opens: 0, body: None };
        let nodes = BTreeMap::from([(ROOT, root)]);
        Self { nodes, names: Names::default(), next: 2, capacity_pages: capacity_bytes / PAGE, syncs: 0 }
    }

    /// What is left when the power goes now. The seed decides what happens to bytes and names that were not synced.
    #[must_use]
    pub fn after_power_loss(&self, seed: &Seed) -> Self {
        let mut left = Self { names: self.names.after_power_loss(seed), ..self.clone() };
        let fate = Fate::draw(seed);
        for node in left.nodes.values_mut() {
            node.opens = 0;
            node.body = node.body.as_ref().map(|body| body.after_power_loss(&fate));
        }
        left.forget_unreachable();
        left
    }

    /// How often something was synced so far.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.syncs
    }

    /// Its size, and what is free of it, in pages of 4 KiB.
    #[must_use]
    pub fn space(&self) -> (u64, u64) {
        (self.capacity_pages, self.capacity_pages.saturating_sub(self.used()))
    }

    /// What a name in a directory means.
    ///
    /// # Errors
    /// When there is none, or no such directory.
    pub fn lookup(&self, parent: Number, name: &OsStr) -> Result<Number, Refusal> {
        self.directory(parent)?;
        self.names.get(parent, name).ok_or(Refusal::NotFound)
    }

    /// What `stat` tells.
    ///
    /// # Errors
    /// When it is not there.
    pub fn status(&self, number: Number) -> Result<Status, Refusal> {
        let node = self.node(number)?;
        let (length, pages) = node.body.as_ref().map_or((0, 0), |body| (body.length(), body.pages()));
        Ok(Status {
            is_directory: node.body.is_none(),
            mode: node.mode,
            length,
            pages,
            names: self.names.count(number),
        })
    }

    /// The names in a directory.
    ///
    /// # Errors
    /// When it is not one.
    pub fn list(&self, directory: Number) -> Result<Entries, Refusal> {
        self.directory(directory)?;
        Ok(self.names.of(directory).cloned().unwrap_or_default())
    }

    /// Makes an empty file.
    ///
    /// # Errors
    /// When the name is taken, or the parent is no directory.
    pub fn create(&mut self, parent: Number, name: &OsStr, mode: u16) -> Result<Number, Refusal> {
        self.make(parent, name, Node { mode, opens: 0, body: Some(FileBody::default()) })
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// As [`Disk::create`].
    pub fn create_directory(&mut self, parent: Number, name: &OsStr, mode: u16) -> Result<Number, Refusal> {
        self.make(parent, name, Node { mode, opens: 0, body: None })
    }

    fn make(&mut self, parent: Number, name: &OsStr, node: Node) -> Result<Number, Refusal> {
        self.check_free(parent, name)?;
        let number = Number(self.next);
        self.next += 1;
        self.nodes.insert(number, node);
        self.names.step(Step::one(parent, name, Some(number)));
        Ok(number)
    }

    /// Gives a file another name.
    ///
    /// # Errors
    /// When the name is taken, or it is a directory.
    pub fn link(&mut self, number: Number, parent: Number, name: &OsStr) -> Result<(), Refusal> {
        self.body(number)?;
        self.check_free(parent, name)?;
        self.names.step(Step::one(parent, name, Some(number)));
        Ok(())
    }

    /// Removes the name of a file.
    ///
    /// # Errors
    /// When it is not there, or that of a directory.
    pub fn unlink(&mut self, parent: Number, name: &OsStr) -> Result<(), Refusal> {
        self.body(self.lookup(parent, name)?)?;
        self.names.step(Step::one(parent, name, None));
        Ok(())
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// When it is not there, not empty or no directory.
    pub fn remove_directory(&mut self, parent: Number, name: &OsStr) -> Result<(), Refusal> {
        self.check_empty(self.lookup(parent, name)?)?;
        self.names.step(Step::one(parent, name, None));
        Ok(())
    }

    /// Moves a name. That a directory is not moved below itself is the kernel's concern.
    ///
    /// # Errors
    /// As POSIX's `rename`.
    pub fn rename(&mut self, from: (Number, &OsStr), to: (Number, &OsStr), taken: Taken) -> Result<(), Refusal> {
        let moved = self.lookup(from.0, from.1)?;
        match self.lookup(to.0, to.1) {
            Err(Refusal::NotFound) => {}
            Err(refusal) => return Err(refusal),
            Ok(_) if taken == Taken::Refuse => return Err(Refusal::Exists),
            Ok(same) if same == moved => return Ok(()),
            Ok(replaced) if self.directory(moved).is_ok() => self.check_empty(replaced)?,
            Ok(replaced) => self.body(replaced).map(drop)?,
        }
        self.names.step(Step::one(from.0, from.1, None).and(to.0, to.1, Some(moved)));
        Ok(())
    }

    /// The bytes of a range of a file.
    ///
    /// # Errors
    /// When it is not a file.
    pub fn read(&self, number: Number, offset: u64, length: u64) -> Result<Vec<u8>, Refusal> {
        Ok(self.body(number)?.read(offset, length))
    }

    /// Writes bytes to a file.
    ///
    /// # Errors
    /// When it is not a file, or the disk is full; nothing is written then.
    pub fn write(&mut self, number: Number, offset: u64, bytes: &[u8]) -> Result<(), Refusal> {
        let new = self.body(number)?.new_pages(offset, bytes.len() as u64);
        if new > self.space().1 {
            return Err(Refusal::NoSpace);
        }
        self.body_mut(number)?.write(offset, bytes);
        Ok(())
    }

    /// Makes zeros of a range.
    ///
    /// # Errors
    /// When it is not a file.
    pub fn punch(&mut self, number: Number, offset: u64, length: u64) -> Result<(), Refusal> {
        self.body_mut(number)?.punch(offset, length);
        Ok(())
    }

    /// Sets the length of a file.
    ///
    /// # Errors
    /// When it is not a file.
    pub fn resize(&mut self, number: Number, length: u64) -> Result<(), Refusal> {
        self.body_mut(number)?.resize(length);
        Ok(())
    }

    /// Sets permission bits.
    ///
    /// # Errors
    /// When it is not there.
    pub fn set_mode(&mut self, number: Number, mode: u16) -> Result<(), Refusal> {
        self.nodes.get_mut(&number).ok_or(Refusal::NotFound)?.mode = mode;
        Ok(())
    }

    /// Makes bytes and length of a file, or the names in a directory, survive.
    ///
    /// # Errors
    /// When it is not there.
    pub fn sync(&mut self, number: Number) -> Result<(), Refusal> {
        match &mut self.nodes.get_mut(&number).ok_or(Refusal::NotFound)?.body {
            Some(body) => body.sync(),
            None => {
                self.names.sync(number);
                self.forget_unreachable();
            }
        }
        self.syncs += 1;
        Ok(())
    }

    /// Keeps a file while it is open, whatever becomes of its names.
    ///
    /// # Errors
    /// When it is not there.
    pub fn open(&mut self, number: Number) -> Result<(), Refusal> {
        self.nodes.get_mut(&number).ok_or(Refusal::NotFound)?.opens += 1;
        Ok(())
    }

    /// The end of an [`Disk::open`].
    pub fn close(&mut self, number: Number) {
        if let Some(node) = self.nodes.get_mut(&number) {
            node.opens = node.opens.saturating_sub(1);
        }
    }

    fn node(&self, number: Number) -> Result<&Node, Refusal> {
        self.nodes.get(&number).ok_or(Refusal::NotFound)
    }

    fn body(&self, number: Number) -> Result<&FileBody, Refusal> {
        self.node(number)?.body.as_ref().ok_or(Refusal::IsDirectory)
    }

    fn body_mut(&mut self, number: Number) -> Result<&mut FileBody, Refusal> {
        self.nodes.get_mut(&number).ok_or(Refusal::NotFound)?.body.as_mut().ok_or(Refusal::IsDirectory)
    }

    fn directory(&self, number: Number) -> Result<(), Refusal> {
        match self.node(number)?.body {
            None => Ok(()),
            Some(_) => Err(Refusal::NotDirectory),
        }
    }

    fn check_free(&self, parent: Number, name: &OsStr) -> Result<(), Refusal> {
        match self.lookup(parent, name) {
            Ok(_) => Err(Refusal::Exists),
            Err(Refusal::NotFound) => self.directory(parent),
            Err(refusal) => Err(refusal),
        }
    }

    fn check_empty(&self, number: Number) -> Result<(), Refusal> {
        self.directory(number)?;
        match self.names.of(number).is_none_or(Entries::is_empty) {
            true => Ok(()),
            false => Err(Refusal::NotEmpty),
        }
    }

    fn used(&self) -> u64 {
        self.nodes.values().filter_map(|node| node.body.as_ref()).map(FileBody::pages).sum()
    }

    /// Drops what has no name, cannot get one back by a loss of power, and is not open.
    fn forget_unreachable(&mut self) {
        let referenced = self.names.referenced();
        self.nodes.retain(|number, node| *number == ROOT || node.opens > 0 || referenced.contains(number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> &OsStr {
        OsStr::new(text)
    }

    /// Writes a file as those do who must not lose the old one: a new file, synced, renamed, the directory synced.
    fn replace(disk: &mut Disk, bytes: &[u8], synced: &[&str]) {
        let new = disk.create(ROOT, name("new"), 0o644).unwrap();
        disk.write(new, 0, bytes).unwrap();
        if synced.contains(&"file") {
            disk.sync(new).unwrap();
        }
        disk.rename((ROOT, name("new")), (ROOT, name("file")), Taken::Replace).unwrap();
        if synced.contains(&"directory") {
            disk.sync(ROOT).unwrap();
        }
    }

    /// The contents of `file` that a loss of power may leave.
    fn outcomes(disk: &Disk) -> Vec<Option<Vec<u8>>> {
        let left = (0..200).map(|seed| {
            let left = disk.after_power_loss(&Seed::fixed(seed));
            left.lookup(ROOT, name("file")).ok().map(|file| left.read(file, 0, 100).unwrap())
        });
        let mut left: Vec<_> = left.collect();
        left.sort();
        left.dedup();
        left
    }

    #[test]
    fn a_careful_replacement_leaves_the_old_or_the_new_file() {
        let mut disk = Disk::new(1 << 20);
        replace(&mut disk, b"old", &["file", "directory"]);
        assert_eq!(outcomes(&disk), [Some(b"old".to_vec())]);
        replace(&mut disk, b"new!", &["file"]);
        assert_eq!(outcomes(&disk), [Some(b"new!".to_vec()), Some(b"old".to_vec())]);
    }

    #[test]
    fn a_replacement_that_is_not_synced_can_lose_both() {
        let mut disk = Disk::new(1 << 20);
        replace(&mut disk, b"old", &["file", "directory"]);
        replace(&mut disk, b"new!", &["directory"]);
        assert!(outcomes(&disk).contains(&Some(Vec::new())), "{:?}", outcomes(&disk));
    }

    #[test]
    fn a_full_disk_refuses_and_frees_what_is_removed_for_good() {
        let mut disk = Disk::new(2 * PAGE);
        let file = disk.create(ROOT, name("file"), 0o644).unwrap();
        assert_eq!(disk.write(file, 0, &[1; 3 * PAGE as usize]), Err(Refusal::NoSpace));
        disk.write(file, 0, &[1; 2 * PAGE as usize]).unwrap();
        disk.write(file, 5, b"in place").unwrap();
        assert_eq!(disk.space(), (2, 0));
        disk.unlink(ROOT, name("file")).unwrap();
        disk.sync(ROOT).unwrap();
        assert_eq!(disk.space(), (2, 2));
    }

    #[test]
    fn names_follow_posix() {
        let mut disk = Disk::new(1 << 20);
        let directory = disk.create_directory(ROOT, name("d"), 0o755).unwrap();
        let file = disk.create(directory, name("f"), 0o644).unwrap();
        assert_eq!(disk.create(directory, name("f"), 0o644), Err(Refusal::Exists));
        assert_eq!(disk.create(file, name("x"), 0o644), Err(Refusal::NotDirectory));
        assert_eq!(disk.remove_directory(ROOT, name("d")), Err(Refusal::NotEmpty));
        assert_eq!(disk.unlink(ROOT, name("d")), Err(Refusal::IsDirectory));
        disk.link(file, ROOT, name("g")).unwrap();
        assert_eq!(disk.status(file).unwrap().names, 2);
        assert_eq!(disk.rename((ROOT, name("g")), (directory, name("f")), Taken::Refuse), Err(Refusal::Exists));
        assert_eq!(disk.rename((ROOT, name("g")), (ROOT, name("d")), Taken::Replace), Err(Refusal::IsDirectory));
        assert_eq!(disk.rename((ROOT, name("d")), (ROOT, name("g")), Taken::Replace), Err(Refusal::NotDirectory));
        disk.unlink(directory, name("f")).unwrap();
        disk.remove_directory(ROOT, name("d")).unwrap();
        assert_eq!(disk.list(ROOT).unwrap().len(), 1);
    }
}
