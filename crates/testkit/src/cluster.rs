//! Clusters of real `holdfastd` processes on loopback.
//!
//! A cluster lives in a folder of its own under the system's temporary folder: one folder per node with configuration,
//! data, volume, admin socket and log. Ports are picked below the range from which the kernel gives ports to clients.
//! Everything that was started is killed when the [`Cluster`] is dropped, and when a test fails, the ends of the logs
//! are printed.
//!
//! Waiting is for a condition, with a deadline, and never for a length of time.

mod cli;
mod daemon;
mod error;
mod folder;
mod ports;
mod processes;
mod programs;
mod wait;

pub use cli::{Cli, Output};
pub use daemon::Daemon;
pub use error::ClusterError;
pub use ports::free_ports;
pub use processes::Cluster;
pub use programs::Programs;
pub use wait::wait_for;
