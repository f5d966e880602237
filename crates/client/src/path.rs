//! Paths within the file system: bytes, from its root.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use thiserror::Error;
use types::{Attributes, ErrorKind, FileKind, Lin, Name, NameError, SnapshotId};

use crate::namespace::Parts;
use crate::{Client, ClientError};

/// Symbolic links followed on one path, as Linux has it (`path_resolution(7)`).
const LINKS_MAX: usize = 40;
/// The longest path, in bytes (`PATH_MAX` of Linux).
const PATH_LENGTH_MAX: usize = 4096;
/// Names that one call walks.
const NAMES_MAX: usize = 1024;

/// A path: `/`, or names with `/` between them. A leading `/` may be left out, `.` and empty names say nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePath {
    bytes: Bytes,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Down(Name),
    Up,
}

/// A path is not one, or leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PathError {
    /// One of its names is no name.
    #[error("{path}: {source}")]
    Name {
        /// The path.
        path: String,
        /// What is wrong.
        source: NameError,
    },
    /// It is longer than any path (`ENAMETOOLONG`).
    #[error("a path has at most {PATH_LENGTH_MAX} bytes; this one, which begins with {begin}, has {length}")]
    TooLong {
        /// Its first bytes.
        begin: String,
        /// Its length in bytes.
        length: usize,
    },
    /// It has no last name to be made, moved or removed.
    #[error("{path}: the root directory cannot be made, moved or removed")]
    Root {
        /// The path.
        path: String,
    },
    /// Nothing is there.
    #[error("{path}: there is no {missing:?}")]
    NotFound {
        /// The path.
        path: String,
        /// The name that is not there.
        missing: String,
    },
    /// Something that is not the last name is no directory.
    #[error("{path}: {name:?} is not a directory")]
    NotDirectory {
        /// The path.
        path: String,
        /// What is no directory.
        name: String,
    },
    /// Links that lead to links without end (`ELOOP`).
    #[error("{path}: more than {LINKS_MAX} symbolic links")]
    TooManyLinks {
        /// The path.
        path: String,
    },
}

impl PathError {
    /// Its stable name; where the cluster has the same error, the same one.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Name { .. } => "bad_name",
            Self::TooLong { .. } => "path_too_long",
            Self::Root { .. } => "root",
            Self::NotFound { .. } => "no_entry",
            Self::NotDirectory { .. } => "not_directory",
            Self::TooManyLinks { .. } => "too_many_symlinks",
        }
    }

    /// What the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            _ => ErrorKind::InvalidRequest,
        }
    }
}

/// What to do with a symbolic link at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastLink {
    /// Give what it leads to.
    Follow,
    /// Give the link itself.
    Keep,
}

impl FilePath {
    /// Takes bytes as a path.
    ///
    /// # Errors
    /// [`PathError::Name`] when one of the names is none, [`PathError::TooLong`] when there are too many.
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, PathError> {
        let bytes = bytes.into();
        if bytes.len() > PATH_LENGTH_MAX {
            let begin = printable(bytes.get(..64).unwrap_or_default());
            return Err(PathError::TooLong { begin, length: bytes.len() });
        }
        let steps = steps(&bytes)?;
        Ok(Self { bytes, steps })
    }

    /// The path as it was given.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The path of something below.
    #[must_use]
    pub fn join(&self, name: &Name) -> Self {
        let mut bytes = self.bytes.to_vec();
        if bytes.last() != Some(&b'/') {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name.as_bytes());
        let mut steps = self.steps.clone();
        steps.push(Step::Down(name.clone()));
        Self { bytes: bytes.into(), steps }
    }

    /// Whether it goes up somewhere: then its text does not tell where it leads.
    #[must_use]
    pub fn goes_up(&self) -> bool {
        self.steps.contains(&Step::Up)
    }

    /// The last name; none of the root directory.
    #[must_use]
    pub fn last(&self) -> Option<&Name> {
        match self.steps.last() {
            Some(Step::Down(name)) => Some(name),
            _ => None,
        }
    }

    /// The path of each directory on the way, and last of itself; the root is left out.
    #[must_use]
    pub fn prefixes(&self) -> Vec<Self> {
        let count = self.steps.len();
        (1..=count).map(|length| Self::of_steps(self.steps.iter().take(length).cloned().collect())).collect()
    }

    /// The same path from the root, each name once and without what says nothing.
    #[must_use]
    pub fn absolute(&self) -> Self {
        match self.prefixes().pop() {
            Some(path) => path,
            None => Self { bytes: Bytes::from_static(b"/"), steps: Vec::new() },
        }
    }

    fn of_steps(steps: Vec<Step>) -> Self {
        let mut bytes = Vec::new();
        for step in &steps {
            bytes.push(b'/');
            match step {
                Step::Down(name) => bytes.extend_from_slice(name.as_bytes()),
                Step::Up => bytes.extend_from_slice(b".."),
            }
        }
        Self { bytes: bytes.into(), steps }
    }

