//! Keys of rows as bytes.
//!
//! Numbers are big-endian, so that keys sort like what they name. A name is followed by a zero byte, which no name has:
//! so no key of a family is the beginning of another, and a history key is the head's key with the birth appended.

mod account;
mod hold;
mod lock;
mod pin;

use bytes::Bytes;
use types::{BlockId, JobId, Lin, Name, NodeId, PgId, PolicyId, PoolId, Revision, SessionId, SiteId, SnapshotId};

use crate::family::Family;

pub use hold::{HeldKey, OpenKey};
pub use lock::{LockKey, LockOwner, LockedKey, locks_of_file};
pub use pin::PinKey;

/// A key that a family is sorted by.
pub trait Key: Sized {
    /// The key as bytes.
    fn encode(&self) -> Vec<u8>;
    /// The inverse; `None` if the bytes are no such key.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

/// A range of keys of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key, itself included.
    pub start: Vec<u8>,
    /// The end, itself excluded; `None` if there is none.
    pub end: Option<Vec<u8>>,
}

impl KeyRange {
    /// Every key.
    pub const fn all() -> Self {
        Self { start: Vec::new(), end: None }
    }

    /// The keys that begin with these bytes.
    pub fn prefix(bytes: impl Into<Vec<u8>>) -> Self {
        let start = bytes.into();
        let end = after_all(&start);
        Self { start, end }
    }

    /// The range without what comes before a key.
    pub fn from(mut self, key: &impl Key) -> Self {
        self.start = self.start.max(key.encode());
        self
    }

    /// The range without a key and what comes before it.
    pub fn after(mut self, key: &impl Key) -> Self {
        match after_all(&key.encode()) {
            Some(start) => self.start = self.start.max(start),
            None => self.end = Some(self.start.clone()),
        }
        self
    }

    /// The range without a key and what comes after it.
    pub fn until(mut self, key: &impl Key) -> Self {
        self.end = Some(key.encode());
        self
    }
}

/// The least key that is greater than all that begin with these bytes.
fn after_all(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|&byte| byte != u8::MAX)?;
    let mut end = prefix.get(..=kept)?.to_vec();
    *end.last_mut()? += 1;
    Some(end)
}

/// Reads a key from its front.
struct KeyReader<'a>(&'a [u8]);

impl<'a> KeyReader<'a> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn number(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_be_bytes)
    }

    /// Takes all but the final zero byte.
    fn last_name(self) -> Option<&'a [u8]> {
        let (&zero, name) = self.0.split_last()?;
        (zero == 0 && !name.contains(&0)).then_some(name)
    }

    fn end<T>(self, key: T) -> Option<T> {
        self.0.is_empty().then_some(key)
    }
}

fn numbers(parts: &[u64]) -> Vec<u8> {
    parts.iter().flat_map(|part| part.to_be_bytes()).collect()
}

fn named(parts: &[u64], name: &[u8]) -> Vec<u8> {
    let mut key = numbers(parts);
    key.extend_from_slice(name);
    key.push(0);
    key
}

macro_rules! number_key {
    ($inner:ty: $($name:ident)+) => {$(
        impl Key for $name {
            fn encode(&self) -> Vec<u8> {
                self.0.to_be_bytes().to_vec()
            }

            fn decode(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(|bytes| Self(<$inner>::from_be_bytes(bytes)))
            }
        }
    )+};
}

number_key!(u64: Lin SnapshotId SessionId NodeId SiteId PolicyId JobId);
number_key!(u32: PgId PoolId);

impl Key for BlockId {
    fn encode(&self) -> Vec<u8> {
        self.to_bytes().to_vec()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_bytes)
    }
}

/// The key of a directory entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryKey {
    /// The directory.
    pub parent: Lin,
    /// The name in it.
    pub name: Name,
}

impl Key for EntryKey {
    fn encode(&self) -> Vec<u8> {
        named(&[self.parent.0], self.name.as_bytes())
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = KeyReader(bytes);
        let parent = Lin(reader.number()?);
        let name = Name::new(Bytes::copy_from_slice(reader.last_name()?)).ok()?;
        Some(Self { parent, name })
    }
}

/// The key of a link, the way back up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkKey {
    /// What is named.
    pub lin: Lin,
    /// The directory.
    pub parent: Lin,
    /// The name in it.
    pub name: Name,
}

impl Key for LinkKey {
    fn encode(&self) -> Vec<u8> {
        named(&[self.lin.0, self.parent.0], self.name.as_bytes())
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = KeyReader(bytes);
        let (lin, parent) = (Lin(reader.number()?), Lin(reader.number()?));
        let name = Name::new(Bytes::copy_from_slice(reader.last_name()?)).ok()?;
        Some(Self { lin, parent, name })
    }
}

/// The extents that a file has at a time: when it is emptied it begins with new ones, and the old ones are orphans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContentKey {
    /// The file.
    pub lin: Lin,
    /// The operation that began this content.
    pub since: Revision,
}

impl Key for ContentKey {
    fn encode(&self) -> Vec<u8> {
        numbers(&[self.lin.0, self.since.0])
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = KeyReader(bytes);
        let key = Self { lin: Lin(reader.number()?), since: Revision(reader.number()?) };
        reader.end(key)
    }
}

