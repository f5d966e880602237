//! For which directories' quotas an inode counts.
//!
//! The *scope* of an inode is the nearest directory above it that has a quota. It is noted for each inode, so a change
//! of a file finds the accounts that it counts for without a walk: its scope, the scope of that, and so on up. What a
//! directory with a quota holds is always exactly what the noted scopes say.
//!
//! A quota that is set on a directory with entries, or removed from one, changes the scope of all below. The directory
//! is put on the list `recount`, and steps of a bounded number of entries give each entry the scope that belongs into
//! its directory; a directory that gets another one is put on the list itself. So at any time, whatever the users do in
//! between: an entry has the scope that belongs into its directory, or the directory is on the list and the entry ahead
//! of it there. No scope ever names a directory that its inode does not lie below: what moves goes on with the scope of
//! the place that it came from, or takes that of the place that it goes to.

use types::{Account, FileKind, Lin, OperationError};

use crate::accounts::Holding;
use crate::error::{Failure, StoreError};
use crate::family::Family;
use crate::history::{Moment, versions};
use crate::inode::Inode;
use crate::keys::{EntryKey, Key as _, KeyRange};
use crate::read::Read as _;
use crate::rows::{InodeRow, RecountRow, Used};
use crate::tables::{Entries, Quotas, Recounts, Scopes};
use crate::transaction::Transaction;
use crate::tree;

/// Directories with a quota above one another: so many that only a cycle has more.
const NESTED_MAX: usize = 1 << 16;

/// Whether the quotas at the place where an inode comes to count may refuse it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arrival {
    /// It was moved there.
    Wished,
    /// Another of its names was removed, and a removal is never refused.
    Tolerated,
}

