//! Every medium keeps the promises, and the decorators do what they say.

use std::sync::Arc;

use bytes::Bytes;
use runtime::{Files, Seed};
use site::{FaultPlan, Faulty, Folder, Medium, Memory, Operation, Put, Recording, Site, SiteError, conformance};
use types::ErrorKind;

#[tokio::test]
async fn memory_keeps_the_promises() {
    conformance::check(Arc::new(Memory::default())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_keeps_the_promises() {
    let folder = tempfile::tempdir().unwrap();
    conformance::check(Arc::new(Folder::open(folder.path()).unwrap())).await;
}

#[tokio::test]
async fn a_staging_file_left_by_a_crash_is_not_listed() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::open(&format!("file://{}", folder.path().display())).unwrap();
    site.put_new("objects/a", Bytes::from_static(b"a")).await.unwrap();
    Files::real().write_atomic(&folder.path().join("objects/b#1"), b"cut", 0o600).unwrap();
    assert_eq!(site.list("", None, 10).await.unwrap().len(), 1);
    assert_eq!(site.put_new("objects/b", Bytes::from_static(b"b")).await.unwrap(), Put::Created);
    assert_eq!(site.get("objects/b").await.unwrap(), "b");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_an_error_and_is_never_made() {
    let parent = tempfile::tempdir().unwrap();
    let url = format!("file://{}/a/b", parent.path().display());
    let error = Site::open(&url).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains(&url), "{error}");
    assert!(!parent.path().join("a").exists());
    Files::real().create_dirs(&parent.path().join("a/b")).unwrap();
    assert_eq!(Site::open(&url).unwrap().url(), url);
}

#[tokio::test]
async fn a_folder_that_took_the_place_of_the_sites_gets_nothing_and_shows_nothing() {
    let (files, parent) = (Files::real(), tempfile::tempdir().unwrap());
    let [path, elsewhere] = ["site", "elsewhere"].map(|name| parent.path().join(name));
    files.create_dirs(&path).unwrap();
    let site = Site::open(&format!("file://{}", path.display())).unwrap();
    site.put_new("objects/a", Bytes::from_static(b"a")).await.unwrap();
    // As an unmount leaves it: an empty folder where the site was.
    files.rename(&path, &elsewhere).unwrap();
    files.create_dirs(&path).unwrap();

    let errors = [
        site.put_new("objects/b", Bytes::from_static(b"b")).await.unwrap_err(),
        site.get("objects/a").await.unwrap_err(),
        site.get_range("objects/a", 0..1).await.unwrap_err(),
        site.size("objects/a").await.unwrap_err(),
        site.list("", None, 10).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, SiteError::Replaced { .. }), "{error}");
        assert!(error.to_string().contains(site.url()), "{error}");
    }
    assert!(files.list(&path).unwrap().is_empty());

    files.remove_dir_all(&path).unwrap();
    files.rename(&elsewhere, &path).unwrap();
    assert_eq!(site.get("objects/a").await.unwrap(), "a");
}

#[tokio::test]
async fn names_that_a_store_could_take_for_another_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::open(&format!("file://{}", folder.path().display())).unwrap();
    for name in ["", "a#1", "a/../b", "/a", "a//b", "a/"] {
        let error = site.put_new(name, Bytes::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{name:?}: {error}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_probe_accepts_a_folder_and_cleans_up() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::open(&format!("file://{}", folder.path().display())).unwrap();
    assert!(site.probe("0001").await.unwrap().can_delete);
    assert!(site.list("", None, 10).await.unwrap().is_empty());
}

/// A store that lets everyone win, as some do that ignore `If-None-Match`.
#[derive(Debug)]
struct Overwriting(Memory);

impl Medium for Overwriting {
    fn put_new<'a>(&'a self, name: &'a str, bytes: Bytes) -> site::Reply<'a, Put> {
        self.0.replace(name, Some(bytes));
        Box::pin(async { Ok(Put::Created) })
    }
    fn get<'a>(&'a self, name: &'a str) -> site::Reply<'a, Bytes> {
        self.0.get(name)
    }
    fn get_range<'a>(&'a self, name: &'a str, range: std::ops::Range<u64>) -> site::Reply<'a, Bytes> {
        self.0.get_range(name, range)
    }
    fn size<'a>(&'a self, name: &'a str) -> site::Reply<'a, u64> {
        self.0.size(name)
    }
    fn list<'a>(&'a self, prefix: &'a str, after: Option<&'a str>, limit: usize) -> site::Reply<'a, Vec<site::Listed>> {
        self.0.list(prefix, after, limit)
    }
    fn delete<'a>(&'a self, name: &'a str) -> site::Reply<'a, ()> {
        self.0.delete(name)
    }
}

#[tokio::test]
async fn a_probe_refuses_a_store_that_lets_a_second_writer_in() {
    let site = Site::over("careless", Arc::new(Overwriting(Memory::default())));
    let error = site.probe("0001").await.unwrap_err();
    assert!(matches!(error, SiteError::Probe { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn a_recording_counts_requests_and_bytes() {
    let recording = Arc::new(Recording::new(Arc::new(Memory::default())));
    let site = Site::over("recorded", recording.clone());
    site.put_new("a", Bytes::from(vec![1; 100])).await.unwrap();
    site.get("a").await.unwrap();
    site.get_range("a", 10..20).await.unwrap();
    let requests = recording.take();
    assert_eq!((requests.of(Operation::Put), requests.of(Operation::Get), requests.of(Operation::GetRange)), (1, 1, 1));
    assert_eq!((requests.bytes_up, requests.bytes_down, requests.total()), (100, 110, 3));
    assert_eq!(recording.take().total(), 0);
}

#[tokio::test]
async fn a_put_whose_answer_was_lost_is_found_to_be_the_same() {
    let plan = FaultPlan { refused_per_mille: 300, reply_lost_per_mille: 300 };
    let (mut refused, mut repeated) = (0, 0);
    for number in 0..100_u64 {
        let faulty = Faulty::new(Arc::new(Memory::default()), Seed::fixed(number), plan);
        let site = Site::over("faulty", Arc::new(faulty));
        let bytes = Bytes::from(number.to_string());
        let put = loop {
            match site.put_same("a", bytes.clone()).await {
                Ok(put) => break put,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable),
            }
            refused += 1;
        };
        repeated += u32::from(put == Put::AlreadyThere);
    }
    assert!(refused > 20 && repeated > 5, "the plan was carried out: {refused} {repeated}");
}

#[tokio::test]
async fn what_is_longer_than_any_object_of_ours_is_not_read_into_memory() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::open(&format!("file://{}", folder.path().display())).unwrap();
    site.put_new("commits/a", Bytes::from_static(b"a")).await.unwrap();
    let file = Files::real().open_write(&folder.path().join("commits/a")).unwrap();
    file.set_len(site::READ_LENGTH_MAX + 1).unwrap();
    for read in [site.get("commits/a").await, site.get_range("commits/a", 0..site::READ_LENGTH_MAX + 1).await] {
        let error = read.unwrap_err();
        assert!(matches!(&error, SiteError::TooLong { name, .. } if name == "commits/a"), "{error}");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
    assert_eq!(site.get_range("commits/a", 0..1).await.unwrap(), "a");
}
