//! A client that says of its blocks what is not true harms its own files and nobody else's.

use restore::{Existing, LocalTarget, Plan, RestoreOptions, Selection, Source};
use runtime::Files;
use types::{FileKind, Lin};

use crate::bytes;
use crate::cluster::Cluster;
use crate::tree::small;

/// Backs up a file that claims the digest of another one, and after it that other one; tells what fails to come back.
async fn failures(length: usize, object_capacity: usize) -> Vec<String> {
    let mut cluster = Cluster::new().await;
    let data = cluster.mkdir(Lin::ROOT, "data");
    let (lie, truth) = (bytes(&cluster, length), bytes(&cluster, length));
    let claimed = cluster.content_claiming(&lie, block::digest(&truth)).await;
    cluster.create(data, "lie", FileKind::File, claimed, length as u64, "");
    cluster.file(data, "truth", &truth).await;
    let policy = cluster.policy("nightly", &[(data, "/data")]);
    let mut options = small();
    options.objects.capacity = object_capacity;
    // One node alone, so that what it remembers of one object meets the next.
    cluster.start(cluster.nodes[0], options);
    let job = cluster.back_up(&policy).await;

    let source = Source { repository: cluster.repository().await, set: job.set, epoch: job.epoch };
    let options = RestoreOptions::new(cluster.folder.path().join("names"));
    let plan = Plan::make(&source, &Selection::Everything, &Files::real(), options).await.unwrap();
    let out = cluster.folder.path().join("out");
    let target = LocalTarget::open(&out, Existing::Refuse).unwrap();
    let report = restore::run(&plan, target, std::sync::Arc::default()).await.unwrap();
    let failed: Vec<_> = report.failures.iter().map(|failed| failed.path.to_string()).collect();
    if failed == ["/data/lie"] {
        assert!(Files::real().read(&out.join("data/truth")).unwrap() == truth);
    }
    cluster.stop().await;
    failed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_under_a_false_digest_takes_no_others_place_in_its_object() {
    for length in [100_000, 200_000] {
        assert_eq!(failures(length, 1 << 20).await, ["/data/lie"], "{length}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_under_a_false_digest_takes_no_others_place_in_later_objects() {
    for length in [100_000, 200_000] {
        assert_eq!(failures(length, 1).await, ["/data/lie"], "{length}");
    }
}