    fn parent(&self) -> Result<(Self, Name), PathError> {
        match self.steps.split_last() {
            Some((Step::Down(name), above)) => {
                Ok((Self { bytes: self.bytes.clone(), steps: above.to_vec() }, name.clone()))
            }
            _ => Err(PathError::Root { path: self.to_string() }),
        }
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.bytes))
    }
}

/// A name or path as a terminal can take it: as it is where it is text without control characters, escaped where it is
/// not.
#[must_use]
pub fn printable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => bytes.escape_ascii().to_string(),
    }
}

fn steps(bytes: &[u8]) -> Result<Vec<Step>, PathError> {
    let mut steps = Vec::new();
    for part in bytes.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => steps.push(Step::Up),
            _ => {
                let bad = |source| PathError::Name { path: printable(bytes), source };
                steps.push(Step::Down(Name::new(part.to_vec()).map_err(bad)?));
            }
        }
    }
    Ok(steps)
}

impl Client {
    /// Walks a path.
    ///
    /// # Errors
    /// [`PathError`] when it leads nowhere, or the cluster's answer.
    pub async fn resolve(
        &self,
        path: &FilePath,
        last: LastLink,
        snapshot: Option<SnapshotId>,
    ) -> Result<Attributes, ClientError> {
        let mut walk = Walk::new(path, self.root(snapshot).await?);
        while let Some(link) = walk.next(self, last, snapshot).await? {
            let target = self.describe(link.lin, Parts::default(), snapshot).await?.target;
            walk.follow(&target)?;
        }
        walk.end()
    }

    /// Walks a path up to its last name, which need not be there.
    ///
    /// # Errors
    /// As [`Client::resolve`], and [`PathError::Root`] for the root directory.
    pub async fn resolve_parent(&self, path: &FilePath) -> Result<(Attributes, Name), ClientError> {
        let (parent, name) = path.parent()?;
        let attributes = self.resolve(&parent, LastLink::Follow, None).await?;
        if attributes.kind != FileKind::Directory {
            let name = parent.last().map(Name::to_string).unwrap_or_default();
            return Err(PathError::NotDirectory { path: path.to_string(), name }.into());
        }
        Ok((attributes, name))
    }

    async fn root(&self, snapshot: Option<SnapshotId>) -> Result<Attributes, ClientError> {
        Ok(self.describe(Lin::ROOT, Parts::default(), snapshot).await?.attributes)
    }
}

/// A walk along a path: where it is, how it came there, and what lies ahead.
struct Walk<'a> {
    path: &'a FilePath,
    /// The root, and each directory on the way down; what it stands on is last.
    trail: Vec<Attributes>,
    ahead: VecDeque<Step>,
    links: usize,
}

impl<'a> Walk<'a> {
    fn new(path: &'a FilePath, root: Attributes) -> Self {
        Self { path, trail: vec![root], ahead: path.steps.iter().cloned().collect(), links: 0 }
    }

    /// Walks on; stops at a symbolic link that is to be followed, and gives it.
    async fn next(
        &mut self,
        client: &Client,
        last: LastLink,
        snapshot: Option<SnapshotId>,
    ) -> Result<Option<Attributes>, ClientError> {
        while let Some(step) = self.ahead.front() {
            if *step == Step::Up {
                self.ahead.pop_front();
                self.up();
                continue;
            }
            let names = self.names_ahead();
            let here = self.here()?.clone();
            if here.kind != FileKind::Directory {
                return Err(self.not_directory());
            }
            let steps = match client.lookup(here.lin, &names, snapshot).await {
                Err(ClientError::Refused { failure, .. }) if failure.kind == ErrorKind::NotFound => {
                    return Err(self.not_found(failure.fields.get("name").cloned().unwrap_or_default()));
                }
                steps => steps?,
            };
            // The first step is where the walk stands already.
            for attributes in steps.into_iter().skip(1) {
                self.ahead.pop_front();
                let is_last = self.ahead.is_empty();
                if attributes.kind == FileKind::Symlink && !(is_last && last == LastLink::Keep) {
                    return Ok(Some(attributes));
                }
                self.trail.push(attributes);
            }
            if self.here()?.lin == here.lin {
                return Err(self.not_found(names.first().map(Name::to_string).unwrap_or_default()));
            }
        }
        Ok(None)
    }

    /// Goes where a link leads: from the root, or from the directory that the link lies in.
    fn follow(&mut self, target: &[u8]) -> Result<(), ClientError> {
        self.links += 1;
        if self.links > LINKS_MAX {
            return Err(PathError::TooManyLinks { path: self.path.to_string() }.into());
        }
        if target.first() == Some(&b'/') {
            self.trail.truncate(1);
        }
        for step in steps(target)?.into_iter().rev() {
            self.ahead.push_front(step);
        }
        Ok(())
    }

