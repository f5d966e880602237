//! What the types of a configuration cannot say.

use std::path::Path;

use runtime::telemetry::{LogFormat, check_filter};

use super::Config;

/// A value that cannot be used.
pub struct Wrong {
    pub key: &'static str,
    pub reason: String,
}

/// `sun_path` of a Unix socket holds 108 bytes with its closing zero (`unix(7)`).
const SOCKET_PATH_MAX: usize = 107;
/// More volumes than any machine has disks.
const VOLUMES_MAX: usize = 64;
/// Object stores take at most 5 GiB in one request; far below it, an object must be sent again as a whole.
const OBJECT_MIB: std::ops::RangeInclusive<u32> = 1..=1024;

/// Finds the first value that cannot be used.
pub fn check(config: &Config) -> Result<(), Wrong> {
    check_volumes(config)?;
    check_network(config)?;
    check_log(config)?;
    let length = config.admin.socket.as_os_str().len();
    require(length <= SOCKET_PATH_MAX, "admin.socket", || {
        format!(
            "{} is {length} bytes long; a socket's path has at most {SOCKET_PATH_MAX}",
            config.admin.socket.display()
        )
    })?;
    require(OBJECT_MIB.contains(&config.backup.object_mib), "backup.object_mib", || outside(&OBJECT_MIB))
}

fn check_volumes(config: &Config) -> Result<(), Wrong> {
    let count = config.volumes.len();
    require((1..=VOLUMES_MAX).contains(&count), "volumes", || {
        format!("{count} folders are named; a node has 1 to {VOLUMES_MAX}")
    })?;
    require(config.blocks.capacity_mib != Some(0), "blocks.capacity_mib", || "a volume needs room".to_owned())?;
    for (index, volume) in config.volumes.iter().enumerate() {
        let twice = config.volumes.iter().skip(index + 1).any(|other| other == volume);
        require(!twice, "volumes", || format!("{} is named twice", volume.display()))?;
        require(volume != &config.data, "volumes", || format!("{} is the data folder", volume.display()))?;
    }
    Ok(())
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
    })
}

fn check_log(config: &Config) -> Result<(), Wrong> {
    if let Err(error) = config.log.format.parse::<LogFormat>() {
        return Err(Wrong { key: "log.format", reason: error.to_string() });
    }
    check_filter(&config.log.filter).map_err(|error| Wrong { key: "log.filter", reason: error.to_string() })?;
    require(config.data.as_path() != Path::new(""), "data", || "it is empty".to_owned())
}

fn require(condition: bool, key: &'static str, reason: impl FnOnce() -> String) -> Result<(), Wrong> {
    if condition { Ok(()) } else { Err(Wrong { key, reason: reason() }) }
}

fn outside(range: &std::ops::RangeInclusive<u32>) -> String {
    format!("it must lie between {} and {}", range.start(), range.end())
}
