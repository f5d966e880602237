//! The space of removed files comes back.

use crate::daemons::{Daemons, content, get, put, remove};

const FILE_LENGTH: usize = 2 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn segments_of_which_little_is_needed_are_removed_and_the_rest_is_there() {
    let daemons = Daemons::start_with(1, "[blocks]\nsegment_mib = 1\n");
    daemons.form().await;
    let client = daemons.client(0).await;
    let session = client.open_session("test").await.unwrap();
    for number in 0..8 {
        put(&session, &number.to_string(), &content(number, FILE_LENGTH)).await;
    }
    let segments = daemons.home(0).join("disk/volume/segments");
    let count = || runtime::Files::real().list(&segments).unwrap().len();
    let before = count();
    assert!(before >= 8, "{before} segments");

    for number in 0..8 {
        if number != 5 {
            remove(&session, &number.to_string()).await.unwrap();
        }
    }
    let is_small = || async { if count() <= before / 2 { Ok(()) } else { Err(format!("{} segments", count())) } };
    daemons.until("the segments are removed", is_small).await;
    assert!(get(&client, "5").await.unwrap() == content(5, FILE_LENGTH));
}