impl Transaction<'_> {
    /// The nearest directory above an inode that has a quota.
    pub fn scope(&self, lin: Lin) -> Result<Option<Lin>, StoreError> {
        if self.counts_directories() { self.row::<Scopes>(&lin) } else { Ok(None) }
    }

    /// The scope of what is made in a directory.
    pub fn scope_in(&self, directory: Lin) -> Result<Option<Lin>, StoreError> {
        if self.has_quota(directory)? { Ok(Some(directory)) } else { self.scope(directory) }
    }

    /// A scope and all those above it, the nearest first.
    pub fn directories_above(&self, scope: Option<Lin>) -> Result<Vec<Lin>, StoreError> {
        let mut above = Vec::new();
        let mut next = scope;
        while let Some(lin) = next {
            if above.len() >= NESTED_MAX {
                return Err(StoreError::corrupt(Family::Scope.name(), &lin.encode(), "the way up is a cycle"));
            }
            above.push(lin);
            next = self.scope(lin)?;
        }
        Ok(above)
    }

    /// Counts a new inode.
    pub fn enter_scope(&mut self, lin: Lin, holding: Holding, scope: Option<Lin>) -> Result<(), StoreError> {
        self.charge_user(holding.uid, holding.used())?;
        let Some(scope) = scope else { return Ok(()) };
        self.put::<Scopes>(&lin, &scope);
        let above = self.directories_above(Some(scope))?;
        self.charge_directories(&above, holding.used())
    }

    /// Counts no longer an inode that is gone, and forgets its quota if it was a directory with one.
    pub fn leave_scope(&mut self, lin: Lin, holding: Holding) -> Result<(), StoreError> {
        self.credit_user(holding.uid, holding.used())?;
        if !self.counts_directories() {
            return Ok(());
        }
        let above = self.directories_above(self.scope(lin)?)?;
        self.credit_directories(&above, holding.used())?;
        if !above.is_empty() {
            self.delete::<Scopes>(&lin);
        }
        if self.has_quota(lin)? {
            self.delete::<Quotas>(&Account::Directory(lin));
            self.progress.quotas.directories = self.progress.quotas.directories.saturating_sub(1);
        }
        self.end_recount(lin)
    }

    /// Gives what moves the scope of the place that it goes to, or refuses the move.
    pub fn move_scope(&mut self, lin: Lin, from: Lin, to: Lin) -> Result<(), Failure> {
        if !self.counts_directories() {
            return Ok(());
        }
        let (old, new) = (self.scope_in(from)?, self.scope_in(to)?);
        let inode = self.inode(lin)?;
        let is_directory = inode.row.kind == FileKind::Directory;
        let may_move = old == new
            || self.moves_whole(&inode)?
            || self.comes_under_uncounted(old, new)?
            || (!is_directory && self.comes_under_uncounted(new, old)?);
        if !may_move {
            return Err(OperationError::CrossesQuota { lin }.into());
        }
        Ok(self.rescope(lin, &inode.row, new, Arrival::Wished)?)
    }

    /// Whether one step counts all of an inode elsewhere: a file with one name, an empty directory, or one whose quota
    /// has counted everything that it holds.
    fn moves_whole(&self, inode: &Inode) -> Result<bool, StoreError> {
        if inode.row.kind != FileKind::Directory {
            return Ok(inode.row.nlink <= 1);
        }
        if inode.row.size == 0 && self.used(Account::Directory(inode.lin))? == Used::default() {
            return Ok(true);
        }
        Ok(self.progress.quotas.recounts == 0 && self.has_quota(inode.lin)?)
    }

    /// Refuses a name for a file in a directory to whose scope it does not belong.
    pub fn link_scope(&mut self, inode: &Inode, parent: Lin) -> Result<(), Failure> {
        if !self.counts_directories() {
            return Ok(());
        }
        let new = self.scope_in(parent)?;
        let old = match (inode.row.nlink, tree::parent(self, Moment::Head, inode.lin)?) {
            (1, Some(only)) => self.scope_in(only)?,
            _ => self.scope(inode.lin)?,
        };
        if old == new || self.comes_under_uncounted(old, new)? {
            return Ok(self.rescope(inode.lin, &inode.row, new, Arrival::Wished)?);
        }
        // It goes on where its other names are.
        if self.comes_under_uncounted(new, old)? {
            return Ok(());
        }
        Err(OperationError::CrossesQuota { lin: inode.lin }.into())
    }

    /// Whether one scope lies above another with nothing in between but quotas that are not enforced yet, or not any more.
    /// Below a directory that is being counted some scopes are still those from before; whoever works there does not
    /// notice.
    fn comes_under_uncounted(&self, outer: Option<Lin>, inner: Option<Lin>) -> Result<bool, StoreError> {
        let counts = self.progress.quotas;
        if counts.recounts == 0 {
            return Ok(false);
        }
        for lin in self.directories_above(inner)? {
            if Some(lin) == outer {
                return Ok(true);
            }
            if self.row::<Quotas>(&Account::Directory(lin))?.is_some_and(|quota| quota.is_counted(counts)) {
                return Ok(false);
            }
        }
        Ok(outer.is_none())
    }

    /// Lets a file that lost a name count where its first other name is, so that it never counts where it has none. One
    /// without any name counts for its owner alone.
    pub fn unlink_scope(&mut self, inode: &Inode) -> Result<(), StoreError> {
        if !self.counts_directories() {
            return Ok(());
        }
        let scope = match tree::parent(self, Moment::Head, inode.lin)? {
            Some(parent) => self.scope_in(parent)?,
            None => None,
        };
        self.rescope(inode.lin, &inode.row, scope, Arrival::Tolerated)
    }

    /// Lets an inode with all that counts for it count in another scope. The entries of a directory without a quota
    /// follow in steps.
    fn rescope(&mut self, lin: Lin, row: &InodeRow, scope: Option<Lin>, arrival: Arrival) -> Result<(), StoreError> {
        let before = self.scope(lin)?;
        if before == scope {
            return Ok(());
        }
        let mut whole = row.holding().used();
        if row.kind == FileKind::Directory {
            whole = whole.plus(self.used(Account::Directory(lin))?);
        }
        let (above, new) = (self.directories_above(before)?, self.directories_above(scope)?);
        self.credit_directories(&above, whole)?;
        match arrival {
            Arrival::Wished => self.charge_directories(&new, whole)?,
            Arrival::Tolerated => self.tolerate(&new, whole)?,
        }
        match scope {
            Some(scope) => self.put::<Scopes>(&lin, &scope),
            None => self.delete::<Scopes>(&lin),
        }
        if row.kind == FileKind::Directory && row.size > 0 && !self.has_quota(lin)? {
            self.begin_recount(lin)?;
        }
        Ok(())
    }

    /// Puts a directory on the list of those whose entries are to be counted, from its first entry on.
    pub fn begin_recount(&mut self, directory: Lin) -> Result<(), StoreError> {
        if self.row::<Recounts>(&directory)?.is_none() {
            let revision = self.revision();
            let counts = &mut self.progress.quotas;
            if counts.recounts == 0 {
                counts.recounting_since = revision;
            }
            counts.recounts += 1;
        }
        self.put::<Recounts>(&directory, &RecountRow::default());
        Ok(())
    }

    fn end_recount(&mut self, directory: Lin) -> Result<(), StoreError> {
        if self.progress.quotas.recounts > 0 && self.row::<Recounts>(&directory)?.is_some() {
            self.delete::<Recounts>(&directory);
            self.progress.quotas.recounts -= 1;
        }
        Ok(())
    }

    /// Counts some entries of the directories on the list.
    pub fn recount_entries(&mut self, limit: usize) -> Result<(), Failure> {
        let mut left = limit;
        while left > 0 {
            let Some((directory, row)) = self.rows::<Recounts>(KeyRange::all()).next().transpose()? else { break };
            // One without entries is a step too.
            left -= self.recount_directory(directory, &row, left)?.max(1);
        }
        Ok(())
    }

    /// Counts some entries of a directory on the list; gives how many.
    fn recount_directory(&mut self, directory: Lin, row: &RecountRow, limit: usize) -> Result<usize, Failure> {
        let scope = self.scope_in(directory)?;
        let mut range = KeyRange::prefix(directory.encode());
        if let Some(name) = &row.after {
            range = range.after(&EntryKey { parent: directory, name: name.clone() });
        }
        let entries: Vec<_> = versions::<Entries>(self, Moment::Head, range).take(limit).collect::<Result<_, _>>()?;
        for (_, entry) in &entries {
            let inode = self.inode(entry.row.lin)?;
            self.rescope(inode.lin, &inode.row, scope, Arrival::Wished)?;
        }
        match entries.last() {
            Some((last, _)) if entries.len() == limit => {
                self.put::<Recounts>(&directory, &RecountRow { after: Some(last.name.clone()) });
            }
            _ => self.end_recount(directory)?,
        }
        Ok(entries.len())
    }

    fn has_quota(&self, directory: Lin) -> Result<bool, StoreError> {
        Ok(self.progress.quotas.directories > 0 && self.row::<Quotas>(&Account::Directory(directory))?.is_some())
    }

    /// Whether any inode has a scope.
    const fn counts_directories(&self) -> bool {
        self.progress.quotas.directories > 0 || self.progress.quotas.recounts > 0
    }
}
