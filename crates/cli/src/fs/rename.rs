use std::ffi::OsString;

use clap::Args;
use types::{Change, Name, Rename, RenameMode};

use super::place::{Destination, Place};
use super::{for_each_path, path};
use crate::error::CliError;
use crate::invocation::Invocation;

/// Move or rename files.
#[derive(Debug, Args)]
pub struct Arguments {
    /// What to move, and last where to: a directory that is there, or a new name
    #[arg(required = true, num_args = 2.., value_name = "PATH")]
    paths: Vec<OsString>,
    /// Replace nothing
    #[arg(short, long)]
    no_clobber: bool,
}

pub async fn run(arguments: Arguments, invocation: &mut Invocation) -> Result<(), CliError> {
    let Some((to, from)) = arguments.paths.split_last() else { return Ok(()) };
    let mode = if arguments.no_clobber { RenameMode::NoReplace } else { RenameMode::Replace };
    let session = invocation.open_session().await?;
    let client = session.client();
    let destination = Destination::find(client, &path(to)?).await?;
    destination.check_count(from.len())?;
    for_each_path(from, invocation.output.format(), async |text| {
        let from = path(text)?;
        let Place { parent: from_parent, name: from_name } = Place::find(client, &from).await?;
        let Place { parent: to_parent, name: to_name } = destination.place(from.last().map(Name::as_bytes))?;
        let rename = Rename { from_parent, from_name, to_parent, to_name, mode };
        session.execute_one("move", Change::Rename(rename)).await.map(drop).map_err(CliError::at(&from))
    })
    .await?;
    Ok(session.close().await?)
}
