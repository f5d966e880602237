//! Purges close behind what is applied, under load, while members fall behind and come back.
//!
//! The Raft core of the pinned version once panicked when a queued application met entries that a purge had dropped in
//! the meantime. `HOLDFAST_SOAK_SECONDS` and `HOLDFAST_SOAK_KEEP` make this longer and sharper, `HOLDFAST_SOAK_SYNC_MS`
//! makes the disks slower; `HOLDFAST_SEED` repeats a run's choices.

use std::sync::Arc;
use std::time::Duration;

use consensus::{Batching, Retention};
use futures::future::join_all;
use runtime::{Clock, Files, Seed};

use crate::Slow;
use crate::world::{Net, Node, Setup, agree, create, three};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_core_survives_purges_close_behind_what_is_applied() {
    let (seconds, keep) = (number("HOLDFAST_SOAK_SECONDS", 6), number("HOLDFAST_SOAK_KEEP", 200));
    let sync = Duration::from_millis(number("HOLDFAST_SOAK_SYNC_MS", 0));
    let seed = number("HOLDFAST_SEED", Seed::from_os().u64());
    println!("replay the choices with HOLDFAST_SEED={seed}");
    let setup = Setup {
        retention: Retention {
            keep_entries: keep,
            purge_entries: 1,
            keep_entries_min: keep,
            period: Duration::from_millis(10),
            ..Retention::default()
        },
        // One request an entry, so that there are many.
        batching: Batching { entry_requests: 1, entries_in_flight: 256, ..Batching::default() },
        segment_bytes: 16 << 10,
        request_deadline: Duration::from_secs(10),
        files: Files::watched(Arc::new(Slow(sync))),
        ..Setup::default()
    };
    let net = Net::default();
    let nodes = three(&net, &setup).await;
    let clock = Clock::real();
    let end = clock.now() + Duration::from_secs(seconds);

    let writers = join_all((0..64).map(|writer| write(&nodes[writer % 3], writer, end)));
    let (written, ()) = futures::join!(writers, disturb(&net, &nodes, Seed::fixed(seed), end));
    net.heal();

    let healed = clock.now();
    agree(&nodes.iter().collect::<Vec<_>>()).await;
    let term = nodes[0].handle.status().term;
    println!("all agree {:?} after the last cut was healed, in term {term}", clock.now() - healed);
    for node in &nodes {
        assert!(node.handle.status().running, "the core of node {} died", node.id);
        assert_eq!(node.tasks.failure(), None, "node {}", node.id);
        println!(
            "node {}: {} entries applied, purged up to {:?}, {} states installed",
            node.id,
            node.metric("raft_applied_entries_total"),
            node.handle.status().purged,
            node.metric("raft_snapshots_installed_total"),
        );
    }
    println!("{} requests acknowledged in {seconds} s", written.iter().sum::<u64>());
}

/// Makes files through one member until the end; counts those that were acknowledged.
async fn write(node: &Node, writer: usize, end: tokio::time::Instant) -> u64 {
    let (clock, mut acknowledged) = (Clock::real(), 0);
    for sequence in 0_u64.. {
        if clock.now() >= end {
            break;
        }
        let made = node.handle.propose(vec![create(&format!("{writer}-{sequence}"))]).await;
        acknowledged += u64::from(made.is_ok());
    }
    acknowledged
}

/// Cuts one member after the other off for a while.
async fn disturb(net: &Net, nodes: &[Node], seed: Seed, end: tokio::time::Instant) {
    let clock = Clock::real();
    while clock.now() < end {
        clock.sleep(Duration::from_millis(500 + seed.below(1000))).await;
        net.isolate(nodes[seed.below(3) as usize].id);
        clock.sleep(Duration::from_millis(200 + seed.below(2500))).await;
        net.heal();
    }
}
