//! Which repository is meant, and what opens it.

use std::path::{Path, PathBuf};

use clap::Args;
use repo::{Listed, Opened, RecoveryKit, Repository, Unlock};
use runtime::Files;
use site::Site;
use types::Epoch;
use zeroize::Zeroizing;

use crate::error::CliError;
use crate::passphrase::{PassphraseSource, Typed};

/// Which repository is meant.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = true, args = ["kit", "url"])]
pub struct RepositoryChoice {
    /// The recovery kit: it names the repository and opens it
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_file")]
    kit: Option<PathBuf>,
    /// Where the repository is, to be opened with the passphrase; or with --kit, if it is elsewhere by now
    #[arg(long)]
    url: Option<String>,
    #[command(flatten)]
    passphrase: PassphraseSource,
}

/// Which of a repository's backups is meant.
#[derive(Clone, Debug, Default, Args)]
pub struct BackupChoice {
    /// The number of the backup [default: the newest]
    #[arg(long, value_name = "NUMBER")]
    epoch: Option<u64>,
    /// The policy that made it, if there are several
    #[arg(long)]
    policy: Option<String>,
}

impl RepositoryChoice {
    /// Opens it.
    pub async fn open(&self) -> Result<Repository<Opened>, CliError> {
        let site = self.site()?;
        let unlock = match &self.kit {
            Some(file) => Unlock::Kit(read_kit(file)?),
            None => Unlock::Passphrase(self.passphrase.read(Typed::Known).await?),
        };
        Ok(Repository::open(&site, unlock).await?)
    }

    /// The place where it is.
    pub fn site(&self) -> Result<Site, CliError> {
        let url = match (&self.url, &self.kit) {
            (Some(url), _) => url.clone(),
            (None, Some(file)) => read_kit(file)?.url,
            (None, None) => return Err(CliError::Usage { message: "give --kit or --url".to_owned() }),
        };
        Ok(Site::open(&url)?)
    }

    /// Opens it and reads its commits.
    pub async fn list(&self) -> Result<Repository<Listed>, CliError> {
        Ok(self.open().await?.list().await?)
    }
}

impl BackupChoice {
    /// Finds the backup.
    pub fn find(&self, repository: &Repository<Listed>) -> Result<repo::Backup, CliError> {
        let fits = |backup: &&repo::BackupInfo| {
            self.epoch.is_none_or(|epoch| backup.epoch == Epoch(epoch))
                && self.policy.as_ref().is_none_or(|policy| backup.policy == *policy)
        };
        let wanted: Vec<_> = repository.backups().iter().filter(fits).collect();
        let newest = wanted.iter().max_by_key(|backup| backup.number);
        self.refuse_lost(repository, newest.copied())?;
        let newest = newest.ok_or_else(|| self.nothing())?;
        if wanted.iter().any(|backup| backup.set != newest.set) {
            let mut policies: Vec<_> = wanted.iter().map(|backup| backup.policy.as_str()).collect();
            policies.sort_unstable();
            policies.dedup();
            let message =
                format!("several policies have backups here: choose one with --policy ({})", policies.join(", "));
            return Err(CliError::Usage { message });
        }
        Ok(repository.at(newest.set, newest.epoch)?)
    }

    /// Whoever asks for a lost backup, or for the newest when a lost one may be newer, is not given another in its place.
    fn refuse_lost(&self, repository: &Repository<Listed>, found: Option<&repo::BackupInfo>) -> Result<(), CliError> {
        let is_meant = |lost: &&repo::LostBackup| match (self.epoch, found) {
            (Some(epoch), None) => lost.epoch == Epoch(epoch),
            (Some(_), Some(_)) => false,
            (None, found) => found.is_none_or(|found| lost.number > found.number),
        };
        match (repository.lost().iter().find(is_meant), found) {
            (None, _) => Ok(()),
            (Some(lost), None) => Err(lost.error().into()),
            (Some(lost), Some(found)) => Err(CliError::NewestLost { source: lost.error(), readable: found.epoch }),
        }
    }

    fn nothing(&self) -> CliError {
        let name = match (self.epoch, &self.policy) {
            (Some(epoch), _) => epoch.to_string(),
            (None, Some(policy)) => format!("of policy {policy}"),
            (None, None) => "at all".to_owned(),
        };
        CliError::NoRecord { what: "backup", name }
    }
}

/// Reads a recovery kit.
pub fn read_kit(file: &Path) -> Result<RecoveryKit, CliError> {
    let bytes = Zeroizing::new(Files::real().read(file)?);
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    text.parse().map_err(|source| CliError::Kit { file: file.to_owned(), source })
}
