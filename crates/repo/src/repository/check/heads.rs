//! What a reader needs before any row: bootstrap, keys, owners, runs, configurations.

use bytes::Bytes;
use site::LIST_LIMIT_MAX;

use super::runs::Runs;
use super::{Check, CheckDepth};
use crate::commit::{Commit, StateReference};
use crate::names::{BOOTSTRAP_NAME, KEYS_PREFIX, Name, OWNER_PREFIX};
use crate::repository::open;
use crate::{KeyObject, OwnerObject, RepoError};

impl<'a> Check<'a> {
    /// Looks at what a reader needs first: bootstrap, key objects, owner objects. A reader gets by without some of them.
    pub(super) async fn heads(&mut self) -> Result<(), RepoError> {
        let shared = &self.repository.shared;
        let bootstrap = open::bootstrap(&shared.site).await;
        self.report.note(BOOTSTRAP_NAME, bootstrap)?;
        for prefix in [KEYS_PREFIX, OWNER_PREFIX] {
            let listed = shared.site.list(prefix, None, LIST_LIMIT_MAX).await?;
            if listed.is_empty() {
                self.report.finding(prefix, "there is none");
            }
            for listed in listed {
                let looked_at = self.head(&listed.name).await;
                self.report.note(&listed.name, looked_at)?;
            }
        }
        Ok(())
    }

    async fn head(&self, name: &str) -> Result<(), RepoError> {
        let shared = &self.repository.shared;
        let bytes = shared.site.get(name).await.map_err(|error| RepoError::missing(error, "a listing"))?;
        match name.parse() {
            Ok(Name::Owner { .. }) => OwnerObject::decode(name, &bytes, shared.id).map(drop),
            Ok(Name::Keys { .. }) => {
                let keys = KeyObject::decode(name, &bytes, shared.id)?;
                shared.private.as_ref().map_or(Ok(()), |private| keys.open(name, private).map(drop))
            }
            _ => Err(RepoError::damaged(name, "it has a name of another kind")),
        }
    }

    /// Looks at each run. Those that do not open, or are not what was written, are left out: what is wrong with a run is
    /// found once, not by every row.
    pub(super) async fn runs(&mut self, head: &'a Commit) -> Result<Runs<'a>, RepoError> {
        let repository = self.repository;
        let shared = &repository.shared;
        let mut runs = Runs::new(repository, head);
        for reference in &head.runs {
            self.report.runs += 1;
            let name = reference.name().to_string();
            let opened = runs.open(reference).await;
            let mut is_sound = self.report.note(&name, opened)?.is_some();
            if self.depth >= CheckDepth::Bytes && is_sound {
                let read = shared.site.get(&name).await.map_err(|error| RepoError::missing(error, "a commit"));
                let bytes = self.report.note(&name, read)?;
                is_sound = self.compare(&name, bytes, reference.hash);
            }
            if !is_sound {
                runs.add_unsound(*reference);
            }
        }
        Ok(runs)
    }

    /// Looks at the configurations that the commits name.
    pub(super) async fn states(&mut self) -> Result<(), RepoError> {
        let repository = self.repository;
        for backup in repository.backups() {
            if let Some(state) = backup.state {
                self.state(&backup.commit, state).await?;
            }
        }
        Ok(())
    }

    async fn state(&mut self, commit: &str, state: StateReference) -> Result<(), RepoError> {
        let site = &self.repository.shared.site;
        let name = Name::State(state.writer).to_string();
        let missing = |error| RepoError::missing(error, commit);
        if self.depth >= CheckDepth::Bytes {
            let bytes = self.report.note(&name, site.get(&name).await.map_err(missing))?;
            self.compare(&name, bytes, state.hash);
        } else if let Some(size) = self.report.note(&name, site.size(&name).await.map_err(missing))?
            && size != state.size
        {
            self.report.finding(&name, "it has another length than it had");
        }
        Ok(())
    }

    /// Compares bytes with their hash; gives whether they are there and what was written.
    fn compare(&mut self, name: &str, bytes: Option<Bytes>, hash: [u8; 32]) -> bool {
        let Some(bytes) = bytes else { return false };
        self.report.bytes += bytes.len() as u64;
        let is_same = *blake3::hash(&bytes).as_bytes() == hash;
        if !is_same {
            self.report.finding(name, "its bytes are not what was written");
        }
        is_same
    }
}
