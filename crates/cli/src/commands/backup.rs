//! `holdfast backup`: run backups and see how they went.

use clap::Subcommand;
use client::Client;
use serde_json::{Value, json};
use types::{Epoch, Job, JobId, JobPhase, Policy, Shrinkage, Timestamp};

use super::find_policy;
use crate::error::CliError;
use crate::invocation::Invocation;
use crate::progress::Progress;
use crate::text;

/// What to do with backups.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a backup, and wait for its end
    Run {
        /// The policy
        policy: String,
        /// Go on though most of what the last backup had is gone
        #[arg(long)]
        accept_shrunk: bool,
        /// Return as soon as it has started
        #[arg(long)]
        no_wait: bool,
    },
    /// Show how far a job is
    Status {
        /// Its number [default: the newest job]
        job: Option<u64>,
        /// Follow it to its end
        #[arg(long)]
        wait: bool,
    },
    /// List jobs, the newest first
    List {
        /// Those of one policy alone
        #[arg(long)]
        policy: Option<String>,
    },
    /// End a job whose commit is not fixed yet
    Cancel {
        /// Its number
        job: u64,
    },
}

pub async fn run(command: Command, invocation: &mut Invocation) -> Result<(), CliError> {
    let client = invocation.connect().await?;
    match command {
        Command::Run { policy, accept_shrunk, no_wait } => {
            let policy = find_policy(&client, &policy).await?;
            let shrinkage = if accept_shrunk { Shrinkage::Accept } else { Shrinkage::Refuse };
            let job = client.run_backup(policy.id, shrinkage).await?;
            if no_wait { show(&job, &client, invocation).await } else { await_end(&job, &client, invocation).await }
        }
        Command::Status { job, wait } => {
            let job = find(&client, job.map(JobId)).await?;
            if wait { await_end(&job, &client, invocation).await } else { show(&job, &client, invocation).await }
        }
        Command::List { policy } => {
            let policies = client.policies().await?;
            let wanted = match &policy {
                Some(name) => Some(find_policy(&client, name).await?.id),
                None => None,
            };
            let jobs = client.jobs(wanted).await?;
            let rows: Vec<_> = jobs.iter().map(|job| (cells(job, &policies), value(job, &policies))).collect();
            let heads =
                ["JOB", "POLICY", "BACKUP", "PHASE", "STARTED", "TOOK", "CHANGED", "READ", "UPLOADED", "OBJECTS"];
            invocation.output.table(&heads, &rows)
        }
        Command::Cancel { job } => {
            let job = client.cancel_job(JobId(job)).await?;
            show(&job, &client, invocation).await
        }
    }
}

/// Finds a job, or the newest one.
async fn find(client: &Client, id: Option<JobId>) -> Result<Job, CliError> {
    let found = client.jobs(None).await?.into_iter().find(|job| id.is_none_or(|id| job.id == id));
    found.ok_or_else(|| match id {
        Some(id) => CliError::NoRecord { what: "job", name: id.to_string() },
        None => CliError::Nothing { what: "job yet: start one with `holdfast backup run`".to_owned() },
    })
}

/// Follows a job to its end. One that made no backup is a failure of the command that waited for it, which tells why.
async fn await_end(job: &Job, client: &Client, invocation: &mut Invocation) -> Result<(), CliError> {
    let progress = Progress::new("backup", &invocation.output);
    let job = client.follow_job(job.id, |job| progress.tell(line(job), job.totals.bytes_plain)).await?;
    progress.finish();
    let policies = client.policies().await?;
    invocation.output.result(line(&job), &value(&job, &policies))?;
    check_ending(&job)
}

async fn show(job: &Job, client: &Client, invocation: &mut Invocation) -> Result<(), CliError> {
    let policies = client.policies().await?;
    invocation.output.result(lines(job, &policies), &value(job, &policies))
}

fn check_ending(job: &Job) -> Result<(), CliError> {
    let ending = match &job.phase {
        JobPhase::Failed(reason) => format!("failed: {reason}"),
        JobPhase::Cancelled => "was cancelled".to_owned(),
        JobPhase::Packing | JobPhase::Coalescing | JobPhase::Committing(_) | JobPhase::Succeeded(_) => return Ok(()),
    };
    Err(CliError::Job { job: job.id.0, ending })
}

