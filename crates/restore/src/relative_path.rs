//! Paths below the folder that is restored into.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use types::{Name, NameError};

/// A path below the target's root: names joined by `/`, none of which is `.` or `..`; the root itself is empty.
///
/// It can only be made of [`Name`]s, so no path leads out of the target, whatever a repository says.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelativePath(Bytes);

impl RelativePath {
    /// The target's root.
    #[must_use]
    pub const fn root() -> Self {
        Self(Bytes::new())
    }

    /// Takes an absolute or relative path apart; repeated and final slashes count once.
    ///
    /// # Errors
    /// [`NameError`] tells which component is no name.
    pub fn parse(path: &[u8]) -> Result<Self, NameError> {
        path.split(|&byte| byte == b'/').filter(|part| !part.is_empty()).try_fold(Self::root(), |path, part| {
            let name = Name::new(Bytes::copy_from_slice(part))?;
            Ok(path.join(&name))
        })
    }

    /// The path of an entry of the directory at this path.
    #[must_use]
    pub fn join(&self, name: &Name) -> Self {
        if self.0.is_empty() {
            return Self(name.to_bytes());
        }
        let mut joined = BytesMut::with_capacity(self.0.len() + 1 + name.as_bytes().len());
        joined.put_slice(&self.0);
        joined.put_u8(b'/');
        joined.put_slice(name.as_bytes());
        Self(joined.freeze())
    }

    /// The path of the directory that holds this entry, and the entry's name; `None` for the root.
    #[must_use]
    pub fn split(&self) -> Option<(Self, &[u8])> {
        if self.0.is_empty() {
            return None;
        }
        let cut = self.0.iter().rposition(|&byte| byte == b'/');
        let parent = cut.map_or_else(Bytes::new, |cut| self.0.slice(..cut));
        let name = cut.map_or(&self.0[..], |cut| self.0.get(cut + 1..).unwrap_or_default());
        Some((Self(parent), name))
    }

    /// The names from the root to this entry.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|&byte| byte == b'/').filter(|part| !part.is_empty())
    }

    /// This path as seen from one above it; `None` if it does not lie below that.
    #[must_use]
    pub fn below(&self, from: &Self) -> Option<Self> {
        match from.as_bytes() {
            [] => (!self.0.is_empty()).then(|| self.clone()),
            from => {
                let rest = self.as_bytes().strip_prefix(from)?.strip_prefix(b"/")?;
                Some(Self(self.0.slice_ref(rest)))
            }
        }
    }

    /// The bytes of the path, without a leading slash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", String::from_utf8_lossy(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_apart_and_put_together_again() {
        let path = RelativePath::parse(b"/a//b\xff/c/").unwrap();
        assert_eq!(path.as_bytes(), b"a/b\xff/c");
        assert_eq!(path.components().collect::<Vec<_>>(), [&b"a"[..], b"b\xff", b"c"]);
        let (parent, name) = path.split().unwrap();
        assert_eq!((parent.as_bytes(), name), (&b"a/b\xff"[..], &b"c"[..]));
        assert_eq!(parent.join(&Name::new("c").unwrap()), path);
        let (root, name) =
            RelativePath::parse(b"x").unwrap().split().map(|(root, name)| (root, name.to_vec())).unwrap();
        assert_eq!((root, name), (RelativePath::root(), b"x".to_vec()));
        assert!(RelativePath::root().split().is_none());
    }

    #[test]
    fn a_path_is_seen_from_those_above_it_alone() {
        let path = |text: &str| RelativePath::parse(text.as_bytes()).unwrap();
        assert_eq!(path("/data/projects").below(&RelativePath::root()), Some(path("data/projects")));
        assert_eq!(path("/data/projects").below(&path("/data")), Some(path("projects")));
        for (path, from) in [("/data/projects", "/dat"), ("/data", "/data/projects"), ("/data", "/data"), ("/", "/")]
            .map(|(one, other)| (path(one), path(other)))
        {
            assert_eq!(path.below(&from), None, "{path} from {from}");
        }
    }

    #[test]
    fn no_path_leads_out_of_the_target() {
        for outside in [&b"../x"[..], b"a/../../x", b"a/./b", b"a\0b"] {
            assert!(RelativePath::parse(outside).is_err(), "{outside:?}");
        }
    }
}
