//! What lasts as long as a session: files that it holds while others remove them, locks, and pins of snapshots.

use client::{Client, NamedLock};
use types::{Attributes, ErrorKind, Lin, Lock, LockKind, LockMode, LockRange, Name, Outcome, TakenLock};

use crate::daemons::{Daemons, content, get_lin, put, remove, small};

const FILES: usize = 40;

async fn lin(client: &Client, name: &str) -> Lin {
    let name = Name::new(name.to_owned()).unwrap();
    client.lookup(Lin::ROOT, &[name], None).await.unwrap().last().unwrap().lin
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_file_is_read_by_who_holds_it_and_goes_with_the_session() {
    let daemons = Daemons::start(1);
    daemons.form().await;
    let client = daemons.client(0).await;
    let [holder, other] = ["holder", "other"].map(|label| client.open_session(label));
    let (holder, other) = (holder.await.unwrap(), other.await.unwrap());
    let bytes = content(7, 3 << 20);
    put(&other, "large", &bytes).await;
    let large = lin(&client, "large").await;
    assert_eq!(holder.hold_file(large).await.unwrap().nlink, 1);
    remove(&other, "large").await.unwrap();
    assert!(get_lin(&client, large).await.unwrap() == bytes);
    holder.release_file(large).await.unwrap();
    let gone = client.read_file(large, None).await.err().map(|error| error.kind());
    assert_eq!(gone, Some(ErrorKind::NotFound));

    let names: Vec<String> = (0..FILES).map(|number| number.to_string()).collect();
    let files = names.iter().map(|name| small(name, b"small")).collect();
    for made in other.make_small_files(files).await.unwrap() {
        let Ok(Outcome::Inode(made)) = made else { panic!("{made:?}") };
        holder.hold_file(made.lin).await.unwrap();
    }
    for name in &names {
        remove(&other, name).await.unwrap();
    }
    assert_eq!(client.stat_fs(None).await.unwrap().inodes, 1 + FILES as u64);
    holder.close().await.unwrap();
    // Its end takes some; the leader sees to the rest.
    let is_empty = || async {
        let inodes = client.stat_fs(None).await.map_err(|error| error.to_string())?.inodes;
        if inodes == 1 { Ok(()) } else { Err(format!("{inodes} inodes")) }
    };
    daemons.until("all that nobody holds is gone", is_empty).await;
    other.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_and_pins_last_as_long_as_the_session_and_are_told_to_others() {
    let daemons = Daemons::start(1);
    daemons.form().await;
    let client = daemons.client(0).await;
    let [one, other] = ["one", "other"].map(|label| client.open_session(label));
    let (one, other) = (one.await.unwrap(), other.await.unwrap());
    let made = other.make_small_files(vec![small("file", b"small")]).await.unwrap();
    let Ok(Outcome::Inode(Attributes { lin, .. })) = made[0] else { panic!("{made:?}") };
    let range = LockRange { start: 10, end: 20 };
    let lock = Lock { kind: LockKind::Range, owner: 7, range, mode: LockMode::Exclusive };
    one.lock(lin, lock).await.unwrap();
    let taken = TakenLock { session: one.id(), lock };
    assert_eq!(other.lock_in_the_way(lin, lock).await.unwrap(), Some(taken));
    assert_eq!(client.locks(lin).await.unwrap(), [NamedLock { taken, label: "one".into() }]);
    let refused = other.lock(lin, lock).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Conflict, "locked"), "{refused}");
    one.unlock(lin, LockKind::Range, 7, LockRange { start: 10, end: 12 }).await.unwrap();
    other.lock(lin, Lock { range: LockRange { start: 0, end: 12 }, ..lock }).await.unwrap();

    let snapshot = client.create_snapshot("monday").await.unwrap().id;
    one.pin_snapshot(snapshot, "a long walk").await.unwrap();
    assert_eq!(client.snapshots().await.unwrap()[0].pins, 1);
    let refused = client.delete_snapshot(snapshot).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Conflict, "snapshot_pinned"), "{refused}");
    assert!(refused.to_string().contains("a long walk"), "{refused}");
    one.close().await.unwrap();
    other.lock(lin, lock).await.unwrap();
    client.delete_snapshot(snapshot).await.unwrap();
    other.close().await.unwrap();
}
