//! The power goes on all nodes at once, and with it everything that was not synced (laws 1 and 2).

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lossyfs::{Mount, MountError};
use runtime::Seed;
use tempfile::TempDir;
use testkit::cluster::{Cli, Cluster, wait_for};
use testkit::power::Disk;

const NODES: usize = 3;
const CUTS: usize = 2;
/// Far more than is written: it is memory only as far as it is used, and the nodes keep a reserve.
const DISK_BYTES: u64 = 8 << 30;
const RECOVERY_DEADLINE: Duration = Duration::from_secs(120);
/// Files that must have been acknowledged before the power goes, so that each cut has something to lose.
const FILES_BEFORE_A_CUT: usize = 12;

/// One disk of a node, mounted beside the folder of the cluster, which must be removable while it is mounted.
struct LossyDisk {
    // Dropped first: the folder goes when nothing is mounted there any more.
    mount: Option<Mount>,
    folder: TempDir,
}

impl LossyDisk {
    fn new() -> Result<Self, MountError> {
        let folder = tempfile::Builder::new().prefix("holdfast-lossy-").tempdir().unwrap();
        let mount = Mount::new(Disk::new(DISK_BYTES), folder.path())?;
        Ok(Self { mount: Some(mount), folder })
    }

    /// What is left of the disk takes its place.
    fn lose_power(&mut self, seed: &Seed) {
        let mount = self.mount.take().unwrap();
        let left = mount.disk().after_power_loss(seed);
        mount.unmount().unwrap();
        self.mount = Some(Mount::new(left, self.folder.path()).unwrap());
    }
}

/// Files that the cluster has acknowledged, each with the byte that fills it and its length.
type Acknowledged = BTreeMap<String, (u8, usize)>;

/// Puts files through one node until it is told to stop or the node is gone; gives those that were acknowledged.
fn put_until(stop: &AtomicBool, cli: &Cli, folder: &Path, label: &str, enough: &dyn Fn()) -> Acknowledged {
    let mut acknowledged = Acknowledged::new();
    for number in 0_usize.. {
        if stop.load(Ordering::Acquire) {
            break;
        }
        // Inline, one block, several blocks.
        let length = [100, 50_000, 3_000_000][number % 3];
        let (path, fill) = (format!("/{label}-{number}"), (number % 250) as u8 + 1);
        let local = folder.join(format!("local-{label}"));
        fs::write(&local, vec![fill; length]).unwrap();
        if cli.ok(&["fs", "put", &local.display().to_string(), &path]).is_ok() {
            acknowledged.insert(path, (fill, length));
        }
        if acknowledged.len() == FILES_BEFORE_A_CUT {
            enough();
        }
    }
    acknowledged
}

/// Cuts the power while every node is being written through; gives what was acknowledged before.
fn write_until_the_power_goes(cluster: &mut Cluster, disks: &mut [LossyDisk], cut: usize, seed: &Seed) -> Acknowledged {
    let stop = AtomicBool::new(false);
    let (clis, folder): (Vec<_>, _) =
        ((1..=NODES).map(|node| cluster.cli(node)).collect(), cluster.folder().to_owned());
    std::thread::scope(|scope| {
        let (sender, enough) = std::sync::mpsc::sync_channel(NODES);
        let writers: Vec<_> = (1..=NODES)
            .zip(&clis)
            .map(|(node, cli)| {
                let (sender, stop, folder) = (sender.clone(), &stop, &folder);
                let enough = move || sender.try_send(()).unwrap_or_default();
                scope.spawn(move || put_until(stop, cli, folder, &format!("cut-{cut}-node-{node}"), &enough))
            })
            .collect();
        for _ in 0..NODES {
            enough.recv_timeout(RECOVERY_DEADLINE).expect("files are put through every node");
        }
        for node in 1..=NODES {
            cluster.node(node).kill().unwrap();
        }
        stop.store(true, Ordering::Release);
        let acknowledged = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        for disk in disks {
            disk.lose_power(seed);
        }
        acknowledged
    })
}

fn check(cluster: &Cluster, acknowledged: &Acknowledged) {
    for (number, (path, (fill, length))) in acknowledged.iter().enumerate() {
        let cli = cluster.cli(number % NODES + 1);
        let bytes = wait_for("a readable file", RECOVERY_DEADLINE, || cli.ok(&["fs", "cat", path])).unwrap();
        assert!(bytes.len() == *length && bytes.iter().all(|byte| byte == fill), "{path} is not what was put");
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_goes_on_all_nodes_at_once() {
    let seed = testkit::seed();
    // Two disks for each node: its data folder and its volume.
    let mut disks = match (0..2 * NODES).map(|_| LossyDisk::new()).collect::<Result<Vec<_>, _>>() {
        Err(error) if error.is_unavailable() => return testkit::skip(&error.to_string()),
        disks => disks.unwrap(),
    };
    let mut unused = disks.iter();
    let mut cluster = Cluster::start_prepared(NODES, |_, folder| {
        for name in ["data", "volume"] {
            symlink(unused.next().unwrap().folder.path(), folder.join(name)).unwrap();
        }
    })
    .unwrap();
    cluster.form().unwrap();
    let mut acknowledged = Acknowledged::new();
    for cut in 1..=CUTS {
        acknowledged.extend(write_until_the_power_goes(&mut cluster, &mut disks, cut, &seed));
        for node in 1..=NODES {
            cluster.node(node).start().unwrap();
        }
        cluster.wait_until_ready().unwrap();
        check(&cluster, &acknowledged);
    }
    assert!(acknowledged.len() >= CUTS * NODES * FILES_BEFORE_A_CUT);
    cluster.destroy().unwrap();
}
