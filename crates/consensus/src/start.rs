//! The start of a member, step by step.

use std::path::Path;
use std::sync::Arc;

use openraft::{Config, SnapshotPolicy};
use runtime::{Clock, Files, Tasks, blocking};
use tokio::sync::watch;
use types::NodeId;

use crate::forward::Forwarding;
use crate::lease::Lease;
use crate::log::{LogFolder, LogOptions, LogStore};
use crate::member::{Member, stopped};
use crate::membership::Changes;
use crate::metrics::{LogMetrics, Metrics};
use crate::network::Network;
use crate::progress::Progress;
use crate::propose;
use crate::raft_types::Raft;
use crate::read::{Rounds, leader_round};
use crate::retention::Keeper;
use crate::stall::StallWatch;
use crate::state::{Incoming, Machine, Shelf, Stores};
use crate::watch::watch_core;
use crate::{ConsensusError, Handle, Options, Timing, Transport};

/// Entries in one message of replication; its bytes are bounded by the log.
const MESSAGE_ENTRIES: u64 = 1024;
/// Calls that may wait for the Raft core. Proposals are bounded before that; these are votes, appends and reads.
const CORE_QUEUE: u64 = 4096;

/// What a member needs from its process.
#[derive(Clone)]
pub struct Surroundings {
    /// The group of tasks that it starts its own in; the end of the Raft core ends the process.
    pub tasks: Tasks,
    /// Time.
    pub clock: Clock,
    /// Files.
    pub files: Files,
    /// Where it counts.
    pub metrics: runtime::Metrics,
    /// The way to the other members.
    pub transport: Arc<dyn Transport>,
}

/// Makes the empty log of a node that was never a member, and then the marker that says that it is there (rule P6).
/// Blocks.
///
/// It comes before the node is told to be a member: from then on a log that is missing was lost, and may have held a
/// vote. A crash in between leaves remains that [`start`] refuses; they are to be removed before the next try.
///
/// # Errors
/// There is a log or a marker already, or they cannot be written.
pub fn create(options: &Options, files: &Files) -> Result<(), ConsensusError> {
    for path in [&options.marker, &options.folder] {
        if files.exists(path).map_err(crate::LogError::from)? {
            return Err(ConsensusError::LogExists { path: path.clone() });
        }
    }
    files.create_dirs(&options.folder).map_err(crate::LogError::from)?;
    LogFolder::new(&options.folder).create(files, options.node, options.segment_bytes)?;
    write_marker(files, &options.marker, options.node)
}

/// Starts a member, whose log [`create`] has made: opens log and state, applies what is known to be committed, and takes
/// part from then on.
///
/// A node that was never in a group waits to be found: it either founds a group ([`Handle::initialize`]), or is added by
/// the leader of one.
///
/// # Errors
/// Log or state are damaged, belong to another node, or are gone although the marker says that they were there.
pub async fn start(options: Options, surroundings: Surroundings) -> Result<Handle, ConsensusError> {
    let config = Arc::new(config(&options)?);
    let Surroundings { tasks, clock, files, metrics: registry, transport } = surroundings;
    let Options { node, timing, retention, .. } = options;
    let (tasks, metrics) = (tasks.child("consensus"), Metrics::new(&registry));
    let opening = options.clone();
    let log_options = LogOptions {
        node,
        segment_bytes: options.segment_bytes,
        files: files.clone(),
        clock: clock.clone(),
        tasks: tasks.clone(),
        metrics: LogMetrics::new(&registry),
    };
    let (log, stores) = blocking(move || open(&opening, log_options)).await?;
    let (shelf, applying) = (Shelf::new(clock.clone()), Progress::default());
    let (applied_sender, applied_end) = watch::channel(stores.applied()?.end());
    let machine = Machine {
        stores: stores.clone(),
        shelf: shelf.clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
        progress: applying.clone(),
        applied_end: Arc::new(applied_sender),
    };
    machine.show_applied(*applied_end.borrow());
    let (read_asked, asked) = watch::channel(());
    let network = Network::new(&transport, timing, &clock, &metrics, asked);
    let raft = Raft::new(node.get(), config, network, log.clone(), machine).await.map_err(|fatal| stopped(&fatal))?;

    let leader = watch_core(&tasks, &raft);
    let incoming = Arc::new(Incoming::new(files, stores.clone(), clock.clone()));
    let keeper = Keeper {
        retention,
        raft: raft.clone(),
        log: log.clone(),
        stores: stores.clone(),
        shelf,
        incoming: Arc::clone(&incoming),
        clock: clock.clone(),
        metrics: metrics.clone(),
    };
    keeper.start(&tasks);
    StallWatch { node, raft: raft.clone(), log, applying, clock: clock.clone(), timing }.start(&tasks);
    let proposer = propose::start(&tasks, raft.clone(), clock.clone(), options.batching, metrics.clone());
    let forwarder = Forwarding::new(&options, &raft, &leader, &transport, &metrics).start(&tasks, clock.clone());
    let leader_rounds = leader_rounds(&tasks, &raft, &clock, timing);
    let changes = Changes::new(raft.clone());
    changes.start(&tasks, &clock, timing);
    let lease = Lease::new(node, raft.clone(), clock.clone(), timing.election_min);
    let votes_from = clock.now() + timing.election_min;
    Ok(Handle::new(Arc::new(Member {
        options,
        clock,
        tasks,
        metrics,
        transport,
        raft,
        leader,
        states: stores,
        incoming,
        proposer,
        forwarder,
        leader_rounds,
        lease,
        changes,
        votes_from,
        applied_end,
        read_asked,
    })))
}