/// The key of an extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExtentKey {
    /// What it is part of.
    pub content: ContentKey,
    /// Where it begins in the file.
    pub offset: u64,
}

impl Key for ExtentKey {
    fn encode(&self) -> Vec<u8> {
        numbers(&[self.content.lin.0, self.content.since.0, self.offset])
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = KeyReader(bytes);
        let content = ContentKey { lin: Lin(reader.number()?), since: Revision(reader.number()?) };
        let key = Self { content, offset: reader.number()? };
        reader.end(key)
    }
}

/// The key of what an operation took from a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrphanKey {
    /// What it was part of.
    pub content: ContentKey,
    /// The operation.
    pub death: Revision,
}

impl Key for OrphanKey {
    fn encode(&self) -> Vec<u8> {
        numbers(&[self.content.lin.0, self.content.since.0, self.death.0])
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = KeyReader(bytes);
        let content = ContentKey { lin: Lin(reader.number()?), since: Revision(reader.number()?) };
        let key = Self { content, death: Revision(reader.number()?) };
        reader.end(key)
    }
}

/// The key of an extended attribute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct XattrKey {
    /// Whose it is.
    pub lin: Lin,
    /// Its name, without zero bytes.
    pub name: Bytes,
}

impl Key for XattrKey {
    fn encode(&self) -> Vec<u8> {
        named(&[self.lin.0], &self.name)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = KeyReader(bytes);
        let lin = Lin(reader.number()?);
        Some(Self { lin, name: Bytes::copy_from_slice(reader.last_name()?) })
    }
}

/// The key of a row of the change index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangedKey {
    /// A revision at or before the LIN's last change and after every snapshot that does not see that change.
    pub revision: Revision,
    /// What changed.
    pub lin: Lin,
}

impl Key for ChangedKey {
    fn encode(&self) -> Vec<u8> {
        numbers(&[self.revision.0, self.lin.0])
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = KeyReader(bytes);
        let key = Self { revision: Revision(reader.number()?), lin: Lin(reader.number()?) };
        reader.end(key)
    }
}

/// The key of a row that dies with a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeadKey {
    /// The newest snapshot that sees the row.
    pub snapshot: SnapshotId,
    /// The family of the row: a history, or the change index for a tombstone.
    pub family: Family,
    /// The row's key in that family, without the birth.
    pub key: Vec<u8>,
    /// The revision since which the row can be seen.
    pub birth: Revision,
}

impl Key for DeadKey {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = numbers(&[self.snapshot.0]);
        bytes.push(self.family.tag());
        bytes.extend_from_slice(&self.key);
        bytes.extend_from_slice(&self.birth.0.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = KeyReader(bytes);
        let snapshot = SnapshotId(reader.number()?);
        let [tag] = reader.bytes()?;
        let (key, birth) = reader.0.split_last_chunk::<8>()?;
        let birth = Revision(u64::from_be_bytes(*birth));
        Some(Self { snapshot, family: Family::from_tag(tag)?, key: key.to_vec(), birth })
    }
}

/// The key of a remembered result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RememberedKey {
    /// The session.
    pub session: SessionId,
    /// The number of the operation in it.
    pub sequence: u64,
}

impl Key for RememberedKey {
    fn encode(&self) -> Vec<u8> {
        numbers(&[self.session.0, self.sequence])
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = KeyReader(bytes);
        let key = Self { session: SessionId(reader.number()?), sequence: reader.number()? };
        reader.end(key)
    }
}

/// The key of a copy that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShortKey {
    /// The placement group.
    pub pg: PgId,
    /// The block.
    pub block: BlockId,
    /// Who lacks it.
    pub holder: NodeId,
}

impl Key for ShortKey {
    fn encode(&self) -> Vec<u8> {
        let mut key = short_prefix(self.pg, self.block);
        key.extend_from_slice(&self.holder.0.to_be_bytes());
        key
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = KeyReader(bytes);
        let pg = PgId(u32::from_be_bytes(reader.bytes()?));
        let block = BlockId::from_bytes(reader.bytes()?);
        let key = Self { pg, block, holder: NodeId(reader.number()?) };
        reader.end(key)
    }
}

/// What the keys of all missing copies of a block begin with.
pub fn short_prefix(pg: PgId, block: BlockId) -> Vec<u8> {
    let mut key = pg.0.to_be_bytes().to_vec();
    key.extend_from_slice(&block.to_bytes());
    key
}

/// The key of a copy that is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FreedKey {
    /// Who has it.
    pub holder: NodeId,
    /// The block.
    pub block: BlockId,
}

impl Key for FreedKey {
    fn encode(&self) -> Vec<u8> {
        let mut key = numbers(&[self.holder.0]);
        key.extend_from_slice(&self.block.to_bytes());
        key
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = KeyReader(bytes);
        let key = Self { holder: NodeId(reader.number()?), block: BlockId::from_bytes(reader.bytes()?) };
        reader.end(key)
    }
}

/// The key of an upload object that a job's worker reported.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobObjectKey {
    /// The job.
    pub job: JobId,
    /// The object's name in the repository.
    pub name: String,
}

