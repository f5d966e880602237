//! The site of a job, as this node has it.
//!
//! A URL says where a repository should be, and not that it is there: below a mount point whose mount is gone lies an
//! empty folder that takes objects gladly. So the bootstrap is read before anything is put, and again before the commit.

use std::sync::Arc;
use std::time::Duration;

use repo::Bootstrap;
use repo::names::BOOTSTRAP_NAME;
use site::{Site, SiteError};
use thiserror::Error;
use types::{ErrorKind, NodeId, RepositoryId};

use crate::{Options, Surroundings};

/// Why a node cannot use the site of a job.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The site failed.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// It hangs, or is far too slow.
    #[error("site {site:?} at {url} did not answer within {limit:?} on node {node}: check its mount there")]
    Silent {
        /// The site's name.
        site: String,
        /// Its URL.
        url: String,
        /// This node.
        node: NodeId,
        /// How long it had.
        limit: Duration,
    },
    /// Something else is at its URL.
    #[error(
        "site {site:?} on node {node}: {url} {found}, and should hold repository {expected}; mount there what belongs \
         there, and run the backup again"
    )]
    Other {
        /// The site's name.
        site: String,
        /// Its URL.
        url: String,
        /// This node.
        node: NodeId,
        /// What is there.
        found: String,
        /// The repository of the site.
        expected: RepositoryId,
    },
}

impl OpenError {
    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Site(error) => error.kind(),
            Self::Silent { .. } => ErrorKind::Unavailable,
            Self::Other { .. } => ErrorKind::Conflict,
        }
    }

    /// What the node found, to be told beside what other nodes found.
    pub(crate) fn finding(&self) -> String {
        match self {
            Self::Site(error) => error.to_string(),
            Self::Silent { url, limit, .. } => format!("{url} did not answer within {limit:?}"),
            Self::Other { url, found, .. } => format!("{url} {found}"),
        }
    }
}

impl Surroundings {
    /// Opens a site and makes sure that it holds its repository; its requests are not tried again yet.
    ///
    /// The thread that opens a folder whose mount hangs cannot be ended; it is left behind.
    pub(crate) async fn open_site(&self, record: &types::Site, options: &Options) -> Result<Site, OpenError> {
        let (sites, of) = (Arc::clone(&self.sites), record.clone());
        let opening = runtime::blocking(move || sites.open(&of));
        let opened = self.clock.timeout(options.check_deadline, opening).await;
        let site = opened.map_err(|late| self.silent(record, late.limit))??;
        self.check_site(record, &site, options).await?;
        Ok(site)
    }

    /// Opens a site for work: tries again what may pass.
    pub(crate) async fn open_site_patiently(&self, record: &types::Site, options: &Options) -> Result<Site, OpenError> {
        let open = || self.open_site(record, options);
        options.retry(&self.clock).run("open the site", OpenError::kind, open).await
    }

    /// Makes sure that a site holds its repository.
    pub(crate) async fn check_site(
        &self,
        record: &types::Site,
        site: &Site,
        options: &Options,
    ) -> Result<(), OpenError> {
        let read = self.clock.timeout(options.check_deadline, site.get(BOOTSTRAP_NAME)).await;
        let found = match read.map_err(|late| self.silent(record, late.limit))? {
            Ok(bytes) => match Bootstrap::decode(&bytes) {
                Ok(bootstrap) if bootstrap.repository == record.repository => return Ok(()),
                Ok(bootstrap) => format!("holds repository {}", bootstrap.repository),
                Err(error) => format!("holds no repository that is known here ({error})"),
            },
            Err(SiteError::NotFound { .. }) => format!("holds no repository: it has no {BOOTSTRAP_NAME}"),
            Err(error) => return Err(error.into()),
        };
        let (site, url, expected) = (record.name.clone(), record.url.clone(), record.repository);
        Err(OpenError::Other { site, url, node: self.node, found, expected })
    }

    fn silent(&self, record: &types::Site, limit: Duration) -> OpenError {
        OpenError::Silent { site: record.name.clone(), url: record.url.clone(), node: self.node, limit }
    }
}
