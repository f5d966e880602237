use std::collections::VecDeque;
use std::ffi::OsString;

use clap::Args;
use client::{CHANGES_MAX, ClientError, Entry, LastLink, Pending, Session};
use runtime::Tasks;
use types::{Change, ErrorKind, FileKind, Lin, Name, Removal};

use super::place::Place;
use super::{for_each_path, path};
use crate::error::CliError;
use crate::invocation::Invocation;

const REMOVE: &str = "remove";
/// Directories that are listed ahead.
const LISTED_AHEAD: usize = 16;

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

/// Whether what is in a directory goes with it.
#[derive(Clone, Copy, Debug)]
enum Depth {
    One,
    Tree,
}

pub async fn run(arguments: Arguments, invocation: &mut Invocation) -> Result<(), CliError> {
    let depth = if arguments.recursive { Depth::Tree } else { Depth::One };
    let session = invocation.open_session().await?;
    for_each_path(&arguments.paths, invocation.output.format(), async |text| {
        match remove(&session, &invocation.tasks, text, depth).await {
            Err(error) if arguments.force && error.exit() == ErrorKind::NotFound.into() => Ok(()),
            removed => removed,
        }
    })
    .await?;
    Ok(session.close().await?)
}

async fn remove(session: &Session, tasks: &Tasks, text: &OsString, depth: Depth) -> Result<(), CliError> {
    let path = path(text)?;
    let Place { parent, name } = Place::find(session.client(), &path).await?;
    let found = session.client().resolve(&path, LastLink::Keep, None).await?;
    let mut remover = Remover { session, tasks, changes: Vec::new() };
    match (found.kind, depth) {
        (FileKind::Directory, Depth::Tree) => {
            remover.tree(found.lin, parent, name).await.map_err(CliError::at(&path))?
        }
        (FileKind::Directory, Depth::One) => {
            return Err(CliError::Usage { message: format!("{path} is a directory: use --recursive") });
        }
        _ => remover.add(Change::Remove { parent, name, expect: Removal::NotDirectory }).await?,
    }
    remover.flush().await.map_err(CliError::at(&path))
}

/// Removes in batches; the order of the changes is kept, so that a directory goes after what was in it.
struct Remover<'a> {
    session: &'a Session,
    tasks: &'a Tasks,
    changes: Vec<Change>,
}

type Listing = Pending<Result<(Vec<Entry>, bool), ClientError>>;

impl Remover<'_> {
    /// Removes all files below while it finds the directories, several of which are listed ahead; then the directories,
    /// the last that was found first.
    async fn tree(&mut self, lin: Lin, parent: Lin, name: Name) -> Result<(), ClientError> {
        let mut found = vec![(parent, name)];
        let mut waiting = VecDeque::from([lin]);
        let mut listings = VecDeque::new();
        loop {
            while listings.len() < LISTED_AHEAD
                && let Some(directory) = waiting.pop_front()
            {
                listings.push_back((directory, self.list(directory, None)));
            }
            let Some((directory, listing)) = listings.pop_front() else { break };
            for (name, lin) in self.empty(directory, listing).await? {
                found.push((directory, name));
                waiting.push_back(lin);
            }
        }
        for (parent, name) in found.into_iter().rev() {
            self.add(Change::Remove { parent, name, expect: Removal::Directory }).await?;
        }
        Ok(())
    }

    fn list(&self, directory: Lin, after: Option<Name>) -> Listing {
        let client = self.session.client().clone();
        let list = async move { client.read_directory(directory, after.as_ref(), None).await };
        Pending::start(self.tasks, "list a directory", list)
    }

    /// Removes the files of a directory and gives its subdirectories.
    async fn empty(&mut self, directory: Lin, mut listing: Listing) -> Result<Vec<(Name, Lin)>, ClientError> {
        let mut below = Vec::new();
        loop {
            let (entries, more) = listing.finish().await??;
            let next = entries.last().filter(|_| more).map(|last| self.list(directory, Some(last.name.clone())));
            for Entry { name, lin, kind, .. } in entries {
                match kind {
                    FileKind::Directory => below.push((name, lin)),
                    _ => {
                        let expect = Removal::NotDirectory;
                        self.add(Change::Remove { parent: directory, name, expect }).await?;
                    }
                }
            }
            match next {
                Some(next) => listing = next,
                None => return Ok(below),
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
