//! Boot and end of the process, as a list of named steps.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cluster::{IdentityFile, MembershipState};
use runtime::{OnError, blocking};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::folder::DataFolder;
use crate::member::Member;
use crate::volumes::Volumes;
use crate::{Config, Daemon, NodeError, Platform, membership, metrics_endpoint, server};

/// Everything that is being done has this long to end.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);
/// For threads that are in the middle of a read.
const THREADS_DEADLINE: Duration = Duration::from_secs(1);
/// Handing leadership over takes one election at most.
const HANDOVER_DEADLINE: Duration = Duration::from_secs(3);

/// Runs a node until it is told to stop.
///
/// # Errors
/// The node could not start, or something that it cannot live without has failed.
pub fn run(config: &Path) -> Result<(), NodeError> {
    let platform = Platform::real();
    let config = Config::read(&platform.files, config)?;
    runtime::telemetry::init(&config.telemetry())?;
    let threads = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| NodeError::Runtime { source })?;
    let lived = threads.block_on(live(platform, config));
    // By now only threads that a disk holds are left, and nobody waits for their answers.
    threads.shutdown_timeout(THREADS_DEADLINE);
    lived
}

/// The whole life of the process.
async fn live(platform: Platform, config: Config) -> Result<(), NodeError> {
    let (requests, inbox) = mpsc::channel(membership::QUEUE);
    let folder = lock_data_folder(&platform, &config).await?;
    let daemon = Arc::new(Daemon::new(platform, config, folder, requests));
    let booted = boot(&daemon, inbox).await;
    let ended = match &booted {
        Ok(()) => wait_for_end(&daemon).await,
        Err(_) => Ok(()),
    };
    let stopped = stop(&daemon).await;
    booted.and(ended).and(stopped)
}

async fn boot(daemon: &Arc<Daemon>, inbox: mpsc::Receiver<membership::Request>) -> Result<(), NodeError> {
    serve_metrics(daemon).await?;
    serve_admin(daemon)?;
    start_as_member(daemon).await?;
    let serving = membership::serve(Arc::clone(daemon), inbox);
    daemon.platform.tasks.spawn("membership", OnError::EndProcess, serving);
    tracing::info!(socket = %daemon.config.admin.socket.display(), "the node is up");
    Ok(())
}

async fn lock_data_folder(platform: &Platform, config: &Config) -> Result<DataFolder, NodeError> {
    let (files, path) = (platform.files.clone(), config.data.clone());
    blocking(move || DataFolder::open(&files, &path)).await
}

async fn serve_metrics(daemon: &Daemon) -> Result<(), NodeError> {
    let Platform { metrics, clock, tasks, .. } = daemon.platform.clone();
    let listener = runtime::net::listen(daemon.config.metrics.listen).await?;
    let serving = metrics_endpoint::serve(listener, metrics, clock, tasks.clone());
    tasks.spawn("metrics", OnError::EndProcess, serving);
    Ok(())
}

fn serve_admin(daemon: &Arc<Daemon>) -> Result<(), NodeError> {
    let listener = runtime::net::listen_unix(&daemon.config.admin.socket, 0o600)?;
    let serving = server::serve_local(Arc::clone(daemon), listener);
    daemon.platform.tasks.spawn("admin", OnError::EndProcess, serving);
    Ok(())
}

/// Starts the member, if this data folder is one's; else the node waits to be asked on its socket.
async fn start_as_member(daemon: &Arc<Daemon>) -> Result<(), NodeError> {
    let file = IdentityFile::new(daemon.platform.files.clone(), daemon.folder.path().to_owned());
    let found = blocking(move || file.read()).await?;
    match found.filter(|identity| identity.state == MembershipState::Member) {
        None => tracing::info!("this node belongs to no cluster yet"),
        Some(identity) => {
            let listener = runtime::net::listen(daemon.config.network.listen).await?;
            let volumes = Volumes::open(daemon, &identity.volumes).await?;
            Member::open(daemon, identity, volumes).await?.go_live(daemon, listener);
        }
    }
    Ok(())
}

/// Waits for SIGTERM, SIGINT, or the failure of a task that the process cannot live without.
async fn wait_for_end(daemon: &Daemon) -> Result<(), NodeError> {
    let watch = |kind| signal(kind).map_err(|source| NodeError::Runtime { source });
    let (mut terminate, mut interrupt) = (watch(SignalKind::terminate())?, watch(SignalKind::interrupt())?);
    let shutdown = daemon.platform.tasks.shutdown();
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: the node stops"),
        _ = interrupt.recv() => tracing::info!("SIGINT: the node stops"),
        () = shutdown.cancelled() => {}
    }
    daemon.platform.tasks.failure().map_or(Ok(()), |failure| Err(failure.into()))
}

/// Hands leadership over while the node still answers, then ends what is going on, then closes Raft and the stores.
async fn stop(daemon: &Daemon) -> Result<(), NodeError> {
    let stopped = match daemon.member() {
        Ok(member) => member.stop(HANDOVER_DEADLINE, DRAIN_DEADLINE).await,
        Err(_) => Ok(()),
    };
    let drained = daemon.platform.tasks.close(DRAIN_DEADLINE).await;
    // A socket that nobody serves any more would only confuse the next admin.
    let (files, socket) = (daemon.platform.files.clone(), daemon.config.admin.socket.clone());
    blocking(move || files.remove_if_there(&socket)).await?;
    stopped?;
    Ok(drained?)
}
