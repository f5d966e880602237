//! The configuration of a node: one TOML file, read and checked as a whole before any port is opened.
//!
//! Unknown keys are refused, because a mistyped key would silently keep its default. Relative paths are relative to the
//! folder of the file. `cluster-config/holdfastd.toml` documents every key.

mod check;
mod error;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use runtime::Files;
use runtime::telemetry::{LogFormat, TelemetryOptions};
use serde::Deserialize;

pub use error::ConfigError;

/// The configuration of a node.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The folder for identity, keys, Raft's log and the state store; ideally on its own fast disk.
    pub data: PathBuf,
    /// The folders for blocks, one a disk; their order is part of the node's identity.
    pub volumes: Vec<PathBuf>,
    /// The port for peers and clients.
    pub network: NetworkConfig,
    /// The socket for the admin on this node.
    pub admin: AdminConfig,
    /// The endpoint for Prometheus.
    #[serde(default)]
    pub metrics: MetricsConfig,
    /// How much of the disks blocks take.
    #[serde(default)]
    pub blocks: BlocksConfig,
    /// How much of the data folder's disk is kept for metadata.
    #[serde(default)]
    pub metadata: MetadataConfig,
    /// How long the cluster waits for its clients.
    #[serde(default)]
    pub sessions: SessionsConfig,
    /// What is logged.
    #[serde(default)]
    pub log: LogConfig,
    /// How backups are packed.
    #[serde(default)]
    pub backup: BackupConfig,
}

/// The port for peers and clients, always with mutual TLS.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Where the node listens.
    pub listen: SocketAddr,
    /// `host:port` at which peers and clients reach it.
    pub advertise: String,
}

/// The socket for the admin on this node.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminConfig {
    /// Its path; it gets mode 0600.
    pub socket: PathBuf,
}

/// The endpoint for Prometheus. It has no authentication, so it may only listen on loopback.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsConfig {
    /// Where it listens.
    pub listen: SocketAddr,
}

/// What is logged, to standard error.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `text` for people, `json` for machines.
    pub format: String,
    /// A level, or `target=level` pairs with commas between.
    pub filter: String,
}

/// How much of the disks blocks take.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BlocksConfig {
    /// Free space of each volume's disk that blocks leave alone, in MiB.
    pub reserve_mib: u32,
    /// What the blocks of one volume may take, in MiB; without it, all of the disk but the reserve.
    pub capacity_mib: Option<u32>,
    /// The size of the files that blocks are kept in, in MiB.
    pub segment_mib: u32,
    /// How much of each volume is copied in a second to give back segments of which little is needed, in MiB.
    pub copy_mib_per_second: u32,
    /// Every block is read once within so many days.
    pub scrub_days: u32,
    /// How much of each volume is read in a second for it, in MiB, at most.
    pub scrub_mib_per_second: u32,
}

/// How much of the data folder's disk is kept for metadata.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetadataConfig {
    /// Free space below which nothing new is taken in through this node, in MiB: it is for removals and for Raft.
    pub reserve_mib: u32,
    /// Entries of Raft's log that are kept behind the state: a node that was away for longer is sent the whole state.
    pub log_entries: u32,
}

/// How long the cluster waits for its clients.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionsConfig {
    /// How long a client may be silent before its session is over, in seconds. That of the leader holds.
    pub lease_seconds: u32,
}

/// How backups are packed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackupConfig {
    /// The size of an upload object, in MiB.
    pub object_mib: u32,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 7401)) }
    }
}

impl Default for LogConfig {
    /// openraft reports each lost connection several times over; what matters of it the crate `consensus` says itself.
    fn default() -> Self {
        Self { format: "text".to_owned(), filter: "info,openraft=error".to_owned() }
    }
}

impl Default for BlocksConfig {
    /// A reserve of 1 GiB: Raft's log and the state store often lie on the same disk. Segments of 256 MiB: some ten thousand
    /// on a large disk. 32 MiB/s: a fifth of what a hard disk does; read at it, a disk of 16 TiB is
    /// through in six days.
    fn default() -> Self {
        Self {
            reserve_mib: 1024,
            capacity_mib: None,
            segment_mib: 256,
            copy_mib_per_second: 32,
            scrub_days: 30,
            scrub_mib_per_second: 32,
        }
    }
}

impl Default for MetadataConfig {
    /// 256 MiB: four segments of Raft's log and as much for the state store's compactions. 50,000 entries: minutes of
    /// full load, so that a node that was only restarted is not sent the state.
    fn default() -> Self {
        Self { reserve_mib: 256, log_entries: 50_000 }
    }
}

impl Default for SessionsConfig {
    /// An hour: a client that comes back within it goes on, and what a dead one left behind is cleared away after it.
    fn default() -> Self {
        Self { lease_seconds: 3600 }
    }
}

impl Default for BackupConfig {
    /// 64 MiB: large enough that requests do not dominate the cost of a store, small enough to be sent again.
    fn default() -> Self {
        Self { object_mib: 64 }
    }
}

impl Config {
    /// Reads a configuration file and checks all of it.
    ///
    /// # Errors
    /// [`ConfigError`] names the file and the key.
    pub fn read(files: &Files, path: &Path) -> Result<Self, ConfigError> {
        let bytes = files.read(path).map_err(|source| ConfigError::Read { source })?;
        let text = String::from_utf8(bytes)
            .map_err(|_| ConfigError::Syntax { path: path.to_owned(), reason: "it is not UTF-8".to_owned() })?;
        let config: Self = toml::from_str(&text)
            .map_err(|error| ConfigError::Syntax { path: path.to_owned(), reason: error.to_string() })?;
        let value =
            |wrong: check::Wrong| ConfigError::Value { path: path.to_owned(), key: wrong.key, reason: wrong.reason };
        // Beside the file's folder, an empty path would be that folder.
        check::check_paths_are_named(&config).map_err(value)?;
        let config = config.relative_to(path.parent().unwrap_or(Path::new("")));
        check::check(&config).map_err(value)?;
        Ok(config)
    }

    /// How to log.
    #[must_use]
    pub fn telemetry(&self) -> TelemetryOptions {
        // A format that is unknown did not pass the check.
        let format: LogFormat = self.log.format.parse().unwrap_or_default();
        TelemetryOptions { format, filter: self.log.filter.clone() }
    }

    fn relative_to(mut self, folder: &Path) -> Self {
        // An absolute path replaces what it is joined to.
        self.data = folder.join(&self.data);
        self.admin.socket = folder.join(&self.admin.socket);
        self.volumes.iter_mut().for_each(|volume| *volume = folder.join(&*volume));
        self
    }
}

#[cfg(test)]
mod tests;
