//! A channel to one peer, and the clients of its services.

use tonic::transport::Channel;

use crate::request_id::{NamingChannel, naming};
use crate::v1;

/// The longest message in either direction: Raft sends several entries of its log at once.
pub const MESSAGE_LENGTH_MAX: usize = 64 << 20;
/// The longest request that carries blocks or changes: a batch of blocks has 8 MiB and at most one block more, and an
/// entry of the log has 8 MiB.
pub const BULK_LENGTH_MAX: usize = 16 << 20;
/// The longest request of every other kind: a thousand names of a path have 256 KiB.
pub const REQUEST_LENGTH_MAX: usize = 1 << 20;

/// A channel to one peer; clones share it.
#[derive(Clone, Debug)]
pub struct Connection {
    channel: NamingChannel,
}

macro_rules! clients {
    ($($(#[$doc:meta])* $name:ident: $module:ident::$client:ident),+ $(,)?) => {
        impl Connection {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(&self) -> v1::$module::$client<NamingChannel> {
                    v1::$module::$client::new(self.channel.clone())
                        .max_decoding_message_size(MESSAGE_LENGTH_MAX)
                        .max_encoding_message_size(MESSAGE_LENGTH_MAX)
                }
            )+
        }
    };
}

clients! {
    /// A client of the service Enrolment.
    enrolment: enrolment_client::EnrolmentClient,
    /// A client of the service Cluster.
    cluster: cluster_client::ClusterClient,
    /// A client of the service Namespace.
    namespace: namespace_client::NamespaceClient,
    /// A client of the service Blocks.
    blocks: blocks_client::BlocksClient,
    /// A client of the service Snapshots.
    snapshots: snapshots_client::SnapshotsClient,
    /// A client of the service Sites.
    sites: sites_client::SitesClient,
    /// A client of the service Policies.
    policies: policies_client::PoliciesClient,
    /// A client of the service Quotas.
    quotas: quotas_client::QuotasClient,
    /// A client of the service Backups.
    backups: backups_client::BackupsClient,
    /// A client of the service Raft.
    raft: raft_client::RaftClient,
    /// A client of the service Work.
    work: work_client::WorkClient,
    /// A client of the service Keys.
    keys: keys_client::KeysClient,
}

impl Connection {
    pub(crate) fn new(channel: Channel) -> Self {
        Self { channel: naming(channel) }
    }
}
