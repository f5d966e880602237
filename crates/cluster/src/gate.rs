//! The layer in front of all services: finds out who calls, and refuses what no rule allows.
//!
//! TLS verifies the chain of a client certificate before any byte of a request is read; a client without a certificate
//! gets through TLS as [`Caller::Anonymous`], because joining nodes have none yet, and then only to methods that are
//! open to anyone. A certificate whose key is not the one in the node's record in Raft is refused as well, so that a
//! number that was given to another machine is of no use, and so is that of a node that has no record. A node that may
//! only be too new for this one's state is let in: it may be the leader, from which this node gets that state.

use std::fmt;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::Either;
use tonic::Status;
use tower::{Layer, Service};
use types::{ClusterId, NodeId};

use crate::{Presented, Principal, Role, RolePolicy};

/// Who calls. Services find it among the extensions of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// An admin on the node itself, through the Unix socket that only they can open.
    Local,
    /// An admin with a certificate.
    Admin {
        /// The name in the certificate.
        name: String,
    },
    /// A node of the cluster.
    Node {
        /// Its number.
        node: NodeId,
    },
    /// Somebody without a certificate.
    Anonymous,
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("an admin on this node"),
            Self::Admin { name } => write!(f, "admin {name:?}"),
            Self::Node { node } => write!(f, "node {node}"),
            Self::Anonymous => f.write_str("a caller without a certificate"),
        }
    }
}

/// Who the members are, as far as this node knows.
pub trait Membership: Send + Sync {
    /// What this node knows of another one's key.
    fn key_of(&self, node: NodeId) -> KnownKey;
}

/// What a node knows of another one's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KnownKey {
    /// The fingerprint with which it is registered.
    Registered(String),
    /// It may be registered in entries that this node has not applied yet, as when it has just joined itself.
    NotYet,
    /// It is not registered.
    None,
}

/// Through which door requests come.
#[derive(Clone)]
pub enum Door {
    /// The Unix socket of mode 0600.
    Local,
    /// The TCP port with mutual TLS.
    Network {
        /// The cluster whose certificates count.
        cluster: ClusterId,
        /// Who its nodes are.
        membership: Arc<dyn Membership>,
    },
}

/// Puts a [`GateService`] in front of services.
#[derive(Clone)]
pub struct GateLayer {
    policy: Arc<RolePolicy>,
    door: Door,
}

impl GateLayer {
    /// The gate of one door.
    #[must_use]
    pub fn new(policy: RolePolicy, door: Door) -> Self {
        Self { policy: Arc::new(policy), door }
    }

    /// The caller, if it may call the method.
    fn admit(&self, method: &str, extensions: &http::Extensions) -> Result<Caller, Status> {
        let caller = self.caller(extensions)?;
        if self.policy.allows(method, &caller) {
            return Ok(caller);
        }
        let refusal = format!("{caller} may not call {method}");
        Err(match caller {
            Caller::Anonymous => Status::unauthenticated(format!("{refusal}: present a certificate of the cluster")),
            _ => Status::permission_denied(refusal),
        })
    }

    fn caller(&self, extensions: &http::Extensions) -> Result<Caller, Status> {
        let Door::Network { cluster, membership } = &self.door else { return Ok(Caller::Local) };
        match extensions.get::<Presented>().and_then(|presented| presented.principal(*cluster)) {
            None => Ok(Caller::Anonymous),
            Some(Ok(principal)) => caller_of(principal, membership.as_ref()),
            Some(Err(reason)) => Err(Status::permission_denied(reason)),
        }
    }
}

