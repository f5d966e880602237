//! Keys in an etcd cluster.
//!
//! Two messages of etcd's API are all that is needed, so they stand here: `PutRequest` and `PutResponse` of
//! `etcdserverpb`, <https://etcd.io/docs/v3.4/dev-guide/api_reference_v3/>.

use anyhow::{Context, Result};
use bytes::Bytes;
use http::uri::PathAndQuery;
use runtime::Seed;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use crate::load::Writer;

#[derive(Clone, PartialEq, prost::Message)]
struct PutRequest {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

/// Its header is of no use here.
#[derive(Clone, PartialEq, prost::Message)]
struct PutResponse {}

/// A client that puts keys of its own.
pub struct KeyWriter {
    grpc: Grpc<Channel>,
    prefix: String,
    value: Bytes,
}

/// Connects clients, each with keys of its own that were never used before.
pub async fn writers(endpoints: &[String], clients: usize, value: &Bytes, seed: &Seed) -> Result<Vec<KeyWriter>> {
    let run = seed.uuid();
    let mut writers = Vec::with_capacity(clients);
    for (number, endpoint) in (0..clients).zip(endpoints.iter().cycle()) {
        let channel = Endpoint::from_shared(endpoint.clone())
            .with_context(|| format!("{endpoint} is not http://host:port"))?
            .connect()
            .await
            .with_context(|| format!("connect to {endpoint}"))?;
        writers.push(KeyWriter { grpc: Grpc::new(channel), prefix: format!("{run}/{number}/"), value: value.clone() });
    }
    Ok(writers)
}

impl Writer for KeyWriter {
    async fn write(&mut self, number: u64) -> Result<()> {
        let key = Bytes::from(format!("{}{number}", self.prefix));
        let request = tonic::Request::new(PutRequest { key, value: self.value.clone() });
        self.grpc.ready().await.context("wait for the channel to etcd")?;
        let path = PathAndQuery::from_static("/etcdserverpb.KV/Put");
        let codec: ProstCodec<PutRequest, PutResponse> = ProstCodec::default();
        self.grpc.unary(request, path, codec).await.context("put a key into etcd")?;
        Ok(())
    }
}
