//! `holdfast cluster`: form a cluster and see how it is.

use std::time::Duration;

use clap::Subcommand;
use client::Client;
use runtime::Clock;
use serde_json::{Value, json};
use types::Timestamp;
use wire::v1;
use zeroize::Zeroizing;

use crate::context::AdminIdentity;
use crate::error::CliError;
use crate::invocation::Invocation;
use crate::output::Format;
use crate::text;

/// How often a cluster that forms is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What to do with the cluster.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new cluster of the node behind --socket, and keep the admin's identity as a context
    Init {
        /// How many nodes the cluster begins with; it takes files once they have joined
        #[arg(long, value_name = "COUNT", default_value = "3", value_parser = first_nodes)]
        first_nodes: u32,
        /// The name of the new context
        #[arg(long, default_value = "holdfast")]
        name: String,
    },
    /// Make the node behind --socket join a cluster
    Join {
        /// The one-time token that `cluster init` or `cluster token` printed
        token: String,
    },
    /// Show who is there, who leads and what is wrong; a context notes the nodes' addresses
    Status {
        /// Wait until the cluster takes files
        #[arg(long)]
        wait: bool,
    },
    /// Make one-time tokens for nodes that are to join
    Token {
        /// How many
        #[arg(long, default_value_t = 1)]
        count: u32,
    },
    /// Accept a jump of the clocks that `cluster status` shows: that so much time has passed
    ///
    /// State time follows the leader's clock, but not over ten minutes ahead of what has passed for sure. After the whole
    /// cluster was down for longer, or when a clock was set wrong, it goes on slowly from where it was, and nothing is
    /// removed by its age, until the clock shows a time that was reached, or until this command.
    AcceptTime {
        /// The time that the status shows
        #[arg(value_parser = time)]
        time: Timestamp,
    },
}

pub async fn run(command: Command, invocation: &mut Invocation) -> Result<(), CliError> {
    match command {
        Command::Init { first_nodes, name } => init(first_nodes, &name, invocation).await,
        Command::Join { token } => join(token, invocation).await,
        Command::Status { wait } => {
            let client = invocation.connect().await?;
            let status = if wait { ready(&client).await? } else { client.status().await? };
            show_status(&status, invocation)
        }
        Command::Token { count } => {
            let tokens = invocation.connect().await?.create_tokens(count).await?;
            invocation.output.result(tokens.join("\n"), &json!({ "tokens": tokens }))
        }
        Command::AcceptTime { time } => {
            let now = text::time(invocation.connect().await?.accept_time(time).await?);
            invocation.output.result(format!("state time is {now}"), &json!({ "state_time": now }))
        }
    }
}

async fn init(first_nodes: u32, name: &str, invocation: &mut Invocation) -> Result<(), CliError> {
    need_socket(invocation)?;
    // The admin's key is given out once: that it can be kept is made sure of first.
    invocation.choice.prepare(name)?;
    let admin = std::env::var("USER").unwrap_or_else(|_| "admin".to_owned());
    let made = invocation.connect().await?.initialize(v1::InitializeRequest { first_nodes, admin }).await?;
    let identity = AdminIdentity {
        cluster: made.cluster.clone(),
        endpoints: vec![made.address.clone()],
        authority_pem: made.authority_pem,
        certificate_pem: made.admin_certificate_pem,
        key_pem: Zeroizing::new(made.admin_key_pem),
    };
    // If that fails after all, the cluster is there all the same, and its tokens are told.
    let kept = invocation.choice.add(name, identity);
    let mut lines =
        vec![format!("cluster {} of {first_nodes} first nodes, this one at {}", made.cluster, made.address)];
    if let Ok(file) = &kept {
        lines.push(format!("the admin's identity is context {name:?} in {}", file.display()));
    }
    if !made.tokens.is_empty() {
        lines.push("on each of the other nodes, with a token of its own:".to_owned());
        lines.extend(made.tokens.iter().map(|token| format!("  holdfast --socket SOCKET cluster join {token}")));
    }
    let value = json!({
        "cluster": made.cluster,
        "address": made.address,
        "context": kept.is_ok().then_some(name),
        "config": kept.as_ref().ok(),
        "tokens": made.tokens,
    });
    invocation.output.result(lines.join("\n"), &value)?;
    kept.map(drop)
}

async fn join(token: String, invocation: &mut Invocation) -> Result<(), CliError> {
    need_socket(invocation)?;
    let joined = invocation.connect().await?.join(token).await?;
    let line = format!("this node is node {} of cluster {}", joined.node, joined.cluster);
    invocation.output.result(line, &json!({ "node": joined.node, "cluster": joined.cluster }))
}

fn need_socket(invocation: &Invocation) -> Result<(), CliError> {
    match invocation.choice.socket {
        Some(_) => Ok(()),
        None => Err(CliError::Usage { message: "this is done on the node itself: give its --socket".to_owned() }),
    }
}

/// Looks again and again until the cluster is ready; Ctrl-C gives up.
async fn ready(client: &Client) -> Result<v1::ClusterStatus, CliError> {
    let clock = Clock::real();
    loop {
        let status = client.status().await?;
        if status.ready {
            return Ok(status);
        }
        clock.sleep(LOOK_AGAIN).await;
    }
}

