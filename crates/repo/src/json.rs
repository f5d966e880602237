//! What the JSON objects of a repository have in common: a format version.

use serde::Deserialize;

use crate::RepoError;

#[derive(Deserialize)]
struct Versioned {
    format_version: u32,
}

/// Looks at the version before anything else: a later version may have fields that this program does not know.
pub(crate) fn version(name: &str, bytes: &[u8], supported: u32) -> Result<(), RepoError> {
    let head: Result<Versioned, _> = serde_json::from_slice(bytes);
    let found = head.map_err(|_| RepoError::damaged(name, "it is not JSON with a format version"))?.format_version;
    if found == supported {
        return Ok(());
    }
    Err(RepoError::Version { name: name.to_owned(), found, supported })
}
