//! A steady site outlives what passes, and tells what does not.

use std::error::Error;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use runtime::Clock;
use site::{Flaky, Medium, Memory, Put, Retry, Site};

/// A site in memory whose requests fail three times each, asked as often again as it says.
fn steady(retries: u32) -> (Site, Arc<Flaky>) {
    let memory = Memory::default();
    memory.replace("there", Some(Bytes::from_static(b"bytes")));
    let flaky = Arc::new(Flaky::new(Arc::new(memory), 3));
    let retry = Retry::new(&Clock::real(), retries, Duration::from_secs(1));
    (Site::over("flaky", Arc::clone(&flaky) as Arc<dyn Medium>).steady(Duration::from_mins(1), retry), flaky)
}

#[tokio::test(start_paused = true)]
async fn every_request_outlives_failures_that_pass() {
    let (site, flaky) = steady(3);
    assert_eq!(site.put_new("new", Bytes::from_static(b"new")).await.unwrap(), Put::Created);
    assert_eq!(site.get("there").await.unwrap(), "bytes");
    assert_eq!(site.get_range("there", 1..3).await.unwrap(), "yt");
    assert_eq!(site.size("there").await.unwrap(), 5);
    assert_eq!(site.list("t", None, 10).await.unwrap().len(), 1);
    site.delete("new").await.unwrap();
    assert_eq!(flaky.failed(), 6 * 3);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_stays_is_told_at_last_and_with_its_cause() {
    let (site, flaky) = steady(2);
    let error = site.get("there").await.unwrap_err();
    assert_eq!(error.to_string(), "cannot get there at site faulty: injected fault");
    assert_eq!(flaky.failed(), 3);
}

#[tokio::test]
async fn the_cause_of_a_failure_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::open(&format!("file://{}", folder.path().display())).unwrap();
    symlink("loop", folder.path().join("loop")).unwrap();
    let absent = format!("file://{}/absent", folder.path().display());
    let told =
        [(site.get("loop").await.unwrap_err(), "(os error 40)"), (Site::open(&absent).unwrap_err(), "(os error 2)")];
    for (error, cause) in told {
        assert_eq!(error.to_string().matches(cause).count(), 1, "{error}");
        assert!(error.source().is_none(), "whoever tells the causes of an error would tell it again");
    }
}
