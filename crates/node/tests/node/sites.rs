//! What nodes find at a site.

use runtime::Files;

use crate::daemons::Daemons;
use crate::secrets::request;

#[tokio::test(flavor = "multi_thread")]
async fn a_test_of_a_site_whose_mount_is_gone_says_so_and_puts_nothing_there() {
    let daemons = Daemons::start(1);
    daemons.form().await;
    let client = daemons.client(0).await;
    let site = client.add_site(request(&daemons, "cloud", 7)).await.unwrap();
    let (files, folder) = (Files::real(), daemons.home(0).with_file_name("cloud"));
    files.rename(&folder, &folder.with_file_name("elsewhere")).unwrap();
    files.create_dirs(&folder).unwrap();
    let tests = client.test_site(site.id).await.unwrap();
    assert!(tests.iter().all(|test| test.problem.contains("no holdfast.json")) && !tests.is_empty(), "{tests:?}");
    assert!(files.list(&folder).unwrap().is_empty());
}
