//! Sites: the places that keep backups.
//!
//! Adding one goes in an order that leaves nothing half-made behind a failure: the site is probed, the keys go to the
//! keystores, the repository's first objects are created, and only then the site is registered. Each step can be
//! repeated: the same keys and the same objects are accepted again.

use std::sync::Arc;
use std::time::Duration;

use ::cluster::RepositoryKeys;
use futures::future::join_all;
use repo::{Secret, WriterKeys};
use runtime::blocking;
use site::{Put, Site};
use tonic::{Request, Response, Status};
use types::{ErrorKind, Node, Operation, Outcome, Registration, SiteId};
use wire::v1::sites_server::Sites;
use wire::{Failure, InvalidMessage, v1};

use super::{is_from_node, service, too_many};
use crate::founding::unexpected;
use crate::keyring::{self, SharedSecret};
use crate::member::Member;
use crate::peers::Traffic;
use crate::{NodeError, keyring::fits};

/// The bootstrap, the owner and a few keys.
const FIRST_OBJECTS_MAX: usize = 16;
/// A peer writes one small file.
const INSTALL_DEADLINE: Duration = Duration::from_secs(10);
/// A probe is a handful of requests; slow stores take a second for each.
const PROBE_DEADLINE: Duration = Duration::from_secs(30);

service! {
    /// Sites: the places that keep backups.
    SitesService
}

#[tonic::async_trait]
impl Sites for SitesService {
    async fn add(&self, request: Request<v1::AddSiteRequest>) -> Result<Response<v1::Site>, Status> {
        let member = self.daemon.member()?;
        let v1::AddSiteRequest { site, objects, metadata_key, digest_key } = request.into_inner();
        let record = types::Site::try_from(site.ok_or(InvalidMessage::Missing { field: "site" })?)?;
        if objects.len() > FIRST_OBJECTS_MAX {
            return Err(too_many("objects", objects.len()).into());
        }
        let keys = writer_keys(&record, &metadata_key, &digest_key)?;
        refuse_taken_name(member, &record.name).await?;
        let site = Site::open(&record.url).map_err(site_failure)?;
        site.probe(&member.platform.seed.uuid().to_string()).await.map_err(site_failure)?;
        distribute(member, record.repository, &keys).await?;
        for object in objects {
            put_first(&site, object).await?;
        }
        match member.propose(Operation::Register(Registration::AddSite(record))).await? {
            Outcome::Site(site) => Ok(Response::new(site.into())),
            other => Err(unexpected("AddSite", &other).into()),
        }
    }

    async fn list(&self, _request: Request<v1::ListSitesRequest>) -> Result<Response<v1::ListSitesResponse>, Status> {
        let sites = self.daemon.member()?.read(|view| view.sites()).await?;
        Ok(Response::new(v1::ListSitesResponse { sites: sites.into_iter().map(Into::into).collect() }))
    }

    async fn remove(
        &self,
        request: Request<v1::RemoveSiteRequest>,
    ) -> Result<Response<v1::RemoveSiteResponse>, Status> {
        let remove = Registration::RemoveSite { site: SiteId(request.into_inner().site) };
        self.daemon.member()?.propose(Operation::Register(remove)).await?;
        Ok(Response::new(v1::RemoveSiteResponse {}))
    }

    async fn test(&self, request: Request<v1::TestSiteRequest>) -> Result<Response<v1::TestSiteResponse>, Status> {
        let member = self.daemon.member()?;
        let passed_on = is_from_node(&request);
        let id = SiteId(request.into_inner().site);
        let record = member.read(move |view| view.site(id)).await?;
        let mut nodes = vec![test_here(member, &record).await?];
        if !passed_on {
            let others = member.registry.nodes().into_iter().filter(|node| node.id != member.node());
            nodes.extend(join_all(others.map(|node| test_there(member, node, id))).await);
            nodes.sort_by_key(|test| test.node);
        }
        Ok(Response::new(v1::TestSiteResponse { nodes }))
    }

    async fn kit_exported(
        &self,
        request: Request<v1::KitExportedRequest>,
    ) -> Result<Response<v1::KitExportedResponse>, Status> {
        let exported = Registration::KitExported { site: SiteId(request.into_inner().site) };
        self.daemon.member()?.propose(Operation::Register(exported)).await?;
        Ok(Response::new(v1::KitExportedResponse {}))
    }
}

/// The keys of the new repository; refused if they are not those that the record names.
fn writer_keys(record: &types::Site, metadata: &[u8], digest: &[u8]) -> Result<RepositoryKeys, Failure> {
    let key = |field, bytes: &[u8]| {
        let wrong = || InvalidMessage::Length { field, found: bytes.len(), expected: 32 };
        <[u8; 32]>::try_from(bytes).map(Secret::new).map_err(|_| wrong())
    };
    let keys = WriterKeys {
        data_public: record.data_key_public,
        metadata: key("metadata_key", metadata)?,
        digest: key("digest_key", digest)?,
    };
    let laid_out = keys.to_bytes();
    let wrong = || Failure::new(ErrorKind::InvalidRequest, "wrong_keys", "the keys do not have the site's fingerprint");
    let kept = RepositoryKeys::new(laid_out.as_slice().try_into().map_err(|_| wrong())?);
    if fits(record, &kept) { Ok(kept) } else { Err(wrong()) }
}

