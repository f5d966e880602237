//! Does a store keep the promises that a repository relies on?

use bytes::Bytes;
use types::ErrorKind;

use crate::{Put, Site, SiteError};

/// What a probe found at a site that keeps its promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeReport {
    /// Whether this identity could delete the probe object: whoever can write backups should not be able to (law 9).
    pub can_delete: bool,
}

pub(crate) async fn probe(site: &Site, token: &str) -> Result<ProbeReport, SiteError> {
    let name = format!("probe/{token}");
    let broken = |broken| Err(SiteError::Probe { site: site.url().to_owned(), broken });
    let first = Bytes::from(format!("holdfast probe {token} first"));
    if site.put_new(&name, first.clone()).await? != Put::Created {
        return broken("an object that was never put is already there");
    }
    if site.put_new(&name, Bytes::from_static(b"second")).await? != Put::AlreadyThere {
        return broken("it lets a second writer put an object of the same name");
    }
    if site.get(&name).await? != first {
        return broken("it does not give back what was put");
    }
    if site.get_range(&name, 9..14).await? != first.slice(9..14) {
        return broken("it does not give back the range that was asked for");
    }
    if site.size(&name).await? != first.len() as u64 {
        return broken("it reports a wrong size");
    }
    if !site.list("probe/", None, crate::LIST_LIMIT_MAX).await?.iter().any(|listed| listed.name == name) {
        return broken("a listing does not show what was just put");
    }
    match site.delete(&name).await {
        Ok(()) => Ok(ProbeReport { can_delete: true }),
        Err(error) if error.kind() == ErrorKind::Denied => Ok(ProbeReport { can_delete: false }),
        Err(error) => Err(error),
    }
}
