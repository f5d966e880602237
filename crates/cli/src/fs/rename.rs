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
    /// Exchange two names, in one step: each then stands for what the other one did
    #[arg(long, conflicts_with = "no_clobber")]
    exchange: bool,
}

pub async fn run(arguments: Arguments, invocation: &mut Invocation) -> Result<(), CliError> {
    if arguments.exchange {
        return exchange(&arguments.paths, invocation).await;
    }
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

async fn exchange(paths: &[OsString], invocation: &mut Invocation) -> Result<(), CliError> {
    let [one, other] = paths else {
        return Err(CliError::Usage { message: "--exchange takes two paths".to_owned() });
    };
    let session = invocation.open_session().await?;
    let (one, other) = (path(one)?, path(other)?);
    let Place { parent: from_parent, name: from_name } = Place::find(session.client(), &one).await?;
    let Place { parent: to_parent, name: to_name } = Place::find(session.client(), &other).await?;
    let rename = Rename { from_parent, from_name, to_parent, to_name, mode: RenameMode::Exchange };
    session.execute_one("exchange", Change::Rename(rename)).await.map_err(CliError::at(&one))?;
    Ok(session.close().await?)
}