/// Asks before anything is written; the state machine decides again.
async fn refuse_taken_name(member: &Arc<Member>, name: &str) -> Result<(), NodeError> {
    let wanted = name.to_owned();
    let sites = member.read(|view| view.sites()).await?;
    match sites.into_iter().find(|site| site.name == wanted) {
        Some(_) => Err(types::OperationError::RecordExists { what: "site".to_owned(), name: wanted }.into()),
        None => Ok(()),
    }
}

/// Puts the keys into the keystores of this node and of all that answer; the others fetch them when they are back.
async fn distribute(
    member: &Arc<Member>,
    repository: types::RepositoryId,
    keys: &RepositoryKeys,
) -> Result<(), NodeError> {
    let secret =
        v1::Secret { name: SharedSecret::Repository(repository).to_string(), bytes: keys.expose().to_vec().into() };
    keyring::install(member, vec![secret.clone()]).await?;
    let others = member.registry.nodes().into_iter().filter(|node| node.id != member.node());
    for (node, installed) in join_all(others.map(|node| install_at(member, node, secret.clone()))).await {
        if let Err(error) = installed {
            tracing::warn!(%node, %error, "a node did not get the keys of a new site; it will fetch them");
        }
    }
    Ok(())
}

async fn install_at(member: &Member, node: Node, secret: v1::Secret) -> (types::NodeId, Result<(), NodeError>) {
    let installing = async {
        let mut client = member.peers.channel(node.id, &node.address, Traffic::Urgent)?.keys();
        let asked = client.install(v1::InstallKeysRequest { secrets: vec![secret] });
        member.platform.clock.timeout(INSTALL_DEADLINE, asked).await.map_err(|_| no_answer(&node))??;
        Ok(())
    };
    (node.id, installing.await)
}

/// Creates one of the first objects; the same one is accepted again, another one is never replaced.
async fn put_first(site: &Site, object: v1::NewObject) -> Result<(), Failure> {
    match site.put_same(&object.name, object.bytes).await.map_err(site_failure)? {
        Put::Created => tracing::info!(name = object.name, "created a first object of the repository"),
        Put::AlreadyThere => tracing::info!(name = object.name, "a first object of the repository was there already"),
    }
    Ok(())
}

async fn test_here(member: &Arc<Member>, record: &types::Site) -> Result<v1::SiteTest, NodeError> {
    let (keystore, repository) = (member.keystore.clone(), record.repository);
    let keys = blocking(move || keystore.repository(repository)).await?;
    let mut test = v1::SiteTest {
        node: member.node().0,
        has_keys: keys.is_some_and(|keys| fits(record, &keys)),
        ..Default::default()
    };
    // Before anything is put there: where something else is mounted, or nothing, is not the site.
    let found = match member.backups() {
        Some(backups) => backups.site_problem(record).await,
        None => Some("the node is still starting".to_owned()),
    };
    if let Some(problem) = found {
        return Ok(v1::SiteTest { problem, ..test });
    }
    let token = member.platform.seed.uuid().to_string();
    let probing = async {
        let site = Site::open(&record.url)?;
        site.probe(&token).await
    };
    match member.platform.clock.timeout(PROBE_DEADLINE, probing).await {
        // The probe fails if a second create of one name gets through, so a report says that none did.
        Ok(Ok(report)) => (test.conditional_create, test.can_delete) = (true, report.can_delete),
        Ok(Err(error)) => test.problem = error.to_string(),
        Err(late) => test.problem = late.to_string(),
    }
    if test.problem.is_empty() && !test.has_keys {
        test.problem = "the node lacks the repository's keys".to_owned();
    }
    Ok(test)
}

async fn test_there(member: &Member, node: Node, site: SiteId) -> v1::SiteTest {
    let asking = async {
        let mut client = member.peers.channel(node.id, &node.address, Traffic::Urgent)?.sites();
        let asked = client.test(v1::TestSiteRequest { site: site.0 });
        let late = |_| no_answer(&node);
        let answer = member.platform.clock.timeout(PROBE_DEADLINE * 2, asked).await.map_err(late)??;
        answer.into_inner().nodes.into_iter().next().ok_or_else(|| NodeError::from(no_answer(&node)))
    };
    asking.await.unwrap_or_else(|error: NodeError| v1::SiteTest {
        node: node.id.0,
        problem: error.to_string(),
        ..Default::default()
    })
}

fn no_answer(node: &Node) -> Failure {
    Failure::new(ErrorKind::Unavailable, "no_answer", format!("node {} did not answer", node.id))
}

fn site_failure(error: site::SiteError) -> Failure {
    Failure::new(error.kind(), "site", error.to_string())
}
