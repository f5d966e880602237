//! `holdfast site`: the places that keep backups.
//!
//! A new repository's keys are made here and not on a node, so that no node ever sees the private key: the nodes get
//! the public half and the symmetric keys, the private half lies in the repository, wrapped under the passphrase.

use clap::{Args, Subcommand};
use client::Client;
use repo::names::{BOOTSTRAP_NAME, Name};
use repo::{Bootstrap, KeyObject, NewKeys, OwnerObject, PassphraseCost};
use runtime::{Seed, blocking};
use serde_json::{Value, json};
use types::{ClusterId, Generation, Policy, RepositoryId, Site};
use wire::v1;

use super::find_site;
use crate::error::CliError;
use crate::invocation::Invocation;
use crate::passphrase::{PassphraseSource, Typed};

/// A new repository's first owner.
const FIRST_GENERATION: Generation = Generation(1);

/// What to do with sites.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Attach a site with a new repository, which the passphrase opens
    Add(Add),
    /// List sites
    List,
    /// Try a site from every node: reach, write, read back, keys
    Test {
        /// Its name
        name: String,
    },
    /// Forget a site that no policy uses; its repository and the backups in it stay
    Remove {
        /// Its name
        name: String,
    },
}

/// Attach a site with a new repository.
#[derive(Debug, Args)]
pub struct Add {
    /// Its name
    name: String,
    /// Where it is, as the nodes see it: file:///absolute/path
    url: String,
    /// Who runs it
    #[arg(long, default_value = "")]
    organisation: String,
    /// Where it stands
    #[arg(long, default_value = "")]
    location: String,
    #[command(flatten)]
    passphrase: PassphraseSource,
}

pub async fn run(command: Command, invocation: &mut Invocation) -> Result<(), CliError> {
    match command {
        Command::Add(add) => add_site(add, invocation).await,
        Command::List => {
            let sites = invocation.connect().await?.sites().await?;
            let rows: Vec<_> = sites.iter().map(|site| (cells(site), value(site))).collect();
            invocation.output.table(&["NAME", "URL", "REPOSITORY", "BACKUPS", "KIT"], &rows)
        }
        Command::Test { name } => test(&name, invocation).await,
        Command::Remove { name } => remove(&name, invocation).await,
    }
}

async fn add_site(add: Add, invocation: &mut Invocation) -> Result<(), CliError> {
    let client = invocation.connect().await?;
    let cluster = cluster_id(&client).await?;
    let passphrase = add.passphrase.read(Typed::New).await?;
    let seed = Seed::from_os();
    let repository = RepositoryId(seed.uuid());
    let drawing = seed.clone();
    let wrap = move || KeyObject::create(repository, &passphrase, PassphraseCost::RECOMMENDED, &drawing);
    let NewKeys { keys, object } = blocking(wrap).await?;

    let mut site = Site::proposed(add.name, add.url, repository, FIRST_GENERATION);
    site.organisation = add.organisation;
    site.location = add.location;
    site.data_key_public = keys.writer.data_public;
    site.keys_fingerprint = keys.writer.fingerprint();
    let request = v1::AddSiteRequest {
        site: Some(site.into()),
        objects: first_objects(repository, cluster, &object, seed.u64()),
        metadata_key: keys.writer.metadata.expose().to_vec().into(),
        digest_key: keys.writer.digest.expose().to_vec().into(),
    };
    let added = client.add_site(request).await?;
    let advice = "export its recovery kit before the first backup";
    let line = format!(
        "site {name} has repository {}; {advice}: holdfast repo kit {name} --output FILE",
        added.repository,
        name = added.name
    );
    invocation.output.result(line, &value(&added))
}

/// The bootstrap first: of two that make a repository at one place, only one gets past it.
fn first_objects(repository: RepositoryId, cluster: ClusterId, keys: &KeyObject, random: u64) -> Vec<v1::NewObject> {
    let owner = OwnerObject::new(repository, FIRST_GENERATION, cluster);
    let keys_name = Name::Keys { number: 1, cluster, random };
    vec![
        v1::NewObject { name: BOOTSTRAP_NAME.to_owned(), bytes: Bootstrap::new(repository).encode() },
        v1::NewObject { name: keys_name.to_string(), bytes: keys.encode() },
        v1::NewObject { name: owner.name().to_string(), bytes: owner.encode() },
    ]
}