/// The core itself gives a round up after the longest election timeout. One that lasts twice as long has not even come
/// to the core, which hangs in a write of the log.
fn leader_rounds(tasks: &Tasks, raft: &Raft, clock: &Clock, timing: Timing) -> Rounds {
    let raft = raft.clone();
    Rounds::start(tasks, "leader-reads", clock.clone(), timing.election_max * 2, move |_| {
        let raft = raft.clone();
        async move { leader_round(&raft).await }
    })
}

/// What openraft is told.
fn config(options: &Options) -> Result<Config, ConsensusError> {
    let timing = &options.timing;
    let milliseconds = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let config = Config {
        cluster_name: "holdfast".to_owned(),
        heartbeat_interval: milliseconds(timing.heartbeat),
        election_timeout_min: milliseconds(timing.election_min),
        election_timeout_max: milliseconds(timing.election_max),
        install_snapshot_timeout: milliseconds(timing.snapshot_deadline),
        max_payload_entries: MESSAGE_ENTRIES,
        // A member is sent the state only when the log does not reach back to it any more.
        replication_lag_threshold: u64::MAX,
        // Copies and purges are ours: see `retention`.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        api_channel_size: Some(CORE_QUEUE),
        enable_pre_vote: Some(true),
        ..Config::default()
    };
    config.validate().map_err(|error| ConsensusError::Options { reason: error.to_string() })
}

/// Opens the log, and the state store, which is made if it is not there. Blocks.
fn open(options: &Options, log_options: LogOptions) -> Result<(LogStore, Stores), ConsensusError> {
    let files = log_options.files.clone();
    let log = open_log(options, log_options)?;
    let stores = Stores::open(&files, &options.folder.join("state"))?;
    let applied = stores.applied()?.position.map(|position| position.index);
    check_committed(&log, applied, options)?;
    match log.purged().map(|purged| purged.index) {
        Some(purged) if applied.is_none_or(|applied| applied < purged) => {
            Err(ConsensusError::StateBehindLog { applied, purged })
        }
        _ => Ok((log, stores)),
    }
}

/// Refuses a log that lacks entries that were synced to it. The hint how far it is committed is written behind the sync
/// of those entries, and committed ones are never truncated; so the hint is ahead only if the disk lost some.
fn check_committed(log: &LogStore, applied: Option<u64>, options: &Options) -> Result<(), ConsensusError> {
    let last = log.last().map(|last| last.index).max(applied);
    match log.committed() {
        Some(committed) if last.is_none_or(|last| last < committed.index) => {
            let hint = LogFolder::new(&options.folder).committed;
            Err(ConsensusError::EntriesLost { last, committed: committed.index, hint })
        }
        _ => Ok(()),
    }
}

/// Opens the log, and holds it against the marker (rule P6).
///
/// Both were made before this node could promise anything to anybody. So a member that lacks one of them has lost it, and
/// maybe a vote with it.
fn open_log(options: &Options, log_options: LogOptions) -> Result<LogStore, ConsensusError> {
    let files = log_options.files.clone();
    let folder = LogFolder::new(&options.folder);
    let missing = folder.missing(&files)?.map(Path::to_owned);
    match read_marker(&files, &options.marker)? {
        Some(found) if found != options.node => {
            Err(ConsensusError::ForeignFolder { node: options.node, found, marker: options.marker.clone() })
        }
        Some(node) => match missing {
            Some(missing) => Err(ConsensusError::LogLost { node, missing }),
            None => Ok(LogStore::open(&folder, log_options)?),
        },
        None => Err(match missing {
            Some(missing) => ConsensusError::LogLost { node: options.node, missing },
            None => ConsensusError::MarkerLost { marker: options.marker.clone() },
        }),
    }
}

const MARKER: &str = "this node has a Raft log; node ";

fn read_marker(files: &Files, path: &Path) -> Result<Option<NodeId>, ConsensusError> {
    let bytes = match files.read(path) {
        Err(error) if error.is_not_found() => return Ok(None),
        other => other.map_err(crate::LogError::from)?,
    };
    let node = String::from_utf8(bytes).ok().and_then(|text| text.strip_prefix(MARKER)?.trim_end().parse().ok());
    let foreign = || crate::LogError::Foreign { path: path.to_owned(), what: "marker" };
    Ok(Some(node.ok_or_else(foreign)?))
}

fn write_marker(files: &Files, path: &Path, node: NodeId) -> Result<(), ConsensusError> {
    let text = format!("{MARKER}{node}\n");
    Ok(files.write_atomic(path, text.as_bytes(), 0o600).map_err(crate::LogError::from)?)
}