    fn end(mut self) -> Result<Attributes, ClientError> {
        self.trail.pop().ok_or_else(|| self.not_found(String::new()))
    }

    fn up(&mut self) {
        // The root is its own parent.
        if self.trail.len() > 1 {
            self.trail.pop();
        }
    }

    /// The names up to the next `..`, as many as one call takes.
    fn names_ahead(&self) -> Vec<Name> {
        let names = self.ahead.iter().map_while(|step| match step {
            Step::Down(name) => Some(name.clone()),
            Step::Up => None,
        });
        names.take(NAMES_MAX).collect()
    }

    fn here(&self) -> Result<&Attributes, ClientError> {
        self.trail.last().ok_or_else(|| self.not_found(String::new()))
    }

    fn not_found(&self, missing: String) -> ClientError {
        PathError::NotFound { path: self.path.to_string(), missing }.into()
    }

    fn not_directory(&self) -> ClientError {
        let walked = self.path.steps.len().saturating_sub(self.ahead.len());
        let name = match walked.checked_sub(1).and_then(|place| self.path.steps.get(place)) {
            Some(Step::Down(name)) => name.to_string(),
            _ => String::new(),
        };
        PathError::NotDirectory { path: self.path.to_string(), name }.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str) -> Vec<String> {
        let path = FilePath::new(path.to_owned()).unwrap();
        path.steps
            .iter()
            .map(|step| match step {
                Step::Down(name) => String::from_utf8(name.as_bytes().to_vec()).unwrap(),
                Step::Up => "..".to_owned(),
            })
            .collect()
    }

    #[test]
    fn a_terminal_is_never_told_what_to_do_by_a_name() {
        assert_eq!(printable("caf\u{e9} \"x\"".as_bytes()), "caf\u{e9} \"x\"");
        assert_eq!(printable(b"\x1b[31mred\n"), "\\x1b[31mred\\n");
        assert_eq!(printable("\u{9b}31m".as_bytes()), "\\xc2\\x9b31m", "C1 control characters too");
    }

    #[test]
    fn a_path_is_its_names() {
        assert_eq!(names("/a//b/./c/"), ["a", "b", "c"]);
        assert_eq!(names("a/../b"), ["a", "..", "b"]);
        assert!(names("/").is_empty());
    }

    #[test]
    fn prefixes_lead_down_to_the_path_itself() {
        let prefixes = FilePath::new("a//b/../c").unwrap().prefixes();
        assert_eq!(
            prefixes.iter().map(FilePath::to_string).collect::<Vec<_>>(),
            ["/a", "/a/b", "/a/b/..", "/a/b/../c"]
        );
        assert!(FilePath::new("/").unwrap().prefixes().is_empty());
    }

    #[test]
    fn only_two_dots_go_up() {
        assert!(FilePath::new("/data/../srv").unwrap().goes_up());
        assert!(!FilePath::new("/data/./..srv/srv..").unwrap().goes_up());
    }

    #[test]
    fn the_root_has_no_parent_and_no_last_name() {
        let root = FilePath::new("/").unwrap();
        assert!(matches!(root.parent(), Err(PathError::Root { .. })));
        assert_eq!(root.last(), None);
    }

    #[test]
    fn a_name_that_is_too_long_is_an_error_that_names_the_path() {
        let error = FilePath::new(vec![b'a'; 300]).unwrap_err();
        assert!(matches!(error, PathError::Name { source: NameError::TooLong { length: 300 }, .. }));
    }

    #[test]
    fn a_path_is_no_longer_than_linux_takes_it_and_is_walked_in_calls_that_the_cluster_takes() {
        let longest = FilePath::new("d/".repeat(2048)).unwrap();
        let attributes = Attributes {
            lin: Lin::ROOT,
            kind: FileKind::Directory,
            mode: 0o755,
            uid: 0,
            gid: 0,
            nlink: 2,
            size: 0,
            atime: types::Timestamp::default(),
            mtime: types::Timestamp::default(),
            ctime: types::Timestamp::default(),
        };
        let mut walk = Walk::new(&longest, attributes);
        assert_eq!(walk.names_ahead().len(), 1024);
        walk.ahead.drain(..1024);
        assert_eq!(walk.names_ahead().len(), 1024);
        let error = FilePath::new("d/".repeat(2048) + "d").unwrap_err();
        assert_eq!((error.code(), error.kind()), ("path_too_long", ErrorKind::InvalidRequest));
        assert!(error.to_string().contains("has 4097"), "{error}");
    }

    #[test]
    fn paths_that_are_not_text_are_printed_escaped() {
        assert_eq!(FilePath::new(&b"/\xff"[..]).unwrap().to_string(), "/\\xff");
        assert_eq!(FilePath::new("/caf\u{e9}").unwrap().to_string(), "/caf\u{e9}");
    }
}
