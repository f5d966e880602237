//! Shared secrets reach the nodes that need them, and no others (rule P32).

use repo::names::BOOTSTRAP_NAME;
use repo::{Bootstrap, Secret, WriterKeys};
use types::{Generation, RepositoryId, Site};
use wire::v1;

use crate::daemons::Daemons;

/// A site with its first object, as the command line would send it.
pub fn request(daemons: &Daemons, name: &str, number: u128) -> v1::AddSiteRequest {
    let repository = RepositoryId(uuid::Uuid::from_u128(number));
    let keys = WriterKeys { data_public: [1; 32], metadata: Secret::new([2; 32]), digest: Secret::new([3; 32]) };
    let folder = daemons.home(0).with_file_name(name);
    runtime::Files::real().create_dirs(&folder).expect("the site's folder");
    let url = format!("file://{}", folder.display());
    let mut site = Site::proposed(name.to_owned(), url, repository, Generation(1));
    (site.data_key_public, site.keys_fingerprint) = (keys.data_public, keys.fingerprint());
    v1::AddSiteRequest {
        site: Some(site.into()),
        objects: vec![v1::NewObject { name: BOOTSTRAP_NAME.to_owned(), bytes: Bootstrap::new(repository).encode() }],
        metadata_key: vec![2; 32].into(),
        digest_key: vec![3; 32].into(),
    }
}

fn has(daemons: &Daemons, number: usize, file: &str) -> bool {
    runtime::Files::real()
        .exists(&daemons.home(number).join("disk/data/keystore").join(file))
        .expect("it can be looked at")
}

async fn nothing_is_missing(daemons: &Daemons) {
    let client = daemons.client(0).await;
    let ask = || async {
        let status = client.status().await.map_err(|error| error.to_string())?;
        let complete = status.nodes.iter().all(|node| node.reachable && node.missing_secrets.is_empty());
        if complete { Ok(()) } else { Err(format!("{status:?}")) }
    };
    daemons.until("every node has its secrets", ask).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_away_when_a_site_was_added_gets_its_keys_when_it_is_back() {
    let mut daemons = Daemons::start(3);
    daemons.form().await;
    daemons.kill(2);
    let client = daemons.client(0).await;
    let site = client.add_site(request(&daemons, "cloud", 7)).await.unwrap();
    let file = format!("repository-{}.keys", site.repository);
    assert!(has(&daemons, 0, &file) && has(&daemons, 1, &file) && !has(&daemons, 2, &file));

    let again = client.add_site(request(&daemons, "cloud", 7)).await.unwrap_err();
    assert_eq!(again.kind(), types::ErrorKind::AlreadyExists, "{again}");

    daemons.spawn(2);
    // A node that has not applied the site yet does not know that it lacks its keys.
    let look = || async { if has(&daemons, 2, &file) { Ok(()) } else { Err(daemons.logs()) } };
    daemons.until("the node has the keys", look).await;
    nothing_is_missing(&daemons).await;
    let tests = client.test_site(site.id).await.unwrap();
    assert_eq!(tests.len(), 3);
    assert!(tests.iter().all(|test| test.problem.is_empty() && test.has_keys), "{tests:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn voters_get_the_authoritys_key_and_a_later_node_does_not() {
    let daemons = Daemons::start(4);
    daemons.form_of(3).await;
    nothing_is_missing(&daemons).await;
    assert!((0..3).all(|number| has(&daemons, number, "authority.key")));

    let tokens = daemons.client(2).await.create_tokens(1).await.unwrap();
    daemons.join(3, &tokens[0]).await;
    nothing_is_missing(&daemons).await;
    assert!(has(&daemons, 3, "gear.seed") && !has(&daemons, 3, "authority.key"));
    let refused = daemons.client(3).await.create_tokens(1).await.unwrap_err();
    assert!(refused.to_string().contains("authority"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_whose_keys_do_not_fit_leaves_nothing_behind() {
    let daemons = Daemons::start(1);
    daemons.form().await;
    let client = daemons.client(0).await;
    let wrong = v1::AddSiteRequest { digest_key: vec![9; 32].into(), ..request(&daemons, "cloud", 7) };
    let refused = client.add_site(wrong).await.unwrap_err();
    assert_eq!(refused.kind(), types::ErrorKind::InvalidRequest, "{refused}");
    assert!(client.sites().await.unwrap().is_empty());
    assert!(runtime::Files::real().list(&daemons.home(0).with_file_name("cloud")).unwrap().is_empty());
}
