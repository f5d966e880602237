//! Quotas: what each account has is what its inodes add up to, and each inode counts where it lies.

use std::collections::{BTreeMap, BTreeSet};

use types::{Account, FileKind, Lin};

use super::Checker;
use crate::database::Rows;
use crate::error::StoreError;
use crate::family::Family;
use crate::history::{Moment, version};
use crate::keys::{Key as _, KeyRange};
use crate::meta;
use crate::read::Read as _;
use crate::rows::{InodeRow, QuotaCounts, Used};
use crate::tables::{Inodes, Quotas, Recounts, Scopes, Usages};
use crate::tree;

/// What the inodes add up to: one sum for each user, and for each directory that has a quota or had one.
pub type Sums = BTreeMap<Account, Used>;

impl<R: Rows> Checker<'_, R> {
    /// Adds an inode to the accounts for which it counts, and checks that they are the right ones.
    pub fn holding(&mut self, lin: Lin, inode: &InodeRow) -> Result<(), StoreError> {
        let used = inode.holding().used();
        self.add(Account::User(inode.uid), used);
        let mut above = BTreeSet::new();
        let mut next = self.rows.row::<Scopes>(&lin)?;
        while let Some(scope) = next {
            if !above.insert(scope) {
                self.fault(Family::Scope, &lin.encode(), "the scopes above it are a cycle");
                break;
            }
            self.add(Account::Directory(scope), used);
            next = self.rows.row::<Scopes>(&scope)?;
        }
        let counts = self.counts_where_it_lies(lin)?;
        self.expect(counts, Family::Scope, &lin.encode(), "it does not count where it lies");
        Ok(())
    }

    fn add(&mut self, account: Account, used: Used) {
        let sum = self.sums.entry(account).or_default();
        *sum = sum.plus(used);
    }

    /// Whether an inode has the scope that belongs into the directory of one of its names, or is still ahead there. The
    /// root has no name, and neither has a file that is kept because a session holds it.
    fn counts_where_it_lies(&self, lin: Lin) -> Result<bool, StoreError> {
        let scope = self.rows.row::<Scopes>(&lin)?;
        let mut is_named = false;
        for link in tree::links(self.rows, Moment::Head, lin) {
            let (parent, name) = link?;
            is_named = true;
            let has_quota = self.rows.row::<Quotas>(&Account::Directory(parent))?.is_some();
            let there = if has_quota { Some(parent) } else { self.rows.row::<Scopes>(&parent)? };
            let ahead =
                self.rows.row::<Recounts>(&parent)?.is_some_and(|row| row.after.is_none_or(|after| after < name));
            if scope == there || ahead {
                return Ok(true);
            }
        }
        Ok(!is_named && scope.is_none())
    }

    /// Compares what the accounts have with the sums; quotas, scopes and the list of what is to be counted are of
    /// directories that are there.
    pub fn accounts(&mut self) -> Result<(), StoreError> {
        let mut sums = std::mem::take(&mut self.sums);
        for row in self.rows.rows::<Usages>(KeyRange::all()) {
            let (account, used) = row?;
            let sum = sums.remove(&account).unwrap_or_default();
            let reason = format!("{account} is said to have {used:?}, the inodes add up to {sum:?}");
            self.expect(used == sum, Family::Usage, &account.encode(), reason);
        }
        for account in sums.into_keys() {
            self.fault(Family::Usage, &account.encode(), format!("{account} is not said to have anything"));
        }
        for row in self.rows.rows::<Scopes>(KeyRange::all()) {
            let (lin, scope) = row?;
            let there = version::<Inodes>(self.rows, Moment::Head, &lin)?.is_some() && self.is_directory(scope)?;
            self.expect(there, Family::Scope, &lin.encode(), "its inode or its directory is not there");
        }
        self.counts()
    }

    fn counts(&mut self) -> Result<(), StoreError> {
        let said = meta::progress(self.rows)?.quotas;
        let mut found = QuotaCounts { recounting_since: said.recounting_since, ..QuotaCounts::default() };
        for row in self.rows.rows::<Quotas>(KeyRange::all()) {
            let (account, _) = row?;
            match account {
                Account::User(_) => found.users += 1,
                Account::Directory(lin) => {
                    found.directories += 1;
                    let there = self.is_directory(lin)?;
                    self.expect(there, Family::Quota, &account.encode(), "its directory is not there");
                }
            }
        }
        for row in self.rows.rows::<Recounts>(KeyRange::all()) {
            let (lin, _) = row?;
            found.recounts += 1;
            let there = self.is_directory(lin)?;
            self.expect(there, Family::Recount, &lin.encode(), "its directory is not there");
        }
        let reason = format!("there are {found:?} and not {said:?}");
        self.expect(found == said, Family::Meta, meta::PROGRESS_KEY, reason);
        Ok(())
    }

    fn is_directory(&self, lin: Lin) -> Result<bool, StoreError> {
        let inode = version::<Inodes>(self.rows, Moment::Head, &lin)?;
        Ok(inode.is_some_and(|inode| inode.row.kind == FileKind::Directory))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rocksdb::WriteBatch;
    use tempfile::TempDir;
    use types::{
        Batch, Change, Content, Create, Limits, Name, NewInode, Operation, Outcome, QuotaOperation, Request, Revision,
    };

    use super::*;
    use crate::check::check;
    use crate::database::Database;
    use crate::rows::{QuotaRow, RecountRow, encode};
    use crate::store::{Entry, Store};

    const NOBODY: Lin = Lin(99);

    fn run(store: &Store, operation: Operation) -> Outcome {
        let index = store.applied().index + 1;
        let batch = Batch { requests: vec![Request { key: None, operation }], ..Batch::default() };
        let entry = Entry { index, position: Bytes::from(index.to_string()), membership: None, batch: Some(batch) };
        store.apply(&[entry]).unwrap().remove(0).remove(0).unwrap()
    }

    fn make(store: &Store, parent: Lin, kind: FileKind, size: u64) -> Lin {
        let inode = NewInode {
            kind,
            mode: 0o644,
            uid: 7,
            gid: 7,
            atime: None,
            mtime: None,
            target: Bytes::new(),
            xattrs: Vec::new(),
            content: Content::Empty,
            size,
        };
        let create = Create { parent, name: Name::new("a").unwrap(), inode, replace: false };
        match run(store, Operation::Change(Change::Create(create))) {
            Outcome::Inode(attributes) => attributes.lin,
            other => panic!("{other:?}"),
        }
    }

    /// A store with a file below a directory with a quota, and the two.
    fn prepared() -> (TempDir, Database, Lin, Lin) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let store = Store::open(&path).unwrap();
        let directory = make(&store, Lin::ROOT, FileKind::Directory, 0);
        let set = QuotaOperation::Set { account: Account::Directory(directory), limits: Limits::default() };
        run(&store, Operation::Quota(set));
        let file = make(&store, directory, FileKind::File, 10);
        store.flush().unwrap();
        drop(store);
        let database = Database::open(&path).unwrap();
        assert_eq!(check(&database).unwrap(), []);
        (folder, database, directory, file)
    }

    /// Writes or deletes a row by hand; gives what the check says.
    fn damaged(database: &Database, family: Family, key: Vec<u8>, value: Option<Vec<u8>>) -> String {
        let mut batch = WriteBatch::default();
        match value {
            Some(value) => batch.put_cf(database.family(family), key, value),
            None => batch.delete_cf(database.family(family), key),
        }
        database.write(batch).unwrap();
        check(database).unwrap().iter().map(|fault| format!("{fault}\n")).collect()
    }

    #[test]
    fn accounts_that_are_not_what_the_inodes_add_up_to_are_found() {
        let (_folder, database, directory, _) = prepared();
        let (user, holder) = (Account::User(7), Account::Directory(directory));
        let more = encode(&Used { inodes: 2, bytes: 11 });
        let faults = damaged(&database, Family::Usage, user.encode(), Some(more));
        assert!(faults.contains("user 7 is said to have"), "{faults}");
        let faults = damaged(&database, Family::Usage, holder.encode(), None);
        assert!(faults.contains(&format!("{holder} is not said to have anything")), "{faults}");
    }

    #[test]
    fn an_inode_that_does_not_count_where_it_lies_is_found() {
        let (_folder, database, directory, file) = prepared();
        let faults = damaged(&database, Family::Scope, file.encode(), None);
        assert!(faults.contains("it does not count where it lies"), "{faults}");
        let ahead = encode(&RecountRow::default());
        let faults = damaged(&database, Family::Recount, directory.encode(), Some(ahead));
        assert!(!faults.contains("it does not count where it lies"), "it is still ahead: {faults}");
        let passed = encode(&RecountRow { after: Some(Name::new("a").unwrap()) });
        let faults = damaged(&database, Family::Recount, directory.encode(), Some(passed));
        assert!(faults.contains("it does not count where it lies"), "{faults}");
    }

    #[test]
    fn scopes_that_go_in_circles_are_found() {
        let (_folder, database, directory, _) = prepared();
        let faults = damaged(&database, Family::Scope, directory.encode(), Some(encode(&directory)));
        assert!(faults.contains("the scopes above it are a cycle"), "{faults}");
    }

    #[test]
    fn rows_of_quotas_without_their_directory_are_found() {
        let (_folder, database, directory, _) = prepared();
        let faults = damaged(&database, Family::Scope, NOBODY.encode(), Some(encode(&directory)));
        assert!(faults.contains("its inode or its directory is not there"), "{faults}");
        let quota = encode(&QuotaRow { limits: Limits::default(), since: Revision(2) });
        let faults = damaged(&database, Family::Quota, Account::Directory(NOBODY).encode(), Some(quota));
        assert!(faults.contains("quota row") && faults.contains("its directory is not there"), "{faults}");
        assert!(faults.contains("there are QuotaCounts { directories: 2"), "{faults}");
        let faults = damaged(&database, Family::Recount, NOBODY.encode(), Some(encode(&RecountRow::default())));
        assert!(faults.contains("recount row"), "{faults}");
    }
}
