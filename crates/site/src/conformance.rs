//! What every medium must pass. It is public, so that a medium of another crate can run it too.
//!
//! The suite panics with the promise that was broken; it is meant for tests.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use types::ErrorKind;

use crate::{Medium, Put, Site};

/// Checks all promises of [`Medium`] on an empty medium.
///
/// # Panics
/// A promise is broken.
pub async fn check(medium: Arc<dyn Medium>) {
    let site = Site::over("conformance", medium);
    first_put_wins(&site).await;
    one_of_many_writers_wins(&site).await;
    reads_give_what_was_put(&site).await;
    what_is_absent_is_named(&site).await;
    listings_are_sorted_and_paged(&site).await;
    deletes_can_be_repeated(&site).await;
}

async fn first_put_wins(site: &Site) {
    let (first, second) = (Bytes::from_static(b"first"), Bytes::from_static(b"second"));
    assert_eq!(site.put_new("put/a", first.clone()).await.expect("put"), Put::Created);
    assert_eq!(site.put_new("put/a", second.clone()).await.expect("put"), Put::AlreadyThere);
    assert_eq!(site.get("put/a").await.expect("get"), first);
    assert_eq!(site.put_same("put/a", first).await.expect("same bytes"), Put::AlreadyThere);
    let error = site.put_same("put/a", second).await.expect_err("other bytes");
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

async fn one_of_many_writers_wins(site: &Site) {
    for round in 0..20 {
        let name = format!("race/{round:02}");
        let writers = (0..8_u8).map(|writer| site.put_new(&name, Bytes::from(vec![writer; 1000])));
        let puts = join_all(writers).await;
        let created = puts.iter().filter(|put| matches!(put, Ok(Put::Created))).count();
        assert_eq!(created, 1, "{puts:?}");
        let bytes = site.get(&name).await.expect("get");
        assert!(bytes.len() == 1000 && bytes.iter().all(|byte| Some(byte) == bytes.first()), "a mix of two writers");
    }
}

async fn reads_give_what_was_put(site: &Site) {
    let bytes: Bytes = (0..=255).collect();
    site.put_new("read/bytes", bytes.clone()).await.expect("put");
    site.put_new("read/empty", Bytes::new()).await.expect("put");
    assert_eq!(site.get("read/bytes").await.expect("get"), bytes);
    assert_eq!(site.get("read/empty").await.expect("get"), Bytes::new());
    assert_eq!(site.size("read/bytes").await.expect("size"), 256);
    for range in [0..1, 10..20, 255..256, 0..256] {
        let expected: Bytes = range.clone().map(|byte| u8::try_from(byte).expect("it is below 256")).collect();
        assert_eq!(site.get_range("read/bytes", range).await.expect("range"), expected);
    }
    for range in [250..257, 300..301] {
        let error = site.get_range("read/bytes", range).await.expect_err("beyond the end");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains("read/bytes"), "{error}");
    }
}

async fn what_is_absent_is_named(site: &Site) {
    let errors = [
        site.get("absent/x").await.expect_err("get"),
        site.get_range("absent/x", 0..1).await.expect_err("range"),
        site.size("absent/x").await.expect_err("size"),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("absent/x"), "{error}");
    }
}

async fn listings_are_sorted_and_paged(site: &Site) {
    for number in [7, 3, 9, 1, 5] {
        site.put_new(&format!("list/a/{number}"), Bytes::from(vec![0; number])).await.expect("put");
    }
    site.put_new("list/b", Bytes::new()).await.expect("put");
    let names = async |prefix, after, limit| -> Vec<String> {
        let listed = site.list(prefix, after, limit).await.expect("list");
        listed.into_iter().map(|listed| listed.name).collect()
    };
    assert_eq!(names("list/a/", None, 3).await, ["list/a/1", "list/a/3", "list/a/5"]);
    assert_eq!(names("list/a/", Some("list/a/5"), 3).await, ["list/a/7", "list/a/9"]);
    assert_eq!(names("list/", Some("list/a/9"), 3).await, ["list/b"]);
    assert_eq!(names("list/a/7", None, 3).await, ["list/a/7"]);
    assert_eq!(names("nothing/", None, 3).await, [""; 0]);
    assert_eq!(site.list("list/a/9", None, 1).await.expect("list").first().map(|listed| listed.size), Some(9));
}

async fn deletes_can_be_repeated(site: &Site) {
    site.put_new("delete/a", Bytes::from_static(b"a")).await.expect("put");
    site.delete("delete/a").await.expect("delete");
    site.delete("delete/a").await.expect("delete again");
    assert_eq!(site.get("delete/a").await.expect_err("it is gone").kind(), ErrorKind::NotFound);
}
