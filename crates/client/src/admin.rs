//! Calls about the cluster itself: members, snapshots, sites, policies, jobs.

use std::time::Duration;

use types::{Job, JobId, JobPhase, Policy, PolicyId, Root, Shrinkage, Site, SiteId, Snapshot, SnapshotId, Timestamp};
use wire::{Connection, InvalidMessage, each, v1};

use crate::router::Bound;
use crate::{Client, ClientError};

/// Jobs that one call lists.
const JOBS_PER_CALL: u32 = 1024;
/// Before a job is followed anew: a node that stops is given the time to be gone.
const FOLLOW_PAUSE: Duration = Duration::from_millis(500);

impl Client {
    /// Makes a new cluster of the node behind the socket.
    ///
    /// # Errors
    /// `Conflict` when the node belongs to a cluster already.
    pub async fn initialize(&self, request: v1::InitializeRequest) -> Result<v1::InitializeResponse, ClientError> {
        let send = |to: Connection| async move { to.cluster().initialize(request).await };
        self.router().call_once("initialize the cluster", send).await
    }

    /// Makes the node behind the socket join the cluster that a token names.
    ///
    /// # Errors
    /// `Denied` when the token is spent or unknown, `Conflict` when the node belongs to a cluster already.
    pub async fn join(&self, token: String) -> Result<v1::JoinClusterResponse, ClientError> {
        let send = |to: Connection| async move { to.cluster().join(v1::JoinClusterRequest { token }).await };
        self.router().call_once("join the cluster", send).await
    }

    /// Makes one-time tokens for nodes that are to join.
    ///
    /// # Errors
    /// When the cluster refuses.
    pub async fn create_tokens(&self, count: u32) -> Result<Vec<String>, ClientError> {
        let request = v1::CreateTokensRequest { count };
        let send = |to: Connection| async move { to.cluster().create_tokens(request).await };
        Ok(self.router().call_once("make tokens", send).await?.tokens)
    }

    /// Who is there, who leads and what is wrong.
    ///
    /// # Errors
    /// When no node answers.
    pub async fn status(&self) -> Result<v1::ClusterStatus, ClientError> {
        let send = |to: Connection| async move { to.cluster().status(v1::ClusterStatusRequest {}).await };
        self.router().call("tell the cluster's status", send).await
    }

    /// Takes a jump of the clocks that the status shows; gives state time.
    ///
    /// # Errors
    /// `Conflict` when the leader's clock shows a much later time by now.
    pub async fn accept_time(&self, shown: Timestamp) -> Result<Timestamp, ClientError> {
        let action = "accept the time";
        let request = v1::AcceptTimeRequest { shown: Some(shown.into()) };
        let send = |to: Connection| async move { to.cluster().accept_time(request).await };
        checked(action, wire::time("state_time", self.router().call(action, send).await?.state_time))
    }

    /// Takes a snapshot.
    ///
    /// # Errors
    /// `AlreadyExists` when a snapshot has that name.
    pub async fn create_snapshot(&self, name: &str) -> Result<Snapshot, ClientError> {
        let action = "take a snapshot";
        let request = v1::CreateSnapshotRequest { name: name.to_owned() };
        let send = |to: Connection| async move { to.snapshots().create(request).await };
        checked(action, self.router().call_once(action, send).await?.try_into())
    }

    /// All snapshots.
    ///
    /// # Errors
    /// When no node answers.
    pub async fn snapshots(&self) -> Result<Vec<Snapshot>, ClientError> {
        let action = "list the snapshots";
        let send = |to: Connection| async move { to.snapshots().list(v1::ListSnapshotsRequest {}).await };
        checked(action, each(self.router().call(action, send).await?.snapshots))
    }

    /// Marks a snapshot as dying.
    ///
    /// # Errors
    /// `Conflict` while something pins it.
    pub async fn delete_snapshot(&self, snapshot: SnapshotId) -> Result<(), ClientError> {
        let request = v1::DeleteSnapshotRequest { snapshot: snapshot.0 };
        let send = |to: Connection| async move { to.snapshots().delete(request).await };
        self.router().call_once("delete the snapshot", send).await.map(drop)
    }

    /// Attaches a site with a new repository.
    ///
    /// # Errors
    /// `AlreadyExists` when a site has that name or the place holds a repository.
    pub async fn add_site(&self, request: v1::AddSiteRequest) -> Result<Site, ClientError> {
        let action = "add the site";
        let send = |to: Connection| async move { to.sites().add(request).await };
        checked(action, self.router().call_once(action, send).await?.try_into())
    }

    /// All sites.
    ///
    /// # Errors
    /// When no node answers.
    pub async fn sites(&self) -> Result<Vec<Site>, ClientError> {
        let action = "list the sites";
        let send = |to: Connection| async move { to.sites().list(v1::ListSitesRequest {}).await };
        checked(action, each(self.router().call(action, send).await?.sites))
    }

    /// Forgets a site; its repository stays where it is.
    ///
    /// # Errors
    /// `Conflict` while a policy uses it.
    pub async fn remove_site(&self, site: SiteId) -> Result<(), ClientError> {
        let request = v1::RemoveSiteRequest { site: site.0 };
        let send = |to: Connection| async move { to.sites().remove(request).await };
        self.router().call_once("remove the site", send).await.map(drop)
    }

