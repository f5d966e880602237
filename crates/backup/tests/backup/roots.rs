//! The roots of a backup have the paths that its snapshot has, whatever they were called when the policy was made.

use types::{Change, Job, Lin, Name, Rename, RenameMode};

use crate::cluster::Cluster;
use crate::tree::{assert_same, of_cluster, restored, small};
use crate::{name, rename};

/// The paths of the roots that a backup's commit names.
async fn paths(cluster: &Cluster, job: &Job) -> Vec<(Lin, Vec<u8>)> {
    let repository = cluster.repository().await;
    let backup = repository.at(job.set, job.epoch).unwrap();
    backup.info().roots.iter().map(|root| (root.lin, root.path.to_vec())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_was_renamed_is_backed_up_under_its_new_name() {
    let mut cluster = Cluster::new().await;
    let data = cluster.mkdir(Lin::ROOT, "data");
    cluster.file(data, "file", b"of the first").await;
    let policy = cluster.policy("nightly", &[(data, "/data")]);
    cluster.start_all(small());
    let first = cluster.back_up(&policy).await;
    let new = cluster.mkdir(Lin::ROOT, "new");
    rename(&cluster, (Lin::ROOT, "data"), (new, "old"));
    rename(&cluster, (Lin::ROOT, "new"), (Lin::ROOT, "data"));
    let second = cluster.back_up(&policy).await;
    assert_eq!(paths(&cluster, &first).await, [(data, b"/data".to_vec())]);
    assert_eq!(paths(&cluster, &second).await, [(data, b"/data/old".to_vec())]);
    let expected = of_cluster(&cluster, &cluster.view(), data).await;
    assert_same(&expected, &restored(&cluster, &second, "/data/old").await);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_no_text_comes_back_byte_by_byte() {
    let mut cluster = Cluster::new().await;
    let data = cluster.mkdir(Lin::ROOT, "data");
    let to_name = Name::new(b"caf\xe9".to_vec()).unwrap();
    let (from_parent, to_parent, mode) = (Lin::ROOT, Lin::ROOT, RenameMode::Replace);
    cluster.change(Change::Rename(Rename { from_parent, from_name: name("data"), to_parent, to_name, mode }));
    let policy = cluster.policy("nightly", &[(data, "/caf\\xe9"), (Lin::ROOT, "/")]);
    cluster.start_all(small());
    let job = cluster.back_up(&policy).await;
    assert_eq!(paths(&cluster, &job).await, [(data, b"/caf\xe9".to_vec()), (Lin::ROOT, b"/".to_vec())]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_left_another_one_does_not_lie_over_what_took_its_place() {
    let mut cluster = Cluster::new().await;
    let a = cluster.mkdir(Lin::ROOT, "a");
    let sub = cluster.mkdir(a, "sub");
    cluster.file(sub, "file", b"of the root").await;
    let policy = cluster.policy("nightly", &[(a, "/a"), (sub, "/a/sub")]);
    rename(&cluster, (a, "sub"), (Lin::ROOT, "else"));
    let second = cluster.mkdir(a, "sub");
    cluster.file(second, "file", b"of what took its place").await;
    cluster.start_all(small());
    let job = cluster.back_up(&policy).await;
    assert_same(&of_cluster(&cluster, &cluster.view(), a).await, &restored(&cluster, &job, "/a").await);
    let out = cluster.folder.path().join(format!("restored-{}", job.id));
    assert_same(&of_cluster(&cluster, &cluster.view(), sub).await, &crate::tree::of_folder(&out.join("else")));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_several_names_keeps_the_one_that_the_policy_has() {
    let mut cluster = Cluster::new().await;
    let file = cluster.file(Lin::ROOT, "a", b"content").await;
    for other in ["b", "c"] {
        cluster.change(Change::Link { lin: file, parent: Lin::ROOT, name: name(other) });
    }
    let policy = cluster.policy("nightly", &[(file, "/b")]);
    cluster.start_all(small());
    let first = cluster.back_up(&policy).await;
    rename(&cluster, (Lin::ROOT, "b"), (Lin::ROOT, "d"));
    let second = cluster.back_up(&policy).await;
    assert_eq!(paths(&cluster, &first).await, [(file, b"/b".to_vec())]);
    assert_eq!(paths(&cluster, &second).await, [(file, b"/a".to_vec())]);
    cluster.stop().await;
}
