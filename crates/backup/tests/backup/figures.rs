//! What a scraper sees of backups.

use std::time::Duration;

use runtime::Clock;
use types::{Job, JobOperation, Lin, Operation, Removal};

use crate::cluster::Cluster;
use crate::tree::small;
use crate::{grow, name};

/// Waits for a line of the metrics, which follow the state after a while.
async fn wait_for(cluster: &Cluster, line: &str) {
    for _ in 0..2000 {
        if cluster.metrics.text().lines().any(|found| found == line) {
            return;
        }
        Clock::real().sleep(Duration::from_millis(10)).await;
    }
    let text = cluster.metrics.text();
    let backup: Vec<_> = text.lines().filter(|line| line.starts_with("holdfast_backup")).collect();
    panic!("{line} is not among {backup:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_figures_tell_what_jobs_did_and_how_they_ended() {
    let mut cluster = Cluster::new().await;
    let data = grow(&mut cluster).await;
    let gone = cluster.mkdir(Lin::ROOT, "gone");
    let nightly = cluster.policy("nightly", &[(data, "/data")]);
    let missing = cluster.policy("missing", &[(gone, "/gone")]);
    cluster.change(types::Change::Remove { parent: Lin::ROOT, name: name("gone"), expect: Removal::Directory });
    let worker = cluster.nodes[2];
    cluster.shared.faults.stall(worker);
    cluster.start_all(small());

    // While a worker does not get on, what it holds is seen.
    let job = cluster.start_job(&nightly, cluster.nodes[0]);
    let held = |job: &Job| job.totals.units > 0 && job.totals.units - job.totals.units_done == given(&cluster);
    cluster.wait(&job, held).await;
    wait_for(&cluster, r#"holdfast_backup_queue_units{policy="nightly",state="waiting"} 0"#).await;
    let at_worker = format!(r#"holdfast_backup_queue_units{{policy="nightly",state="at_worker"}} {}"#, given(&cluster));
    wait_for(&cluster, &at_worker).await;
    cluster.apply(Operation::Job(JobOperation::Cancel { job: job.id }));
    wait_for(&cluster, r#"holdfast_backup_jobs_total{outcome="cancelled"} 1"#).await;
    wait_for(&cluster, r#"holdfast_backup_queue_units{policy="nightly",state="at_worker"} 0"#).await;
    cluster.shared.faults.recover(worker);

    let before = Figures::of(&cluster);
    let done = cluster.back_up(&nightly).await;
    wait_for(&cluster, r#"holdfast_backup_jobs_total{outcome="succeeded"} 1"#).await;
    let after = Figures::of(&cluster);
    assert_eq!(after.units - before.units, done.totals.units);
    assert_eq!(after.entries - before.entries, done.totals.lins_changed);
    assert_eq!(after.objects - before.objects, done.totals.objects);
    assert_eq!(after.uploaded_bytes - before.uploaded_bytes, done.totals.bytes_uploaded);
    assert!(after.read_bytes - before.read_bytes > 10_000_000, "{after:?}");

    let failed = cluster.start_job(&missing, cluster.nodes[1]);
    cluster.fail(&failed).await;
    wait_for(&cluster, r#"holdfast_backup_jobs_total{outcome="failed"} 1"#).await;
    cluster.stop().await;
}

fn given(cluster: &Cluster) -> u64 {
    cluster.shared.faults.units_given(cluster.nodes[2])
}

#[derive(Debug)]
struct Figures {
    units: u64,
    entries: u64,
    objects: u64,
    uploaded_bytes: u64,
    read_bytes: u64,
}

impl Figures {
    fn of(cluster: &Cluster) -> Self {
        let text = cluster.metrics.text();
        let of = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("holdfast_backup_{name}_total ")));
            line.unwrap().parse().unwrap()
        };
        Self {
            units: of("units"),
            entries: of("entries"),
            objects: of("objects"),
            uploaded_bytes: of("uploaded_bytes"),
            read_bytes: of("read_bytes"),
        }
    }
}
