//! Directories in the cluster: made, or found and made as the local ones are.

use std::path::{Path, PathBuf};

use client::{Parts, Session};
use types::{AttributeChanges, Change, Create, ErrorKind, FileKind, Lin, Name, NewInode, Outcome};

use super::tally::Tally;
use crate::error::CliError;
use crate::tree::adoption::adoption;

/// A directory that is there and waits for its entries.
pub struct Directory {
    pub path: PathBuf,
    pub lin: Lin,
    /// What it gets once they are there.
    pub times: AttributeChanges,
}

/// A directory that is to be made.
pub struct NewDirectory {
    pub path: PathBuf,
    pub parent: Lin,
    pub name: Name,
    pub inode: NewInode,
}

/// Makes directories in one request; one that is there already is used, and becomes as the local one is.
pub async fn make(session: &Session, new: Vec<NewDirectory>, tally: &mut Tally) -> Result<Vec<Directory>, CliError> {
    let create = |NewDirectory { parent, name, inode, .. }: &NewDirectory| {
        let (parent, name, inode) = (*parent, name.clone(), inode.clone());
        Change::Create(Create { parent, name, inode, replace: false })
    };
    let results = session.execute(new.iter().map(create).collect()).await?;
    let mut made = Vec::new();
    for (new, result) in new.into_iter().zip(results) {
        let lin = match result {
            Ok(Outcome::Inode(attributes)) => Some(attributes.lin),
            Err(failure) if failure.kind == ErrorKind::AlreadyExists => take(session, &new, tally).await?,
            Ok(_) => None,
            Err(failure) => {
                tally.failed(&format!("{}: {failure}", new.path.display()));
                None
            }
        };
        let Some(lin) = lin else { continue };
        tally.made(FileKind::Directory, 0);
        made.push(Directory { times: times_of(&new.inode), path: new.path, lin });
    }
    Ok(made)
}

/// Takes the directory that has the name already.
async fn take(session: &Session, new: &NewDirectory, tally: &mut Tally) -> Result<Option<Lin>, CliError> {
    let NewDirectory { path, parent, name, inode } = new;
    let steps = session.client().lookup(*parent, std::slice::from_ref(name), None).await?;
    let Some(found) = steps.last().filter(|found| found.kind == FileKind::Directory && found.lin != *parent) else {
        tally.failed(&format!("{}: a file of that name is in the way", path.display()));
        return Ok(None);
    };
    adopt(session, path, found.lin, inode, tally).await?;
    Ok(Some(found.lin))
}

/// Makes a directory that is there as the local one is, but for its times.
pub async fn adopt(
    session: &Session,
    path: &Path,
    lin: Lin,
    inode: &NewInode,
    tally: &mut Tally,
) -> Result<(), CliError> {
    let parts = Parts { xattrs: true, content: false };
    let there = session.client().describe(lin, parts, None).await?;
    for failure in session.execute(adoption(&there, inode)).await?.into_iter().filter_map(Result::err) {
        tally.failed(&format!("{}: {failure}", path.display()));
    }
    Ok(())
}

/// Gives directories their times: each new entry has moved them.
pub async fn set_times(
    session: &Session,
    times: Vec<(Lin, AttributeChanges)>,
    tally: &mut Tally,
) -> Result<(), CliError> {
    let set = |(lin, changes): &(Lin, AttributeChanges)| Change::SetAttributes { lin: *lin, changes: changes.clone() };
    let results = session.execute(times.iter().map(set).collect()).await?;
    for ((lin, _), result) in times.iter().zip(results) {
        if let Err(failure) = result {
            tally.failed(&format!("the times of directory {lin}: {failure}"));
        }
    }
    Ok(())
}

/// The times that a directory gets at the end.
pub fn times_of(inode: &NewInode) -> AttributeChanges {
    AttributeChanges { atime: inode.atime, mtime: inode.mtime, ..AttributeChanges::default() }
}
