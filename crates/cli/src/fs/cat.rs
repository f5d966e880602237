use std::ffi::OsString;

use clap::Args;
use client::{FileReader, LastLink};
use types::FileKind;

use super::{At, for_each_path, path};
use crate::error::CliError;
use crate::invocation::Invocation;
use crate::output::Output;

/// Holes are written in steps of this many zeros.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Print files.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The files
    #[arg(required = true)]
    paths: Vec<OsString>,
    #[command(flatten)]
    at: At,
}

pub async fn run(arguments: Arguments, invocation: &mut Invocation) -> Result<(), CliError> {
    let reading = arguments.at.open("fs cat", invocation).await?;
    let (client, snapshot) = (&reading.client, reading.snapshot);
    let output = &mut invocation.output;
    for_each_path(&arguments.paths, output.format(), async |text| {
        let path = path(text)?;
        let found = client.resolve(&path, LastLink::Follow, snapshot).await?;
        if found.kind == FileKind::Directory {
            return Err(CliError::Usage { message: format!("{path} is a directory") });
        }
        let reader = client.read_file(found.lin, snapshot).await.map_err(CliError::at(&path))?;
        print(reader, output).await.map_err(CliError::at(&path))
    })
    .await?;
    reading.finish().await
}

async fn print(mut reader: FileReader, output: &mut Output) -> Result<(), CliError> {
    let mut position = 0;
    while let Some(piece) = reader.next().await? {
        zeros(output, piece.offset - position)?;
        output.bytes(&piece.bytes)?;
        position = piece.offset + piece.bytes.len() as u64;
    }
    zeros(output, reader.size().saturating_sub(position))
}

fn zeros(output: &mut Output, mut count: u64) -> Result<(), CliError> {
    while count > 0 {
        let step = usize::try_from(count).unwrap_or(ZEROS.len()).min(ZEROS.len());
        output.bytes(ZEROS.get(..step).unwrap_or(&ZEROS))?;
        count -= step as u64;
    }
    Ok(())
}
