//! Backup jobs, as an admin starts and ends them.

use client::Client;
use runtime::Files;
use types::{ErrorKind, Job, JobId, JobPhase, Lin, Root, Shrinkage};

use crate::daemons::Daemons;
use crate::secrets;

async fn until(daemons: &Daemons, client: &Client, id: JobId, phase: impl Fn(&JobPhase) -> bool) -> Job {
    let look = || async {
        let jobs = client.jobs(None).await.map_err(|error| error.to_string())?;
        let job = jobs.into_iter().find(|job| job.id == id).ok_or("it is not listed")?;
        if phase(&job.phase) { Ok(job) } else { Err(format!("{job:?}")) }
    };
    daemons.until("the job comes to its phase", look).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_starts_when_the_kit_was_exported_and_ends_when_it_is_cancelled() {
    let daemons = Daemons::start(1);
    daemons.form().await;
    let client = daemons.client(0).await;
    let site = client.add_site(secrets::request(&daemons, "cloud", 7)).await.unwrap();
    let roots = vec![Root { lin: Lin::ROOT, path: "/".into() }];
    let policy = client.create_policy("daily", roots, site.id).await.unwrap();
    let refused = client.run_backup(policy.id, Shrinkage::Refuse).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(refused.to_string().contains("holdfast repo kit cloud"), "{refused}");
    client.kit_exported(site.id).await.unwrap();

    // A file where the tables belong keeps the job from being merged.
    let tables = daemons.home(0).with_file_name("cloud").join("tables");
    Files::real().create(&tables).unwrap();
    let job = client.run_backup(policy.id, Shrinkage::Refuse).await.unwrap();
    until(&daemons, &client, job.id, |phase| *phase == JobPhase::Coalescing).await;
    assert_eq!(client.cancel_job(job.id).await.unwrap().phase, JobPhase::Cancelled);

    Files::real().remove(&tables).unwrap();
    let job = client.run_backup(policy.id, Shrinkage::Refuse).await.unwrap();
    let done = until(&daemons, &client, job.id, |phase| matches!(phase, JobPhase::Succeeded(_))).await;
    assert_eq!(done.totals.lins_in_set, 1);
    let late = client.cancel_job(job.id).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict);
    assert!(late.to_string().contains("it has ended"), "{late}");
}
