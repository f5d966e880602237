//! `holdfast repo`: look into a repository and check it. Only `kit SITE` talks to a cluster.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use repo::{
    BackupInfo, CheckDepth, CheckOptions, CheckReport, Finding, RecoveryKit, Repository, Uncommitted, Unlock,
    check_without_key,
};
use runtime::Files;
use serde_json::{Value, json};
use types::{Epoch, ErrorKind};

use super::repository::{RepositoryChoice, open_site, read_kit};
use super::{find_site, repo_ls};
use crate::error::CliError;
use crate::invocation::Invocation;
use crate::passphrase::{PassphraseSource, Typed};
use crate::text;

/// Whoever has the kit can read every backup.
const KIT_MODE: u32 = 0o600;

/// What to do with a repository.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the backups in a repository
    List {
        #[command(flatten)]
        repository: RepositoryChoice,
    },
    /// List files of a backup
    Ls(repo_ls::Arguments),
    /// Check a repository, and exit with 10 if something is wrong
    Check(Check),
    /// Export the recovery kit of a site, or prove that one works
    Kit(Kit),
    /// Print keys of a repository
    #[command(subcommand)]
    Keys(Keys),
}

/// What to print keys for.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Print SQL that lets DuckDB read the tables of the newest backup: it holds their keys, which open names and
    /// attributes but no content
    Duckdb {
        #[command(flatten)]
        repository: RepositoryChoice,
    },
}

/// Check a repository, and exit with 10 if something is wrong.
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    repository: RepositoryChoice,
    /// Look at what is named only: all is there, with its length, and fits
    #[arg(long, conflicts_with = "deep")]
    quick: bool,
    /// Also open every block and compare its digest
    #[arg(long)]
    deep: bool,
    /// Use no key: look at the bytes of the upload objects alone, whatever names them
    #[arg(long, conflicts_with_all = ["quick", "deep", "passphrase_file"])]
    without_key: bool,
}

/// Export the recovery kit of a site, or prove that one works.
#[derive(Debug, Args)]
pub struct Kit {
    /// The site whose kit is exported
    #[arg(required_unless_present = "verify", conflicts_with = "verify")]
    site: Option<String>,
    /// The file to write; keep it where the cluster is not
    #[arg(long, value_name = "FILE", required_unless_present = "verify")]
    output: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseSource,
    /// Prove that this kit opens its repository
    #[arg(long, value_name = "FILE", conflicts_with_all = ["output", "passphrase_file"])]
    verify: Option<PathBuf>,
}

pub async fn run(command: Command, invocation: &mut Invocation) -> Result<(), CliError> {
    match command {
        Command::List { repository } => list(&repository, invocation).await,
        Command::Ls(arguments) => arguments.run(invocation).await,
        Command::Check(check) => check.run(invocation).await,
        Command::Keys(Keys::Duckdb { repository }) => duckdb(&repository, invocation).await,
        Command::Kit(Kit { verify: Some(file), .. }) => verify(&file, invocation).await,
        Command::Kit(Kit { site: Some(site), output: Some(output), passphrase, .. }) => {
            export(&site, &output, &passphrase, invocation).await
        }
        Command::Kit(_) => Err(CliError::Usage { message: "give a site and --output, or --verify".to_owned() }),
    }
}

async fn list(choice: &RepositoryChoice, invocation: &mut Invocation) -> Result<(), CliError> {
    let repository = choice.list().await?;
    let rows: Vec<_> = repository.backups().iter().map(|backup| (backup_cells(backup), backup_value(backup))).collect();
    invocation.output.table(&["BACKUP", "POLICY", "TIME", "BASE", "ADDED", "OBJECTS", "ROOTS"], &rows)?;
    // The list is what was asked for; but whoever reads it, or the exit code alone, must not take it for whole.
    repository.lost().first().map_or(Ok(()), |lost| Err(lost.error().into()))
}

fn root_paths(backup: &BackupInfo) -> String {
    let paths: Vec<_> = backup.roots.iter().map(|root| String::from_utf8_lossy(&root.path).into_owned()).collect();
    paths.join(" ")
}

fn backup_cells(backup: &BackupInfo) -> Vec<String> {
    vec![
        backup.epoch.to_string(),
        backup.policy.clone(),
        text::time(backup.snapshot_time),
        backup.base.as_ref().map_or_else(|| "-".to_owned(), Epoch::to_string),
        text::bytes(backup.totals.bytes_uploaded),
        backup.totals.objects.to_string(),
        root_paths(backup),
    ]
}

fn backup_value(backup: &BackupInfo) -> Value {
    json!({
        "epoch": backup.epoch,
        "policy": backup.policy,
        "set": backup.set,
        "base": backup.base,
        "time": text::decimal(backup.snapshot_time),
        "commit": backup.commit,
        "number": backup.number,
        "objects": backup.totals.objects,
        "bytes_uploaded": backup.totals.bytes_uploaded,
        "bytes_plain": backup.totals.bytes_plain,
        "roots": backup.roots.iter().map(|root| text::name(&root.path)).collect::<Vec<_>>(),
    })
}

