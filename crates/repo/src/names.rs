//! The names of what lies in a repository.
//!
//! Names are write-once and of fixed width, hex, so that they sort by their numbers; where the newest is wanted first,
//! the number is inverted (2⁶⁴ − 1 − n). Who wrote an object is in its name: generation, epoch, fence, node,
//! incarnation and a sequence number, so that two writers never meet in one name (rule P21).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use types::{ClusterId, Epoch, Fence, Generation, Incarnation, NodeId};
use uuid::Uuid;

use crate::Table;

/// The name of the bootstrap object.
pub const BOOTSTRAP_NAME: &str = "holdfast.json";
/// Where key objects lie.
pub const KEYS_PREFIX: &str = "keys/";
/// Where owner objects lie.
pub const OWNER_PREFIX: &str = "owner/";
/// Where upload objects lie.
pub const OBJECTS_PREFIX: &str = "objects/";
/// Where runs lie.
pub const TABLES_PREFIX: &str = "tables/";
/// Where commits lie.
pub const COMMITS_PREFIX: &str = "commits/";
/// Where the cluster's configurations lie.
pub const STATE_PREFIX: &str = "state/";

/// Who writes, and the writer's own count: the part of a name that makes it unlike every other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Writer {
    /// The cluster's number as the repository's owner.
    pub generation: Generation,
    /// The backup that is being written.
    pub epoch: Epoch,
    /// The owner of the job.
    pub fence: Fence,
    /// The node that writes.
    pub node: NodeId,
    /// Its process.
    pub incarnation: Incarnation,
    /// Counts the objects of that process in this epoch.
    pub sequence: u64,
}

impl Writer {
    /// The same writer with another sequence number.
    #[must_use]
    pub const fn with_sequence(self, sequence: u64) -> Self {
        Self { sequence, ..self }
    }
}

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { generation, epoch, fence, node, incarnation, sequence } = self;
        let (generation, epoch, fence) = (generation.0, epoch.0, fence.0);
        write!(f, "{generation:016x}-{epoch:016x}-{fence:016x}-{:016x}-{:016x}-{sequence:016x}", node.0, incarnation.0)
    }
}

impl FromStr for Writer {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut numbers = text.split('-').map(number);
        let mut next = || numbers.next().flatten().ok_or(());
        let writer = Self {
            generation: Generation(next()?),
            epoch: Epoch(next()?),
            fence: Fence(next()?),
            node: NodeId(next()?),
            incarnation: Incarnation(next()?),
            sequence: next()?,
        };
        if numbers.next().is_some() { Err(()) } else { Ok(writer) }
    }
}

/// Sixteen lower-case hex digits and nothing else, so that one number has one text.
fn number(text: &str) -> Option<u64> {
    let plain = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if plain { u64::from_str_radix(text, 16).ok() } else { None }
}

/// A UUID as 32 lower-case hex digits.
fn uuid(text: &str) -> Option<Uuid> {
    let plain = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if plain { Uuid::try_parse(text).ok() } else { None }
}

/// The name of anything in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Name {
    /// `holdfast.json`
    Bootstrap,
    /// `keys/<inverted number>-<cluster id>-<random>`
    Keys {
        /// Counts the changes of who can open the repository.
        number: u64,
        /// The cluster that wrote it.
        cluster: ClusterId,
        /// Keeps two writers of one number apart.
        random: u64,
    },
    /// `owner/<inverted generation>-<cluster id>`
    Owner {
        /// The generation.
        generation: Generation,
        /// The cluster that owns the repository in that generation.
        cluster: ClusterId,
    },
    /// `objects/<writer>`
    Object(Writer),
    /// `tables/<table>/<level>/<writer>`
    Run {
        /// The table.
        table: Table,
        /// How often its rows were merged: 0 for the runs of one epoch.
        level: u8,
        /// Who wrote it.
        writer: Writer,
    },
    /// `commits/<inverted generation>-<inverted number>-<writer>`
    Commit {
        /// The number of the commit.
        number: u64,
        /// Who wrote it; its generation comes first in the name.
        writer: Writer,
    },
    /// `state/<writer>`
    State(Writer),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bootstrap => f.write_str(BOOTSTRAP_NAME),
            Self::Keys { number, cluster, random } => {
                write!(f, "{KEYS_PREFIX}{:016x}-{}-{random:016x}", !number, cluster.0.as_simple())
            }
            Self::Owner { generation, cluster } => {
                write!(f, "{OWNER_PREFIX}{:016x}-{}", !generation.0, cluster.0.as_simple())
            }
            Self::Object(writer) => write!(f, "{OBJECTS_PREFIX}{writer}"),
            Self::Run { table, level, writer } => write!(f, "{TABLES_PREFIX}{table}/{level:02x}/{writer}"),
            Self::Commit { number, writer } => {
                write!(f, "{COMMITS_PREFIX}{:016x}-{:016x}-{writer}", !writer.generation.0, !number)
            }
            Self::State(writer) => write!(f, "{STATE_PREFIX}{writer}"),
        }
    }
}

