//! Which cluster is meant, and who we are there: the configuration file with its contexts.
//!
//! A context lies in the configuration file; its certificates and key are files in a folder of its name beside it, the
//! key of mode 0600. Unknown keys are refused: a misspelt one would silently do nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use runtime::Files;
use serde::{Deserialize, Serialize};
use wire::{Authority, ClientTls, Endpoint, Identity};
use zeroize::Zeroizing;

use crate::error::CliError;

/// Where a node's packages put the socket.
const DEFAULT_SOCKET: &str = "/run/holdfast/holdfastd.sock";
const AUTHORITY_FILE: &str = "authority.pem";
const CERTIFICATE_FILE: &str = "admin.pem";
const KEY_FILE: &str = "admin.key";
/// What is written to see whether anything can be.
const PROBE_FILE: &str = ".probe";
/// More than key and certificates come to.
const PROBE_LENGTH: usize = 16 << 10;
const PUBLIC_MODE: u32 = 0o644;
const SECRET_MODE: u32 = 0o600;

/// Which cluster is meant.
#[derive(Clone, Debug, Default, Args)]
pub struct ClusterChoice {
    /// The admin socket of a node on this machine
    #[arg(long, global = true, value_name = "PATH", env = "HOLDFAST_SOCKET", conflicts_with = "context")]
    pub socket: Option<PathBuf>,
    /// A context of the configuration file instead of the current one
    #[arg(long, global = true, value_name = "NAME", env = "HOLDFAST_CONTEXT")]
    pub context: Option<String>,
    /// The configuration file [default: ~/.config/holdfast/config.toml]
    #[arg(long, global = true, value_name = "FILE", env = "HOLDFAST_CONFIG")]
    pub config: Option<PathBuf>,
}

/// The configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// The context that is used when none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// Contexts by name.
    #[serde(default)]
    pub contexts: BTreeMap<String, Context>,
}

/// A cluster, and who we are there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// The cluster's id.
    pub cluster: String,
    /// `host:port` of nodes; the first that answers is taken.
    pub endpoints: Vec<String>,
}

/// Whether a context is used when none is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Current,
    Other,
}

/// What a cluster gives its admin.
pub struct AdminIdentity {
    pub cluster: String,
    pub endpoints: Vec<String>,
    pub authority_pem: String,
    pub certificate_pem: String,
    pub key_pem: Zeroizing<String>,
}

impl ClusterChoice {
    /// The nodes to talk to.
    pub fn endpoints(&self) -> Result<Vec<Endpoint>, CliError> {
        if let Some(socket) = &self.socket {
            return Ok(vec![Endpoint::Unix(socket.clone())]);
        }
        let file = self.file()?;
        let configuration = Configuration::read(&file)?;
        match self.context.as_ref().or(configuration.current.as_ref()) {
            Some(name) => configuration.endpoints(&file, name),
            None if Path::new(DEFAULT_SOCKET).exists() => Ok(vec![Endpoint::Unix(DEFAULT_SOCKET.into())]),
            None => Err(CliError::NoCluster { file }),
        }
    }

    /// Makes sure that a context of that name can be kept: its name is free, and there is room for its files where they
    /// will lie.
    pub fn prepare(&self, name: &str) -> Result<(), CliError> {
        self.check_new(name)?;
        let file = self.file()?;
        let folder = folder(&file, name);
        let files = Files::real();
        files.create_dirs(&folder)?;
        let probed = [Some(&*folder), file.parent()].into_iter().flatten().try_for_each(|folder| probe(&files, folder));
        // It is made again when there is something to be kept.
        let _ = std::fs::remove_dir(&folder);
        probed
    }

    fn check_new(&self, name: &str) -> Result<(), CliError> {
        let is_folder_name = !name.is_empty() && !name.starts_with('.') && !name.contains('/');
        if !is_folder_name {
            return Err(CliError::Usage { message: format!("{name:?} cannot be the name of a context") });
        }
        match Configuration::read(&self.file()?)?.contexts.contains_key(name) {
            true => Err(CliError::Exists {
                what: "context",
                name: name.to_owned(),
                advice: "choose another name with --name",
            }),
            false => Ok(()),
        }
    }

    /// Keeps an identity as a new context, which becomes the current one. The files of the identity come first, so that
    /// the configuration never names what is not there.
    pub fn add(&self, name: &str, identity: AdminIdentity) -> Result<PathBuf, CliError> {
        let file = self.file()?;
        let mut configuration = Configuration::read(&file)?;
        let files = Files::real();
        let folder = folder(&file, name);
        files.create_dirs(&folder)?;
        files.write_atomic(&folder.join(AUTHORITY_FILE), identity.authority_pem.as_bytes(), PUBLIC_MODE)?;
        files.write_atomic(&folder.join(CERTIFICATE_FILE), identity.certificate_pem.as_bytes(), PUBLIC_MODE)?;
        files.write_atomic(&folder.join(KEY_FILE), identity.key_pem.as_bytes(), SECRET_MODE)?;
        let context = Context { cluster: identity.cluster, endpoints: identity.endpoints };
        configuration.contexts.insert(name.to_owned(), context);
        configuration.current = Some(name.to_owned());
        configuration.write(&file)?;
        Ok(file)
    }

