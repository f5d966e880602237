//! Targets that read files: the configuration of a node, and what it keeps beside its data.

use std::path::PathBuf;
use std::sync::LazyLock;

use cluster::{IdentityFile, Keystore, TokenBook};
use runtime::Files;
use tempfile::TempDir;

use crate::samples;
use crate::targets::folder;

/// One folder for all runs of a target in this process; runs do not overlap.
static FOLDER: LazyLock<TempDir> = LazyLock::new(folder);

/// The configuration of a node.
pub(crate) fn configuration(bytes: &[u8]) {
    let path = with_file("holdfast.toml", bytes);
    let _ = node::Config::read(&Files::real(), &path);
}

pub(crate) fn configurations() -> Vec<Vec<u8>> {
    let text = r#"
        data = "/var/lib/holdfast"
        volumes = ["/srv/disk-1", "/srv/disk-2"]
        [network]
        listen = "10.0.0.1:7400"
        advertise = "node-1:7400"
        [admin]
        socket = "/run/holdfast/admin.sock"
        [blocks]
        reserve_mib = 2048
        [log]
        format = "json"
        filter = "info"
    "#;
    vec![text.as_bytes().to_vec()]
}

/// What a node keeps beside its data. The first byte says which file it is.
pub(crate) fn kept(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let files = Files::real();
    match kind {
        0 => {
            with_file(cluster_file::IDENTITY, bytes);
            let identities = IdentityFile::new(files, FOLDER.path().to_owned());
            if let Ok(Some(identity)) = identities.read() {
                identities.write(&identity).expect("a folder of ours");
                assert_eq!(identities.read().ok(), Some(Some(identity)), "an identity comes back as it was");
            }
        }
        1 => drop(TokenBook::open(files, with_file("tokens", bytes))),
        2 => drop(keystore(cluster_file::GEAR_SEED, bytes).gear_seed()),
        3 => drop(keystore(&cluster_file::repository_keys(), bytes).repository(samples::repository())),
        _ => drop(keystore(cluster_file::AUTHORITY, bytes).authority_certificate()),
    }
}

/// One of each.
pub(crate) fn kept_examples() -> Vec<Vec<u8>> {
    let (files, folder) = (Files::real(), folder());
    let (path, now) = (folder.path(), types::Timestamp::default());
    let authority = cluster::Authority::create(samples::cluster(), now).expect("an authority");
    let volumes = vec![types::VolumeId(uuid::Uuid::from_u128(21))];
    let identity = cluster::Identity::joining(samples::cluster(), types::NodeId(3), 3, volumes).into_member();
    IdentityFile::new(files.clone(), path.to_owned()).write(&identity).expect("a folder of ours");
    let mut book = TokenBook::open(files.clone(), path.join("tokens")).expect("a new book");
    let expiry = cluster::Expiry { now, lifetime: std::time::Duration::from_secs(600) };
    let (address, seed) = ("node-1:7400".to_owned(), runtime::Seed::fixed(5));
    book.issue(samples::cluster(), address, authority.certificate(), expiry, &seed).expect("a first token");
    let keystore = Keystore::open(files.clone(), path.to_owned()).expect("a folder of ours");
    keystore.put_gear_seed(&cluster::Secret::new([7; 8])).expect("a folder of ours");
    let keys = cluster::RepositoryKeys::new([3; 96]);
    keystore.put_repository(samples::repository(), &keys).expect("a folder of ours");
    keystore.put_authority_certificate(authority.certificate()).expect("a folder of ours");

    let repository = cluster_file::repository_keys();
    let names = [cluster_file::IDENTITY, "tokens", cluster_file::GEAR_SEED, &repository, cluster_file::AUTHORITY];
    let read = |name: &str| files.read(&path.join(name)).expect("it was just written");
    (0_u8..).zip(names).map(|(kind, name)| [&[kind], &read(name)[..]].concat()).collect()
}

/// The files of crate `cluster`, by their names in a folder.
mod cluster_file {
    pub(super) const IDENTITY: &str = "identity.toml";
    pub(super) const GEAR_SEED: &str = "gear.seed";
    pub(super) const AUTHORITY: &str = "authority.crt";

    pub(super) fn repository_keys() -> String {
        format!("repository-{}.keys", crate::samples::repository())
    }
}

fn keystore(name: &str, bytes: &[u8]) -> Keystore {
    let path = with_file(name, bytes);
    Files::real().set_mode(&path, 0o600).expect("a file of ours");
    Keystore::open(Files::real(), FOLDER.path().to_owned()).expect("a folder of ours")
}

/// Writes a file; nobody waits for it to be on the medium.
fn with_file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = FOLDER.path().join(name);
    let file = Files::real().open_write(&path).expect("a folder of ours");
    file.set_len(0).and_then(|()| file.write_all_at(0, bytes)).expect("a file of ours");
    path
}