impl Check {
    async fn run(self, invocation: &mut Invocation) -> Result<(), CliError> {
        let report = match self.check().await {
            // What is too damaged to be opened at all is what a check is there to find.
            Err(CliError::Repository(error)) if error.kind() == ErrorKind::Corrupt => {
                let value = json!({ "what": error.to_string() });
                invocation.output.result(error, &value)?;
                return Err(CliError::DamageFound { findings: 1 });
            }
            report => report?,
        };
        for finding in &report.findings {
            invocation.output.result(finding, &finding_value(finding))?;
        }
        for epoch in &report.rebuildable {
            let line = format!(
                "the objects of backup {epoch} hold the rows of its tables too: `holdfast restore --rebuild-tables`"
            );
            invocation.output.result(line, &json!({ "rebuildable": epoch }))?;
        }
        for Uncommitted { epoch, objects } in &report.uncommitted {
            let line = format!(
                "{} of backup {epoch}, which has no commit: its job is running or came to nothing, or its commit is lost",
                text::count(*objects, "object is", "objects are")
            );
            invocation.output.result(line, &json!({ "uncommitted": epoch, "objects": objects }))?;
        }
        show_report(&report, invocation)?;
        match report.findings_total {
            0 => Ok(()),
            findings => Err(CliError::DamageFound { findings }),
        }
    }

    async fn check(&self) -> Result<CheckReport, CliError> {
        if self.without_key {
            return Ok(check_without_key(&self.repository.site().await?).await?);
        }
        let depth = match (self.quick, self.deep) {
            (true, _) => CheckDepth::Structure,
            (_, true) => CheckDepth::Blocks,
            _ => CheckDepth::Bytes,
        };
        let folder = std::env::temp_dir().join(format!("holdfast-check-{}", std::process::id()));
        let options = CheckOptions::new(depth, Files::real(), folder);
        Ok(self.repository.list().await?.check(&options).await?)
    }
}

fn finding_value(finding: &Finding) -> Value {
    let mut value = json!({ "name": finding.name(), "what": finding.what() });
    if let (Finding::Rows(rows), Some(object)) = (finding, value.as_object_mut()) {
        object.insert("backups".to_owned(), json!({ "first": rows.first, "last": rows.last }));
        object.insert("table".to_owned(), json!(rows.table.name()));
        object.insert("lin".to_owned(), json!(rows.lin));
        object.insert("path".to_owned(), rows.path.as_deref().map_or(Value::Null, text::name));
    }
    value
}

fn show_report(report: &CheckReport, invocation: &mut Invocation) -> Result<(), CliError> {
    let CheckReport { backups, runs, objects, rows, bytes, blocks, findings_total, .. } = report;
    let value = json!({
        "backups": backups,
        "runs": runs,
        "objects": objects,
        "rows": rows,
        "bytes": bytes,
        "blocks": blocks,
        "findings": findings_total,
    });
    let wrong = match findings_total {
        0 => "nothing is wrong".to_owned(),
        found => format!("{} wrong", text::count(*found, "thing is", "things are")),
    };
    let line = format!(
        "{wrong}; looked at {}, {}, {}, {}, {}",
        text::count(*backups, "backup", "backups"),
        text::count(*runs, "run", "runs"),
        text::count(*objects, "object", "objects"),
        text::count(*rows, "row", "rows"),
        text::count(*blocks, "block", "blocks")
    );
    invocation.output.result(line, &value)
}

/// Keys never go into JSON (rule P32): the SQL is what was asked for, and goes out as it is.
async fn duckdb(choice: &RepositoryChoice, invocation: &mut Invocation) -> Result<(), CliError> {
    let repository = choice.list().await?;
    let url = repository.site().url().trim_end_matches('/');
    let folder = url.strip_prefix("file://").unwrap_or(url);
    invocation.output.bytes(repository.duckdb_statements(folder).as_bytes())
}

/// Writes the kit, and only when it lies in its file, and opens the repository, tells the cluster so.
async fn export(
    name: &str,
    output: &Path,
    passphrase: &PassphraseSource,
    invocation: &mut Invocation,
) -> Result<(), CliError> {
    let client = invocation.connect().await?;
    let site = find_site(&client, name).await?;
    let advice = "a kit is never overwritten: choose another file, or remove it";
    if output.exists() {
        return Err(CliError::Exists { what: "file", name: output.display().to_string(), advice });
    }
    let unlock = Unlock::Passphrase(passphrase.read(Typed::Known).await?);
    let repository = Repository::open(&open_site(&site.url).await?, unlock).await?;
    let missing = || CliError::Usage { message: "the repository was opened without its private key".to_owned() };
    let private = repository.private_key().cloned().ok_or_else(missing)?;
    let kit = RecoveryKit { url: site.url, repository: repository.id(), private };
    Files::real().write_atomic(output, kit.to_text().as_bytes(), KIT_MODE)?;
    prove(output).await?;
    client.kit_exported(site.id).await?;
    let line = format!("the recovery kit is in {}: keep it where the cluster is not", output.display());
    invocation.output.result(line, &json!({ "file": output, "repository": repository.id() }))
}

async fn verify(file: &Path, invocation: &mut Invocation) -> Result<(), CliError> {
    let repository = prove(file).await?.list().await?;
    let (id, count) = (repository.id(), repository.backups().len());
    let line = format!("the kit opens repository {id} with {}", text::count(count as u64, "backup", "backups"));
    invocation.output.result(line, &json!({ "repository": id, "backups": count }))
}

async fn prove(file: &Path) -> Result<Repository, CliError> {
    let kit = read_kit(file)?;
    Ok(Repository::open(&open_site(&kit.url).await?, Unlock::Kit(kit)).await?)
}
