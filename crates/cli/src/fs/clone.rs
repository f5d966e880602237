use std::ffi::OsString;

use clap::Args;
use client::{ClientError, LastLink, Target};
use serde_json::json;
use types::{FileKind, Name, NewInode};

use super::place::{Destination, Place};
use super::{At, own_inode, path};
use crate::error::CliError;
use crate::invocation::Invocation;
use crate::text;

/// Bits of the mode that a clone has from its source: the others would give it the power of another owner.
const PERMISSIONS: u32 = 0o777;

/// Make a file that shares the blocks of another one.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The file
    source: OsString,
    /// The new name, or a directory that is there
    clone: OsString,
    /// Replace a file that is there
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    at: At,
}

pub async fn run(arguments: Arguments, invocation: &mut Invocation) -> Result<(), CliError> {
    let session = invocation.open_session().await?;
    let client = session.client();
    let (from, to) = (path(&arguments.source)?, path(&arguments.clone)?);
    let snapshot = arguments.at.find(client).await?;
    let source = client.resolve(&from, LastLink::Follow, snapshot).await.map_err(CliError::at(&from))?;
    if source.kind != FileKind::File {
        return Err(CliError::at(&from)(ClientError::NotAFile { lin: source.lin }));
    }
    let destination = Destination::find(client, &to).await?;
    let Place { parent, name } = destination.place(from.last().map(Name::as_bytes))?;
    let inode = NewInode { mode: source.mode & PERMISSIONS, ..own_inode(FileKind::File, 0) };
    let target = Target { parent, name, inode, replace: arguments.replace };
    let made = session.clone_file(source.lin, snapshot, target).await.map_err(CliError::at(&to))?;
    session.close().await?;
    let line = format!("cloned {}", text::bytes(made.size));
    invocation.output.summary(line, &json!({ "lin": made.lin.get(), "bytes": made.size }))
}
