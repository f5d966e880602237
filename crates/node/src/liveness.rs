//! Which nodes are there, as far as this one can tell.
//!
//! Every node tells every other one each second where it is, and takes the answer for a sign of life. A node that was not
//! heard for [`SILENCE`] counts as gone; one that was never heard gets as long from the start of this process. It decides nothing by itself: whoever
//! acts on it is fenced by Raft.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::future::join_all;
use runtime::Clock;
use tokio::time::Instant;
use types::{Node, NodeId};
use wire::v1;

use crate::member::Member;
use crate::peers::Traffic;

/// Between two questions.
const PERIOD: Duration = Duration::from_secs(1);
/// Several questions in a row went unanswered.
const SILENCE: Duration = Duration::from_secs(5);

/// When each node was last heard.
#[derive(Clone, Debug)]
pub struct Liveness {
    clock: Clock,
    began: Instant,
    heard: Arc<RwLock<BTreeMap<NodeId, Instant>>>,
}

impl Liveness {
    /// Nobody was heard yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { began: clock.now(), clock, heard: Arc::default() }
    }

    /// Notes a sign of life.
    pub fn hear(&self, node: NodeId) {
        self.heard.write().unwrap_or_else(PoisonError::into_inner).insert(node, self.clock.now());
    }

    /// Whether the node was heard not long ago.
    #[must_use]
    pub fn is_alive(&self, node: NodeId) -> bool {
        let heard = self.heard.read().unwrap_or_else(PoisonError::into_inner).get(&node).copied();
        self.clock.now().duration_since(heard.unwrap_or(self.began)) < SILENCE
    }
}

/// Asks until the member stops.
pub async fn run(member: Arc<Member>) {
    let shutdown = member.front.shutdown();
    while !shutdown.is_cancelled() {
        let peers = member.registry.nodes().into_iter().filter(|node| node.id != member.node());
        let asked = join_all(peers.map(|peer| ask(&member, peer)));
        shutdown.unless_cancelled(asked).await;
        shutdown.unless_cancelled(member.platform.clock.sleep(PERIOD)).await;
    }
}

async fn ask(member: &Member, peer: Node) {
    let Ok(connection) = member.peers.channel(peer.id, &peer.address, Traffic::Urgent) else { return };
    let mut client = connection.cluster();
    let asked = client.announce(v1::AnnounceRequest { address: member.config.network.advertise.clone() });
    if let Ok(Ok(_)) = member.platform.clock.timeout(PERIOD, asked).await {
        member.liveness.hear(peer.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_node_is_gone_after_some_seconds_of_silence_and_back_with_a_sign() {
        let clock = Clock::real();
        let liveness = Liveness::new(clock.clone());
        assert!(liveness.is_alive(NodeId(2)), "it gets time to be heard at all");
        clock.sleep(SILENCE).await;
        assert!(!liveness.is_alive(NodeId(2)));
        liveness.hear(NodeId(2));
        assert!(liveness.is_alive(NodeId(2)));
        assert!(!liveness.is_alive(NodeId(3)));
    }
}
