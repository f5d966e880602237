//! Nodes are killed at random moments while files are written: what was acknowledged is there, and the state is sound.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use client::{Client, ClientError, Target};
use runtime::{Clock, Files, Seed};
use types::{Lin, Name};

use crate::daemons::{Daemons, content, get, new_file};

/// As many as fit into a run of all tests; `HOLDFAST_KILLS` asks for more.
const KILLS: u64 = 8;
const WRITERS: u64 = 3;
/// From files of one block to files of several.
const LENGTH_MAX: u64 = 3 << 20;
const KILL_AFTER_MS_MAX: u64 = 1500;
const DOWN_MS_MAX: u64 = 1000;

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// A file that was acknowledged: its name, and what it was made from.
struct Written {
    name: String,
    seed: u64,
    length: usize,
}

async fn write(session: &client::Session, file: &Written) -> Result<(), ClientError> {
    let name = Name::new(file.name.clone()).expect("a name");
    let mut writer = session.write_file(Target { parent: Lin::ROOT, name, inode: new_file(), replace: false });
    for (index, part) in content(file.seed, file.length).chunks(1 << 20).enumerate() {
        writer.write((index as u64) << 20, part).await?;
    }
    writer.finish().await.map(drop)
}

/// Writes files until it is told to stop, and gives those that were acknowledged.
async fn write_files(client: Client, writer: u64, seed: Seed, stop: &AtomicBool) -> Vec<Written> {
    let session = client.open_session("kills").await.expect("a session");
    let mut acknowledged = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let length = usize::try_from(1 + seed.below(LENGTH_MAX)).expect("it is short");
        let file = Written { name: format!("{writer}-{number}"), seed: seed.u64(), length };
        // Of one that was refused nothing was promised.
        if write(&session, &file).await.is_ok() {
            acknowledged.push(file);
        }
    }
    acknowledged
}

/// Kills a node and starts it again, so many times.
async fn kill_and_restart(daemons: &mut Daemons, kills: u64, seed: &Seed) {
    let clock = Clock::real();
    for _ in 0..kills {
        clock.sleep(Duration::from_millis(seed.below(KILL_AFTER_MS_MAX))).await;
        let number = usize::try_from(seed.below(3)).expect("it is small");
        daemons.kill(number);
        clock.sleep(Duration::from_millis(seed.below(DOWN_MS_MAX))).await;
        daemons.spawn(number);
        daemons.ready(number).await;
    }
}

/// Opens the state of a node that does not run, and looks for faults in it.
fn assert_sound(daemons: &Daemons, number: usize) {
    let folder = daemons.home(number).join("disk/data/raft/state");
    let current = Files::real().read(&folder.join("CURRENT")).expect("a state store has a pointer");
    let current = String::from_utf8(current).expect("the pointer is a name");
    let store = namespace::Store::open(folder.join(current.trim())).expect("the state opens");
    let faults = store.view().expect("it can be read").check().expect("all of it");
    assert!(faults.is_empty(), "node {number}: {faults:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_are_killed_under_load_lose_no_acknowledged_file() {
    let number = number_from("HOLDFAST_SEED").unwrap_or_else(|| Seed::from_os().u64());
    println!("HOLDFAST_SEED={number}");
    let seed = Seed::fixed(number);
    let mut daemons = Daemons::start(3);
    daemons.form().await;
    let mut clients = Vec::new();
    for _ in 0..WRITERS {
        clients.push(daemons.client_of_all().await);
    }

    let stop = AtomicBool::new(false);
    let writing = futures::future::join_all((0..WRITERS).zip(clients).map(|(writer, client)| {
        let seed = seed.child(&format!("writer {writer}"));
        write_files(client, writer, seed, &stop)
    }));
    let killing = async {
        kill_and_restart(&mut daemons, number_from("HOLDFAST_KILLS").unwrap_or(KILLS), &seed.child("kills")).await;
        stop.store(true, Ordering::Relaxed);
    };
    let (written, ()) = futures::future::join(writing, killing).await;

    let written: Vec<Written> = written.into_iter().flatten().collect();
    println!("{} files were acknowledged", written.len());
    assert!(!written.is_empty(), "{}", daemons.logs());
    for reader in 0..3 {
        let client = daemons.client(reader).await;
        for file in &written {
            let read = daemons.until("the file is read", || get(&client, &file.name)).await;
            assert!(read == content(file.seed, file.length), "{} through node {reader}", file.name);
        }
    }
    for reader in 0..3 {
        // The last ones are without a majority by then; how they end is not the matter here.
        daemons.terminate(reader);
        assert_sound(&daemons, reader);
    }
}
