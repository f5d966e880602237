//! Making and opening a repository.

use std::sync::Arc;

use runtime::blocking;
use site::{LIST_LIMIT_MAX, Site, SiteError};
use types::{ClusterId, Generation, RepositoryId};
use zeroize::Zeroizing;

use super::{Repository, Shared};
use crate::keys::KeyObject;
use crate::names::{BOOTSTRAP_NAME, KEYS_PREFIX, Name, OWNER_PREFIX};
use crate::{Bootstrap, OwnerObject, PrivateKey, ReaderKeys, RecoveryKit, RepoError, WriterKeys};

/// The keys fit the repository; nothing else was read.
#[derive(Clone, Copy, Debug)]
pub struct Opened;

/// What opens a repository.
#[derive(Clone, Debug)]
pub enum Unlock {
    /// The passphrase: everything can be read.
    Passphrase(Zeroizing<String>),
    /// The private key: everything can be read.
    PrivateKey(PrivateKey),
    /// The recovery kit: everything can be read.
    Kit(RecoveryKit),
    /// The keys that nodes hold: tables can be read, blocks cannot.
    Writer(WriterKeys),
}

/// What a new repository begins with.
#[derive(Clone, Debug)]
pub struct NewRepository {
    /// Its id, drawn by the caller.
    pub repository: RepositoryId,
    /// The cluster that is to own it.
    pub cluster: ClusterId,
    /// The cluster's number as owner: 1 for a new repository.
    pub generation: Generation,
    /// Who can open it.
    pub keys: KeyObject,
    /// Keeps two writers of a first key object apart.
    pub random: u64,
}

impl Repository<Opened> {
    /// Makes a repository at a site. Trying again with the same values goes on where it stopped.
    ///
    /// The bootstrap is put first: of two that make a repository at one site only one goes on. A crash after it leaves a
    /// repository without keys, which nobody can open and nothing was written to. The key object is put twice: it is the
    /// one object without which nothing else can be read.
    ///
    /// # Errors
    /// [`SiteError::Different`] names `holdfast.json`: there is another repository. Or the site failed.
    pub async fn create(site: &Site, new: &NewRepository) -> Result<(), RepoError> {
        let owner = OwnerObject::new(new.repository, new.generation, new.cluster);
        site.put_same(BOOTSTRAP_NAME, Bootstrap::new(new.repository).encode()).await?;
        for random in [new.random, !new.random] {
            let keys = Name::Keys { number: 1, cluster: new.cluster, random };
            site.put_same(&keys.to_string(), new.keys.encode()).await?;
        }
        site.put_same(&owner.name().to_string(), owner.encode()).await?;
        Ok(())
    }

    /// Opens a repository.
    ///
    /// # Errors
    /// [`RepoError::NoRepository`]; the secret does not fit; or bootstrap or keys are missing or damaged.
    pub async fn open(site: &Site, unlock: Unlock) -> Result<Self, RepoError> {
        let id = match (bootstrap(site).await, &unlock) {
            (Ok(bootstrap), _) => bootstrap.repository,
            // The kit knows which repository it is; the key object proves that this is the one.
            (Err(RepoError::Damaged { .. } | RepoError::NoRepository { .. }), Unlock::Kit(kit)) => kit.repository,
            (Err(error), _) => return Err(error),
        };
        if let Unlock::Kit(kit) = &unlock
            && kit.repository != id
        {
            return Err(RepoError::Foreign { name: BOOTSTRAP_NAME.into(), found: id, expected: kit.repository });
        }
        let (keys, private) = open_newest_keys(site, id, unlock).await?;
        Ok(Self { shared: Arc::new(Shared { site: site.clone(), id, keys, private }), state: Opened })
    }

    /// Reads the newest owner object.
    ///
    /// # Errors
    /// [`RepoError::TwoOwners`]; or it is missing or damaged.
    pub async fn owner(&self) -> Result<OwnerObject, RepoError> {
        let site = &self.shared.site;
        let newest = site.list(OWNER_PREFIX, None, 2).await?;
        let mut names = newest.iter().filter_map(|listed| match listed.name.parse() {
            Ok(Name::Owner { generation, .. }) => Some((generation, listed.name.clone())),
            _ => None,
        });
        let missing = || RepoError::Missing { name: OWNER_PREFIX.into(), needed_by: BOOTSTRAP_NAME.into() };
        let (generation, name) = names.next().ok_or_else(missing)?;
        if let Some((_, second)) = names.next().filter(|(other, _)| *other == generation) {
            return Err(RepoError::TwoOwners { first: name, second });
        }
        OwnerObject::decode(&name, &site.get(&name).await?, self.shared.id)
    }
}

pub(super) async fn bootstrap(site: &Site) -> Result<Bootstrap, RepoError> {
    match site.get(BOOTSTRAP_NAME).await {
        Ok(bytes) => Bootstrap::decode(&bytes),
        Err(SiteError::NotFound { site, .. }) => Err(RepoError::NoRepository { site }),
        Err(error) => Err(error.into()),
    }
}

type Keys = (WriterKeys, Option<PrivateKey>);

/// Opens the newest key object, which is the first that is listed; a damaged one has a copy after it.
async fn open_newest_keys(site: &Site, repository: RepositoryId, unlock: Unlock) -> Result<Keys, RepoError> {
    let listed = site.list(KEYS_PREFIX, None, LIST_LIMIT_MAX).await?;
    let names = listed.into_iter().filter(|listed| matches!(listed.name.parse(), Ok(Name::Keys { .. })));
    let mut first_error = None;
    for name in names.map(|listed| listed.name) {
        let bytes = site.get(&name).await?;
        let unlock = unlock.clone();
        let opened = blocking(move || open_keys(&name, &bytes, repository, unlock)).await;
        match opened {
            Err(error @ RepoError::Damaged { .. }) => first_error.get_or_insert(error),
            decided => return decided,
        };
    }
    let missing = || RepoError::Missing { name: KEYS_PREFIX.into(), needed_by: BOOTSTRAP_NAME.into() };
    Err(first_error.unwrap_or_else(missing))
}

fn open_keys(name: &str, bytes: &[u8], repository: RepositoryId, unlock: Unlock) -> Result<Keys, RepoError> {
    let object = KeyObject::decode(name, bytes, repository)?;
    let both = |keys: ReaderKeys| (keys.writer, Some(keys.private));
    match unlock {
        Unlock::Passphrase(passphrase) => object.open_with_passphrase(name, &passphrase).map(both),
        Unlock::PrivateKey(private) | Unlock::Kit(RecoveryKit { private, .. }) => object.open(name, &private).map(both),
        Unlock::Writer(keys) if keys.data_public == *object.data_public_key() => Ok((keys, None)),
        Unlock::Writer(_) => Err(RepoError::WrongKey { name: name.to_owned() }),
    }
}
