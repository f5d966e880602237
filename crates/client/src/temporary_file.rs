//! A file that takes more than one change to make: it stands beside its place, under a name that begins with
//! `.holdfast-put-`, and gets its own name when it is whole. What a crash leaves is seen by that name.

use types::{
    AttributeChanges, Attributes, Change, Content, Create, Lin, Name, NewInode, Outcome, Removal, Rename, RenameMode,
};
use wire::{Failure, InvalidMessage};

use crate::{ClientError, Session, Target};

const MAKE: &str = "make the file";

/// A file that is not whole yet.
pub struct TemporaryFile {
    session: Session,
    target: Target,
    lin: Lin,
    name: Name,
}

impl TemporaryFile {
    /// Makes an empty file beside the place of what it will be. Nobody else may open it meanwhile.
    pub async fn make(session: &Session, target: &Target) -> Result<Self, ClientError> {
        let unique = session.block_ids().reserve().id();
        let name = Name::new(format!(".holdfast-put-{unique}"))
            .map_err(|source| bad_answer(InvalidMessage::Name { field: "name", source }))?;
        let inode = NewInode { mode: 0o600, content: Content::Empty, size: 0, ..target.inode.clone() };
        let create = Create { parent: target.parent, name: name.clone(), inode, replace: false };
        let made = attributes(session.execute_one(MAKE, Change::Create(create)).await?)?;
        Ok(Self { session: session.clone(), target: target.clone(), lin: made.lin, name })
    }

    /// The file.
    pub const fn lin(&self) -> Lin {
        self.lin
    }

    /// Gives the file its length, its attributes and its name.
    pub async fn put_in_place(&self, size: u64) -> Result<Attributes, ClientError> {
        let Target { parent, name, inode, replace } = &self.target;
        let changes = AttributeChanges {
            mode: Some(inode.mode),
            size: Some(size),
            mtime: inode.mtime,
            atime: inode.atime,
            ..AttributeChanges::default()
        };
        let mode = if *replace { RenameMode::Replace } else { RenameMode::NoReplace };
        let (from_name, to_name) = (self.name.clone(), name.clone());
        let rename = Rename { from_parent: *parent, from_name, to_parent: *parent, to_name, mode };
        let steps = vec![Change::SetAttributes { lin: self.lin, changes }, Change::Rename(rename)];
        let results = self.session.execute(steps).await?;
        let outcomes = results.into_iter().collect::<Result<Vec<_>, Failure>>();
        let outcomes = outcomes.map_err(|failure| ClientError::Refused { action: MAKE, failure })?;
        let first = outcomes.into_iter().next();
        attributes(first.ok_or(ClientError::AnswerCount { action: MAKE, found: 0, expected: 2 })?)
    }

    /// Removes it.
    pub async fn remove(self) {
        let remove =
            Change::Remove { parent: self.target.parent, name: self.name.clone(), expect: Removal::NotDirectory };
        // Whatever made the writer give up is what tells why; a file that stays is seen by its name.
        let _ = self.session.execute_one(MAKE, remove).await;
    }
}

fn attributes(outcome: Outcome) -> Result<Attributes, ClientError> {
    match outcome {
        Outcome::Inode(attributes) => Ok(attributes),
        _ => Err(bad_answer(InvalidMessage::Missing { field: "inode" })),
    }
}

const fn bad_answer(source: InvalidMessage) -> ClientError {
    ClientError::BadAnswer { action: MAKE, source }
}
