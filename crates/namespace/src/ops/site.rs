//! Sites that keep backups.

use types::{OperationError, Outcome, Site, SiteId, SiteState};

use super::{check_record_name, no_record, record_exists};
use crate::error::Failure;
use crate::keys::{KeyRange, NameKey, Named};
use crate::read::Read as _;
use crate::tables::{Names, Policies, Sites};
use crate::transaction::Transaction;

/// Adds a site; its number is the revision of the operation.
pub fn add(tx: &mut Transaction<'_>, proposed: &Site) -> Result<Outcome, Failure> {
    check_record_name(&proposed.name)?;
    let key = name_key(&proposed.name);
    if tx.row::<Names>(&key)?.is_some() {
        return Err(record_exists("site", &proposed.name).into());
    }
    let site = Site { id: SiteId(tx.revision().0), state: SiteState::default(), ..proposed.clone() };
    tx.put::<Names>(&key, &site.id.0);
    tx.put::<Sites>(&site.id, &site);
    Ok(Outcome::Site(site))
}

/// Removes a site that no policy uses.
pub fn remove(tx: &mut Transaction<'_>, id: SiteId) -> Result<Outcome, Failure> {
    let site = existing(tx, id)?;
    for policy in tx.rows::<Policies>(KeyRange::all()) {
        let policy = policy?.1.policy;
        if policy.site == id {
            let by = format!("policy {:?} backs up to it: delete the policy first", policy.name);
            return Err(OperationError::InUse { what: "site".into(), name: site.name, by }.into());
        }
    }
    tx.delete::<Names>(&name_key(&site.name));
    tx.delete::<Sites>(&id);
    Ok(Outcome::Done)
}

/// Notes that the recovery kit of a site was exported (rule P28).
pub fn kit_exported(tx: &mut Transaction<'_>, id: SiteId) -> Result<Outcome, Failure> {
    let mut site = existing(tx, id)?;
    site.state.kit_exported = true;
    tx.put::<Sites>(&id, &site);
    Ok(Outcome::Done)
}

/// A site.
pub fn existing(tx: &Transaction<'_>, id: SiteId) -> Result<Site, Failure> {
    Ok(tx.row::<Sites>(&id)?.ok_or_else(|| no_record("site", id))?)
}

fn name_key(name: &str) -> NameKey {
    NameKey { named: Named::Site, name: name.to_owned() }
}
