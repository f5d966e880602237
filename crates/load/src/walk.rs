//! The whole tree of a snapshot, as each node has it.
//!
//! A snapshot is read from the node's own state store, so what two nodes tell of one snapshot differs only if their
//! states do.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use blake3::Hasher;
use client::{Client, Parts};
use runtime::Tasks;
use serde::Serialize;
use types::{FileKind, Lin, SnapshotId};

use crate::holdfast::connect;

/// What a node told of a snapshot.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Walked {
    /// Everything in it, the root included.
    pub inodes: u64,
    /// A hash of all names, attributes, extended attributes, and of where contents are.
    pub digest: String,
}

/// Walks a snapshot through each of the nodes, and pins it until that is done; fails if they differ.
pub async fn walk(sockets: &[PathBuf], snapshot: SnapshotId, tasks: &Tasks) -> Result<Walked> {
    let session = connect(sockets.iter(), tasks).await?.open_session("walk of a snapshot").await?;
    session.pin_snapshot(snapshot, "walk of a snapshot").await?;
    let walked = walk_all(sockets, snapshot, tasks).await;
    session.close().await?;
    walked
}

async fn walk_all(sockets: &[PathBuf], snapshot: SnapshotId, tasks: &Tasks) -> Result<Walked> {
    let mut walks = Vec::with_capacity(sockets.len());
    for socket in sockets {
        let client = connect([socket].into_iter(), tasks).await?;
        walks.push((socket, walk_through(&client, snapshot).await?));
    }
    let first = walks.pop();
    let Some((first_socket, first)) = first else { anyhow::bail!("no node to ask") };
    for (socket, walked) in walks {
        let (one, other) = (socket.display(), first_socket.display());
        ensure!(walked == first, "the states differ at snapshot {snapshot}: {one} {walked:?}, {other} {first:?}");
    }
    Ok(first)
}

async fn walk_through(client: &Client, snapshot: SnapshotId) -> Result<Walked> {
    let (mut hasher, mut inodes, mut directories) = (Hasher::new(), 1, vec![Lin::ROOT]);
    while let Some(directory) = directories.pop() {
        let mut after = None;
        loop {
            let (entries, more) = client.read_directory(directory, after.as_ref(), Some(snapshot)).await?;
            let lins: Vec<Lin> = entries.iter().map(|entry| entry.lin).collect();
            let parts = Parts { xattrs: true, content: true };
            let described = client.describe_all(&lins, parts, Some(snapshot)).await?;
            for (entry, inode) in entries.iter().zip(described) {
                // As Rust prints it: this hash is compared with those of the same run only.
                hasher.update(format!("{directory} {entry:?} {:?}\n", inode?).as_bytes());
                inodes += 1;
                if entry.kind == FileKind::Directory {
                    directories.push(entry.lin);
                }
            }
            after = entries.last().map(|entry| entry.name.clone());
            if !more {
                break;
            }
        }
    }
    Ok(Walked { inodes, digest: hasher.finalize().to_hex().to_string() })
}
