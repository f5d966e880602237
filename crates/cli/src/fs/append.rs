use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use client::{ClientError, FilePath, LastLink, Session};
use serde_json::json;
use types::{Attributes, Change, Create, ErrorKind, FileKind, Lin, Outcome};
use wire::InvalidMessage;

use super::place::Place;
use super::{own_inode, path};
use crate::error::CliError;
use crate::invocation::Invocation;
use crate::text;
use crate::tree::read_stream;

const MAKE: &str = "make the file";

/// Append standard input to a file, in pieces of 1 MiB: what others append at the same time comes before or behind a
/// piece, never into it.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The file; it is made if it is not there
    file: OsString,
}

pub async fn run(arguments: Arguments, invocation: &mut Invocation) -> Result<(), CliError> {
    let session = invocation.open_session().await?;
    let path = path(&arguments.file)?;
    let lin = find_or_make(&session, &path).await.map_err(CliError::at(&path))?;
    let mut pieces = read_stream(&invocation.tasks, PathBuf::from("standard input"));
    let mut bytes = 0;
    while let Some(piece) = pieces.recv().await {
        let piece = piece?.bytes;
        bytes += piece.len() as u64;
        session.append(lin, piece).await.map_err(CliError::at(&path))?;
    }
    session.close().await?;
    invocation.output.summary(format!("appended {}", text::bytes(bytes)), &json!({ "lin": lin.get(), "bytes": bytes }))
}

async fn find_or_make(session: &Session, path: &FilePath) -> Result<Lin, ClientError> {
    match find(session, path).await {
        Err(error) if error.kind() == ErrorKind::NotFound => match make(session, path).await {
            // Another client was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => find(session, path).await,
            made => made,
        },
        found => found,
    }
}

async fn find(session: &Session, path: &FilePath) -> Result<Lin, ClientError> {
    let Attributes { lin, kind, .. } = session.client().resolve(path, LastLink::Follow, None).await?;
    if kind == FileKind::File { Ok(lin) } else { Err(ClientError::NotAFile { lin }) }
}

async fn make(session: &Session, path: &FilePath) -> Result<Lin, ClientError> {
    let Place { parent, name } = Place::find(session.client(), path).await?;
    let create = Create { parent, name, inode: own_inode(FileKind::File, 0o644), replace: false };
    match session.execute_one(MAKE, Change::Create(create)).await? {
        Outcome::Inode(made) => Ok(made.lin),
        _ => Err(ClientError::BadAnswer { action: MAKE, source: InvalidMessage::Missing { field: "inode" } }),
    }
}
