//! Large files, streamed.

use std::path::PathBuf;

use client::{ClientError, FileWriter, Session, Target};
use runtime::{Shutdown, Tasks};
use types::Attributes;

use crate::error::CliError;
use crate::progress::Progress;
use crate::tree::source::{self, Pieces};

/// Copies a file, unless the program is told to stop; what was begun then goes away.
pub async fn copy(
    session: &Session,
    tasks: &Tasks,
    path: PathBuf,
    target: Target,
    progress: &Progress,
) -> Result<Attributes, CliError> {
    let size = target.inode.size;
    let mut writer = session.write_file(target);
    let mut pieces = source::read_large(tasks, path, size);
    let written = write_all(&mut writer, &mut pieces, &tasks.shutdown(), progress).await;
    if let Err(error) = written {
        writer.abandon().await;
        return Err(error);
    }
    writer.extend_to(size);
    Ok(writer.finish().await?)
}

/// Writes pieces as they come, until there are no more.
pub async fn write_all(
    writer: &mut FileWriter,
    pieces: &mut Pieces,
    shutdown: &Shutdown,
    progress: &Progress,
) -> Result<(), CliError> {
    while let Some(piece) = shutdown.unless_cancelled(pieces.recv()).await.ok_or(ClientError::Interrupted)? {
        let piece = piece?;
        writer.write(piece.offset, &piece.bytes).await?;
        progress.add_bytes(piece.bytes.len() as u64);
    }
    Ok(())
}
