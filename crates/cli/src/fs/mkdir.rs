use std::ffi::OsString;

use clap::Args;
use client::{ClientError, FilePath, LastLink, Session};
use types::{Change, Create, ErrorKind, FileKind};

use super::place::Place;
use super::{for_each_path, own_inode, path};
use crate::error::CliError;
use crate::invocation::Invocation;

/// Make directories.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The directories
    #[arg(required = true)]
    paths: Vec<OsString>,
    /// Make those above that are missing, and be content with those that are there
    #[arg(short, long)]
    parents: bool,
    /// Permissions, in octal
    #[arg(short, long, default_value = "755", value_parser = parse_mode)]
    mode: u32,
}

pub async fn run(arguments: Arguments, invocation: &mut Invocation) -> Result<(), CliError> {
    let session = invocation.open_session().await?;
    for_each_path(&arguments.paths, invocation.output.format(), async |text| {
        let path = path(text)?;
        let made = match arguments.parents {
            true => make_with_parents(&session, &path, arguments.mode).await,
            false => make(&session, &path, arguments.mode).await,
        };
        made.map_err(CliError::at(&path))
    })
    .await?;
    Ok(session.close().await?)
}

async fn make(session: &Session, path: &FilePath, mode: u32) -> Result<(), ClientError> {
    let Place { parent, name } = Place::find(session.client(), path).await?;
    let create = Create { parent, name, inode: own_inode(FileKind::Directory, mode), replace: false };
    session.execute_one("make the directory", Change::Create(create)).await.map(drop)
}

/// Makes the path from its first name on; another client may make the same ones at the same time.
async fn make_with_parents(session: &Session, path: &FilePath, mode: u32) -> Result<(), ClientError> {
    for prefix in path.prefixes() {
        match session.client().resolve(&prefix, LastLink::Follow, None).await {
            Ok(found) if found.kind == FileKind::Directory => {}
            Err(error) if error.kind() == ErrorKind::NotFound => match make(session, &prefix, mode).await {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                made => made?,
            },
            // Something else has the name: let the cluster say so.
            Ok(_) => make(session, &prefix, mode).await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn parse_mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o7777 => Ok(mode),
        _ => Err("a mode is an octal number up to 7777".to_owned()),
    }
}
