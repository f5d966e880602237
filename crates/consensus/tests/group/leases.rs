//! Reads on the leader's lease are never old (rule P4).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use consensus::Handle;
use futures::future::join_all;
use runtime::{Clock, Seed, WallTime};
use types::NodeId;

use crate::world::{Net, Node, PATIENCE, Setup, agree, create, has_file, make, three, three_with};

/// Timing in which a lease is long and elections are near each other, so that a fault would show often.
fn sharp() -> Setup {
    let elections = (Duration::from_millis(2000), Duration::from_millis(2200));
    Setup { elections, request_deadline: Duration::from_secs(4), ..Setup::default() }
}

/// Files "1", "2" and so on, made one after the other; how many were acknowledged.
#[derive(Clone, Default)]
struct Register {
    acknowledged: Arc<AtomicU64>,
    done: Arc<AtomicBool>,
}

impl Register {
    /// Makes files through one member until the end.
    async fn write(&self, writer: Handle) {
        let mut number = 1;
        while !self.done.load(Ordering::SeqCst) {
            let made = writer.propose(vec![create(&number.to_string())]).await;
            // One whose outcome is unknown is there or not; the next name is free for sure.
            if made.is_ok_and(|results| results[0].is_ok()) {
                self.acknowledged.store(number, Ordering::SeqCst);
            }
            number += 1;
        }
    }

    /// Reads through one member until the end; gives how many reads succeeded.
    async fn read(&self, reader: Handle, seed: u64) -> u64 {
        let mut reads = 0;
        while !self.done.load(Ordering::SeqCst) {
            let before = self.acknowledged.load(Ordering::SeqCst);
            if let Ok(view) = reader.read_leased().await {
                let seen = before == 0 || has_file(&view, &before.to_string());
                assert!(seen, "HOLDFAST_SEED={seed}: file {before} was acknowledged before the read, which lacks it");
                reads += 1;
            }
            Clock::real().sleep(Duration::from_millis(1)).await;
        }
        reads
    }

    async fn wait_for_more(&self, files: u64) {
        let enough = self.acknowledged.load(Ordering::SeqCst) + files;
        let more = async {
            while self.acknowledged.load(Ordering::SeqCst) < enough {
                Clock::real().sleep(Duration::from_millis(5)).await;
            }
        };
        Clock::real().timeout(PATIENCE, more).await.expect("somebody leads in time");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_leader_that_was_cut_off_followed_or_asked_to_hand_over_answers_an_old_value() {
    let replayed = std::env::var("HOLDFAST_SEED").ok().and_then(|text| text.parse().ok());
    let rounds = std::env::var("HOLDFAST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let first = replayed.unwrap_or_else(|| Seed::from_os().u64() >> 16);
    for round in 0..rounds {
        let seeds = if replayed.is_some() { first..first + 1 } else { first + 6 * round..first + 6 * (round + 1) };
        join_all(seeds.map(|seed| Box::pin(disturb_a_leader(seed)))).await;
    }
}

async fn disturb_a_leader(seed: u64) {
    println!("replay with HOLDFAST_SEED={seed}");
    let (random, net, setup, register) = (Seed::fixed(seed), Net::default(), sharp(), Register::default());
    let mut nodes = three(&net, &setup).await;
    let (third, second, first) = (nodes.remove(2), nodes.remove(1), nodes.remove(0));
    let old = first.handle.clone();
    let readers = join_all((0..2).map(|_| register.read(old.clone(), seed)));
    let disturbing = async {
        // The register's writer lives as long as the member through which it writes.
        let (second, third) = disturb(&random, &net, &setup, &register, second, third, &first).await;
        register.done.store(true, Ordering::SeqCst);
        net.heal();
        (second, third)
    };
    let (reads, (second, third)) = futures::join!(readers, disturbing);
    assert!(reads.iter().all(|reads| *reads > 0), "{reads:?}");
    assert!(first.metric("raft_leased_reads_total") > 0);
    agree(&[&first, &second, &third]).await;
}

/// Lets another member lead, in one of three ways, and write.
async fn disturb(
    random: &Seed,
    net: &Net,
    setup: &Setup,
    register: &Register,
    mut second: Node,
    mut third: Node,
    first: &Node,
) -> (Node, Node) {
    for number in 0..20 {
        make(first, &format!("before {number}")).await;
    }
    match random.below(4) {
        0 => net.isolate(NodeId(1)),
        1 => first.handle.transfer_leadership(PATIENCE).await.expect("handed over"),
        // Both followers forget in a restart whom they heard, and the leader is cut off from each of them behind it.
        _ => {
            net.cut(NodeId(1), NodeId(2));
            second = second.restart(setup).await;
            Clock::real().sleep(Duration::from_millis(random.below(2200))).await;
            third = third.restart(setup).await;
            net.cut(NodeId(1), NodeId(3));
        }
    }
    let writing = register.write(second.handle.clone());
    let enough = async {
        register.wait_for_more(20).await;
        register.done.store(true, Ordering::SeqCst);
    };
    futures::join!(writing, enough);
    (second, third)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_spares_rounds_ends_soon_after_a_cut_and_at_once_with_a_suspension() {
    let clock = Clock::simulated(WallTime { seconds: 1_800_000_000, nanoseconds: 0 });
    let (net, setup) = (Net::default(), sharp());
    let nodes = three_with(&net, &setup, &Setup { clock: clock.clone(), ..setup.clone() }).await;
    make(&nodes[0], "before").await;
    let before = nodes[0].metric("raft_leased_reads_total");
    for node in &nodes {
        assert!(has_file(&node.handle.read_leased().await.expect("a view"), "before"));
    }
    assert_eq!(nodes[0].metric("raft_leased_reads_total"), before + 3, "for followers too");

    net.isolate(NodeId(1));
    assert!(nodes[0].handle.read_leased().await.is_ok(), "nobody else can lead yet");
    clock.suspend(Duration::from_secs(3600));
    assert!(nodes[0].handle.read_leased().await.is_err(), "somebody else may lead by now");
    net.heal();
    make(&nodes[1], "after").await;
    assert!(has_file(&crate::world::read(&nodes[0]).await, "after"));
}
