//! What the types of a configuration cannot say.

use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};

use runtime::net::UNIX_PATH_MAX;
use runtime::telemetry::{LogFormat, check_filter};

use super::{BlocksConfig, Config};

/// A value that cannot be used.
pub struct Wrong {
    pub key: &'static str,
    pub reason: String,
}

/// More volumes than any machine has disks.
const VOLUMES_MAX: usize = 64;
/// Object stores take at most 5 GiB in one request; far below it, an object must be sent again as a whole.
const OBJECT_MIB: std::ops::RangeInclusive<u32> = 1..=1024;
/// From what an election takes to the week that a machine may be off.
const LEASE_SECONDS: std::ops::RangeInclusive<u32> = 1..=604_800;

/// From less than a large block to what is copied in minutes.
const SEGMENT_MIB: std::ops::RangeInclusive<u32> = 1..=4096;
/// A block that nobody reads for years is one that nobody has.
const SCRUB_DAYS: std::ops::RangeInclusive<u32> = 1..=365;
/// Nothing would ever be copied at 0; no disk is faster than 16 GiB/s.
const MIB_PER_SECOND: std::ops::RangeInclusive<u32> = 1..=16_384;
/// From what a follower is behind under load to what fills a disk.
const LOG_ENTRIES: std::ops::RangeInclusive<u32> = 1000..=100_000_000;

/// Finds the first value that cannot be used.
pub fn check(config: &Config) -> Result<(), Wrong> {
    check_volumes(config)?;
    check_blocks(&config.blocks)?;
    check_network(config)?;
    check_log(config)?;
    check_socket(config)?;
    let entries = config.metadata.log_entries;
    require(LOG_ENTRIES.contains(&entries), "metadata.log_entries", || outside(&LOG_ENTRIES))?;
    let lease = config.sessions.lease_seconds;
    require(LEASE_SECONDS.contains(&lease), "sessions.lease_seconds", || outside(&LEASE_SECONDS))?;
    require(OBJECT_MIB.contains(&config.backup.object_mib), "backup.object_mib", || outside(&OBJECT_MIB))
}

/// Finds a path that is empty in the file.
pub fn check_paths_are_named(config: &Config) -> Result<(), Wrong> {
    let named = |path: &Path, key| require(!path.as_os_str().is_empty(), key, || "a path is empty".to_owned());
    named(&config.data, "data")?;
    config.volumes.iter().try_for_each(|volume| named(volume, "volumes"))?;
    named(&config.admin.socket, "admin.socket")
}

fn check_socket(config: &Config) -> Result<(), Wrong> {
    let socket = &config.admin.socket;
    let length = socket.as_os_str().len();
    require(length <= UNIX_PATH_MAX, "admin.socket", || {
        format!("{} is {length} bytes long; the path of the socket has at most {UNIX_PATH_MAX}", socket.display())
    })?;
    let is_folder = overlap(&config.data, socket) == Some(Overlap::Same)
        || config.volumes.iter().any(|volume| overlap(volume, socket).is_some());
    require(!is_folder, "admin.socket", || format!("{} is a folder for data, or in a volume", socket.display()))
}

/// How two folders lie to one another when they are not apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Overlap {
    Same,
    Inside,
}

/// As far as the names tell; where links lead is seen when the folders are opened.
fn overlap(one: &Path, other: &Path) -> Option<Overlap> {
    let (one, other) = (plain(one), plain(other));
    if one == other {
        return Some(Overlap::Same);
    }
    (one.starts_with(&other) || other.starts_with(&one)).then_some(Overlap::Inside)
}

/// The path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir if plain.file_name().is_some() => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

fn check_volumes(config: &Config) -> Result<(), Wrong> {
    let count = config.volumes.len();
    require((1..=VOLUMES_MAX).contains(&count), "volumes", || {
        format!("{count} folders are named; a node has 1 to {VOLUMES_MAX}")
    })?;
    for (index, volume) in config.volumes.iter().enumerate() {
        for other in config.volumes.iter().skip(index + 1) {
            require_apart(volume, other)?;
        }
        match overlap(volume, &config.data) {
            Some(Overlap::Same) => require(false, "volumes", || format!("{} is the data folder", volume.display()))?,
            _ => require_apart(volume, &config.data)?,
        }
    }
    Ok(())
}

fn check_blocks(blocks: &BlocksConfig) -> Result<(), Wrong> {
    require(blocks.capacity_mib != Some(0), "blocks.capacity_mib", || "a volume needs room".to_owned())?;
    require(SEGMENT_MIB.contains(&blocks.segment_mib), "blocks.segment_mib", || outside(&SEGMENT_MIB))?;
    require(SCRUB_DAYS.contains(&blocks.scrub_days), "blocks.scrub_days", || outside(&SCRUB_DAYS))?;
    for (key, rate) in [
        ("blocks.copy_mib_per_second", blocks.copy_mib_per_second),
        ("blocks.scrub_mib_per_second", blocks.scrub_mib_per_second),
    ] {
        require(MIB_PER_SECOND.contains(&rate), key, || outside(&MIB_PER_SECOND))?;
    }
    Ok(())
}

fn require_apart(volume: &Path, other: &Path) -> Result<(), Wrong> {
    let (volume_name, other_name) = (volume.display(), other.display());
    match overlap(volume, other) {
        None => Ok(()),
        Some(Overlap::Same) => require(false, "volumes", || format!("{volume_name} is named twice")),
        Some(Overlap::Inside) => {
            require(false, "volumes", || format!("{volume_name} and {other_name} lie one inside the other"))
        }
    }
}

fn check_network(config: &Config) -> Result<(), Wrong> {
    let advertise = &config.network.advertise;
    let is_address = advertise.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains(char::is_whitespace) && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    require(is_address, "network.advertise", || format!("{advertise:?} is not host:port"))?;
    let reachable = !advertise.starts_with("0.0.0.0:") && !advertise.starts_with("[::]:");
    require(reachable, "network.advertise", || format!("{advertise:?} is not an address that a peer can reach"))?;
    require(config.metrics.listen.ip().is_loopback(), "metrics.listen", || {
        format!("{} is not a loopback address; metrics have no authentication", config.metrics.listen)
    })?;
    require(!same_port(config.network.listen, config.metrics.listen), "metrics.listen", || {
        format!("{} is taken by network.listen", config.metrics.listen)
    })
}

/// Whether both cannot be listened on at once. Port 0 is any free one.
fn same_port(one: SocketAddr, other: SocketAddr) -> bool {
    let meet = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.port() != 0 && meet
}

fn check_log(config: &Config) -> Result<(), Wrong> {
    if let Err(error) = config.log.format.parse::<LogFormat>() {
        return Err(Wrong { key: "log.format", reason: error.to_string() });
    }
    check_filter(&config.log.filter).map_err(|error| Wrong { key: "log.filter", reason: error.to_string() })
}

fn require(condition: bool, key: &'static str, reason: impl FnOnce() -> String) -> Result<(), Wrong> {
    if condition { Ok(()) } else { Err(Wrong { key, reason: reason() }) }
}

fn outside(range: &std::ops::RangeInclusive<u32>) -> String {
    format!("it must lie between {} and {}", range.start(), range.end())
}
