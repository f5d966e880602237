//! Boot of the process, as a list of named steps, and its life until the [`ending`].

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cluster::{IdentityFile, MembershipState};
use runtime::{OnError, blocking};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::folder::DataFolder;
use crate::member::Member;
use crate::volumes::Volumes;
use crate::{Config, Daemon, NodeError, Platform, ending, membership, metrics_endpoint, server};

/// The admin on this node is who may open the socket.
const SOCKET_MODE: u32 = 0o600;
/// For threads that are in the middle of a read.
const THREADS_DEADLINE: Duration = Duration::from_secs(1);
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
    // First of all, so that a node that is asked to end in the middle of its start does so in order too.
    let mut signals = Signals::watch()?;
    let (requests, inbox) = mpsc::channel(membership::QUEUE);
    let folder = lock_data_folder(&platform, &config).await?;
    let (listener, socket) = runtime::net::listen_unix(&config.admin.socket, SOCKET_MODE)?;
    let daemon = Arc::new(Daemon::new(platform, config, folder, requests));
    let serving = server::serve_local(Arc::clone(&daemon), listener);
    daemon.doors.spawn("admin", OnError::EndProcess, serving);
    let lived = tokio::select! {
        lived = boot_and_run(&daemon, inbox) => lived,
        name = signals.next() => {
            tracing::info!("{name}: the node stops");
            Ok(())
        }
    };
    let ended = ending::end(&daemon).await;
    // A socket that nobody serves any more would only confuse the next admin.
    let removed = blocking(move || socket.remove()).await;
    lived.and(ended).and(removed.map_err(Into::into))
}

/// Starts the node, and runs it until a task fails that it cannot live without.
async fn boot_and_run(daemon: &Arc<Daemon>, inbox: mpsc::Receiver<membership::Request>) -> Result<(), NodeError> {
    serve_metrics(daemon).await?;
    start_as_member(daemon).await?;
    let serving = membership::serve(Arc::clone(daemon), inbox);
    daemon.platform.tasks.spawn("membership", OnError::EndProcess, serving);
    tracing::info!(socket = %daemon.config.admin.socket.display(), "the node is up");
    daemon.platform.tasks.shutdown().cancelled().await;
    daemon.platform.tasks.failure().map_or(Ok(()), |failure| Err(failure.into()))
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

/// Starts the member, if this data folder is one's; else the node waits to be asked on its socket.
async fn start_as_member(daemon: &Arc<Daemon>) -> Result<(), NodeError> {
    let file = IdentityFile::new(daemon.platform.files.clone(), daemon.folder.path().to_owned());
    let found = blocking(move || file.read()).await?;
    match found.filter(|identity| identity.state == MembershipState::Member) {
        None => {
            daemon.set_unjoined();
            tracing::info!("this node belongs to no cluster yet");
        }
        Some(identity) => {
            let listener = runtime::net::listen(daemon.config.network.listen).await?;
            let volumes = Volumes::open(daemon, &identity.volumes).await?;
            Member::open(daemon, identity, volumes).await?.go_live(daemon, listener);
        }
    }
    Ok(())
}

/// The signals that ask the node to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn watch() -> Result<Self, NodeError> {
        let watch = |kind| signal(kind).map_err(|source| NodeError::Runtime { source });
        Ok(Self { terminate: watch(SignalKind::terminate())?, interrupt: watch(SignalKind::interrupt())? })
    }

    /// Waits for one and gives its name.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
