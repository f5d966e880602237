//! Where a copy or move goes, by the rule of `cp` and `mv`: into a directory that is there, else to that very name.

use bytes::Bytes;
use client::{Client, ClientError, FilePath, LastLink};
use types::{ErrorKind, FileKind, Lin, Name};

use crate::error::CliError;

/// A directory and a name in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub parent: Lin,
    pub name: Name,
}

/// What a destination is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A directory that is there: things go into it under their own names.
    Into(Lin),
    /// A name that is free or is no directory's.
    Named(Place),
}

impl Destination {
    pub async fn find(client: &Client, path: &FilePath) -> Result<Self, CliError> {
        match client.resolve(path, LastLink::Follow, None).await {
            Ok(found) if found.kind == FileKind::Directory => Ok(Self::Into(found.lin)),
            Ok(_) => Ok(Self::Named(Place::find(client, path).await?)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::Named(Place::find(client, path).await?)),
            Err(error) => Err(error.into()),
        }
    }

    /// The place of something whose own name is that; things without one, such as `/` or `..`, go nowhere but to a name.
    pub fn place(&self, own: Option<&[u8]>) -> Result<Place, CliError> {
        match self {
            Self::Named(place) => Ok(place.clone()),
            Self::Into(parent) => {
                let missing = || CliError::Usage { message: "the source has no name: name the destination".to_owned() };
                let own = own.ok_or_else(missing)?;
                let name = Name::new(Bytes::copy_from_slice(own));
                let name = name.map_err(|error| CliError::Usage { message: error.to_string() })?;
                Ok(Place { parent: *parent, name })
            }
        }
    }

    /// Several things need a directory to go to.
    pub fn check_count(&self, sources: usize) -> Result<(), CliError> {
        match self {
            Self::Named(place) if sources > 1 => Err(CliError::Usage {
                message: format!("{} is not a directory, but there are several sources", place.name),
            }),
            _ => Ok(()),
        }
    }
}

impl Place {
    pub async fn find(client: &Client, path: &FilePath) -> Result<Self, ClientError> {
        let (parent, name) = client.resolve_parent(path).await?;
        Ok(Self { parent: parent.lin, name })
    }
}
