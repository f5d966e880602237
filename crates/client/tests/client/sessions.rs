//! A session with too many gaps between its published blocks (rule P3).

use wire::code;

use crate::cluster::{Cluster, content, small, target};

#[tokio::test]
async fn a_full_session_is_told_the_mark_and_takes_the_block_then() {
    let cluster = Cluster::start();
    let session = cluster.session().await;
    cluster.state().gaps_max = 2;
    // Each writer that gives up leaves a gap, and the cluster has not been told that nobody will fill it.
    for number in 0..5 {
        let mut writer = session.write_file(target("given up"));
        writer.write(0, &content(number, 20_000)).await.unwrap();
        cluster.state().losses = usize::MAX;
        writer.finish().await.unwrap_err();
        cluster.state().losses = 0;
        let made = session.make_small_files(vec![small(&format!("file-{number}"), content(number, 20_000))]).await;
        assert!(made.unwrap().iter().all(Result::is_ok));
    }
    assert!(cluster.state().refused(code::SESSION_FULL) > 0, "the session was full at least once");
    assert_eq!(cluster.state().files.len(), 5);
}

#[tokio::test]
async fn a_publication_waits_for_an_older_one_when_the_session_is_full() {
    let cluster = Cluster::start();
    let session = cluster.session().await;
    cluster.state().gaps_max = 1;
    let bytes = content(1, 20_000);

    // Their blocks are put, and wait to be published.
    let mut older = Vec::new();
    for number in 0..2 {
        let mut writer = session.write_file(target(&format!("older-{number}")));
        let copies = cluster.state().copies.len();
        writer.write(0, &content(2, 13_000_000)).await.unwrap();
        cluster.until("a put", |state| state.copies.len() > copies).await;
        older.push(writer);
        let made = session.make_small_files(vec![small(&format!("newer-{number}"), bytes.clone())]);
        if number == 0 {
            assert!(made.await.unwrap().iter().all(Result::is_ok), "one gap is allowed");
            continue;
        }
        let (made, ()) = tokio::join!(made, async {
            cluster.until("a refusal", |state| state.refused(code::SESSION_FULL) > 0).await;
            for writer in older.drain(..) {
                writer.finish().await.unwrap();
            }
        });
        assert!(made.unwrap().iter().all(Result::is_ok));
    }
    assert_eq!(cluster.state().files.len(), 4);
}
