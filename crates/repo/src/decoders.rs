//! What this crate reads from a site, as functions of bytes: for the fuzzer (crate `fuzz`), and for nobody else.

use runtime::Seed;
use types::RepositoryId;
use uuid::Uuid;

use crate::keys::WriterKeys;
use crate::{Commit, commit};

pub use crate::object::decoders::{footer, footer_examples, trailer, trailer_example};
pub use crate::run::decoders::{run, run_examples, run_part, run_part_examples};

const NAME: &str = "commits/decoded";

/// A commit as whoever has the metadata key can write it: the plain bytes.
pub fn commit(plain: &[u8]) {
    let repository = RepositoryId(Uuid::from_u128(1));
    let keys = WriterKeys::from_bytes(&[5; 96]).expect("three keys");
    let sealed = commit::KIND.seal(NAME, repository, &keys, &Seed::fixed(1), plain).expect("it is short enough");
    let _ = Commit::open(NAME, repository, &keys, &sealed);
}
