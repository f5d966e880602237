//! Several clients append to one file.

use bytes::Bytes;
use client::Session;
use types::{Lin, Run, TAIL_LENGTH_MAX};

use crate::daemons::{Daemons, content, find, get_at, put};

/// Appends lines of many lengths, one of a MiB now and then; gives where each begins.
async fn append_lines(session: &Session, lin: Lin, writer: u64, lines: u64) -> Vec<(u64, Vec<u8>)> {
    let mut appended = Vec::new();
    for line in 0..lines {
        let length = match line % 40 {
            39 => 1 << 20,
            20 => TAIL_LENGTH_MAX,
            number => usize::try_from(1 + number * 97).unwrap(),
        };
        let bytes = content(writer * 1000 + line, length);
        let offset = session.append(lin, Bytes::from(bytes.clone())).await.unwrap();
        appended.push((offset, bytes));
    }
    appended
}

#[tokio::test(flavor = "multi_thread")]
async fn what_several_clients_append_at_once_is_all_there_and_in_one_piece_each() {
    let daemons = Daemons::start(3);
    daemons.form().await;
    let first = daemons.client(0).await.open_session("test").await.unwrap();
    put(&first, "log", b"begin").await;
    let lin = find(first.client(), "log").await;
    let mut sessions = vec![first];
    for node in 1..3 {
        sessions.push(daemons.client(node).await.open_session("test").await.unwrap());
    }
    let writers = sessions.iter().zip(0..).map(|(session, writer)| append_lines(session, lin, writer, 80));
    let mut appended: Vec<_> = futures::future::join_all(writers).await.into_iter().flatten().collect();
    appended.push((0, b"begin".to_vec()));
    appended.sort();
    let before = appended.iter().fold(0, |end, (offset, bytes)| {
        assert_eq!(*offset, end, "what was appended lies side by side");
        offset + bytes.len() as u64
    });
    let expected: Vec<u8> = appended.into_iter().flat_map(|(_, bytes)| bytes).collect();
    let session = &sessions[0];
    assert_eq!(expected.len() as u64, before);
    assert!(get_at(session.client(), lin, None).await.unwrap() == expected);

    let snapshot = session.client().create_snapshot("then").await.unwrap();
    append_lines(session, lin, 7, 38).await;
    assert!(
        get_at(session.client(), lin, Some(snapshot.id)).await.unwrap() == expected,
        "a snapshot sees what there was"
    );
    let page = session.client().read_runs(lin, 0, None).await.unwrap();
    let tails = page.runs.iter().filter(|run| matches!(run, Run::Tail(_))).count();
    assert!(page.runs.len() < 100 && tails < 40, "{} runs of 279 appends, {tails} of them tails", page.runs.len());
}
