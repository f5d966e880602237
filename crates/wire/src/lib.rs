//! What goes over the wire: the messages of `/proto`, their conversions, errors, and channels between processes.
//!
//! **Relies on** HTTP/2 over mutual TLS (rustls with ring, rule P33), or over a Unix socket of mode 0600 on the node
//! itself. **Checks** every message that comes in: conversion to the crate `types` is a `TryFrom` that names the field
//! which is missing or out of range; nothing from outside panics (law 11). **Bounds**: a message is at most
//! [`MESSAGE_LENGTH_MAX`] long in both directions, most requests far less; a call lasts at most [`REQUEST_TIMEOUT_MAX`],
//! and a peer that does not answer to HTTP/2 pings is given up.

mod connection;
mod convert;
mod endpoint;
mod failure;
mod identity;
mod invalid;
mod pool;
mod request_id;
pub mod v1;

pub use connection::{BULK_LENGTH_MAX, Connection, MESSAGE_LENGTH_MAX, REQUEST_LENGTH_MAX};
pub use convert::Numbered;
pub use endpoint::{ConnectError, Endpoint, REQUEST_TIMEOUT_MAX};
pub use failure::{Failure, code};
pub use identity::{Authority, ClientTls, Identity, install_crypto_provider};
pub use invalid::{InvalidMessage, each, time};
pub use pool::ChannelPool;
pub use request_id::{HEADER as REQUEST_HEADER, NamingChannel, RequestId};
