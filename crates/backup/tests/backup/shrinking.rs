//! Sets of which most is gone (rule P17): the job fails, unless an admin says that it is meant.

use types::{Change, Job, Lin, Removal, Shrinkage};

use crate::cluster::Cluster;
use crate::tree::small;
use crate::{check, name, rename};

/// A set of a directory with two directories, each with files, and a backup of it.
async fn backed_up(files: usize) -> (Cluster, Lin, types::Policy, Job) {
    let mut cluster = Cluster::new().await;
    let data = cluster.mkdir(Lin::ROOT, "data");
    for directory in ["a", "b"] {
        let directory = cluster.mkdir(data, directory);
        for number in 0..files {
            cluster.file(directory, &format!("f{number}"), b"content").await;
        }
    }
    let policy = cluster.policy("nightly", &[(data, "/data")]);
    cluster.start_all(small());
    let first = cluster.back_up(&policy).await;
    (cluster, data, policy, first)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_of_which_most_is_gone_fails_its_job_until_that_is_accepted() {
    let (cluster, data, policy, first) = backed_up(60).await;
    assert_eq!(first.totals.lins_in_set, 123);
    assert_eq!(cluster.view().policy(policy.id).unwrap().base_lins, 123);
    // One half is moved out as a whole, of the other one file is removed.
    rename(&cluster, (data, "a"), (Lin::ROOT, "a"));
    let b = cluster.view().lookup(data, &name("b")).unwrap().lin;
    cluster.change(Change::Remove { parent: b, name: name("f7"), expect: Removal::NotDirectory });
    let refused = cluster.start_job(&policy, cluster.nodes[0]);
    let reason = cluster.fail(&refused).await;
    assert!(reason.contains("from 123 to 61") && reason.contains("--accept-shrunk"), "{reason}");
    assert_eq!(cluster.repository().await.backups().len(), 1);

    let accepted = cluster.start_job_with(&policy, cluster.nodes[0], Shrinkage::Accept);
    let accepted = cluster.succeed(&accepted).await;
    assert_eq!(accepted.totals.lins_in_set, 61);
    check(&cluster, &accepted, &cluster.view(), data).await;

    // The next one compares with what is there now.
    let next = cluster.back_up(&policy).await;
    assert_eq!(next.totals.lins_in_set, 61);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_keeps_half_or_was_small_may_shrink() {
    let (cluster, data, policy, _) = backed_up(60).await;
    let a = cluster.view().lookup(data, &name("a")).unwrap().lin;
    for number in 0..60 {
        cluster.change(Change::Remove { parent: a, name: name(&format!("f{number}")), expect: Removal::NotDirectory });
    }
    assert_eq!(cluster.back_up(&policy).await.totals.lins_in_set, 63);
    rename(&cluster, (data, "b"), (Lin::ROOT, "b"));
    assert_eq!(cluster.back_up(&policy).await.totals.lins_in_set, 2, "63 are too few to be compared");
    cluster.stop().await;
}
