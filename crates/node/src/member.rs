//! Everything that only a member of a cluster has.
//!
//! **Order of the start**: keys, channels, block stores, Raft; then, once the daemon knows the member, the port and the
//! work in the background. The order of the end is in `ending`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use cluster::{AuthorityCertificate, Credentials, Identity, Keystore, Reception, ReceptionLimits, TokenBook};
use consensus::{Handle, Options, Retention, Surroundings};
use namespace::View;
use runtime::{OnError, Tasks, blocking};
use tokio::net::TcpListener;
use types::{ErrorKind, NodeId, Operation, Outcome, Request};
use wire::{Failure, code};
use zeroize::Zeroizing;

use crate::collect::{self, Orphans};
use crate::folder::DataFolder;
use crate::in_flight::InFlight;
use crate::liveness::{self, Liveness};
use crate::metadata_room::{self, MetadataRoom};
use crate::peers::Peers;
use crate::registry::Registry;
use crate::transport::PeerTransport;
use crate::volumes::Volumes;
use crate::witness::Witness;
use crate::{
    Config, Daemon, NodeError, Platform, backing_up, compact, keyring, observe, reclaim, reopen, scrub, server,
    steward, ticks, timekeeping, witness,
};

/// A node that belongs to a cluster, while it runs.
pub struct Member {
    /// Who it is.
    pub identity: Identity,
    /// What it runs on.
    pub platform: Platform,
    /// Its configuration.
    pub config: Config,
    /// Raft: the way to the replicated state.
    pub consensus: Handle,
    /// Its block stores.
    pub volumes: Volumes,
    /// What is on its way to the seats.
    pub in_flight: InFlight,
    /// Channels to the other nodes.
    pub peers: Arc<Peers>,
    /// What it knows of the other nodes.
    pub registry: Registry,
    /// Which of them are there.
    pub liveness: Liveness,
    /// What its clock can say of the time that has passed.
    pub witness: Arc<Witness>,
    /// Its secrets.
    pub keystore: Keystore,
    /// The join tokens that it issued.
    pub tokens: Mutex<TokenBook>,
    /// The seed of the cluster's gear table.
    pub gear_seed: u64,
    /// The authority's certificate, in PEM.
    pub authority_pem: String,
    /// Whether there is room for metadata.
    pub metadata_room: MetadataRoom,
    /// Copies on this node that nobody needs.
    pub orphans: Orphans,
    /// The work in the background, and what outlives the call that began it.
    pub front: Tasks,
    credentials: Credentials,
    /// The runner of backups, once Raft has numbered this start.
    backups: OnceLock<backup::Handle>,
    /// Set once the first pool has been seen; a pool never goes away.
    formed: AtomicBool,
}

/// What a member needs of its keystore.
struct Keys {
    keystore: Keystore,
    tokens: TokenBook,
    credentials: Credentials,
    authority: AuthorityCertificate,
    gear_seed: u64,
}

impl Member {
    /// Opens everything that lies in the data folder and starts Raft.
    ///
    /// # Errors
    /// Something is missing, damaged, or belongs to another node.
    pub async fn open(daemon: &Daemon, identity: Identity, volumes: Volumes) -> Result<Arc<Self>, NodeError> {
        let Platform { tasks, clock, files, metrics, .. } = daemon.platform.clone();
        let keys = open_keys(daemon, identity.node).await?;
        let witness = open_witness(daemon).await;
        let peers = Arc::new(peers(&identity, &keys));
        let registry = Registry::default();
        let transport =
            Arc::new(PeerTransport::new(identity.node, clock.clone(), Arc::clone(&peers), registry.clone()));
        let surroundings = Surroundings { tasks: tasks.clone(), clock, files, metrics, transport };
        let consensus = consensus::start(raft_options(daemon, identity.node), surroundings).await?;
        let member = Self {
            identity,
            platform: daemon.platform.clone(),
            config: daemon.config.clone(),
            consensus,
            volumes,
            in_flight: InFlight::default(),
            peers,
            registry,
            liveness: Liveness::new(daemon.platform.clock.clone()),
            witness,
            keystore: keys.keystore,
            tokens: Mutex::new(keys.tokens),
            gear_seed: keys.gear_seed,
            authority_pem: keys.authority.pem().to_owned(),
            metadata_room: MetadataRoom::default(),
            orphans: Orphans::new(&daemon.platform.metrics),
            front: tasks.child("front"),
            credentials: keys.credentials,
            backups: OnceLock::new(),
            formed: AtomicBool::new(false),
        };
        member.refresh_registry().await?;
        Ok(Arc::new(member))
    }

