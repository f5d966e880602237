//! Ports on loopback.

use std::net::{Ipv4Addr, TcpListener};

use runtime::Seed;

use super::ClusterError;

/// Below the range from which Linux gives ports to outgoing connections (32768 and up), so that none of those takes a
/// port between our look and its use by a daemon.
const LOWEST: u64 = 20_000;
const COUNT: u64 = 12_000;
const TRIES_MAX: u32 = 1000;

/// As many ports as asked for, all different, none in use.
///
/// # Errors
///
/// [`ClusterError::NoPort`] when the machine has not as many.
pub fn free_ports(count: usize) -> Result<Vec<u16>, ClusterError> {
    let seed = Seed::from_os();
    // Held until all are found, so that none is found twice.
    let mut held = Vec::new();
    let mut ports = Vec::new();
    for _ in 0..TRIES_MAX {
        if ports.len() == count {
            return Ok(ports);
        }
        let port = u16::try_from(LOWEST + seed.below(COUNT)).unwrap_or_default();
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            held.push(listener);
            ports.push(port);
        }
    }
    Err(ClusterError::NoPort { tries: TRIES_MAX })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ports_are_free_and_different() {
        let ports = free_ports(20).unwrap();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 20);
        let _all: Vec<TcpListener> =
            ports.iter().map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).unwrap()).collect();
    }
}
