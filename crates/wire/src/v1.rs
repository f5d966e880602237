//! The generated messages, clients and servers of package `holdfast.v1`; `/proto` documents them.
#![allow(
    missing_docs,
    unused_qualifications,
    clippy::large_futures,
    clippy::too_many_lines,
    clippy::wildcard_imports,
    reason = "the code is generated"
)]

tonic::include_proto!("holdfast.v1");