    /// Serves the port and begins the work in the background; from now on the services answer.
    pub fn go_live(self: &Arc<Self>, daemon: &Arc<Daemon>, listener: TcpListener) {
        daemon.set_member(Arc::clone(self));
        let serving = server::serve_network(Arc::clone(daemon), Arc::clone(self), listener);
        daemon.doors.spawn("network", OnError::EndProcess, serving);
        let scratch = daemon.folder.scratch();
        self.front.spawn("announce", OnError::EndProcess, announce(Arc::clone(self), scratch));
        self.front.spawn("liveness", OnError::EndProcess, liveness::run(Arc::clone(self)));
        self.front.spawn("steward", OnError::EndProcess, steward::run(Arc::clone(self)));
        self.front.spawn("keyring", OnError::EndProcess, keyring::run(Arc::clone(self)));
        self.front.spawn("reclaim", OnError::EndProcess, reclaim::run(Arc::clone(self)));
        self.front.spawn("ticks", OnError::EndProcess, ticks::run(Arc::clone(self)));
        self.front.spawn("timekeeping", OnError::EndProcess, timekeeping::run(Arc::clone(self)));
        self.front.spawn("witness", OnError::EndProcess, witness::run(Arc::clone(self)));
        self.front.spawn("collect", OnError::EndProcess, collect::run(Arc::clone(self)));
        for volume in self.volumes.ids() {
            self.front.spawn("compact", OnError::EndProcess, compact::run(Arc::clone(self), volume));
            self.front.spawn("reopen", OnError::EndProcess, reopen::run(Arc::clone(self), volume));
            self.front.spawn("scrub", OnError::EndProcess, scrub::run(Arc::clone(self), volume));
        }
        self.front.spawn("metadata room", OnError::EndProcess, metadata_room::run(Arc::clone(self)));
        self.front.spawn("observe", OnError::EndProcess, observe::run(Arc::clone(self)));
        tracing::info!(node = %self.identity.node, cluster = %self.identity.cluster, address = %self.config.network.advertise, "the node is a member");
    }

    /// Its number.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.identity.node
    }

    /// The runner of backups; `None` until Raft has numbered this start.
    #[must_use]
    pub fn backups(&self) -> Option<&backup::Handle> {
        self.backups.get()
    }

    /// Puts one operation of the node's own into the log. It has no key: it is one that is safe to repeat, or whose
    /// caller is told that the outcome is unknown.
    ///
    /// # Errors
    /// Raft failed, or the state refused it.
    pub async fn propose(&self, operation: Operation) -> Result<Outcome, NodeError> {
        let results = self.consensus.propose(vec![Request { key: None, operation }]).await?;
        let result = results.into_iter().next().ok_or_else(|| NodeError::Answer {
            peer: "the leader".to_owned(),
            reason: "it gave no result for a request".to_owned(),
        })?;
        Ok(result?)
    }

    /// Reads from a view that holds everything that was acknowledged before the call, on a thread that may block.
    ///
    /// # Errors
    /// There is no leader, or the read failed.
    pub async fn read<T, E>(&self, read: impl FnOnce(View) -> Result<T, E> + Send + 'static) -> Result<T, NodeError>
    where
        T: Send + 'static,
        E: Into<NodeError> + Send + 'static,
    {
        let view = self.consensus.read().await?;
        blocking(move || read(view)).await.map_err(Into::into)
    }

    /// Reads from a view that the leader's lease is enough for (see [`Handle::read_leased`]), on a thread that may block.
    ///
    /// # Errors
    /// There is no leader, or the read failed.
    pub async fn read_leased<T, E>(
        &self,
        read: impl FnOnce(View) -> Result<T, E> + Send + 'static,
    ) -> Result<T, NodeError>
    where
        T: Send + 'static,
        E: Into<NodeError> + Send + 'static,
    {
        let view = self.consensus.read_leased().await?;
        blocking(move || read(view)).await.map_err(Into::into)
    }

    /// Reads from what this node has applied so far, on a thread that may block.
    ///
    /// # Errors
    /// The read failed.
    pub async fn read_local<T, E>(
        &self,
        read: impl FnOnce(View) -> Result<T, E> + Send + 'static,
    ) -> Result<T, NodeError>
    where
        T: Send + 'static,
        E: Into<NodeError> + Send + 'static,
    {
        let view = self.consensus.local_view()?;
        blocking(move || read(view)).await.map_err(Into::into)
    }

    /// Fails until the first nodes have formed the pool: before that there is no place for a block.
    ///
    /// # Errors
    /// A failure that says how many nodes are missing.
    pub async fn require_formed(&self) -> Result<(), NodeError> {
        if self.formed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let (pools, nodes) = self.read(|view| Ok::<_, NodeError>((view.pools()?.len(), view.nodes()?.len()))).await?;
        if pools > 0 {
            self.formed.store(true, Ordering::Relaxed);
            return Ok(());
        }
        let first_nodes = self.identity.first_nodes;
        let message = format!(
            "the cluster is forming: {nodes} of {first_nodes} first nodes have joined; files can be written once all have"
        );
        let failure = Failure::new(ErrorKind::Conflict, code::CLUSTER_FORMING, message);
        Err(failure.with("joined", nodes).with("first_nodes", first_nodes).into())
    }

    /// Reads the members again, for the gate and for the channels.
    ///
    /// # Errors
    /// The state store failed.
    pub async fn refresh_registry(&self) -> Result<(), NodeError> {
        let read = |view: View| Ok::<_, NodeError>((view.revision(), view.nodes()?));
        let (revision, nodes) = self.read_local(read).await?;
        self.registry.replace(revision, nodes);
        Ok(())
    }

    /// What receives connections at the port: it shows this node's certificate and believes the cluster's.
    ///
    /// # Errors
    /// The keys cannot be used.
    pub fn reception(&self, limits: ReceptionLimits) -> Result<Reception, NodeError> {
        let authority = AuthorityCertificate::from_pem(&self.authority_pem)?;
        Ok(Reception::new(&self.credentials, &authority, limits, self.platform.clock.clone())?)
    }
}