    /// Tries a site from every node.
    ///
    /// # Errors
    /// When no node answers; what a node found is in its part of the answer.
    pub async fn test_site(&self, site: SiteId) -> Result<Vec<v1::SiteTest>, ClientError> {
        let request = v1::TestSiteRequest { site: site.0 };
        let send = |to: Connection| async move { to.sites().test(request).await };
        Ok(self.router().call_within(Bound::Long, "test the site", send).await?.nodes)
    }

    /// Says that the recovery kit of a site was exported.
    ///
    /// # Errors
    /// When no node answers.
    pub async fn kit_exported(&self, site: SiteId) -> Result<(), ClientError> {
        let request = v1::KitExportedRequest { site: site.0 };
        let send = |to: Connection| async move { to.sites().kit_exported(request).await };
        self.router().call("note the export of the kit", send).await.map(drop)
    }

    /// Makes a policy.
    ///
    /// # Errors
    /// `AlreadyExists` when a policy has that name.
    pub async fn create_policy(&self, name: &str, roots: Vec<Root>, site: SiteId) -> Result<Policy, ClientError> {
        let roots = roots.into_iter().map(Into::into).collect();
        let request = v1::CreatePolicyRequest { name: name.to_owned(), roots, site: site.0 };
        let send = |to: Connection| async move { to.policies().create(request).await };
        self.router().call_once("create the policy", send).await.map(Into::into)
    }

    /// All policies.
    ///
    /// # Errors
    /// When no node answers.
    pub async fn policies(&self) -> Result<Vec<Policy>, ClientError> {
        let send = |to: Connection| async move { to.policies().list(v1::ListPoliciesRequest {}).await };
        let policies = self.router().call("list the policies", send).await?.policies;
        Ok(policies.into_iter().map(Into::into).collect())
    }

    /// Deletes a policy; its backups stay.
    ///
    /// # Errors
    /// `Conflict` while it has an open job.
    pub async fn delete_policy(&self, policy: PolicyId) -> Result<(), ClientError> {
        let request = v1::DeletePolicyRequest { policy: policy.0 };
        let send = |to: Connection| async move { to.policies().delete(request).await };
        self.router().call_once("delete the policy", send).await.map(drop)
    }

    /// Starts a backup.
    ///
    /// # Errors
    /// `Conflict` while the policy has an open job, and before its site's recovery kit was exported.
    pub async fn run_backup(&self, policy: PolicyId, shrinkage: Shrinkage) -> Result<Job, ClientError> {
        let action = "start the backup";
        let accept_shrunk = shrinkage == Shrinkage::Accept;
        let request = v1::RunBackupRequest { policy: policy.0, accept_shrunk };
        let send = |to: Connection| async move { to.backups().run(request).await };
        checked(action, self.router().call_once(action, send).await?.try_into())
    }

    /// Jobs, the newest first; of one policy alone if it is given.
    ///
    /// # Errors
    /// When no node answers.
    pub async fn jobs(&self, policy: Option<PolicyId>) -> Result<Vec<Job>, ClientError> {
        let action = "list the jobs";
        let request = v1::ListBackupsRequest { policy: policy.map(PolicyId::get), limit: JOBS_PER_CALL };
        let send = |to: Connection| async move { to.backups().list(request).await };
        checked(action, each(self.router().call(action, send).await?.jobs))
    }

    /// Ends a job whose commit is not fixed.
    ///
    /// # Errors
    /// `Conflict` when it is too late.
    pub async fn cancel_job(&self, job: JobId) -> Result<Job, ClientError> {
        let action = "cancel the job";
        let send = |to: Connection| async move { to.backups().cancel(v1::CancelBackupRequest { job: job.0 }).await };
        checked(action, self.router().call_once(action, send).await?.try_into())
    }

    /// Follows a job to its end and shows each of its states. A lost connection is made again.
    ///
    /// # Errors
    /// When no node answers for as long as patience lasts.
    pub async fn follow_job(&self, job: JobId, mut show: impl FnMut(&Job)) -> Result<Job, ClientError> {
        let action = "follow the job";
        loop {
            let send = |to: Connection| async move { to.backups().watch(v1::WatchBackupRequest { job: job.0 }).await };
            let mut states = self.router().call(action, send).await?;
            // An error in mid-stream is a node that went away: the next call finds another or tells why not.
            while let Ok(Some(state)) = states.message().await {
                let state: Job = checked(action, state.try_into())?;
                show(&state);
                if has_ended(&state.phase) {
                    return Ok(state);
                }
            }
            self.shared.clock.sleep(FOLLOW_PAUSE).await;
        }
    }
}

fn checked<T>(action: &'static str, answer: Result<T, InvalidMessage>) -> Result<T, ClientError> {
    answer.map_err(|source| ClientError::BadAnswer { action, source })
}

const fn has_ended(phase: &JobPhase) -> bool {
    match phase {
        JobPhase::Packing | JobPhase::Coalescing | JobPhase::Committing(_) => false,
        JobPhase::Succeeded(_) | JobPhase::Failed(_) | JobPhase::Cancelled => true,
    }
}
