//! Quotas as an admin sets them and a client meets them.

use client::{Client, Session};
use types::{Account, Change, Create, ErrorKind, FileKind, Limits, Lin, Name, NewInode, Outcome, QuotaState};

use crate::daemons::{Daemons, new_file};

async fn make(
    session: &Session,
    parent: Lin,
    name: &str,
    kind: FileKind,
    size: u64,
) -> Result<Lin, client::ClientError> {
    let inode = NewInode { kind, size, ..new_file() };
    let create = Create { parent, name: Name::new(name.to_owned()).unwrap(), inode, replace: false };
    match session.execute_one("make", Change::Create(create)).await? {
        Outcome::Inode(made) => Ok(made.lin),
        other => panic!("{other:?}"),
    }
}

async fn enforced(client: &Client, account: Account) -> Result<(), String> {
    let quota = client.quota(account).await.map_err(|error| error.to_string())?.quota;
    if quota.state == QuotaState::Enforced { Ok(()) } else { Err(format!("{quota:?}")) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_counted_by_the_cluster_itself_and_then_refuses() {
    let daemons = Daemons::start(1);
    daemons.form().await;
    let client = daemons.client(0).await;
    let session = client.open_session("test").await.unwrap();
    let directory = make(&session, Lin::ROOT, "d", FileKind::Directory, 0).await.unwrap();
    let below = make(&session, directory, "below", FileKind::Directory, 0).await.unwrap();
    make(&session, below, "file", FileKind::File, 1000).await.unwrap();

    let account = Account::Directory(directory);
    let set = client.set_quota(account, Limits { bytes: Some(1500), inodes: None }).await.unwrap();
    assert_eq!(&set.path[..], b"/d");
    daemons.until("the quota is enforced", || enforced(&client, account)).await;
    let told = client.quota(account).await.unwrap().quota;
    assert_eq!((told.used_bytes, told.used_inodes), (1000, 2));
    let refused = make(&session, below, "more", FileKind::File, 501).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::OverQuota, "over_quota"), "{refused}");
    let full = client.stat_fs(Some(below)).await.unwrap();
    assert_eq!((full.quota, full.capacity_bytes, full.available_bytes), (Some(directory), 1500, 500));
    assert_eq!(client.stat_fs(Some(Lin::ROOT)).await.unwrap().quota, None);

    let user = Account::User(new_file().uid);
    client.set_quota(user, Limits { bytes: None, inodes: Some(3) }).await.unwrap();
    let refused = make(&session, Lin::ROOT, "fourth", FileKind::File, 0).await.unwrap_err();
    assert!(refused.to_string().contains("the quota of user"), "{refused}");
    assert_eq!(client.quotas().await.unwrap().len(), 2);
    for account in [account, user] {
        client.remove_quota(account).await.unwrap();
        assert_eq!(client.remove_quota(account).await.unwrap_err().kind(), ErrorKind::NotFound);
    }
    make(&session, below, "more", FileKind::File, 501).await.unwrap();
    session.close().await.unwrap();
}
