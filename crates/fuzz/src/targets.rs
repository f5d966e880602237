//! The targets.

use bytes::Bytes;
use prost::Message;
use runtime::Seed;
use tempfile::TempDir;
use types::{Change, Content, Extent, NewExtent, Outcome};
use wire::v1;

use crate::{node_files, samples};

/// Something that reads bytes from outside.
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// Reads any bytes.
    pub run: fn(&[u8]),
    /// Real encodings.
    pub examples: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "namespace-row", run: namespace::decoders::row, examples: namespace_rows },
    Target {
        name: "log-segment",
        run: consensus::decoders::segment,
        examples: || vec![consensus::decoders::segment_example()],
    },
    Target {
        name: "log-files",
        run: consensus::decoders::small_files,
        examples: consensus::decoders::small_file_examples,
    },
    Target {
        name: "log-payload",
        run: consensus::decoders::payload,
        examples: || vec![consensus::decoders::payload_example(&samples::batch())],
    },
    Target {
        name: "log-position",
        run: consensus::decoders::position,
        examples: consensus::decoders::position_examples,
    },
    Target {
        name: "raft-message",
        run: consensus::decoders::message,
        examples: || consensus::decoders::message_examples(&samples::batch()),
    },
    Target { name: "wire-change", run: wire_change, examples: wire_changes },
    Target { name: "wire-record", run: wire_record, examples: wire_records },
    Target { name: "block", run: block_form, examples: blocks },
    Target {
        name: "volume-record",
        run: blockstore::decoders::record,
        examples: blockstore::decoders::record_examples,
    },
    Target {
        name: "volume-segment",
        run: blockstore::decoders::segment,
        examples: blockstore::decoders::segment_examples,
    },
    Target {
        name: "volume-index",
        run: blockstore::decoders::index_value,
        examples: blockstore::decoders::index_value_examples,
    },
    Target { name: "object-trailer", run: repo::decoders::trailer, examples: trailers },
    Target { name: "object-footer", run: repo::decoders::footer, examples: repo::decoders::footer_examples },
    Target { name: "repository-commit", run: repo::decoders::commit, examples: commits },
    Target { name: "run", run: repo::decoders::run, examples: repo::decoders::run_examples },
    Target { name: "run-part", run: repo::decoders::run_part, examples: repo::decoders::run_part_examples },
    Target { name: "repository-json", run: repository_json, examples: repository_jsons },
    Target { name: "texts", run: texts, examples: text_examples },
    Target { name: "paths", run: paths, examples: path_examples },
    Target { name: "certificates", run: certificates, examples: certificate_examples },
    Target { name: "configuration", run: node_files::configuration, examples: node_files::configurations },
    Target { name: "node-files", run: node_files::kept, examples: node_files::kept_examples },
];

fn namespace_rows() -> Vec<Vec<u8>> {
    let folder = folder();
    namespace::decoders::row_examples(&folder.path().join("state"), &samples::batch()).expect("a new store works")
}

/// Reads a message, and checks that what it means comes back as it was.
fn message<M, T>(bytes: &[u8])
where
    M: Message + Default + TryFrom<T, Error: std::fmt::Debug>,
    T: TryFrom<M> + Clone + PartialEq + std::fmt::Debug,
{
    let Some(meaning) = M::decode(bytes).ok().and_then(|message| T::try_from(message).ok()) else { return };
    let message = M::try_from(meaning.clone()).expect("what was read can be said");
    let again = M::decode(&message.encode_to_vec()[..]).ok().and_then(|message| T::try_from(message).ok());
    assert_eq!(again, Some(meaning), "it comes back as it was");
}

fn wire_change(bytes: &[u8]) {
    message::<v1::Change, Change>(bytes);
}

fn wire_changes() -> Vec<Vec<u8>> {
    let changes = samples::changes().into_iter().filter_map(|change| v1::Change::try_from(change).ok());
    changes.map(|change| change.encode_to_vec()).collect()
}

/// Every other message that is converted: it begins with what it is.
fn wire_record(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind {
        0 => message::<v1::Outcome, Outcome>(bytes),
        1 => message::<v1::Content, Content>(bytes),
        2 => message::<v1::Extent, Extent>(bytes),
        3 => message::<v1::NewExtent, NewExtent>(bytes),
        4 => message::<v1::Attributes, types::Attributes>(bytes),
        5 => message::<v1::Node, types::Node>(bytes),
        6 => message::<v1::PlacementGroup, types::PlacementGroup>(bytes),
        7 => message::<v1::Site, types::Site>(bytes),
        8 => message::<v1::Job, types::Job>(bytes),
        9 => message::<v1::ObjectReport, types::ObjectReport>(bytes),
        _ => message::<v1::Snapshot, types::Snapshot>(bytes),
    }
}