fn show_status(status: &v1::ClusterStatus, invocation: &mut Invocation) -> Result<(), CliError> {
    let addresses: Vec<_> = status.nodes.iter().filter_map(|node| Some(node.node.as_ref()?.address.clone())).collect();
    invocation.choice.learn(&status.cluster, &addresses)?;
    if invocation.output.format() == Format::Json {
        return invocation.output.result("", &value(status));
    }
    invocation.output.result(summary(status), &Value::Null)?;
    let rows: Vec<_> = status.nodes.iter().map(|node| (cells(node, status), Value::Null)).collect();
    invocation.output.table(&["NODE", "ADDRESS", "ROLE", "STATE", "BLOCKS", "DISK USED", "OF"], &rows)?;
    let warnings = status.warnings.iter().map(|warning| format!("! {warning}"));
    warnings.chain(jump_lines(status)).try_for_each(|line| invocation.output.result(line, &Value::Null))
}

/// What to type after a jump of the clocks, with the times.
fn jump_lines(status: &v1::ClusterStatus) -> Option<String> {
    let (state, shown) = (shown_time(status.state_time)?, shown_time(status.time_jump?.shown)?);
    Some(format!(
        "  state time is {state}, and the leader's clock shows {shown}; if that is right:\n  \
         holdfast cluster accept-time {shown}"
    ))
}

fn shown_time(time: Option<v1::Timestamp>) -> Option<String> {
    Some(text::time(time?.try_into().ok()?))
}

fn summary(status: &v1::ClusterStatus) -> String {
    let members = status.nodes.len();
    let state = match status.ready {
        true => "ready".to_owned(),
        false => format!("forming: {members} of {} first nodes have joined", status.first_nodes),
    };
    let leader = status.leader.map_or_else(|| "no leader".to_owned(), |leader| format!("node {leader} leads"));
    let reachable = status.nodes.iter().filter(|node| node.reachable).count();
    format!("cluster {}: {state}; {reachable} of {members} nodes answer, {leader}", status.cluster)
}

fn cells(node: &v1::NodeStatus, status: &v1::ClusterStatus) -> Vec<String> {
    let record = node.node.clone().unwrap_or_default();
    let role = match (node.role(), status.leader == Some(record.id)) {
        (v1::NodeRole::Voter, true) => "leader",
        (role, _) => role_name(role),
    };
    let state = state(node);
    let used = node.capacity_bytes.saturating_sub(node.free_bytes);
    let sizes = match node.reachable {
        true => [text::bytes(node.block_bytes), share(used, node.capacity_bytes), text::bytes(node.capacity_bytes)],
        false => ["?", "?", "?"].map(str::to_owned),
    };
    [vec![record.id.to_string(), record.address, role.to_owned(), state], sizes.to_vec()].concat()
}

fn state(node: &v1::NodeStatus) -> String {
    let lacks = match &node.missing_secrets[..] {
        [] => None,
        missing => Some(format!("lacks {}", missing.join(", "))),
    };
    let failed = match node.failed_volumes.len() {
        0 => None,
        count => Some(format!("{count} of {} volumes failed", node.node.as_ref().map_or(0, |of| of.volumes.len()))),
    };
    match (node.reachable, [lacks, failed].into_iter().flatten().collect::<Vec<_>>()) {
        (false, _) => "unreachable".to_owned(),
        (true, wrong) if wrong.is_empty() => "ok".to_owned(),
        (true, wrong) => wrong.join("; "),
    }
}

/// How much of a whole that is, in percent; what is nearly full is never rounded up to full.
fn share(part: u64, whole: u64) -> String {
    let percent = (u128::from(part) * 100).checked_div(u128::from(whole)).unwrap_or(0);
    format!("{percent} %")
}

const fn role_name(role: v1::NodeRole) -> &'static str {
    match role {
        v1::NodeRole::Voter => "voter",
        v1::NodeRole::Learner => "learner",
        v1::NodeRole::Unspecified => "unknown",
    }
}

fn value(status: &v1::ClusterStatus) -> Value {
    let node = |node: &v1::NodeStatus| {
        let record = node.node.clone().unwrap_or_default();
        json!({
            "node": record.id,
            "address": record.address,
            "volumes": record.volumes,
            "role": role_name(node.role()),
            "reachable": node.reachable,
            "capacity_bytes": node.capacity_bytes,
            "free_bytes": node.free_bytes,
            "block_bytes": node.block_bytes,
            "missing_secrets": node.missing_secrets,
            "failed_volumes": node.failed_volumes.iter().map(failed_volume).collect::<Vec<_>>(),
        })
    };
    json!({
        "cluster": status.cluster,
        "answered_by": status.answered_by,
        "leader": status.leader,
        "term": status.term,
        "applied_index": status.applied_index,
        "first_nodes": status.first_nodes,
        "ready": status.ready,
        "placement_groups": status.placement_groups,
        "state_time": shown_time(status.state_time),
        "time_jump": status.time_jump.map(|jump| {
            json!({ "from": shown_time(jump.from), "shown": shown_time(jump.shown) })
        }),
        "nodes": status.nodes.iter().map(node).collect::<Vec<_>>(),
        "warnings": status.warnings,
    })
}

fn failed_volume(failed: &v1::FailedVolume) -> Value {
    json!({ "volume": failed.volume, "folder": failed.folder, "reason": failed.reason })
}

fn time(text: &str) -> Result<Timestamp, String> {
    let time: jiff::Timestamp = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    let time = time.duration_since(jiff::Timestamp::UNIX_EPOCH);
    let nanoseconds = u32::try_from(time.subsec_nanos()).map_err(|_| "a time before 1970".to_owned())?;
    Ok(Timestamp { seconds: time.as_secs(), nanoseconds })
}

fn first_nodes(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(count @ (1 | 3 | 5)) => Ok(count),
        _ => Err("a cluster begins with 1, 3 or 5 nodes: an even number survives no more losses than the one below it"
            .to_owned()),
    }
}
