//! The newest commit at a site, for whoever is to write the next one.

use site::Site;
use types::{ErrorKind, RepositoryId};

use crate::names::{COMMITS_PREFIX, Name};
use crate::{Commit, RepoError, WriterKeys};

/// Names that are listed at a time: the newest come first, and seldom is anything before them.
const PAGE: usize = 16;
/// Commits of one generation and number that are opened: one is the rule, two that open are a fork, and more names are
/// there only if somebody without a key puts them there.
const TWINS_MAX: usize = 16;

/// Finds the newest commit at a site and opens it; gives its name. Of several names of one generation and number those that
/// do not open count for nothing: whoever can write to the site, but has no key, can put a name there, and no more.
///
/// # Errors
/// [`RepoError::Fork`]; [`RepoError::Twins`]; none that has the largest number opens; or the site failed.
pub async fn newest_commit(
    site: &Site,
    repository: RepositoryId,
    keys: &WriterKeys,
) -> Result<Option<String>, RepoError> {
    let (mut sound, mut damage) = (None, None);
    for name in newest_names(site).await? {
        let bytes = site.get(&name).await.map_err(|error| RepoError::missing(error, COMMITS_PREFIX))?;
        match Commit::open(&name, repository, keys, &bytes) {
            Ok(_) => {
                if let Some(first) = sound.replace(name.clone()) {
                    return Err(RepoError::Fork { first, second: name });
                }
            }
            Err(error) if error.kind() == ErrorKind::Corrupt => damage = Some(error),
            Err(error) => return Err(error),
        }
    }
    match (sound, damage) {
        (None, Some(error)) => Err(error),
        (sound, _) => Ok(sound),
    }
}

/// The names of the largest generation and number among the commits. Names that are no commits' are passed by.
async fn newest_names(site: &Site) -> Result<Vec<String>, RepoError> {
    let (mut newest, mut names) = (None, Vec::new());
    let mut after: Option<String> = None;
    loop {
        let page = site.list(COMMITS_PREFIX, after.as_deref(), PAGE).await?;
        let is_last = page.len() < PAGE;
        after = page.last().map(|listed| listed.name.clone());
        for listed in page {
            let Ok(Name::Commit { number, writer }) = listed.name.parse() else { continue };
            if *newest.get_or_insert((writer.generation, number)) != (writer.generation, number) {
                return Ok(names);
            }
            if names.len() == TWINS_MAX {
                return Err(RepoError::Twins { number, name: listed.name, most: TWINS_MAX });
            }
            names.push(listed.name);
        }
        if is_last {
            return Ok(names);
        }
    }
}
