//! One node that plays a cluster of four placement groups: as strict as the state machine where these tests look.

mod blocks;
mod namespace;
mod state;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use client::{Client, Options, Piece, Session, SmallFile, Target};
use runtime::{Clock, OnError, Tasks};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use types::{Content, FileKind, Lin, Name, NewInode};
use wire::v1::blocks_server::BlocksServer;
use wire::v1::namespace_server::NamespaceServer;
use wire::{Endpoint, MESSAGE_LENGTH_MAX};

pub use state::{File, State};

/// A cluster, and how to reach it.
pub struct Cluster {
    node: Node,
    folder: tempfile::TempDir,
    tasks: Tasks,
}

/// The node; clones are the same one.
#[derive(Clone)]
pub struct Node {
    state: Arc<Mutex<State>>,
}

impl Node {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Cluster {
    /// A cluster whose node listens.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (listener, _name) = runtime::net::listen_unix(&folder.path().join("socket"), 0o600).unwrap();
        let node = Node { state: Arc::default() };
        let tasks = Tasks::new("test");
        let server = Server::builder()
            .add_service(NamespaceServer::new(node.clone()).max_decoding_message_size(MESSAGE_LENGTH_MAX))
            .add_service(BlocksServer::new(node.clone()).max_decoding_message_size(MESSAGE_LENGTH_MAX));
        tasks.spawn("node", OnError::Log, async move {
            let served = server.serve_with_incoming(UnixListenerStream::new(listener)).await;
            served.map_err(|error| error.to_string())
        });
        Self { node, folder, tasks }
    }

    /// What the node has, to look at and to order faults.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.node.state()
    }

    /// A client of it.
    pub async fn client(&self) -> Client {
        let endpoint = Endpoint::Unix(self.folder.path().join("socket"));
        let patience = Duration::from_secs(20);
        let options = Options { patience, ..Options::new(vec![endpoint], self.tasks.clone()) };
        Client::connect(options).await.unwrap()
    }

    /// A session of a client of its own.
    pub async fn session(&self) -> Session {
        self.client().await.open_session("test").await.unwrap()
    }

    /// Waits until the node is in some state.
    pub async fn until(&self, what: &str, condition: impl Fn(&State) -> bool) {
        let clock = Clock::real();
        let reached = async {
            while !condition(&self.state()) {
                clock.sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = clock.timeout(Duration::from_secs(20), reached).await;
        waited.unwrap_or_else(|_| panic!("{what} did not come to be"));
    }
}

/// What a new file has before its content.
pub fn new_file() -> NewInode {
    NewInode {
        kind: FileKind::File,
        mode: 0o644,
        uid: 0,
        gid: 0,
        atime: None,
        mtime: None,
        target: Bytes::new(),
        xattrs: Vec::new(),
        content: Content::Empty,
        size: 0,
    }
}

/// A file below the root that is to be streamed.
pub fn target(name: &str) -> Target {
    Target { parent: Lin::ROOT, name: Name::new(name.to_owned()).unwrap(), inode: new_file(), replace: false }
}

/// A file below the root that has blocks, and is made at once.
pub fn small(name: &str, bytes: Vec<u8>) -> SmallFile {
    let inode = NewInode { size: bytes.len() as u64, ..new_file() };
    let pieces = vec![Piece { offset: 0, bytes: bytes.into() }];
    SmallFile { parent: Lin::ROOT, name: Name::new(name.to_owned()).unwrap(), inode, pieces, replace: false }
}

/// Bytes that do not repeat and are the same for the same seed.
pub fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    runtime::Seed::fixed(seed).fill(&mut bytes);
    bytes
}

/// Reads a file below the root, holes as zeros.
pub async fn read(client: &Client, lin: Lin) -> Vec<u8> {
    let mut reader = client.read_file(lin, None).await.unwrap();
    let mut bytes = vec![0; usize::try_from(reader.size()).unwrap()];
    while let Some(piece) = reader.next().await.unwrap() {
        let begin = usize::try_from(piece.offset).unwrap();
        bytes.get_mut(begin..begin + piece.bytes.len()).unwrap().copy_from_slice(&piece.bytes);
    }
    bytes
}
