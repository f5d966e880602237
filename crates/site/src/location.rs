//! Where a site is: the URL that an admin writes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::SiteError;

/// The parsed URL of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// `file:///absolute/path`: a folder on this machine, or on a file system mounted here.
    File(PathBuf),
}

impl FromStr for Location {
    type Err = SiteError;

    fn from_str(url: &str) -> Result<Self, SiteError> {
        let wrong = |reason| SiteError::NotAUrl { url: url.to_owned(), reason };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("it has no scheme"))?;
        let named = !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+');
        match scheme {
            "file" => Ok(Self::File(file_path(rest).map_err(wrong)?)),
            _ if named => Err(SiteError::Unsupported { url: url.to_owned(), scheme: scheme.to_owned() }),
            _ => Err(wrong("its scheme is not a word")),
        }
    }
}

/// Takes the path of a `file` URL literally: no percent codes, so that what is shown is what `ls` shows.
fn file_path(rest: &str) -> Result<PathBuf, &'static str> {
    if !rest.starts_with('/') {
        return Err("it names a host or a relative path");
    }
    if rest.bytes().any(|byte| byte == 0) {
        return Err("its path has a zero byte");
    }
    if rest.split('/').any(|part| part == "..") {
        return Err("its path has a `..`");
    }
    let path: PathBuf = Path::new(rest).components().collect();
    if path.parent().is_none() { Err("it is the root of the file system") } else { Ok(path) }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use types::ErrorKind;

    use super::*;

    #[test]
    fn a_file_url_names_an_absolute_path() {
        let location: Location = "file:///srv/backup//a/".parse().unwrap();
        assert_eq!(location, Location::File("/srv/backup/a".into()));
        assert_eq!(location.to_string(), "file:///srv/backup/a");
    }

    #[test]
    fn what_is_no_url_is_refused_with_the_reason() {
        for url in ["", "/srv/backup", "file://host/x", "file://", "file:///", "file:///a/../b", "://x", "a b://x"] {
            let error = url.parse::<Location>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{url}");
            assert!(error.to_string().contains(&format!("{url:?}")), "{error}");
        }
    }

    #[test]
    fn other_schemes_are_named_as_not_supported_yet() {
        for scheme in ["s3", "gs", "az", "https", "sftp"] {
            let error = format!("{scheme}://bucket/x").parse::<Location>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains("file:///"), "{error}");
        }
    }
}