impl Key for JobObjectKey {
    fn encode(&self) -> Vec<u8> {
        named(&[self.job.0], self.name.as_bytes())
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = KeyReader(bytes);
        let job = JobId(reader.number()?);
        Some(Self { job, name: std::str::from_utf8(reader.last_name()?).ok()?.to_owned() })
    }
}

/// The key that lists a policy's jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyJobKey {
    /// The policy.
    pub policy: PolicyId,
    /// One of its jobs.
    pub job: JobId,
}

impl Key for PolicyJobKey {
    fn encode(&self) -> Vec<u8> {
        numbers(&[self.policy.0, self.job.0])
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = KeyReader(bytes);
        let key = Self { policy: PolicyId(reader.number()?), job: JobId(reader.number()?) };
        reader.end(key)
    }
}

/// What a name in the index of names belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Named {
    /// A live snapshot.
    Snapshot = b's',
    /// A site.
    Site = b't',
    /// A policy.
    Policy = b'p',
    /// The fingerprint of a node's key.
    Fingerprint = b'n',
}

/// The key of the index of names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NameKey {
    /// What is named.
    pub named: Named,
    /// Its name.
    pub name: String,
}

impl Key for NameKey {
    fn encode(&self) -> Vec<u8> {
        let mut key = vec![self.named as u8];
        key.extend_from_slice(self.name.as_bytes());
        key.push(0);
        key
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = KeyReader(bytes);
        let named = match reader.bytes()? {
            [b's'] => Named::Snapshot,
            [b't'] => Named::Site,
            [b'p'] => Named::Policy,
            [b'n'] => Named::Fingerprint,
            _ => return None,
        };
        Some(Self { named, name: std::str::from_utf8(reader.last_name()?).ok()?.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comes_back<K: Key + PartialEq + std::fmt::Debug>(key: &K) {
        assert_eq!(K::decode(&key.encode()).as_ref(), Some(key));
    }

    #[test]
    fn every_key_comes_back_from_its_bytes() {
        let name = Name::new("a\u{1}b").unwrap();
        let block = BlockId { session: SessionId(7), sequence: u64::MAX };
        comes_back(&Lin(3));
        comes_back(&PgId(9));
        comes_back(&EntryKey { parent: Lin(1), name: name.clone() });
        comes_back(&LinkKey { lin: Lin(1), parent: Lin(2), name });
        let content = ContentKey { lin: Lin(1), since: Revision(9) };
        comes_back(&content);
        comes_back(&ExtentKey { content, offset: 1 << 40 });
        comes_back(&OrphanKey { content, death: Revision(10) });
        comes_back(&block);
        comes_back(&XattrKey { lin: Lin(1), name: Bytes::from_static(b"user.x") });
        comes_back(&ChangedKey { revision: Revision(4), lin: Lin(5) });
        let key = b"any".to_vec();
        comes_back(&DeadKey { snapshot: SnapshotId(4), family: Family::ExtentHistory, key, birth: Revision(2) });
        comes_back(&RememberedKey { session: SessionId(4), sequence: 8 });
        comes_back(&ShortKey { pg: PgId(1), block, holder: NodeId(3) });
        comes_back(&FreedKey { holder: NodeId(3), block });
        comes_back(&JobObjectKey { job: JobId(3), name: "objects/0".into() });
        comes_back(&PolicyJobKey { policy: PolicyId(3), job: JobId(9) });
        comes_back(&NameKey { named: Named::Policy, name: "daily".into() });
    }

    #[test]
    fn a_key_that_is_cut_or_has_a_tail_is_refused() {
        let key = ContentKey { lin: Lin(1), since: Revision(2) }.encode();
        assert_eq!(ContentKey::decode(&key[..15]), None);
        assert_eq!(ContentKey::decode(&[&key[..], &[0]].concat()), None);
        assert_eq!(EntryKey::decode(&[0, 0, 0, 0, 0, 0, 0, 1, b'a']), None);
    }

    #[test]
    fn the_range_after_a_name_holds_longer_names_and_no_version_of_it() {
        let key = |name: &'static str| EntryKey { parent: Lin(1), name: Name::new(name).unwrap() };
        let range = KeyRange::prefix(Lin(1).encode()).after(&key("a"));
        let inside = |bytes: &[u8]| bytes >= &range.start[..] && range.end.as_deref().is_none_or(|end| bytes < end);
        assert!(inside(&key("a\u{1}").encode()));
        assert!(inside(&key("aa").encode()));
        assert!(!inside(&[&key("a").encode()[..], &[0xff; 8]].concat()), "a version of the name itself");
        assert!(!inside(&EntryKey { parent: Lin(2), name: Name::new("b").unwrap() }.encode()));
    }

    #[test]
    fn nothing_comes_after_the_largest_key() {
        assert_eq!(after_all(&[0xff; 8]), None);
        assert_eq!(after_all(&[1, 0xff]), Some(vec![2]));
        let empty = KeyRange::all().after(&Lin(u64::MAX));
        assert_eq!(empty.end, Some(empty.start.clone()));
    }
}
