//! Backups of a real state store and a real volume to a real repository, and back.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "clippy allows them in tests, and not in what tests share"
)]

mod cancelling;
mod cluster;
mod dishonest;
mod faults;
mod figures;
mod gate;
mod handing_over;
mod heads;
mod history;
mod roots;
mod shrinking;
mod sites;
mod tails;
mod tree;
mod workers;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cluster::{Cluster, Shared};
use gate::Gate;
use repo::ObjectNumber;
use runtime::{Clock, Files};
use site::{FaultPlan, Faulty, Site};
use tree::{assert_same, lins, of_cluster, restored, small};
use types::{
    AttributeChanges, BlockId, Change, CloneRange, Content, FileKind, Job, JobOperation, JobPhase, Lin, Name,
    Operation, Outcome, Policy, Removal, Rename, RenameMode,
};

fn name(text: &str) -> Name {
    Name::new(text.to_owned()).unwrap()
}

fn rename(cluster: &Cluster, from: (Lin, &str), to: (Lin, &str)) {
    let (from_name, to_name) = (name(from.1), name(to.1));
    let mode = RenameMode::Replace;
    cluster.change(Change::Rename(Rename { from_parent: from.0, from_name, to_parent: to.0, to_name, mode }));
}

fn bytes(cluster: &Cluster, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    cluster.seed.fill(&mut bytes);
    bytes
}

/// A cluster with a tree, and a policy that backs it up; gives the root of its set.
async fn with_policy() -> (Cluster, Lin, Policy) {
    let mut cluster = Cluster::new().await;
    let data = grow(&mut cluster).await;
    let policy = cluster.policy("nightly", &[(data, "/data")]);
    (cluster, data, policy)
}

/// A tree with small and large files, holes, links; gives the root of the set.
async fn grow(cluster: &mut Cluster) -> Lin {
    let data = cluster.mkdir(Lin::ROOT, "data");
    let outside = cluster.mkdir(Lin::ROOT, "outside");
    for number in 0..6 {
        let directory = cluster.mkdir(data, &format!("d{number}"));
        for file in 0..8_usize {
            let length = [0, 1, 700, 5000, 100_000, 131_072, 300_001, 1_700_000][file];
            let content = bytes(cluster, length);
            cluster.file(directory, &format!("f{file}"), &content).await;
        }
        cluster.symlink(directory, "link", "../elsewhere");
        cluster.create(directory, "pipe", FileKind::Pipe, Content::Empty, 0, "");
        cluster.create(directory, "socket", FileKind::Socket, Content::Empty, 0, "");
    }
    let d0 = cluster.view().lookup(data, &name("d0")).unwrap().lin;
    let f3 = cluster.view().lookup(d0, &name("f3")).unwrap().lin;
    for (parent, link) in [(data, "hard"), (d0, "hard too"), (outside, "half outside")] {
        cluster.change(Change::Link { lin: f3, parent, name: name(link) });
    }
    let sparse = cluster.file(data, "sparse", &bytes(cluster, 10_000)).await;
    let changes = AttributeChanges { size: Some(3_000_000), ..AttributeChanges::default() };
    cluster.change(Change::SetAttributes { lin: sparse, changes });
    let content = cluster.content(2_000_000, &bytes(cluster, 50_000)).await;
    cluster.change(Change::Write { lin: sparse, content, mtime: None });
    cluster.file(outside, "not in the set", b"no").await;
    data
}

