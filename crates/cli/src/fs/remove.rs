use std::ffi::OsString;

use clap::Args;
use client::{CHANGES_MAX, ClientError, LastLink, Session};
use types::{Change, ErrorKind, FileKind, Lin, Name, Removal};

use super::path;
use super::place::Place;
use crate::error::CliError;
use crate::invocation::Invocation;

const REMOVE: &str = "remove";

/// Remove files.
#[derive(Debug, Args)]
pub struct Arguments {
    /// What to remove
    #[arg(required = true)]
    paths: Vec<OsString>,
    /// Remove directories with all that is in them
    #[arg(short, long)]
    recursive: bool,
    /// Do not mind what is not there
    #[arg(short, long)]
    force: bool,
}

pub async fn run(arguments: Arguments, invocation: &mut Invocation) -> Result<(), CliError> {
    let session = invocation.open_session().await?;
    for text in &arguments.paths {
        match remove(&session, text, arguments.recursive).await {
            Err(error) if arguments.force && error.exit() == ErrorKind::NotFound.into() => {}
            removed => removed?,
        }
    }
    Ok(session.close().await?)
}

async fn remove(session: &Session, text: &OsString, recursive: bool) -> Result<(), CliError> {
    let path = path(text)?;
    let Place { parent, name } = Place::find(session.client(), &path).await?;
    let found = session.client().resolve(&path, LastLink::Keep, None).await?;
    let mut remover = Remover { session, changes: Vec::new() };
    match (found.kind, recursive) {
        (FileKind::Directory, true) => remover.tree(found.lin, parent, name).await?,
        (FileKind::Directory, false) => {
            return Err(CliError::Usage { message: format!("{path} is a directory: use --recursive") });
        }
        _ => remover.add(Change::Remove { parent, name, expect: Removal::NotDirectory }).await?,
    }
    Ok(remover.flush().await?)
}

/// Removes in batches; the order of the changes is kept, so that a directory goes after what was in it.
struct Remover<'a> {
    session: &'a Session,
    changes: Vec<Change>,
}

/// A step on the way through a tree.
enum Step {
    Enter(Lin),
    Leave(Lin, Name),
}

impl Remover<'_> {
    async fn tree(&mut self, lin: Lin, parent: Lin, name: Name) -> Result<(), ClientError> {
        let mut steps = vec![Step::Leave(parent, name), Step::Enter(lin)];
        while let Some(step) = steps.pop() {
            match step {
                Step::Leave(parent, name) => {
                    self.add(Change::Remove { parent, name, expect: Removal::Directory }).await?;
                }
                Step::Enter(lin) => self.empty(lin, &mut steps).await?,
            }
        }
        Ok(())
    }

    /// Removes the entries of a directory; its subdirectories are noted to be entered.
    async fn empty(&mut self, directory: Lin, steps: &mut Vec<Step>) -> Result<(), ClientError> {
        let mut after: Option<Name> = None;
        loop {
            let (entries, more) = self.session.client().read_directory(directory, after.as_ref(), None).await?;
            after = entries.last().map(|entry| entry.name.clone());
            for entry in entries {
                if entry.kind == FileKind::Directory {
                    steps.push(Step::Leave(directory, entry.name));
                    steps.push(Step::Enter(entry.lin));
                } else {
                    let expect = Removal::NotDirectory;
                    self.add(Change::Remove { parent: directory, name: entry.name, expect }).await?;
                }
            }
            if !more || after.is_none() {
                return Ok(());
            }
        }
    }

    async fn add(&mut self, change: Change) -> Result<(), ClientError> {
        self.changes.push(change);
        if self.changes.len() >= CHANGES_MAX { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), ClientError> {
        let results = self.session.execute(std::mem::take(&mut self.changes)).await?;
        for failure in results.into_iter().filter_map(Result::err) {
            // Somebody else may have removed it first.
            if failure.kind != ErrorKind::NotFound {
                return Err(ClientError::Refused { action: REMOVE, failure });
            }
        }
        Ok(())
    }
}
