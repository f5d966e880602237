//! Small appends, whose bytes lie in the state and in no block.

use types::{Append, Change, Content, Lin, Rewrite};

use crate::cluster::Cluster;
use crate::tree::small;
use crate::{bytes, check};

fn append(cluster: &Cluster, lin: Lin, bytes: Vec<u8>) {
    cluster.change(Change::Append(Append { lin, content: Content::Inline(bytes.into()), mtime: None }));
}

/// Puts all bytes of a file into blocks.
async fn cut(cluster: &mut Cluster, lin: Lin) {
    let view = cluster.view();
    let whole = cluster.read(&view, lin).await;
    let Content::Extents(extents) = cluster.content(0, &whole).await else { panic!("it is too short") };
    let as_of = view.runs(lin, 0, 1).unwrap().changed;
    let length = whole.len() as u64;
    cluster.change(Change::Rewrite(Rewrite { lin, offset: 0, length, as_of, extents }));
}

#[tokio::test(flavor = "multi_thread")]
async fn tails_come_back_and_the_next_backup_takes_only_what_was_appended() {
    let mut cluster = Cluster::new().await;
    let data = cluster.mkdir(Lin::ROOT, "data");
    let policy = cluster.policy("nightly", &[(data, "/data")]);
    cluster.start_all(small());
    let log = cluster.file(data, "log", b"begin").await;
    let behind = cluster.file(data, "behind blocks", &bytes(&cluster, 400_000)).await;
    for lin in [log, behind] {
        append(&cluster, lin, bytes(&cluster, 30_000));
        append(&cluster, lin, bytes(&cluster, 20_000));
    }
    let first = cluster.back_up(&policy).await;
    let at_first = cluster.view();
    check(&cluster, &first, &at_first, data).await;

    append(&cluster, log, bytes(&cluster, 100));
    append(&cluster, log, bytes(&cluster, 100));
    let second = cluster.back_up(&policy).await;
    let at_second = cluster.view();
    check(&cluster, &second, &at_second, data).await;
    let repository = cluster.repository().await;
    let info = repository.backups().iter().find(|backup| backup.epoch == second.epoch).unwrap();
    assert_eq!(info.totals.rows[..3], [1, 0, 1], "the log, and its new tail: {:?}", info.totals);
    assert!(second.totals.bytes_plain < 10_000, "{:?}", second.totals);

    cut(&mut cluster, log).await;
    let third = cluster.back_up(&policy).await;
    check(&cluster, &third, &cluster.view(), data).await;
    for (job, view) in [(first, at_first), (second, at_second)] {
        let again = types::Job { id: types::JobId(u64::MAX - job.id.0), ..job };
        check(&cluster, &again, &view, data).await;
    }
    cluster.stop().await;
}
