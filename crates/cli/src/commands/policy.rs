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
        let found = client.resolve(&path, LastLink::Keep, None).await?;
        roots.push(Root { lin: found.lin, path: path.absolute().to_string() });
    }
    Ok(roots)
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
