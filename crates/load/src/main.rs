//! `holdfast-load`: durable operations by many clients at once, and how long they took.
//!
//! Each client has a connection and a session of its own and waits for each answer before it sends the next request, as
//! a gateway's client does. The same load can be put on etcd, whose `put` is the nearest that others have to a durable
//! change of metadata: both answer once a majority has the operation on disk. `benches/durable` runs both side by side.

#![allow(clippy::print_stdout, reason = "printing is what this program does")]

mod etcd;
mod holdfast;
mod load;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::{Args, Parser, Subcommand};
use runtime::{Clock, Seed, Tasks};

use crate::load::Load;

/// Puts a load of durable operations on a cluster, and prints as JSON how many there were and how long they took.
#[derive(Parser)]
#[command(name = "holdfast-load", version)]
struct Arguments {
    #[command(flatten)]
    shape: Shape,
    #[command(subcommand)]
    target: Target,
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

#[derive(Subcommand)]
enum Target {
    /// Makes small files in a Holdfast cluster
    Holdfast {
        /// The admin socket of a node; the clients are spread over those that are given
        #[arg(long = "socket", required = true)]
        sockets: Vec<PathBuf>,
    },
    /// Puts keys into an etcd cluster
    Etcd {
        /// `http://host:port` of a member; the clients are spread over those that are given
        #[arg(long = "endpoint", required = true)]
        endpoints: Vec<String>,
    },
}

fn main() -> Result<()> {
    wire::install_crypto_provider();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?;
    runtime.block_on(run(Arguments::parse()))
}

async fn run(arguments: Arguments) -> Result<()> {
    let Arguments { shape, target } = arguments;
    let clock = Clock::real();
    // What is stored differs from run to run, so that nothing of an earlier one helps.
    let seed = Seed::from_os();
    let mut value = vec![0; shape.bytes];
    seed.fill(&mut value);
    let value = Bytes::from(value);
    let load = Load {
        warm_up: Duration::from_secs(shape.warm_up_seconds),
        measured: Duration::from_secs(shape.seconds),
        operations_max: shape.operations_max,
    };
    let report = match target {
        Target::Holdfast { sockets } => {
            let tasks = Tasks::new("load");
            let writers = holdfast::writers(&sockets, shape.clients, &value, &seed, &tasks).await?;
            load.run(&clock, writers).await?
        }
        Target::Etcd { endpoints } => {
            load.run(&clock, etcd::writers(&endpoints, shape.clients, &value, &seed).await?).await?
        }
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}
