//! Which node a data folder is (rule P6).
//!
//! The identity file lies beside log and vote, and names the volumes. A node that finds none, or another one, is a new
//! node: it never votes with what it finds.
//!
//! **Order.** The file is written twice. As [`MembershipState::Joining`] before anything else of a membership is on
//! disk, and as [`MembershipState::Member`] after everything is. Nothing was acknowledged to anybody before the second
//! write, so a folder that is found joining may be emptied and the node may join anew. A folder that holds a log and no identity is refused: a person must say what it is.

use std::fmt;
use std::path::{Path, PathBuf};

use runtime::{FileError, Files};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use types::{ClusterId, ErrorKind, NodeId, VolumeId};

pub(crate) const FORMAT: u32 = 1;
/// The name of the file in the data folder.
pub const IDENTITY_FILE: &str = "identity.toml";

/// Who the node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    format: u32,
    /// Whether joining came to its end.
    pub state: MembershipState,
    /// The cluster.
    pub cluster: ClusterId,
    /// The node's number in it; zero while it is joining and has none.
    pub node: NodeId,
    /// How many first nodes form the cluster.
    pub first_nodes: u16,
    /// The volumes, in the order of the configuration.
    pub volumes: Vec<VolumeId>,
}

/// Whether joining came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MembershipState {
    /// Files of the membership are being written; none of them counts yet.
    Joining,
    /// The node is a member.
    Member,
}

/// Why an identity could not be read, written or accepted.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// A file could not be read or written.
    #[error("cannot keep the node's identity")]
    File(#[from] FileError),
    /// The file is not what was written.
    #[error("the identity file {path:?} is malformed: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl IdentityError {
    /// What the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::File(_) => ErrorKind::Internal,
            Self::Malformed { .. } => ErrorKind::Corrupt,
        }
    }
}

impl Identity {
    /// The identity of a node that begins to join.
    #[must_use]
    pub const fn joining(cluster: ClusterId, node: NodeId, first_nodes: u16, volumes: Vec<VolumeId>) -> Self {
        Self { format: FORMAT, state: MembershipState::Joining, cluster, node, first_nodes, volumes }
    }

    /// The same identity, as of a member.
    #[must_use]
    pub fn into_member(self) -> Self {
        Self { state: MembershipState::Member, ..self }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} of cluster {}", self.node, self.cluster)
    }
}

/// The identity files of one node.
#[derive(Clone, Debug)]
pub struct IdentityFile {
    files: Files,
    folder: PathBuf,
}

impl IdentityFile {
    /// The identity in a data folder.
    #[must_use]
    pub const fn new(files: Files, folder: PathBuf) -> Self {
        Self { files, folder }
    }

    /// Reads the node's identity; `None` if it has none.
    pub fn read(&self) -> Result<Option<Identity>, IdentityError> {
        let path = self.folder.join(IDENTITY_FILE);
        let identity: Option<Identity> = read_toml(&self.files, &path)?;
        match &identity {
            Some(found) if found.format != FORMAT => Err(unknown_format(&path, found.format)),
            _ => Ok(identity),
        }
    }

    /// Writes the node's identity and syncs it.
    pub fn write(&self, identity: &Identity) -> Result<(), IdentityError> {
        write_toml(&self.files, &self.folder.join(IDENTITY_FILE), identity)
    }
}

fn read_toml<T: serde::de::DeserializeOwned>(files: &Files, path: &Path) -> Result<Option<T>, IdentityError> {
    if !files.exists(path)? {
        return Ok(None);
    }
    let malformed = |reason: String| IdentityError::Malformed { path: path.to_owned(), reason };
    let text = String::from_utf8(files.read(path)?).map_err(|error| malformed(error.to_string()))?;
    toml::from_str(&text).map(Some).map_err(|error| malformed(error.to_string()))
}

fn write_toml<T: Serialize>(files: &Files, path: &Path, value: &T) -> Result<(), IdentityError> {
    let text = toml::to_string(value)
        .map_err(|error| IdentityError::Malformed { path: path.to_owned(), reason: error.to_string() })?;
    Ok(files.write_atomic(path, text.as_bytes(), 0o600)?)
}

fn unknown_format(path: &Path, format: u32) -> IdentityError {
    IdentityError::Malformed { path: path.to_owned(), reason: format!("format {format} is not known") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        let uuid = uuid::Uuid::from_u128;
        Identity::joining(ClusterId(uuid(1)), NodeId(2), 3, vec![VolumeId(uuid(10)), VolumeId(uuid(11))])
    }

    #[test]
    fn an_identity_comes_back_and_none_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = IdentityFile::new(Files::real(), folder.path().to_owned());
        assert_eq!(file.read().unwrap(), None);
        file.write(&identity().into_member()).unwrap();
        assert_eq!(file.read().unwrap(), Some(identity().into_member()));
    }

    #[test]
    fn unknown_keys_and_formats_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = IdentityFile::new(Files::real(), folder.path().to_owned());
        let text = toml::to_string(&identity()).unwrap();
        for text in [text.replace("format = 1", "format = 9"), format!("surprise = 1\n{text}"), "format".to_owned()] {
            Files::real().write_atomic(&folder.path().join(IDENTITY_FILE), text.as_bytes(), 0o600).unwrap();
            assert!(matches!(file.read(), Err(IdentityError::Malformed { .. })), "{text}");
        }
    }

    /// A node must come back as who it was, or as who it was about to become.
    #[test]
    fn an_identity_that_was_written_is_there_whatever_a_loss_of_power_leaves() {
        use testkit::power::{Moment, Recorder, folder};

        let seed = testkit::seed();
        let folder = folder();
        let recorder = Recorder::new(folder.path());
        let data = |root: &Path| root.join("data");
        recorder.files().create_dirs(&data(folder.path())).unwrap();
        let file = IdentityFile::new(recorder.files(), data(folder.path()));
        let again = Identity { node: NodeId(7), volumes: Vec::new(), ..identity() };
        let states = [identity(), identity().into_member(), again.clone(), again.into_member()];
        let written: Vec<_> = states.iter().map(|state| file.write(state).map(|()| recorder.now()).unwrap()).collect();
        recorder.check_mirror().unwrap();

        for moment in recorder.moments_from(Moment::FIRST) {
            let sure = written.iter().filter(|at| **at <= moment).count();
            let possible = [sure.checked_sub(1).map(|last| &states[last]), states.get(sure)];
            for loss in 0..20 {
                let root = testkit::power::folder();
                let seed = seed.child(&format!("{moment:?}, loss {loss}"));
                let left = recorder.disk(moment).after_power_loss(&seed);
                let left = Recorder::lay_out(root.path(), left).unwrap();
                let found = IdentityFile::new(left.files(), data(root.path())).read().unwrap();
                let is_none = found.is_none() && sure == 0;
                assert!(
                    is_none || possible.into_iter().flatten().any(|state| found.as_ref() == Some(state)),
                    "{found:?}"
                );
            }
        }
    }
}
