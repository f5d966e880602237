//! Who belongs to the cluster: its certificate authority, the identity and the keys of a node, joining, and which role
//! may call which method.
//!
//! - [`Authority`] signs; [`Credentials`] are what a node or an admin presents; [`Principal`] is what a certificate says
//!   once TLS has verified it (rule P33).
//! - [`Token`] and [`TokenBook`] let a node in exactly once; [`fetch_authority`] finds the cluster behind a token's
//!   address without trusting anything but the token.
//! - [`Keystore`] holds what must never reach Raft, a log or a metric (rule P32).
//! - [`Identity`] says which node a data folder is (rule P6).
//! - [`Reception`] ends handshakes that do not end themselves, and tells strangers from those with a certificate.
//! - [`RolePolicy`] and [`GateLayer`] refuse every call that no rule allows.
//!
//! It knows nothing of Raft or of blocks, so that the security of the door can be read on its own.

mod formats;
mod gate;
mod identity;
mod keystore;
mod pinned;
mod pki;
mod presented;
mod reception;
mod role_policy;
mod secret;
mod token;
mod token_book;

pub use formats::FORMATS;
pub use gate::{Caller, Door, GateLayer, GateService, KnownKey, Membership};
pub use identity::{Identity, IdentityError, IdentityFile, MembershipState};
pub use keystore::{Keystore, KeystoreError, RepositoryKeys};
pub use pinned::{PinnedError, fetch_authority};
pub use pki::{
    Authority, AuthorityCertificate, Credentials, KeyFingerprint, NodeKey, PkiError, Principal, Role, cluster_name,
    node_name,
};
pub use presented::Presented;
pub use reception::{Arrival, Arrivals, Reception, ReceptionLimits};
pub use role_policy::{Access, RolePolicy, Rule};
pub use secret::{Secret, SecretText};
pub use token::{Token, TokenError};
pub use token_book::{Expiry, TokenBook, TokenBookError};