async fn cluster_id(client: &Client) -> Result<ClusterId, CliError> {
    let text = client.status().await?.cluster;
    text.parse().map_err(|_| CliError::Usage { message: "the node does not belong to a cluster yet".to_owned() })
}

async fn remove(name: &str, invocation: &mut Invocation) -> Result<(), CliError> {
    let client = invocation.connect().await?;
    let site = find_site(&client, name).await?;
    let uses = |policy: &Policy| (policy.site == site.id).then(|| policy.name.clone());
    let policies: Vec<_> = client.policies().await?.iter().filter_map(uses).collect();
    if !policies.is_empty() {
        return Err(CliError::SiteInUse { site: site.name, policies: policies.join(", ") });
    }
    client.remove_site(site.id).await?;
    let line = format!("site {} is forgotten; its repository stays at {}", site.name, site.url);
    invocation.output.summary(line, &value(&site))
}

async fn test(name: &str, invocation: &mut Invocation) -> Result<(), CliError> {
    let client = invocation.connect().await?;
    let site = find_site(&client, name).await?;
    let tests = client.test_site(site.id).await?;
    let rows: Vec<_> = tests.iter().map(|test| (test_cells(test), test_value(test))).collect();
    invocation.output.table(&["NODE", "CREATE ONCE", "CAN OVERWRITE", "CAN DELETE", "KEYS", "RESULT"], &rows)?;
    match tests.iter().filter(|test| !test.problem.is_empty() || !test.has_keys).count() {
        0 => Ok(()),
        failed => Err(CliError::SiteUnusable { failed }),
    }
}

/// A node that cannot use the site has not found out what it may do there. What is wrong comes last: it is a sentence.
fn test_cells(test: &v1::SiteTest) -> Vec<String> {
    let word = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let of_site = |yes: bool| if test.conditional_create { word(yes) } else { "-".to_owned() };
    vec![
        test.node.to_string(),
        of_site(test.conditional_create),
        of_site(test.can_overwrite),
        of_site(test.can_delete),
        word(test.has_keys),
        if test.problem.is_empty() { "ok".to_owned() } else { test.problem.clone() },
    ]
}

fn test_value(test: &v1::SiteTest) -> Value {
    json!({
        "node": test.node,
        "problem": if test.problem.is_empty() { Value::Null } else { test.problem.as_str().into() },
        "conditional_create": test.conditional_create,
        "can_overwrite": test.can_overwrite,
        "can_delete": test.can_delete,
        "has_keys": test.has_keys,
    })
}

fn cells(site: &Site) -> Vec<String> {
    let kit = if site.state.kit_exported { "exported" } else { "not exported" };
    vec![
        site.name.clone(),
        site.url.clone(),
        site.repository.to_string(),
        site.state.head.as_ref().map_or(0, |head| head.number).to_string(),
        kit.to_owned(),
    ]
}

fn value(site: &Site) -> Value {
    json!({
        "id": site.id,
        "name": site.name,
        "url": site.url,
        "organisation": site.organisation,
        "location": site.location,
        "repository": site.repository,
        "generation": site.generation,
        "commits": site.state.head.as_ref().map_or(0, |head| head.number),
        "kit_exported": site.state.kit_exported,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_cannot_use_a_site_says_why_and_not_what_it_may_do_there() {
        let sound = v1::SiteTest { node: 1, conditional_create: true, has_keys: true, ..Default::default() };
        assert_eq!(test_cells(&sound), ["1", "yes", "no", "no", "yes", "ok"]);
        let problem = "file:///mnt holds no repository".to_owned();
        let unmounted = v1::SiteTest { node: 2, problem, has_keys: true, ..Default::default() };
        assert_eq!(test_cells(&unmounted), ["2", "-", "-", "-", "yes", "file:///mnt holds no repository"]);
    }
}
