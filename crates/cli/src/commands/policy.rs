//! `holdfast policy`: what is backed up, and where to.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use bytes::Bytes;
use clap::Subcommand;
use client::{Client, FilePath, LastLink};
use serde_json::{Value, json};
use types::{Job, Policy, Root, Site};

use super::{find_policy, find_site};
use crate::error::CliError;
use crate::invocation::Invocation;
use crate::text;

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a policy
    Create {
        /// Its name
        name: String,
        /// The site that its backups go to
        #[arg(long)]
        site: String,
        /// What it backs up: directories or files of the cluster
        #[arg(required = true)]
        paths: Vec<OsString>,
    },
    /// List policies
    List,
    /// Show a policy
    Show {
        /// Its name
        name: String,
    },
    /// Delete a policy; its backups stay
    Delete {
        /// Its name
        name: String,
    },
}

pub async fn run(command: Command, invocation: &mut Invocation) -> Result<(), CliError> {
    let client = invocation.connect().await?;
    let policies = match command {
        Command::Create { name, site, paths } => {
            let site = find_site(&client, &site).await?;
            let policy = client.create_policy(&name, roots(&client, &paths).await?, site.id).await?;
            vec![policy]
        }
        Command::List => client.policies().await?,
        Command::Show { name } => vec![find_policy(&client, &name).await?],
        Command::Delete { name } => {
            let policy = find_policy(&client, &name).await?;
            return Ok(client.delete_policy(policy.id).await?);
        }
    };
    let (sites, jobs) = (client.sites().await?, client.jobs(None).await?);
    let rows: Vec<_> = policies.iter().map(|policy| (cells(policy, &sites, &jobs), value(policy, &sites))).collect();
    invocation.output.table(&["NAME", "SITE", "LAST BACKUP", "ROOTS"], &rows)
}

/// The roots of the set are what the paths lead to now; the paths are kept for people (rule P17).
async fn roots(client: &Client, paths: &[OsString]) -> Result<Vec<Root>, CliError> {
    let mut roots = Vec::new();
    for text in paths {
        let path = FilePath::new(Bytes::copy_from_slice(text.as_bytes()))?;
        refuse_up(&path)?;
        let found = client.resolve(&path, LastLink::Keep, None).await?;
        roots.push(Root { lin: found.lin, path: path.absolute().to_string() });
    }
    Ok(roots)
}

/// A path that goes up would be shown as what it is not: where it leads depends on the links in it.
fn refuse_up(path: &FilePath) -> Result<(), CliError> {
    if !path.goes_up() {
        return Ok(());
    }
    Err(CliError::Usage { message: format!("{path}: a root's path has no \"..\": give the path that it leads to") })
}

fn site_name(policy: &Policy, sites: &[Site]) -> String {
    let found = sites.iter().find(|site| site.id == policy.site);
    found.map_or_else(|| policy.site.to_string(), |site| site.name.clone())
}

/// The last backup of a policy, and when it was begun as long as its job is remembered.
fn last_backup(policy: &Policy, jobs: &[Job]) -> String {
    let Some(epoch) = policy.base else { return "never".to_owned() };
    let job = jobs.iter().find(|job| job.policy == policy.id && job.epoch == epoch);
    job.map_or_else(|| epoch.to_string(), |job| format!("{epoch}, {}", text::time(job.started)))
}

fn cells(policy: &Policy, sites: &[Site], jobs: &[Job]) -> Vec<String> {
    let roots: Vec<_> = policy.roots.iter().map(|root| root.path.as_str()).collect();
    vec![policy.name.clone(), site_name(policy, sites), last_backup(policy, jobs), roots.join(" ")]
}

fn value(policy: &Policy, sites: &[Site]) -> Value {
    json!({
        "id": policy.id,
        "name": policy.name,
        "set": policy.set,
        "site": site_name(policy, sites),
        "roots": policy.roots,
        "last_backup": policy.base,
    })
}

#[cfg(test)]
mod tests {
    use types::JobPhase;

    use super::super::sample::{job, policy};
    use super::*;

    #[test]
    fn the_last_backup_has_its_time_as_long_as_its_job_is_remembered() {
        assert_eq!(last_backup(&policy(), &[job(JobPhase::Packing)]), "3, 1970-01-01T00:00:00Z");
        assert_eq!(last_backup(&policy(), &[]), "3");
        assert_eq!(last_backup(&Policy { base: None, ..policy() }, &[job(JobPhase::Packing)]), "never");
    }

    #[test]
    fn a_root_whose_path_goes_up_is_refused_by_its_name() {
        let refused = |path: &str| refuse_up(&FilePath::new(path.to_owned()).unwrap()).err();
        let error = refused("/data/../srv").unwrap();
        assert!(error.to_string().contains("/data/../srv"), "{error}");
        assert!(refused("/data/./srv/..not").is_none());
    }
}
