//! The services of the protocol, one file each. They translate and decide nothing: who may call is the gate's business
//! (crate `cluster`), what an operation does is the state machine's.

mod backups;
mod blocks;
mod cluster;
pub mod enrolment;
mod keys;
mod namespace;
mod policies;
mod quotas;
mod raft;
mod sites;
mod snapshots;
pub mod survey;
mod work;

pub use backups::BackupsService;
pub use blocks::BlocksService;
pub use cluster::ClusterService;
pub use enrolment::EnrolmentService;
pub use keys::KeysService;
pub use namespace::NamespaceService;
pub use policies::PoliciesService;
pub use quotas::QuotasService;
pub use raft::RaftService;
pub use sites::SitesService;
pub use snapshots::SnapshotsService;
pub use work::WorkService;

use ::cluster::Caller;
use tonic::Request;
use types::ErrorKind;
use wire::Failure;

/// Makes the struct of a service: all it has is the daemon.
macro_rules! service {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name {
            daemon: std::sync::Arc<crate::Daemon>,
        }

        impl $name {
            /// The service of a daemon.
            #[must_use]
            pub const fn new(daemon: std::sync::Arc<crate::Daemon>) -> Self {
                Self { daemon }
            }
        }
    };
}
use service;

/// The node that calls; the gate lets nobody else through to the methods that ask.
fn calling_node<T>(request: &Request<T>) -> Result<types::NodeId, Failure> {
    match request.extensions().get::<Caller>() {
        Some(Caller::Node { node }) => Ok(*node),
        _ => Err(Failure::new(ErrorKind::Denied, "not_a_node", "this method is for nodes alone")),
    }
}

/// Whether a node calls, so that a question to all nodes is not passed on in circles.
fn is_from_node<T>(request: &Request<T>) -> bool {
    matches!(request.extensions().get::<Caller>(), Some(Caller::Node { .. }))
}

/// A request asks for more than a call gives.
fn too_many(field: &'static str, value: usize) -> wire::InvalidMessage {
    wire::InvalidMessage::Range { field, value: value as u64 }
}