/// The caller for whom a certificate stands, unless another key is registered for that node, or none.
fn caller_of(principal: &Principal, membership: &dyn Membership) -> Result<Caller, Status> {
    let node = match &principal.role {
        Role::Admin(name) => return Ok(Caller::Admin { name: name.clone() }),
        Role::Node(node) => *node,
    };
    match membership.key_of(node) {
        KnownKey::Registered(key) if key != principal.fingerprint.as_str() => {
            Err(Status::permission_denied(format!("node {node} is registered with another key")))
        }
        KnownKey::None => Err(Status::permission_denied(format!("node {node} is not registered in the cluster"))),
        KnownKey::Registered(_) | KnownKey::NotYet => Ok(Caller::Node { node }),
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = GateService<S>;

    fn layer(&self, inner: S) -> GateService<S> {
        GateService { gate: self.clone(), inner }
    }
}

/// A service behind the gate.
#[derive(Clone)]
pub struct GateService<S> {
    gate: GateLayer,
    inner: S,
}

impl<S, RequestBody, ResponseBody> Service<http::Request<RequestBody>> for GateService<S>
where
    S: Service<http::Request<RequestBody>, Response = http::Response<ResponseBody>>,
    ResponseBody: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    /// The service's own answer, or a refusal.
    type Future = Either<S::Future, Ready<Result<S::Response, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<RequestBody>) -> Self::Future {
        match self.gate.admit(request.uri().path(), request.extensions()) {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                Either::Left(self.inner.call(request))
            }
            Err(status) => {
                tracing::info!(method = request.uri().path(), reason = status.message(), "refused a call");
                Either::Right(ready(Ok(status.into_http())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::KeyFingerprint;

    /// One node is registered, and node 9 may be.
    struct Registered(NodeId, KeyFingerprint);

    impl Membership for Registered {
        fn key_of(&self, node: NodeId) -> KnownKey {
            match node {
                node if node == self.0 => KnownKey::Registered(self.1.as_str().to_owned()),
                NodeId(9) => KnownKey::NotYet,
                _ => KnownKey::None,
            }
        }
    }

    fn fingerprint(number: u8) -> KeyFingerprint {
        KeyFingerprint::of_public_key(&[number])
    }

    fn node(node: u64, key: u8) -> Principal {
        Principal { role: Role::Node(NodeId(node)), fingerprint: fingerprint(key) }
    }

    #[test]
    fn a_node_with_another_key_than_the_registered_one_is_refused() {
        let membership = Registered(NodeId(1), fingerprint(1));
        assert_eq!(caller_of(&node(1, 1), &membership).unwrap(), Caller::Node { node: NodeId(1) });
        assert_eq!(caller_of(&node(1, 2), &membership).unwrap_err().code(), tonic::Code::PermissionDenied);
    }

    #[test]
    fn a_node_that_is_not_registered_is_refused_unless_it_is_too_new_to_be_known() {
        let membership = Registered(NodeId(1), fingerprint(1));
        assert_eq!(caller_of(&node(2, 2), &membership).unwrap_err().code(), tonic::Code::PermissionDenied);
        assert_eq!(caller_of(&node(9, 2), &membership).unwrap(), Caller::Node { node: NodeId(9) });
    }

    async fn status_of(door: Door, path: &str) -> Option<tonic::Code> {
        let inner = tower::service_fn(|request: http::Request<()>| async move {
            assert!(request.extensions().get::<Caller>().is_some(), "the service is told who calls");
            Ok::<_, Infallible>(http::Response::new(()))
        });
        let gate = GateLayer::new(RolePolicy::of_protocol(), door).layer(inner);
        let request = http::Request::builder().uri(path).body(()).unwrap();
        let response = tower::ServiceExt::oneshot(gate, request).await.unwrap();
        Status::from_header_map(response.headers()).map(|status| status.code())
    }

    #[tokio::test]
    async fn the_network_door_is_shut_to_a_caller_without_a_certificate_except_for_joining() {
        let network = || Door::Network {
            cluster: ClusterId(uuid::Uuid::from_u128(1)),
            membership: Arc::new(Registered(NodeId(1), fingerprint(1))),
        };
        for rule in RolePolicy::rules() {
            let refused = status_of(network(), rule.method).await == Some(tonic::Code::Unauthenticated);
            assert_eq!(refused, rule.method != "/holdfast.v1.Enrolment/Join", "{}", rule.method);
        }
    }

    #[tokio::test]
    async fn the_local_door_admits_an_admin_and_no_node() {
        assert_eq!(status_of(Door::Local, "/holdfast.v1.Cluster/Initialize").await, None);
        let refused = Some(tonic::Code::PermissionDenied);
        assert_eq!(status_of(Door::Local, "/holdfast.v1.Raft/Exchange").await, refused);
        assert_eq!(status_of(Door::Local, "/holdfast.v1.Unheard/Of").await, refused);
    }
}
