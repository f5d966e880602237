//! Shared secrets between nodes.

use tonic::{Request, Response, Status};
use wire::v1;
use wire::v1::keys_server::Keys;

use super::{calling_node, service};
use crate::NodeError;
use crate::keyring::{self, SharedSecret};
use runtime::blocking;

service! {
    /// Shared secrets between nodes.
    KeysService
}

#[tonic::async_trait]
impl Keys for KeysService {
    async fn install(
        &self,
        request: Request<v1::InstallKeysRequest>,
    ) -> Result<Response<v1::InstallKeysResponse>, Status> {
        calling_node(&request)?;
        keyring::install(self.daemon.member()?, request.into_inner().secrets).await?;
        Ok(Response::new(v1::InstallKeysResponse {}))
    }

    async fn fetch(&self, request: Request<v1::FetchKeysRequest>) -> Result<Response<v1::FetchKeysResponse>, Status> {
        let caller = calling_node(&request)?;
        let secrets = keyring::give(self.daemon.member()?, caller, request.into_inner().names).await?;
        Ok(Response::new(v1::FetchKeysResponse { secrets }))
    }

    async fn list(&self, request: Request<v1::ListKeysRequest>) -> Result<Response<v1::ListKeysResponse>, Status> {
        calling_node(&request)?;
        let keystore = self.daemon.member()?.keystore.clone();
        let keys = blocking(move || {
            let mut keys = Vec::new();
            for repository in keystore.repositories()? {
                let name = SharedSecret::Repository(repository).to_string();
                let held =
                    keystore.repository(repository)?.and_then(|keys| repo::WriterKeys::from_bytes(keys.expose()));
                keys.extend(
                    held.map(|held| v1::KeyFingerprint { name, fingerprint: held.fingerprint().to_vec().into() }),
                );
            }
            Ok::<_, NodeError>(keys)
        });
        Ok(Response::new(v1::ListKeysResponse { keys: keys.await? }))
    }
}