async fn open_witness(daemon: &Daemon) -> Arc<Witness> {
    let (files, clock) = (daemon.platform.files.clone(), daemon.platform.clock.clone());
    let path = daemon.folder.clock();
    Arc::new(blocking(move || Witness::open(files, path, clock)).await)
}

async fn open_keys(daemon: &Daemon, node: NodeId) -> Result<Keys, NodeError> {
    let files = daemon.platform.files.clone();
    let (keystore, tokens) = (daemon.folder.keystore(), daemon.folder.tokens());
    blocking(move || {
        let keystore = Keystore::open(files.clone(), keystore)?;
        let missing = |what| NodeError::MissingSecret { node, what };
        Ok(Keys {
            credentials: keystore.node()?.ok_or_else(|| missing("its certificate or key"))?,
            authority: keystore.authority_certificate()?.ok_or_else(|| missing("the authority's certificate"))?,
            gear_seed: keystore
                .gear_seed()?
                .map(|seed| u64::from_be_bytes(*seed.expose()))
                .ok_or_else(|| missing("the gear seed"))?,
            tokens: TokenBook::open(files, tokens)?,
            keystore,
        })
    })
    .await
}

fn peers(identity: &Identity, keys: &Keys) -> Peers {
    let authority = wire::Authority(keys.authority.pem().to_owned());
    Peers::new(identity.cluster, &authority, &wire_identity(&keys.credentials))
}

fn wire_identity(credentials: &Credentials) -> wire::Identity {
    let key = Zeroizing::new(credentials.key_pem.expose().to_owned());
    wire::Identity::new(credentials.chain_pem.clone(), key)
}

/// Makes the empty Raft log of a node that is about to become a member. Blocks.
///
/// # Errors
/// There is one already, or it cannot be written.
pub fn create_log(daemon: &Daemon, node: NodeId) -> Result<(), NodeError> {
    Ok(consensus::create(&raft_options(daemon, node), &daemon.platform.files)?)
}

fn raft_options(daemon: &Daemon, node: NodeId) -> Options {
    let folder: &DataFolder = &daemon.folder;
    let address = daemon.config.network.advertise.clone();
    let retention = Retention::of_entries(daemon.config.metadata.log_entries.into());
    Options { retention, ..Options::new(node, address, folder.raft(), folder.raft_marker()) }
}

/// Asks Raft for the number of this start, until it gives one; then backups can run, because names of upload objects
/// need it.
async fn announce(member: Arc<Member>, scratch: PathBuf) {
    const PAUSE: Duration = Duration::from_secs(1);
    let shutdown = member.front.shutdown();
    while !shutdown.is_cancelled() {
        let start =
            types::Registration::StartNode { node: member.node(), address: member.config.network.advertise.clone() };
        let proposed = shutdown.unless_cancelled(member.propose(Operation::Register(start))).await;
        match proposed {
            Some(Ok(Outcome::Incarnation(incarnation))) => {
                tracing::info!(%incarnation, "Raft has numbered this start");
                // It is set here alone, and once.
                let _first = member.backups.set(backing_up::start(&member, incarnation, scratch));
                return;
            }
            Some(Ok(other)) => tracing::error!(?other, "a start was answered with something else"),
            Some(Err(error)) => tracing::info!(%error, "cannot announce this start yet"),
            None => return,
        }
        shutdown.unless_cancelled(member.platform.clock.sleep(PAUSE)).await;
    }
}
