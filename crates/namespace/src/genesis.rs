//! The state before the first log entry, the same on every node.

use rocksdb::WriteBatch;
use types::{Account, FileKind, Lin, Revision, Timestamp};

use crate::changes::ChangeFlags;
use crate::database::Database;
use crate::error::StoreError;
use crate::family::Family;
use crate::keys::{ChangedKey, Key as _};
use crate::meta::{FORMAT, FORMAT_KEY, PROGRESS_KEY};
use crate::rows::{Body, ChangedRow, Dated, InodeRow, ProgressRow, Usage, Used, encode};

/// The revision of the root directory. The first operation comes after it.
pub const GENESIS: Revision = Revision(1);

/// Writes the root directory and makes it durable.
pub fn write(database: &Database) -> Result<(), StoreError> {
    let root = Dated { revision: GENESIS, row: root() };
    let changed = ChangedRow { flags: ChangeFlags::CREATED.bits() };
    let progress = ProgressRow {
        revision: GENESIS,
        usage: Usage { inodes: 1, bytes: 0 },
        digest: *blake3::hash(b"holdfast namespace 1").as_bytes(),
        ..ProgressRow::default()
    };
    let mut batch = WriteBatch::default();
    let key = ChangedKey { revision: GENESIS, lin: Lin::ROOT };
    batch.put_cf(database.family(Family::Inode), Lin::ROOT.encode(), encode(&root));
    batch.put_cf(database.family(Family::Changed), key.encode(), encode(&changed));
    let owner = Account::User(root.row.uid);
    batch.put_cf(database.family(Family::Usage), owner.encode(), encode(&Used { inodes: 1, bytes: 0 }));
    batch.put_cf(database.family(Family::Meta), PROGRESS_KEY, encode(&progress));
    batch.put_cf(database.family(Family::Meta), FORMAT_KEY, FORMAT.to_be_bytes());
    database.write(batch)?;
    database.flush()
}

const fn root() -> InodeRow {
    let epoch = Timestamp { seconds: 0, nanoseconds: 0 };
    InodeRow {
        kind: FileKind::Directory,
        mode: 0o755,
        uid: 0,
        gid: 0,
        nlink: 2,
        size: 0,
        atime: epoch,
        mtime: epoch,
        ctime: epoch,
        changed: GENESIS,
        body: Body::Directory,
    }
}