/// The text is not the name of anything in a repository.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not the name of anything in a repository")]
pub struct NotAName {
    /// The text.
    pub name: String,
}

impl FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        parse(text).ok_or_else(|| NotAName { name: text.to_owned() })
    }
}

fn parse(text: &str) -> Option<Name> {
    if text == BOOTSTRAP_NAME {
        return Some(Name::Bootstrap);
    }
    let (kind, rest) = text.split_once('/')?;
    match kind {
        "keys" => parse_keys(rest),
        "owner" => {
            let (generation, cluster) = rest.split_once('-')?;
            Some(Name::Owner { generation: Generation(!number(generation)?), cluster: ClusterId(uuid(cluster)?) })
        }
        "objects" => rest.parse().ok().map(Name::Object),
        "tables" => parse_run(rest),
        "commits" => parse_commit(rest),
        "state" => rest.parse().ok().map(Name::State),
        _ => None,
    }
}

fn parse_keys(text: &str) -> Option<Name> {
    let mut parts = text.split('-');
    let counter = !number(parts.next()?)?;
    let cluster = ClusterId(uuid(parts.next()?)?);
    let random = number(parts.next()?)?;
    parts.next().is_none().then_some(Name::Keys { number: counter, cluster, random })
}

fn parse_run(text: &str) -> Option<Name> {
    let mut parts = text.split('/');
    let table = parts.next()?.parse().ok()?;
    let level = parts.next().filter(|level| level.len() == 2)?;
    let writer = parts.next()?.parse().ok()?;
    let name = Name::Run { table, level: u8::from_str_radix(level, 16).ok()?, writer };
    (parts.next().is_none() && name.to_string().strip_prefix(TABLES_PREFIX) == Some(text)).then_some(name)
}

fn parse_commit(text: &str) -> Option<Name> {
    let (generation, rest) = text.split_once('-')?;
    let (counter, writer) = rest.split_once('-')?;
    let writer: Writer = writer.parse().ok()?;
    (!number(generation)? == writer.generation.0).then_some(Name::Commit { number: !number(counter)?, writer })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITER: Writer = Writer {
        generation: Generation(1),
        epoch: Epoch(0x2a),
        fence: Fence(3),
        node: NodeId(4),
        incarnation: Incarnation(5),
        sequence: 6,
    };

    fn every_kind() -> Vec<Name> {
        let cluster = ClusterId(Uuid::from_u128(0x1234_5678_9abc_def0));
        let tables = Table::ALL.into_iter().map(|table| Name::Run { table, level: 1, writer: WRITER });
        [
            Name::Bootstrap,
            Name::Keys { number: 1, cluster, random: 7 },
            Name::Owner { generation: Generation(1), cluster },
            Name::Object(WRITER),
            Name::Commit { number: 9, writer: WRITER },
            Name::State(WRITER),
        ]
        .into_iter()
        .chain(tables)
        .collect()
    }

    #[test]
    fn every_name_comes_back_from_its_text() {
        for name in every_kind() {
            assert_eq!(name.to_string().parse(), Ok(name), "{name}");
        }
    }

    #[test]
    fn the_text_of_a_name_is_fixed() {
        let writer = "0000000000000001-000000000000002a-0000000000000003-0000000000000004-0000000000000005-\
                      0000000000000006";
        assert_eq!(Name::Object(WRITER).to_string(), format!("objects/{writer}"));
        let commit = Name::Commit { number: 9, writer: WRITER }.to_string();
        assert_eq!(commit, format!("commits/fffffffffffffffe-fffffffffffffff6-{writer}"));
        let run = Name::Run { table: Table::Inodes, level: 1, writer: WRITER }.to_string();
        assert_eq!(run, format!("tables/inodes/01/{writer}"));
    }

    #[test]
    fn one_name_has_one_text() {
        for name in every_kind() {
            let text = name.to_string();
            for other in [text.to_uppercase(), format!("{text}0"), format!("{text}/"), format!("/{text}")] {
                assert!(other.parse::<Name>().is_err(), "{other}");
            }
        }
        for text in ["", "objects/", "commits/x", "keys/1-2-3", "tables/inodes/1/x", "holdfast.json.bak"] {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_newest_commit_is_the_first_name() {
        let commit = |generation, number| {
            Name::Commit { number, writer: Writer { generation: Generation(generation), ..WRITER } }.to_string()
        };
        assert!(commit(1, 10) < commit(1, 9));
        assert!(commit(2, 1) < commit(1, 10));
    }
}