    /// The contexts by name, each with whether it is the one that is used when none is named.
    pub fn all(&self) -> Result<Vec<(String, Context, Standing)>, CliError> {
        let Configuration { current, contexts } = Configuration::read(&self.file()?)?;
        let standing = |name: &String| if current.as_ref() == Some(name) { Standing::Current } else { Standing::Other };
        Ok(contexts.into_iter().map(|(name, context)| (name.clone(), context, standing(&name))).collect())
    }

    /// Makes a context the current one.
    pub fn make_current(&self, name: &str) -> Result<(), CliError> {
        let file = self.file()?;
        let mut configuration = Configuration::read(&file)?;
        configuration.get(name)?;
        configuration.current = Some(name.to_owned());
        configuration.write(&file)
    }

    /// Removes a context and its key. The configuration goes first, so that it never names what is not there.
    pub fn remove(&self, name: &str) -> Result<(), CliError> {
        let file = self.file()?;
        let mut configuration = Configuration::read(&file)?;
        configuration.get(name)?;
        configuration.contexts.remove(name);
        configuration.current = configuration.current.filter(|current| current != name);
        configuration.write(&file)?;
        let (files, folder) = (Files::real(), folder(&file, name));
        for one in [KEY_FILE, CERTIFICATE_FILE, AUTHORITY_FILE] {
            files.remove_if_there(&folder.join(one))?;
        }
        // A folder that holds something of the user's stays.
        let _ = std::fs::remove_dir(&folder);
        Ok(())
    }

    /// Notes in the context where the nodes of its cluster are by now, so that it works when the first one is gone.
    pub fn learn(&self, cluster: &str, addresses: &[String]) -> Result<(), CliError> {
        if self.socket.is_some() || addresses.is_empty() {
            return Ok(());
        }
        let file = self.file()?;
        let mut configuration = Configuration::read(&file)?;
        let Some(name) = self.context.clone().or_else(|| configuration.current.clone()) else { return Ok(()) };
        let found = configuration.contexts.get_mut(&name).filter(|context| context.cluster == cluster);
        match found.filter(|context| context.endpoints != addresses) {
            Some(context) => {
                context.endpoints = addresses.to_vec();
                configuration.write(&file)
            }
            None => Ok(()),
        }
    }

    fn file(&self) -> Result<PathBuf, CliError> {
        if let Some(file) = &self.config {
            return Ok(file.clone());
        }
        let folder = match std::env::var_os("XDG_CONFIG_HOME").filter(|folder| !folder.is_empty()) {
            Some(folder) => PathBuf::from(folder),
            None => {
                let home = std::env::var_os("HOME").filter(|folder| !folder.is_empty());
                let missing = || CliError::Usage { message: "$HOME is not set: give --config".to_owned() };
                PathBuf::from(home.ok_or_else(missing)?).join(".config")
            }
        };
        Ok(folder.join("holdfast/config.toml"))
    }
}

impl Configuration {
    /// Reads the file; one that is not there is empty.
    fn read(file: &Path) -> Result<Self, CliError> {
        let bytes = match Files::real().read(file) {
            Err(error) if error.is_not_found() => return Ok(Self::default()),
            bytes => bytes?,
        };
        let unusable = |reason| CliError::Configuration { file: file.to_owned(), reason };
        let text = String::from_utf8(bytes).map_err(|error| unusable(error.to_string()))?;
        toml::from_str(&text).map_err(|error| unusable(error.to_string()))
    }

    fn write(&self, file: &Path) -> Result<(), CliError> {
        let text = toml::to_string(self)
            .map_err(|error| CliError::Configuration { file: file.to_owned(), reason: error.to_string() })?;
        if let Some(folder) = file.parent() {
            Files::real().create_dirs(folder)?;
        }
        Ok(Files::real().write_atomic(file, text.as_bytes(), SECRET_MODE)?)
    }

    fn get(&self, name: &str) -> Result<&Context, CliError> {
        self.contexts.get(name).ok_or_else(|| CliError::NoRecord { what: "context", name: name.to_owned() })
    }

    fn endpoints(&self, file: &Path, name: &str) -> Result<Vec<Endpoint>, CliError> {
        let context = self.get(name)?;
        let folder = folder(file, name);
        let identity =
            Identity::new(read_text(&folder.join(CERTIFICATE_FILE))?.to_string(), read_text(&folder.join(KEY_FILE))?);
        let tls = ClientTls {
            server_name: format!("{}.holdfast", context.cluster),
            authority: Authority(read_text(&folder.join(AUTHORITY_FILE))?.to_string()),
            identity: Some(identity),
        };
        let endpoint = |address: &String| Endpoint::Tcp { address: address.clone(), tls: tls.clone() };
        Ok(context.endpoints.iter().map(endpoint).collect())
    }
}

