use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use bytes::Bytes;
use clap::Args;
use client::{LastLink, Session};
use types::{Change, Create, FileKind, NewInode};

use super::place::{Destination, Place};
use super::{own_inode, path};
use crate::error::CliError;
use crate::invocation::Invocation;

/// Make links.
#[derive(Debug, Args)]
pub struct Arguments {
    /// What the link leads to
    target: OsString,
    /// The new name, or a directory that is there
    link: OsString,
    /// Make a symbolic link: the target need not be there
    #[arg(short, long)]
    symbolic: bool,
}

pub async fn run(arguments: Arguments, invocation: &mut Invocation) -> Result<(), CliError> {
    let session = invocation.open_session().await?;
    let link = path(&arguments.link)?;
    let destination = Destination::find(session.client(), &link).await?;
    let last = arguments.target.as_bytes().rsplit(|&byte| byte == b'/').find(|part| !part.is_empty());
    let place = destination.place(last)?;
    let change = match arguments.symbolic {
        true => symbolic(&arguments.target, place),
        false => hard(&session, &arguments.target, place).await?,
    };
    session.execute_one("make the link", change).await.map_err(CliError::at(&link))?;
    Ok(session.close().await?)
}

fn symbolic(target: &OsString, place: Place) -> Change {
    let target = Bytes::copy_from_slice(target.as_bytes());
    let inode = NewInode { target, ..own_inode(FileKind::Symlink, 0o777) };
    Change::Create(Create { parent: place.parent, name: place.name, inode, replace: false })
}

async fn hard(session: &Session, target: &OsString, place: Place) -> Result<Change, CliError> {
    let found = session.client().resolve(&path(target)?, LastLink::Keep, None).await?;
    Ok(Change::Link { lin: found.lin, parent: place.parent, name: place.name })
}