/// Checks a finished job against the cluster as its snapshot has it.
async fn check(cluster: &Cluster, job: &Job, view: &namespace::View, root: Lin) {
    let expected = of_cluster(cluster, view, root).await;
    assert_same(&expected, &restored(cluster, job, "/data").await);
    assert_eq!(job.totals.lins_in_set, lins(&expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_backed_up_comes_back_and_the_next_backup_takes_only_what_changed() {
    let (mut cluster, data, policy) = with_policy().await;
    cluster.start_all(small());

    let first = cluster.back_up(&policy).await;
    let at_first = cluster.view();
    check(&cluster, &first, &at_first, data).await;
    assert!(first.totals.units > 10 && first.totals.units_done == first.totals.units);
    assert_eq!(first.totals.bytes_by_node.iter().map(|(_, bytes)| bytes).sum::<u64>(), first.totals.bytes_plain);

    // A new file, a changed one, one in place of another, one gone, a renamed directory.
    let view = cluster.view();
    let at = |parent, text: &str| view.lookup(parent, &name(text)).unwrap().lin;
    let (d1, d2) = (at(data, "d1"), at(data, "d2"));
    cluster.file(d1, "new", &bytes(&cluster, 5000)).await;
    let content = cluster.content(400_000, &bytes(&cluster, 4000)).await;
    cluster.change(Change::Write { lin: at(d1, "f7"), content, mtime: None });
    rename(&cluster, (d1, "f1"), (d1, "f2"));
    cluster.change(Change::Remove { parent: d2, name: name("f0"), expect: Removal::NotDirectory });
    rename(&cluster, (data, "d3"), (d2, "moved"));
    let fetched = cluster.blocks_fetched();

    let second = cluster.back_up(&policy).await;
    let at_second = cluster.view();
    check(&cluster, &second, &at_second, data).await;
    let repository = cluster.repository().await;
    let info = repository.backups().iter().find(|backup| backup.epoch == second.epoch).unwrap();
    // Inodes: data, d1, d2, d3 (moved), new, f7, f1 (renamed), f2 (gone), f0 (gone).
    // Entries: new, f1 gone, f2 replaced, f0 gone, d3 gone, moved.
    // Extents: new; of f7 the new one, and the block around it in two pieces.
    assert_eq!(info.totals.rows[..3], [9, 6, 4], "{:?}", info.totals);
    assert_eq!(info.base, Some(first.epoch));
    assert!(cluster.blocks_fetched() - fetched <= 4);

    let third = cluster.back_up(&policy).await;
    let repository = cluster.repository().await;
    let info = repository.backups().iter().find(|backup| backup.epoch == third.epoch).unwrap();
    assert_eq!((info.totals.objects, info.totals.rows), (0, [0; 5]), "nothing changed, and yet there is a backup");
    check(&cluster, &third, &at_second, data).await;
    let again = Job { id: types::JobId(u64::MAX), ..first };
    check(&cluster, &again, &at_first, data).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_is_backed_up_and_restored_as_a_file_of_its_own() {
    let (mut cluster, data, policy) = with_policy().await;
    cluster.start_all(small());
    let view = cluster.view();
    let at = |parent, text: &str| view.lookup(parent, &name(text)).unwrap().lin;
    let (d1, outside) = (at(data, "d1"), at(Lin::ROOT, "outside"));
    let large = at(d1, "f7");
    let unseen = cluster.file(outside, "unseen", &bytes(&cluster, 400_000)).await;
    cluster.back_up(&policy).await;
    let before = cluster.view();

    // Of a file that the first backup has, of one that no backup ever has, and of one that is kept inline.
    let clones = [("large", large), ("unseen", unseen), ("inline", at(d1, "f2"))].map(|(to, from)| {
        let clone = cluster.create(data, to, FileKind::File, Content::Empty, 0, "");
        clone_whole(&cluster, from, clone);
        (from, clone)
    });
    let content = cluster.content(200_000, &bytes(&cluster, 50_000)).await;
    cluster.change(Change::Write { lin: large, content, mtime: None });
    cluster.change(Change::Remove { parent: outside, name: name("unseen"), expect: Removal::NotDirectory });
    let second = cluster.back_up(&policy).await;
    let now = cluster.view();
    for (from, clone) in clones {
        assert_eq!(cluster.read(&before, from).await, cluster.read(&now, clone).await);
    }
    check(&cluster, &second, &now, data).await;
    cluster.stop().await;
}

fn clone_whole(cluster: &Cluster, from: Lin, to: Lin) {
    let length = cluster.view().attributes(from).unwrap().size;
    let whole = CloneRange { from, snapshot: None, from_offset: 0, to, to_offset: 0, length, mtime: None };
    assert_eq!(cluster.change(Change::Clone(whole)), Outcome::Remaining(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_enters_and_leaves_the_set_comes_and_goes_with_all_below_it() {
    let mut cluster = Cluster::new().await;
    let data = grow(&mut cluster).await;
    let outside = cluster.view().lookup(Lin::ROOT, &name("outside")).unwrap().lin;
    let policy = cluster.policy("nightly", &[(data, "/data")]);
    cluster.start_all(small());
    cluster.back_up(&policy).await;

    rename(&cluster, (data, "d4"), (outside, "d4"));
    let second = cluster.back_up(&policy).await;
    check(&cluster, &second, &cluster.view(), data).await;

    // While it is outside, a file of it shrinks: its old extents must not come back with it.
    let d4 = cluster.view().lookup(outside, &name("d4")).unwrap().lin;
    let f7 = cluster.view().lookup(d4, &name("f7")).unwrap().lin;
    for size in [100, 2_000_000] {
        let changes = AttributeChanges { size: Some(size), ..AttributeChanges::default() };
        cluster.change(Change::SetAttributes { lin: f7, changes });
    }
    rename(&cluster, (outside, "d4"), (data, "d4 again"));
    let third = cluster.back_up(&policy).await;
    check(&cluster, &third, &cluster.view(), data).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loss_of_the_owner_costs_no_object_that_was_reported() {
    let (mut cluster, data, policy) = with_policy().await;
    let lost = cluster.nodes[1];
    cluster.start(lost, small());
    let job = cluster.start_job(&policy, lost);
    let clock = Clock::real();
    while cluster.view().job_objects(job.id, None, 10).unwrap().len() < 3 {
        clock.sleep(Duration::from_millis(1)).await;
    }
    cluster.kill(lost).await;
    let reported = cluster.view().job_objects(job.id, None, 1000).unwrap();
    for node in [cluster.nodes[0], cluster.nodes[2]] {
        cluster.start(node, small());
    }
    let done = cluster.succeed(&job).await;
    check(&cluster, &done, &cluster.view(), data).await;
    let repository = cluster.repository().await;
    let backup = repository.at(done.set, done.epoch).unwrap();
    let objects = usize::try_from(backup.info().totals.objects).unwrap();
    let mut kept = BTreeSet::new();
    for ordinal in 0..objects {
        let row = backup.object(ObjectNumber::new(done.epoch, ordinal).unwrap()).await.unwrap();
        kept.insert(format!("objects/{}", row.writer));
    }
    assert!(reported.len() >= 3 && reported.iter().all(|object| kept.contains(&object.name)));
    assert_eq!(done.totals.units_done, done.totals.units);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_whose_node_lags_behind_misses_no_object() {
    let (mut cluster, data, policy) = with_policy().await;
    cluster.let_nodes_lag();
    cluster.start_all(small());
    let job = cluster.back_up(&policy).await;
    assert!(job.totals.objects > 1);
    check(&cluster, &job, &cluster.view(), data).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_lost_gives_its_units_back() {
    let (mut cluster, data, policy) = with_policy().await;
    cluster.start_all(small());
    let job = cluster.start_job(&policy, cluster.nodes[0]);
    let lost = cluster.nodes[2];
    cluster.kill(lost).await;
    let done = cluster.succeed(&job).await;
    check(&cluster, &done, &cluster.view(), data).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_root_fails_the_job_and_leaves_the_base() {
    let mut cluster = Cluster::new().await;
    let root = cluster.mkdir(Lin::ROOT, "gone");
    let policy = cluster.policy("nightly", &[(root, "/gone")]);
    cluster.start_all(small());
    cluster.back_up(&policy).await;
    cluster.change(Change::Remove { parent: Lin::ROOT, name: name("gone"), expect: Removal::Directory });
    let job = cluster.start_job(&policy, cluster.nodes[0]);
    let reason = cluster.fail(&job).await;
    assert!(reason.contains("/gone"), "{reason}");
    assert_eq!(cluster.repository().await.backups().len(), 1);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strange_commit_at_the_site_stops_the_next_job() {
    let mut cluster = Cluster::new().await;
    let data = cluster.mkdir(Lin::ROOT, "data");
    let policy = cluster.policy("nightly", &[(data, "/data")]);
    cluster.start_all(small());
    let first = cluster.back_up(&policy).await;
    let JobPhase::Succeeded(commit) = &first.phase else { panic!("{:?}", first.phase) };
    Files::real().remove(&cluster.folder.path().join("site").join(&commit.name)).unwrap();
    let job = cluster.start_job(&policy, cluster.nodes[0]);
    let reason = cluster.fail(&job).await;
    assert!(reason.contains("adopt"), "{reason}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_stops_and_the_next_one_succeeds() {
    let (mut cluster, data, policy) = with_policy().await;
    cluster.start_all(small());
    let job = cluster.start_job(&policy, cluster.nodes[0]);
    cluster.apply(Operation::Job(JobOperation::Cancel { job: job.id }));
    let next = cluster.back_up(&policy).await;
    check(&cluster, &next, &cluster.view(), data).await;
    assert_eq!(cluster.repository().await.backups().len(), 1);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_fails_now_and_then_costs_time_and_nothing_else() {
    let (mut cluster, data, policy) = with_policy().await;
    let seed = cluster.seed.clone();
    cluster.decorate_site(|inner| {
        Arc::new(Faulty::new(inner, seed, FaultPlan { refused_per_mille: 150, reply_lost_per_mille: 150 }))
    });
    cluster.start_all(small());
    let started = cluster.start_job(&policy, cluster.nodes[0]);
    let job = cluster.succeed(&started).await;
    cluster.decorate_site(|_| Site::open(&cluster.site_record.url).unwrap().medium());
    check(&cluster, &job, &cluster.view(), data).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_fixed_is_put_by_the_next_owner_as_it_is() {
    let (mut cluster, data, policy) = with_policy().await;
    let gate = Arc::new(Gate::closed("commits/"));
    cluster.decorate_site(|inner| gate.before(inner));
    let lost = cluster.nodes[1];
    cluster.start(lost, small());
    let job = cluster.start_job(&policy, lost);
    let fixed = cluster.wait(&job, |job| matches!(job.phase, JobPhase::Committing(_))).await;
    cluster.kill(lost).await;
    assert!(cluster.repository().await.backups().is_empty(), "before the commit there is no backup");

    gate.open();
    cluster.start(cluster.nodes[0], small());
    let done = cluster.succeed(&job).await;
    let (JobPhase::Committing(ticket), JobPhase::Succeeded(commit)) = (&fixed.phase, &done.phase) else {
        panic!("{:?} {:?}", fixed.phase, done.phase)
    };
    assert_eq!(ticket.commit, *commit);
    assert_ne!(fixed.fence, done.fence);
    let put = Files::real().read(&cluster.folder.path().join("site").join(&commit.name)).unwrap();
    assert!(put == ticket.bytes[..]);
    check(&cluster, &done, &cluster.view(), data).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_does_not_fit_into_the_log_fails_the_job() {
    let mut cluster = Cluster::new().await;
    let data = cluster.mkdir(Lin::ROOT, "data");
    let policy = cluster.policy("nightly", &[(data, "/data")]);
    cluster.shared.faults.shrink_log();
    cluster.start_all(small());
    let job = cluster.start_job(&policy, cluster.nodes[0]);
    let reason = cluster.fail(&job).await;
    assert!(reason.contains("9 MiB") && reason.contains("add a new site"), "{reason}");
    cluster.stop().await;
}

/// Backs up a file of one block after something was done to the block; tells why that failed, and what must be named.
async fn failure_after(harm: impl AsyncFnOnce(Arc<Shared>, BlockId)) -> (String, Lin, BlockId) {
    let mut cluster = Cluster::new().await;
    let data = cluster.mkdir(Lin::ROOT, "data");
    let file = cluster.file(data, "f", &bytes(&cluster, 5000)).await;
    let block = cluster.view().extents(file, 0, 1).unwrap().remove(0).extent.block;
    harm(Arc::clone(&cluster.shared), block).await;
    let policy = cluster.policy("nightly", &[(data, "/data")]);
    cluster.start(cluster.nodes[0], small());
    let reason = cluster.fail(&cluster.start_job(&policy, cluster.nodes[0])).await;
    cluster.stop().await;
    (reason, file, block)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_nobody_has_fails_the_job_and_is_named() {
    let (reason, file, block) = failure_after(async |shared, block| shared.lose_block(block).await).await;
    for part in [block.to_string(), file.to_string(), "/data/f".to_owned(), "offset 0".to_owned()] {
        assert!(reason.contains(&part), "{part}: {reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_block_fails_the_job_and_its_file_is_named() {
    let (reason, _, block) = failure_after(async |shared, block| shared.faults.damage(block)).await;
    assert!(reason.contains("/data/f: ") && reason.contains(&block.to_string()), "{reason}");
}
