//! Which placement group takes which bytes.

use std::sync::{Arc, Mutex, PoisonError};

use types::{Lin, Name, PgId, PgVersion, PlacementGroup, Pool, SeatState};
use wire::{each, v1};

use crate::router::Bound;
use crate::{Client, ClientError};

/// A file's blocks change their placement group this often, so that one large file uses all disks while a backup worker
/// still reads long runs from its own.
const STRIDE: u64 = 256 << 20;

/// What bytes belong to: the same key gives the same placement group for as long as the groups stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacementKey(u64);

impl PlacementKey {
    /// The key of small files: those of one directory lie together.
    #[must_use]
    pub fn of_directory(directory: Lin) -> Self {
        Self::hashed(&[&directory.0.to_be_bytes()])
    }

    /// The key of a range of a larger file. A new file has no LIN before its blocks are written, so directory and name
    /// stand for it.
    #[must_use]
    pub fn of_range(directory: Lin, name: &Name, offset: u64) -> Self {
        Self::hashed(&[&directory.0.to_be_bytes(), &(offset / STRIDE).to_be_bytes(), name.as_bytes()])
    }

    /// The key of a range of a file that is there.
    #[must_use]
    pub fn of_file(file: Lin, offset: u64) -> Self {
        Self::hashed(&[&file.0.to_be_bytes(), &(offset / STRIDE).to_be_bytes(), b"/"])
    }

    fn hashed(parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(part);
        }
        let mut number = [0; 8];
        hasher.finalize_xof().fill(&mut number);
        Self(u64::from_be_bytes(number))
    }
}

/// A placement group that takes blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    pub id: PgId,
    pub version: PgVersion,
}

/// The groups that have a quorum of full seats, sorted by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    groups: Vec<Group>,
}

impl Placement {
    fn new(pools: &[Pool], groups: &[PlacementGroup]) -> Self {
        let takes_blocks = |group: &&PlacementGroup| {
            let pool = pools.iter().find(|pool| pool.id == group.pool);
            let full = group.seats.iter().filter(|seat| seat.state == SeatState::Full).count();
            pool.is_some_and(|pool| full > usize::from(pool.replicas / 2))
        };
        let mut groups: Vec<_> =
            groups.iter().filter(takes_blocks).map(|group| Group { id: group.id, version: group.version }).collect();
        groups.sort_by_key(|group| group.id);
        Self { groups }
    }

    /// The group for a key; each further attempt takes the next one.
    pub fn choose(&self, key: PlacementKey, attempt: u32) -> Result<Group, ClientError> {
        let count = self.groups.len() as u64;
        let place = key.0.wrapping_add(attempt.into()).checked_rem(count).ok_or(ClientError::NoPlacement)?;
        let place = usize::try_from(place).map_err(|_| ClientError::NoPlacement)?;
        self.groups.get(place).copied().ok_or(ClientError::NoPlacement)
    }

    /// Whether a group takes blocks and has that version.
    pub fn has(&self, group: Group) -> bool {
        self.groups.contains(&group)
    }
}

/// The table as it was last seen; whoever meets an error forgets it, and the next one fetches it again.
#[derive(Debug, Default)]
pub struct PlacementTable {
    known: Mutex<Option<Arc<Placement>>>,
}

impl PlacementTable {
    pub fn forget(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Placement>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client {
    /// The placement groups that take blocks.
    pub(crate) async fn placement(&self) -> Result<Arc<Placement>, ClientError> {
        if let Some(known) = self.shared.placement.lock().clone() {
            return Ok(known);
        }
        let placement = Arc::new(self.fetch_placement().await?);
        if placement.groups.is_empty() {
            return Err(ClientError::NoPlacement);
        }
        *self.shared.placement.lock() = Some(Arc::clone(&placement));
        Ok(placement)
    }

    async fn fetch_placement(&self) -> Result<Placement, ClientError> {
        let action = "list the placement groups";
        let send =
            |to: wire::Connection| async move { to.namespace().placement_groups(v1::PlacementGroupsRequest {}).await };
        let answer = self.router().try_within(Bound::Call, action, send).await?;
        let pools = each(answer.pools).map_err(|source| ClientError::BadAnswer { action, source })?;
        let groups = each(answer.groups).map_err(|source| ClientError::BadAnswer { action, source })?;
        Ok(Placement::new(&pools, &groups))
    }
}

#[cfg(test)]
mod tests {
    use types::{NodeId, PoolId, Seat, VolumeId};

    use super::*;

    fn group(id: u32, full: usize) -> PlacementGroup {
        let volume: VolumeId = "6ba7b810-9dad-11d1-80b4-00c04fd430c8".parse().unwrap();
        let state = |seat| if seat < full { SeatState::Full } else { SeatState::Joining };
        let seats = (0..3).map(|seat| Seat { node: NodeId(seat as u64 + 1), volume, state: state(seat) }).collect();
        PlacementGroup { id: PgId(id), pool: PoolId(1), version: PgVersion(1), seats }
    }

    #[test]
    fn only_groups_with_a_quorum_of_full_seats_take_blocks() {
        let pools = [Pool { id: PoolId(1), replicas: 3 }];
        let placement = Placement::new(&pools, &[group(3, 2), group(1, 3), group(2, 1)]);
        assert_eq!(placement.groups.iter().map(|group| group.id.0).collect::<Vec<_>>(), [1, 3]);
        assert!(matches!(Placement::default().choose(PlacementKey(5), 0), Err(ClientError::NoPlacement)));
    }

    #[test]
    fn a_further_attempt_takes_another_group() {
        let pools = [Pool { id: PoolId(1), replicas: 3 }];
        let placement = Placement::new(&pools, &[group(1, 3), group(2, 3), group(3, 3)]);
        let key = PlacementKey::of_directory(Lin(77));
        let chosen: std::collections::BTreeSet<_> =
            (0..3).map(|attempt| placement.choose(key, attempt).unwrap().id).collect();
        assert_eq!(chosen.len(), 3);
    }

    #[test]
    fn files_are_spread_and_ranges_of_one_file_too() {
        let name = Name::new("a").unwrap();
        let near = PlacementKey::of_range(Lin(1), &name, 0);
        assert_eq!(near, PlacementKey::of_range(Lin(1), &name, STRIDE - 1));
        assert_ne!(near, PlacementKey::of_range(Lin(1), &name, STRIDE));
        assert_ne!(near, PlacementKey::of_range(Lin(2), &name, 0));
        assert_ne!(near, PlacementKey::of_directory(Lin(1)));
    }
}