/// Where the files of a context lie.
fn folder(file: &Path, name: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new(".")).join(name)
}

/// Writes as much into a folder as an identity needs, and removes it again.
fn probe(files: &Files, folder: &Path) -> Result<(), CliError> {
    let path = folder.join(PROBE_FILE);
    files.write_atomic(&path, &[0; PROBE_LENGTH], SECRET_MODE)?;
    Ok(files.remove(&path)?)
}

fn read_text(file: &Path) -> Result<Zeroizing<String>, CliError> {
    let bytes = Files::real().read(file)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| CliError::Configuration { file: file.to_owned(), reason: "it is not a PEM file".to_owned() })?;
    Ok(Zeroizing::new(text))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn choice(folder: &Path) -> ClusterChoice {
        ClusterChoice { config: Some(folder.join("config.toml")), ..ClusterChoice::default() }
    }

    fn identity() -> AdminIdentity {
        AdminIdentity {
            cluster: "c".into(),
            endpoints: vec!["n1:7400".into(), "n2:7400".into()],
            authority_pem: "authority".into(),
            certificate_pem: "certificate".into(),
            key_pem: Zeroizing::new("key".into()),
        }
    }

    #[test]
    fn a_kept_identity_becomes_the_current_context() {
        let folder = tempfile::tempdir().unwrap();
        let choice = choice(folder.path());
        assert!(matches!(choice.endpoints(), Err(CliError::NoCluster { .. })));
        choice.check_new("home").unwrap();
        choice.add("home", identity()).unwrap();
        let names: Vec<_> = choice.endpoints().unwrap().iter().map(Endpoint::name).collect();
        assert_eq!(names, ["n1:7400", "n2:7400"]);
        let key = folder.path().join("home/admin.key");
        assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(choice.check_new("home"), Err(CliError::Exists { .. })));
    }

    #[test]
    fn a_place_where_nothing_can_be_kept_is_noticed_before_there_is_something_to_keep() {
        let folder = tempfile::tempdir().unwrap();
        let choice = choice(folder.path());
        Files::real().write_atomic(&folder.path().join("home"), b"in the way", 0o600).unwrap();
        let error = choice.prepare("home").unwrap_err();
        assert!(error.to_string().contains("home"), "{error}");
        choice.prepare("away").unwrap();
        assert!(!folder.path().join("away").exists() && !folder.path().join(PROBE_FILE).exists());
    }

    #[test]
    fn a_removed_context_takes_its_key_along_and_is_current_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let choice = choice(folder.path());
        choice.add("home", identity()).unwrap();
        choice.add("away", identity()).unwrap();
        assert!(matches!(choice.make_current("nowhere"), Err(CliError::NoRecord { .. })));
        choice.make_current("home").unwrap();
        let standings: Vec<_> = choice.all().unwrap().into_iter().map(|(name, _, standing)| (name, standing)).collect();
        assert_eq!(standings, [("away".to_owned(), Standing::Other), ("home".to_owned(), Standing::Current)]);

        choice.remove("home").unwrap();
        assert!(!folder.path().join("home").exists());
        assert!(matches!(choice.endpoints(), Err(CliError::NoCluster { .. })));
        choice.check_new("home").unwrap();
        assert!(matches!(choice.remove("home"), Err(CliError::NoRecord { .. })));
        assert_eq!(choice.all().unwrap().len(), 1);
    }

    #[test]
    fn a_context_learns_where_the_nodes_of_its_own_cluster_are() {
        let folder = tempfile::tempdir().unwrap();
        let choice = choice(folder.path());
        choice.add("home", identity()).unwrap();
        choice.learn("another", &["x:1".into()]).unwrap();
        choice.learn("c", &["n2:7400".into(), "n3:7400".into()]).unwrap();
        let names: Vec<_> = choice.endpoints().unwrap().iter().map(Endpoint::name).collect();
        assert_eq!(names, ["n2:7400", "n3:7400"]);
    }

    #[test]
    fn a_context_name_cannot_leave_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["", "..", "a/b", ".hidden"] {
            assert!(matches!(choice(folder.path()).check_new(name), Err(CliError::Usage { .. })), "{name:?}");
        }
    }

    #[test]
    fn unknown_keys_and_contexts_are_errors_that_name_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        Files::real().write_atomic(&file, b"curent = \"home\"\n", 0o600).unwrap();
        let error = choice(folder.path()).endpoints().unwrap_err();
        assert!(error.to_string().contains("curent"), "{error}");
        Files::real().write_atomic(&file, b"current = \"away\"\n", 0o600).unwrap();
        assert!(matches!(choice(folder.path()).endpoints(), Err(CliError::NoRecord { name, .. }) if name == "away"));
    }

    #[test]
    fn a_socket_needs_no_configuration() {
        let choice = ClusterChoice { socket: Some("/n1.sock".into()), ..ClusterChoice::default() };
        assert!(matches!(&choice.endpoints().unwrap()[..], [Endpoint::Unix(path)] if path == Path::new("/n1.sock")));
    }
}