/// The outcomes of real operations, and the records in them.
fn wire_records() -> Vec<Vec<u8>> {
    let folder = folder();
    let store = namespace::Store::open(folder.path().join("state")).expect("a new store works");
    let mut examples = Vec::new();
    for (index, request) in (1..).zip(samples::batch().requests) {
        let batch = Some(types::Batch { proposed_at: samples::batch().proposed_at, requests: vec![request] });
        let entry = namespace::Entry { index, position: Bytes::new(), membership: None, batch };
        let results = store.apply(&[entry]).expect("a new store works").into_iter().flatten();
        for outcome in results.flatten() {
            let (kind, record) = match outcome.clone() {
                Outcome::Inode(attributes) => (4, v1::Attributes::from(attributes).encode_to_vec()),
                Outcome::Node(node) => (5, v1::Node::from(node).encode_to_vec()),
                Outcome::Site(site) => (7, v1::Site::from(site).encode_to_vec()),
                Outcome::Job(job) => (8, v1::Job::from(job).encode_to_vec()),
                Outcome::Snapshot(snapshot) => (10, v1::Snapshot::from(snapshot).encode_to_vec()),
                _ => (11, Vec::new()),
            };
            examples.push([&[kind], &record[..]].concat());
            let outcome = v1::Outcome::try_from(outcome).map(|outcome| outcome.encode_to_vec());
            examples.push([&[0], &outcome.unwrap_or_default()[..]].concat());
        }
    }
    examples
}

/// The stored form of a block: two numbers say which range of it is read.
fn block_form(bytes: &[u8]) {
    let Some(([a, b, c, d, e, f, g, h], stored)) = bytes.split_first_chunk::<8>() else { return };
    let (offset, length) = (u32::from_be_bytes([*a, *b, *c, *d]), u32::from_be_bytes([*e, *f, *g, *h]));
    let _ = block::check(stored);
    if let Ok(plain_length) = block::plain_length(stored) {
        assert!(plain_length <= types::BLOCK_LENGTH_MAX);
    }
    let _ = block::decode(stored, &types::Digest::default());
    if let Ok(range) = block::decode_range(stored, offset, length) {
        assert_eq!(range.len(), length as usize);
    }
    if let Ok(table) = block::FrameTable::parse(stored) {
        let _ = table.stored_range(offset, length);
    }
}

fn blocks() -> Vec<Vec<u8>> {
    let noise: [u8; 300] = Seed::fixed(1).bytes();
    let plains = [b"one line\n".to_vec(), noise.to_vec(), b"many lines\n".repeat(20_000), Vec::new()];
    let stored = plains.iter().filter_map(|plain| block::encode(plain).ok()).map(|encoded| encoded.stored);
    let range = [&5_u32.to_be_bytes()[..], &3_u32.to_be_bytes()].concat();
    stored.map(|stored| [&range[..], &stored].concat()).collect()
}

/// The trailer of an upload object with its length before it.
fn trailers() -> Vec<Vec<u8>> {
    let options = repo::ObjectOptions { capacity: 1 << 20, bundle_length: 1 << 16 };
    let object = repo::ObjectWriter::new(writer(), samples::repository(), &writer_keys(), &Seed::fixed(2), options);
    let mut object = object.expect("keys that fit");
    object.add_inline(b"some bytes").expect("room");
    vec![repo::decoders::trailer_example(&object.finish().expect("room").bytes)]
}

fn commits() -> Vec<Vec<u8>> {
    let writer = writer();
    let commit = repo::Commit {
        repository: samples::repository(),
        number: 3,
        writer,
        parent: Some(repo::ParentReference { number: 2, writer, hash: [4; 32] }),
        set: types::SetId(5),
        policy: "home".to_owned(),
        definition_hash: [1; 32],
        roots: vec![repo::RootRecord { lin: types::Lin::ROOT, path: "/home".into() }],
        snapshot_time: types::Timestamp { seconds: 1_700_000_000, nanoseconds: 5 },
        base: Some(types::Epoch(1)),
        runs: Vec::new(),
        totals: repo::CommitTotals::default(),
        voids: vec![types::Epoch(1)],
        state: Some(repo::StateReference { writer, size: 100, hash: [6; 32] }),
    };
    vec![postcard::to_stdvec(&commit).expect("plain values always encode")]
}

/// What a repository keeps as JSON.
fn repository_json(bytes: &[u8]) {
    let repository = samples::repository();
    if let Ok(bootstrap) = repo::Bootstrap::decode(bytes) {
        assert_eq!(repo::Bootstrap::decode(&bootstrap.encode()).ok(), Some(bootstrap));
    }
    let owner = owner();
    let _ = repo::OwnerObject::decode(&owner.name().to_string(), bytes, repository);
    if let Ok(key) = repo::KeyObject::decode("keys/some", bytes, repository) {
        assert_eq!(repo::KeyObject::decode("keys/some", &key.encode(), repository).ok(), Some(key));
    }
}

fn repository_jsons() -> Vec<Vec<u8>> {
    let keys = new_keys();
    vec![
        repo::Bootstrap::new(samples::repository()).encode().into(),
        owner().encode().into(),
        keys.object.encode().into(),
    ]
}

