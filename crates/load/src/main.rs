//! `holdfast-load`: durable operations by many clients at once, and how long they took.
//!
//! Each client has a connection and a session of its own and waits for each answer before it sends the next request, as
//! a gateway's client does. The same load can be put on etcd, whose `put` is the nearest that others have to a durable
//! change of metadata: both answer once a majority has the operation on disk. `benches/durable` runs both side by side.
//!
//! Two commands need no such load: one makes a state store with very many files and measures it, without a cluster; the
//! other compares what the nodes of a cluster tell of a snapshot.

#![allow(clippy::print_stdout, reason = "printing is what this program does")]

mod etcd;
mod holdfast;
mod load;
mod report;
mod store;
mod walk;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::{Args, Parser, Subcommand};
use runtime::{Clock, Seed, Tasks};
use types::SnapshotId;

use crate::load::Load;

/// Puts a load of durable operations on a cluster, and prints as JSON how many there were and how long they took.
#[derive(Parser)]
#[command(name = "holdfast-load", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// How much, and for how long.
#[derive(Args)]
struct Shape {
    /// How many clients, each with one operation in flight
    #[arg(long, default_value_t = 1)]
    clients: usize,
    /// How long is measured
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How long the load lasts before anything is measured
    #[arg(long, default_value_t = 2)]
    warm_up_seconds: u64,
    /// The bytes of each file or value
    #[arg(long, default_value_t = 256)]
    bytes: usize,
    /// No client does more operations than this
    #[arg(long, default_value_t = 1_000_000)]
    operations_max: u64,
}

/// The nodes of a cluster.
#[derive(Args)]
struct Nodes {
    /// The admin socket of a node; the clients are spread over those that are given
    #[arg(long = "socket", required = true)]
    sockets: Vec<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Makes small files in a Holdfast cluster
    Holdfast {
        #[command(flatten)]
        shape: Shape,
        #[command(flatten)]
        nodes: Nodes,
    },
    /// Makes, writes, changes, renames and replaces files in a Holdfast cluster, which gets no larger by it
    Churn {
        #[command(flatten)]
        shape: Shape,
        #[command(flatten)]
        nodes: Nodes,
        /// The files of each client
        #[arg(long, default_value_t = 200)]
        files: u64,
    },
    /// Puts keys into an etcd cluster
    Etcd {
        #[command(flatten)]
        shape: Shape,
        /// `http://host:port` of a member; the clients are spread over those that are given
        #[arg(long = "endpoint", required = true)]
        endpoints: Vec<String>,
    },
    /// Walks a snapshot through each of the nodes, and fails if they do not tell the same of it
    Walk {
        #[command(flatten)]
        nodes: Nodes,
        /// The number of the snapshot
        #[arg(long)]
        snapshot: u64,
    },
    /// Makes a state store with many files and measures it, without a cluster
    Store(store::Plan),
}

fn main() -> Result<()> {
    wire::install_crypto_provider();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?;
    runtime.block_on(run(Arguments::parse().command))
}

async fn run(command: Command) -> Result<()> {
    // What is stored differs from run to run, so that nothing of an earlier one helps.
    let (clock, seed, tasks) = (Clock::real(), Seed::from_os(), Tasks::new("load"));
    let report = match command {
        Command::Holdfast { shape, nodes } => {
            let value = value(&shape, &seed);
            let writers = holdfast::writers(&nodes.sockets, shape.clients, &value, &seed, &tasks).await?;
            load(&shape).run(&clock, writers).await?
        }
        Command::Churn { shape, nodes, files } => {
            let value = value(&shape, &seed);
            let churn = (&value, files);
            let writers = holdfast::churning_writers(&nodes.sockets, shape.clients, churn, &seed, &tasks).await?;
            load(&shape).run(&clock, writers).await?
        }
        Command::Etcd { shape, endpoints } => {
            let value = value(&shape, &seed);
            load(&shape).run(&clock, etcd::writers(&endpoints, shape.clients, &value, &seed).await?).await?
        }
        Command::Walk { nodes, snapshot } => {
            let walked = walk::walk(&nodes.sockets, SnapshotId(snapshot), &tasks).await?;
            println!("{}", serde_json::to_string(&walked)?);
            return Ok(());
        }
        Command::Store(plan) => return runtime::blocking(move || store::measure(&plan, &clock)).await,
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

fn value(shape: &Shape, seed: &Seed) -> Bytes {
    let mut value = vec![0; shape.bytes];
    seed.fill(&mut value);
    value.into()
}

fn load(shape: &Shape) -> Load {
    Load {
        warm_up: Duration::from_secs(shape.warm_up_seconds),
        measured: Duration::from_secs(shape.seconds),
        operations_max: shape.operations_max,
    }
}
