//! `holdfast policy`: what is backed up, and where to.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use bytes::Bytes;
use clap::Subcommand;
use client::{Client, FilePath, LastLink};
use serde_json::{Value, json};
use types::{Epoch, Policy, Root, Site};

use super::{find_policy, find_site};
use crate::error::CliError;
use crate::invocation::Invocation;

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
    let sites = client.sites().await?;
    let rows: Vec<_> = policies.iter().map(|policy| (cells(policy, &sites), value(policy, &sites))).collect();
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

fn cells(policy: &Policy, sites: &[Site]) -> Vec<String> {
    let roots: Vec<_> = policy.roots.iter().map(|root| root.path.as_str()).collect();
    vec![
        policy.name.clone(),
        site_name(policy, sites),
        policy.base.as_ref().map_or_else(|| "never".to_owned(), Epoch::to_string),
        roots.join(" "),
    ]
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
    use super::*;

    #[test]
    fn a_root_whose_path_goes_up_is_refused_by_its_name() {
        let refused = |path: &str| refuse_up(&FilePath::new(path.to_owned()).unwrap()).err();
        let error = refused("/data/../srv").unwrap();
        assert!(error.to_string().contains("/data/../srv"), "{error}");
        assert!(refused("/data/./srv/..not").is_none());
    }
}
