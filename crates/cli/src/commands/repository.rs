//! Which repository is meant, and what opens it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use repo::{Backup, Listed, Opened, RecoveryKit, Repository, Unlock};
use runtime::{Clock, Files, blocking};
use site::{Retry, Site, SiteError};
use types::Epoch;
use zeroize::Zeroizing;

use crate::error::CliError;
use crate::passphrase::{PassphraseSource, Typed};

/// How often a request to a site is tried again: with the pauses some two minutes, because a restore of hours must not
/// end with a line that was down for one.
const RETRIES: u32 = 8;
/// The first pause; it doubles.
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// How long a request may take before it counts as failed: the largest object at 2 Mbit/s.
const REQUEST_DEADLINE: Duration = Duration::from_mins(5);

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

/// Which backup of which repository is meant.
#[derive(Clone, Debug, Args)]
pub struct BackupSource {
    #[command(flatten)]
    repository: RepositoryChoice,
    #[command(flatten)]
    backup: BackupChoice,
}

/// Which of a repository's backups is meant.
#[derive(Clone, Debug, Default, Args)]
struct BackupChoice {
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
        let site = self.site().await?;
        let unlock = match &self.kit {
            Some(file) => Unlock::Kit(read_kit(file)?),
            None => Unlock::Passphrase(self.passphrase.read(Typed::Known).await?),
        };
        Ok(Repository::open(&site, unlock).await?)
    }

    /// The place where it is.
    pub async fn site(&self) -> Result<Site, CliError> {
        let url = match (&self.url, &self.kit) {
            (Some(url), _) => url.clone(),
            (None, Some(file)) => read_kit(file)?.url,
            (None, None) => return Err(CliError::Usage { message: "give --kit or --url".to_owned() }),
        };
        open_site(&url).await
    }

    /// Opens it and reads its commits.
    pub async fn list(&self) -> Result<Repository<Listed>, CliError> {
        Ok(self.open().await?.list().await?)
    }
}

impl BackupSource {
    /// Opens the repository and finds the backup.
    pub async fn open(&self) -> Result<(Repository<Listed>, Backup), CliError> {
        let repository = self.repository.list().await?;
        let backup = self.backup.find(&repository)?;
        Ok((repository, backup))
    }
}

impl BackupChoice {
    /// Finds the backup.
    fn find(&self, repository: &Repository<Listed>) -> Result<Backup, CliError> {
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
        let of_policy = self.policy.as_ref().map(|policy| format!(" of policy {policy:?}")).unwrap_or_default();
        let number = self.epoch.map(|epoch| format!(" {epoch}")).unwrap_or_default();
        CliError::Nothing {
            what: format!("backup{number}{of_policy} in the repository: `holdfast repo list` shows what it has"),
        }
    }
}

/// Opens a site whose requests end in time, and are tried again if what failed may pass.
pub async fn open_site(url: &str) -> Result<Site, CliError> {
    let retry = Retry::new(&Clock::real(), RETRIES, RETRY_FIRST);
    let open = || {
        let url = url.to_owned();
        blocking(move || Site::open(&url))
    };
    let site = retry.run("open the site", SiteError::kind, open).await?;
    Ok(site.steady(REQUEST_DEADLINE, retry))
}

/// Reads a recovery kit.
pub fn read_kit(file: &Path) -> Result<RecoveryKit, CliError> {
    let bytes = Zeroizing::new(Files::real().read(file)?);
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    text.parse().map_err(|source| CliError::Kit { file: file.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_that_is_not_there_is_named_as_it_was_asked_for() {
        let told = |epoch, policy: Option<&str>| {
            let choice = BackupChoice { epoch, policy: policy.map(str::to_owned) };
            choice.nothing().to_string().split(" in the").next().unwrap_or_default().to_owned()
        };
        assert_eq!(told(None, None), "there is no backup");
        assert_eq!(told(Some(4), None), "there is no backup 4");
        assert_eq!(told(Some(4), Some("daily")), "there is no backup 4 of policy \"daily\"");
    }
}
