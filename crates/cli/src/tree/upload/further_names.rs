//! Further names of files that have several, in the cluster.

use client::{CHANGES_MAX, ChangeResult, ClientError, Session};
use types::{Change, ErrorKind, Lin, Removal};

use super::tally::Tally;
use crate::error::CliError;
use crate::tree::links::{FurtherName, Links};

/// Makes all names that are left.
pub async fn make(session: &Session, links: &mut Links, tally: &mut Tally) -> Result<(), CliError> {
    let mut links = links.take().into_iter().peekable();
    while links.peek().is_some() {
        let mut batch = Vec::new();
        for (further, lin) in links.by_ref().take(CHANGES_MAX) {
            match lin {
                Some(lin) => batch.push((further, lin)),
                None => tally.failed(&format!("{}: the file's first name failed", told(&further))),
            }
        }
        make_batch(session, batch, tally).await?;
    }
    Ok(())
}

async fn make_batch(session: &Session, batch: Vec<(FurtherName, Lin)>, tally: &mut Tally) -> Result<(), CliError> {
    let results = session.execute(batch.iter().map(link).collect()).await?;
    for (further, result) in batch.iter().zip(results) {
        let result = match result {
            Err(failure) if failure.kind == ErrorKind::AlreadyExists => replace(session, further).await?,
            result => result,
        };
        match result {
            Ok(_) => tally.linked(),
            Err(failure) => tally.failed(&format!("{}: {failure}", told(&further.0))),
        }
    }
    Ok(())
}

/// `link` never replaces, so what has the name is removed first.
async fn replace(session: &Session, further: &(FurtherName, Lin)) -> Result<ChangeResult, CliError> {
    let (parent, name) = (further.0.parent, further.0.name.clone());
    let remove = Change::Remove { parent, name, expect: Removal::NotDirectory };
    let results = session.execute(vec![remove, link(further)]).await?;
    let missing = ClientError::AnswerCount { action: "make the link", found: 0, expected: 2 };
    results.into_iter().last().ok_or_else(|| missing.into())
}

fn link((FurtherName { parent, name, .. }, lin): &(FurtherName, Lin)) -> Change {
    Change::Link { lin: *lin, parent: *parent, name: name.clone() }
}

fn told(FurtherName { name, parent, .. }: &FurtherName) -> String {
    format!("{name} in directory {parent}")
}
