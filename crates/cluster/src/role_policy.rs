//! Which role may call which method.
//!
//! The table names every method of the protocol. A method without a rule is refused to everybody, and a test walks the
//! protocol's own description, so that a method cannot be added without a decision about its callers.

use std::collections::HashMap;

use crate::Caller;

/// Who may call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a certificate: the caller proves itself in the request.
    Anyone,
    /// An admin on the node itself, through its Unix socket.
    Local,
    /// An admin, with a certificate or on the node itself.
    Admin,
    /// A node of the cluster.
    Node,
    /// A node or an admin.
    Member,
}

/// One method and its callers.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The path of the method as it stands in the request: `/package.Service/Method`.
    pub method: &'static str,
    /// Who may call it.
    pub access: Access,
}

const fn rule(method: &'static str, access: Access) -> Rule {
    Rule { method, access }
}

/// Every method of the protocol.
const RULES: &[Rule] = &[
    rule("/holdfast.v1.Enrolment/Join", Access::Anyone),
    rule("/holdfast.v1.Cluster/Initialize", Access::Local),
    rule("/holdfast.v1.Cluster/CreateTokens", Access::Admin),
    rule("/holdfast.v1.Cluster/Join", Access::Local),
    rule("/holdfast.v1.Cluster/Status", Access::Member),
    rule("/holdfast.v1.Cluster/AcceptTime", Access::Admin),
    rule("/holdfast.v1.Cluster/Announce", Access::Node),
    rule("/holdfast.v1.Namespace/OpenSession", Access::Member),
    rule("/holdfast.v1.Namespace/CloseSession", Access::Member),
    rule("/holdfast.v1.Namespace/RaiseBlockMark", Access::Member),
    rule("/holdfast.v1.Namespace/Execute", Access::Member),
    rule("/holdfast.v1.Namespace/Lookup", Access::Member),
    rule("/holdfast.v1.Namespace/Describe", Access::Member),
    rule("/holdfast.v1.Namespace/ReadDirectory", Access::Member),
    rule("/holdfast.v1.Namespace/ReadRuns", Access::Member),
    rule("/holdfast.v1.Namespace/SeekFile", Access::Member),
    rule("/holdfast.v1.Namespace/TestLock", Access::Member),
    rule("/holdfast.v1.Namespace/ListLocks", Access::Member),
    rule("/holdfast.v1.Namespace/ListLinks", Access::Member),
    rule("/holdfast.v1.Namespace/StatFs", Access::Member),
    rule("/holdfast.v1.Namespace/PlacementGroups", Access::Member),
    rule("/holdfast.v1.Blocks/Replicate", Access::Member),
    rule("/holdfast.v1.Blocks/Fetch", Access::Member),
    rule("/holdfast.v1.Blocks/Put", Access::Node),
    rule("/holdfast.v1.Blocks/Get", Access::Node),
    rule("/holdfast.v1.Snapshots/Create", Access::Admin),
    rule("/holdfast.v1.Snapshots/List", Access::Admin),
    rule("/holdfast.v1.Snapshots/Delete", Access::Admin),
    rule("/holdfast.v1.Sites/Add", Access::Admin),
    rule("/holdfast.v1.Sites/List", Access::Admin),
    rule("/holdfast.v1.Sites/Remove", Access::Admin),
    rule("/holdfast.v1.Sites/Test", Access::Member),
    rule("/holdfast.v1.Sites/KitExported", Access::Admin),
    rule("/holdfast.v1.Policies/Create", Access::Admin),
    rule("/holdfast.v1.Policies/List", Access::Admin),
    rule("/holdfast.v1.Policies/Delete", Access::Admin),
    rule("/holdfast.v1.Quotas/Set", Access::Admin),
    rule("/holdfast.v1.Quotas/Show", Access::Admin),
    rule("/holdfast.v1.Quotas/List", Access::Admin),
    rule("/holdfast.v1.Quotas/Remove", Access::Admin),
    rule("/holdfast.v1.Backups/Run", Access::Admin),
    rule("/holdfast.v1.Backups/Watch", Access::Admin),
    rule("/holdfast.v1.Backups/List", Access::Admin),
    rule("/holdfast.v1.Backups/Cancel", Access::Admin),
    rule("/holdfast.v1.Raft/Exchange", Access::Node),
    rule("/holdfast.v1.Work/Pull", Access::Node),
    rule("/holdfast.v1.Work/Report", Access::Node),
    rule("/holdfast.v1.Keys/Install", Access::Node),
    rule("/holdfast.v1.Keys/Fetch", Access::Node),
    rule("/holdfast.v1.Keys/List", Access::Node),
];

/// The rules, by method.
#[derive(Clone, Debug)]
pub struct RolePolicy {
    rules: HashMap<&'static str, Access>,
}

impl RolePolicy {
    /// The policy of the protocol.
    #[must_use]
    pub fn of_protocol() -> Self {
        Self { rules: RULES.iter().map(|rule| (rule.method, rule.access)).collect() }
    }

    /// Every rule, in the order of the table.
    pub fn rules() -> impl Iterator<Item = &'static Rule> {
        RULES.iter()
    }

    /// Whether the caller may call the method; what no rule allows is refused.
    #[must_use]
    pub fn allows(&self, method: &str, caller: &Caller) -> bool {
        self.rules.get(method).is_some_and(|access| access.admits(caller))
    }
}

impl Access {
    /// Whether it takes in the caller. An admin on the node itself is an admin.
    #[must_use]
    pub const fn admits(self, caller: &Caller) -> bool {
        match self {
            Self::Anyone => true,
            Self::Local => matches!(caller, Caller::Local),
            Self::Admin => matches!(caller, Caller::Local | Caller::Admin { .. }),
            Self::Node => matches!(caller, Caller::Node { .. }),
            Self::Member => !matches!(caller, Caller::Anonymous),
        }
    }
}
