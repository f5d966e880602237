//! The command line as a whole.

use std::sync::LazyLock;

use clap::{Parser, Subcommand};
use wire::v1::namespace_server::SERVICE_NAME;

use crate::commands::{backup, cluster, completions, context, policy, quota, repo, restore, site, snapshot};
use crate::context::ClusterChoice;
use crate::exit;
use crate::fs;

/// Version, commit, and the protocol and formats that this program speaks.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    let (version, commit) = (env!("CARGO_PKG_VERSION"), env!("HOLDFAST_COMMIT"));
    let protocol = SERVICE_NAME.rsplit_once('.').map_or(SERVICE_NAME, |(package, _)| package);
    let formats: Vec<_> = ::repo::FORMATS.iter().map(|(name, version)| format!("{name} {version}")).collect();
    format!("{version}\ncommit {commit}\nprotocol: {protocol}\nformats: {}", formats.join(", "))
});

/// Holdfast: a clustered NAS that backs itself up to the cloud.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, long_version = LONG_VERSION.as_str(), after_long_help = exit::TABLE)]
pub struct Arguments {
    #[command(flatten)]
    pub cluster: ClusterChoice,
    /// Print results as JSON, one object a line; errors too, on standard error
    #[arg(long, global = true)]
    pub json: bool,
    /// Show no progress and no summary
    #[arg(short, long, global = true)]
    pub quiet: bool,
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Form a cluster and see how it is
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Work with files in the cluster
    #[command(subcommand)]
    Fs(fs::Command),
    /// Snapshots of the file system
    #[command(subcommand)]
    Snapshot(snapshot::Command),
    /// The places that keep backups
    #[command(subcommand)]
    Site(site::Command),
    /// What is backed up, and where to
    #[command(subcommand)]
    Policy(policy::Command),
    /// What users and directories may have
    #[command(subcommand)]
    Quota(quota::Command),
    /// Run backups and see how they went
    #[command(subcommand)]
    Backup(backup::Command),
    /// Look into a repository and check it; needs no cluster
    #[command(subcommand)]
    Repo(repo::Command),
    /// Get files back from a repository into a folder; needs no cluster
    Restore(restore::Arguments),
    /// The clusters that this configuration knows
    #[command(subcommand)]
    Context(context::Command),
    /// Print completions for a shell, to be kept where it looks for them
    Completions(completions::Arguments),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(std::iter::once("holdfast").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definition_has_no_contradictions() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_commands_of_the_readme_are_understood() {
        for line in [
            "--socket n1.sock cluster init --first-nodes 3",
            "--socket n2.sock cluster join TOKEN",
            "cluster status --json",
            "cluster status --wait",
            "cluster token --count 2",
            "fs put -r photos /photos",
            "fs put - /from-a-pipe",
            "fs get -r /photos back",
            "fs get -r --at monday /photos back",
            "fs ls -l /photos",
            "fs rm -r /photos",
            "fs ln -s target /link",
            "fs mkdir -p /a/b",
            "--json fs stat /photos",
            "fs df",
            "fs clone /a /b",
            "fs clone --at monday /report /report-of-monday",
            "--json fs clone --replace /a /b",
            "fs df /photos",
            "fs locks /photos/a /photos/b",
            "quota set /photos --bytes 10GiB --inodes 100000",
            "quota set --user 1000 --bytes 5GiB",
            "quota show --user 1000",
            "quota list",
            "quota remove /photos",
            "snapshot create monday",
            "site add cloud file:///mnt/cloud --passphrase-file p",
            "site test cloud",
            "repo kit cloud --output kit",
            "repo kit --verify kit",
            "repo ls --kit kit",
            "repo list --url file:///mnt/cloud",
            "repo keys duckdb --kit kit",
            "repo check --without-key --url file:///mnt/cloud",
            "repo check --kit kit --deep",
            "policy create daily --site cloud /photos /mail",
            "backup run daily",
            "backup run daily --no-wait",
            "backup status 7",
            "backup status",
            "site remove cloud",
            "repo ls -lR --kit kit /photos /mail",
            "context list",
            "context show home",
            "context use home",
            "context remove home",
            "completions bash",
            "-q fs put a /a",
            "backup list --policy daily",
            "restore --kit kit restored/",
            "restore --url file:///mnt/cloud --passphrase-file p --epoch 2 --path /photos/a restored/",
            "restore --kit kit --url file:///elsewhere --overwrite restored/",
            "restore --kit kit --dry-run restored/",
        ] {
            parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "",
            "cluster init --first-nodes 2",
            "--socket a --context b cluster status",
            "fs mv /a",
            "fs clone /a",
            "fs clone /a /b /c",
            "policy create daily --site cloud",
            "restore restored/",
            "restore --kit kit --passphrase-file p restored/",
            "repo kit cloud",
            "quota set --bytes 10GiB",
            "quota show /photos --user 1000",
            "quota set /photos --bytes 10GB",
            "site add cloud file:///mnt --passphrase secret",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
