//! The commands by family, one file each.

pub mod backup;
pub mod cluster;
pub mod completions;
pub mod context;
pub mod policy;
pub mod quota;
pub mod repo;
mod repo_ls;
mod repository;
pub mod restore;
#[cfg(test)]
mod sample;
pub mod site;
pub mod snapshot;

use client::Client;
use types::{Policy, Site};

use crate::error::CliError;

/// Finds a site by its name.
async fn find_site(client: &Client, name: &str) -> Result<Site, CliError> {
    let found = client.sites().await?.into_iter().find(|site| site.name == name);
    found.ok_or_else(|| CliError::NoRecord { what: "site", name: name.to_owned() })
}

/// Finds a policy by its name.
async fn find_policy(client: &Client, name: &str) -> Result<Policy, CliError> {
    let found = client.policies().await?.into_iter().find(|policy| policy.name == name);
    found.ok_or_else(|| CliError::NoRecord { what: "policy", name: name.to_owned() })
}