/// What people and other programs write as text: names of objects, sites, recovery kits, tokens.
fn texts(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(name) = text.parse::<repo::names::Name>() {
        assert_eq!(name.to_string(), text, "an object has one name");
    }
    if let Ok(location) = text.parse::<site::Location>() {
        assert_eq!(location.to_string().parse::<site::Location>().ok(), Some(location));
    }
    if let Ok(kit) = text.parse::<repo::RecoveryKit>() {
        assert!(kit.to_text().parse::<repo::RecoveryKit>().is_ok(), "a kit that was read can be printed and read");
    }
    if let Ok(token) = text.parse::<cluster::Token>() {
        assert!(token.encode().parse::<cluster::Token>().is_ok());
    }
    if let Ok(cluster) = text.parse::<types::ClusterId>() {
        assert_eq!(cluster.to_string().parse(), Ok(cluster));
    }
    if let Ok(lin) = text.parse::<types::Lin>() {
        assert_eq!(lin.to_string().parse(), Ok(lin));
    }
    if let Ok(device) = text.parse::<types::Device>() {
        assert_eq!(device.to_string().parse().ok(), Some(device));
    }
    if let Some(id) = wire::RequestId::parse(text) {
        assert_eq!(id.as_str(), text);
    }
}

fn text_examples() -> Vec<Vec<u8>> {
    let commit = repo::names::Name::Commit { number: 7, writer: writer() };
    let kit = repo::RecoveryKit::example(&Seed::fixed(3));
    let texts = [
        commit.to_string(),
        owner().name().to_string(),
        repo::names::BOOTSTRAP_NAME.to_owned(),
        "file:///srv/backup".to_owned(),
        "s3://bucket/prefix".to_owned(),
        kit.to_text(),
        "8:1".to_owned(),
    ];
    texts.map(String::into_bytes).into()
}

/// Paths, as people type them for files of the cluster and of a backup.
fn paths(bytes: &[u8]) {
    if let Ok(path) = client::FilePath::new(bytes.to_vec()) {
        assert_eq!(path.as_bytes(), bytes);
        let (absolute, prefixes) = (path.absolute(), path.prefixes());
        assert_eq!(absolute.absolute().as_bytes(), absolute.as_bytes());
        assert!(prefixes.iter().all(|prefix| client::FilePath::new(prefix.as_bytes().to_vec()).is_ok()));
        let _ = (path.goes_up(), path.last(), path.to_string(), client::printable(bytes));
    }
    if let Ok(path) = restore::RelativePath::parse(bytes) {
        assert!(path.components().all(|name| name != b".." && !name.is_empty()), "it leads out of the target");
        assert_eq!(restore::RelativePath::parse(path.as_bytes()).ok(), Some(path));
    }
}

fn path_examples() -> Vec<Vec<u8>> {
    ["/photos/2024/a.jpg", "photos//./x/", "/", "..", "/a/../b", "caf\u{e9}"]
        .map(|path| path.as_bytes().to_vec())
        .into()
}

/// Certificates and requests for some, as strangers send them.
fn certificates(bytes: &[u8]) {
    let _ = cluster::Principal::of_certificate(bytes, samples::cluster());
    if let Ok(certificate) = cluster::AuthorityCertificate::from_der(bytes) {
        let again = cluster::AuthorityCertificate::from_pem(certificate.pem());
        assert_eq!(again.ok(), Some(certificate));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = cluster::Authority::examine(text);
    if let Ok(certificate) = cluster::AuthorityCertificate::from_pem(text) {
        let _ = cluster::Principal::of_certificate(certificate.der(), samples::cluster());
    }
}

fn certificate_examples() -> Vec<Vec<u8>> {
    let authority = cluster::Authority::create(samples::cluster(), types::Timestamp::default()).expect("an authority");
    let key = cluster::NodeKey::generate().expect("a key");
    let request = key.signing_request().expect("a request");
    let node = authority.sign_node(&request, types::NodeId(3), [1; 16], types::Timestamp::default());
    let der = authority.certificate().der().to_vec();
    vec![der, authority.certificate().pem().into(), request.into(), node.expect("a certificate").into()]
}

/// A folder for what a target has to have in files.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder is to be had")
}

fn owner() -> repo::OwnerObject {
    repo::OwnerObject::new(samples::repository(), types::Generation(1), samples::cluster())
}

fn writer() -> repo::Writer {
    repo::Writer {
        generation: types::Generation(1),
        epoch: types::Epoch(2),
        fence: types::Fence(3),
        node: types::NodeId(4),
        incarnation: types::Incarnation(5),
        sequence: 6,
    }
}

fn writer_keys() -> repo::WriterKeys {
    new_keys().keys.writer
}

fn new_keys() -> repo::NewKeys {
    let cost = repo::PassphraseCost::LEAST;
    let passphrase = "a passphrase that is long enough";
    repo::KeyObject::create(samples::repository(), passphrase, cost, &Seed::fixed(4)).expect("a good passphrase")
}