const fn phase(phase: &JobPhase) -> &'static str {
    match phase {
        JobPhase::Packing => "packing",
        JobPhase::Coalescing => "coalescing",
        JobPhase::Committing(_) => "committing",
        JobPhase::Succeeded(_) => "succeeded",
        JobPhase::Failed(_) => "failed",
        JobPhase::Cancelled => "cancelled",
    }
}

fn line(job: &Job) -> String {
    let totals = &job.totals;
    let took = job.finished.map(|finished| format!(" after {}", text::between(job.started, finished)));
    format!(
        "job {}: backup {} {}{}; {} of {}, {} changed, {} read, {} uploaded in {}",
        job.id,
        job.epoch,
        phase(&job.phase),
        took.unwrap_or_default(),
        totals.units_done,
        text::count(totals.units, "unit", "units"),
        text::count(totals.lins_changed, "inode", "inodes"),
        text::bytes(totals.bytes_plain),
        text::bytes(totals.bytes_uploaded),
        text::count(totals.objects, "object", "objects")
    )
}

/// All that is worth knowing of a job; why it failed, too, because nobody may have been there when it did.
fn lines(job: &Job, policies: &[Policy]) -> String {
    let mut lines =
        vec![line(job), format!("  policy {}, started {}", policy_name(job, policies), text::time(job.started))];
    match &job.phase {
        JobPhase::Failed(reason) => lines.push(format!("  {reason}")),
        JobPhase::Packing | JobPhase::Coalescing | JobPhase::Committing(_) => {
            lines.push(format!("  node {} owns it", job.coordinator));
        }
        JobPhase::Succeeded(_) | JobPhase::Cancelled => {}
    }
    lines.join("\n")
}

fn policy_name(job: &Job, policies: &[Policy]) -> String {
    let found = policies.iter().find(|policy| policy.id == job.policy);
    found.map_or_else(|| format!("(deleted, {})", job.policy), |policy| policy.name.clone())
}

fn cells(job: &Job, policies: &[Policy]) -> Vec<String> {
    vec![
        job.id.to_string(),
        policy_name(job, policies),
        job.epoch.to_string(),
        phase(&job.phase).to_owned(),
        text::time(job.started),
        job.finished.map_or_else(|| "-".to_owned(), |finished| text::between(job.started, finished)),
        job.totals.lins_changed.to_string(),
        text::bytes(job.totals.bytes_plain),
        text::bytes(job.totals.bytes_uploaded),
        job.totals.objects.to_string(),
    ]
}

fn value(job: &Job, policies: &[Policy]) -> Value {
    let totals = &job.totals;
    let commit = match &job.phase {
        JobPhase::Succeeded(commit) => Some(commit.name.as_str()),
        JobPhase::Committing(ticket) => Some(ticket.commit.name.as_str()),
        _ => None,
    };
    let reason = if let JobPhase::Failed(reason) = &job.phase { Some(reason) } else { None };
    let by_node = totals.bytes_by_node.iter().map(|(node, bytes)| json!({ "node": node, "bytes_plain": bytes }));
    json!({
        "job": job.id,
        "policy": policy_name(job, policies),
        "set": job.set,
        "epoch": job.epoch,
        "base": job.base.map(Epoch::get),
        "phase": phase(&job.phase),
        "reason": reason,
        "commit": commit,
        "coordinator": job.coordinator,
        "started": text::decimal(job.started),
        "finished": job.finished.map(|time: Timestamp| text::decimal(time)),
        "lins_nominated": totals.lins_nominated,
        "lins_changed": totals.lins_changed,
        "lins_in_set": totals.lins_in_set,
        "bytes_plain": totals.bytes_plain,
        "bytes_uploaded": totals.bytes_uploaded,
        "objects": totals.objects,
        "units": totals.units,
        "units_done": totals.units_done,
        "bytes_by_node": by_node.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample::{job, policy};
    use super::*;

    #[test]
    fn the_status_of_a_job_that_failed_tells_why_and_of_one_that_runs_where() {
        let failed = lines(&job(JobPhase::Failed("the mount is gone".to_owned())), &[policy()]);
        assert!(failed.starts_with("job 7: backup 3 failed after 5.0 s"), "{failed}");
        assert!(failed.ends_with("\n  policy nightly, started 1970-01-01T00:00:00Z\n  the mount is gone"), "{failed}");
        assert!(lines(&job(JobPhase::Packing), &[]).ends_with("\n  node 4 owns it"));
    }
}
