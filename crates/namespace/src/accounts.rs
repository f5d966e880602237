//! What every user owns and what directories with a quota hold, as operations change it, and what a quota refuses.
//!
//! Every user has a row, so that a quota of one takes effect at once; a directory has one while it has a quota, or
//! while what it held then is being counted elsewhere. An operation first does all of its work and is judged by what
//! comes of it: it is refused if an account has more than before, and more than its quota allows. So a file that is
//! replaced makes room for its successor, and whoever is over quota can still remove, truncate and rename.

use types::{Account, Lin, OperationError, Resource};

use crate::error::{Failure, StoreError};
use crate::read::Read as _;
use crate::rows::{QuotaCounts, QuotaRow, Used};
use crate::tables::{Quotas, Usages};
use crate::transaction::Transaction;

/// Whose an inode is, and how long if it is a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The owner.
    pub uid: u32,
    /// The length of a file; 0 of everything else.
    pub bytes: u64,
}

/// An account in the midst of an operation.
#[derive(Clone, Copy)]
pub struct Counted {
    /// What it had when the operation began.
    stored: Used,
    /// What came to it that nobody asked for, and that no quota refuses.
    tolerated: Used,
    /// What it has by now.
    now: Used,
}

/// Whether an operation can be refused for what it adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It can: it is somebody's wish.
    Enforced,
    /// It cannot: it counts what is there already.
    Counted,
}

impl Holding {
    /// What it counts: one inode with its bytes.
    pub const fn used(self) -> Used {
        Used { inodes: 1, bytes: self.bytes as u128 }
    }
}

impl Used {
    /// Both together.
    pub const fn plus(self, more: Self) -> Self {
        Self { inodes: self.inodes.saturating_add(more.inodes), bytes: self.bytes.saturating_add(more.bytes) }
    }

    /// What is left without some of it.
    pub const fn minus(self, less: Self) -> Self {
        Self { inodes: self.inodes.saturating_sub(less.inodes), bytes: self.bytes.saturating_sub(less.bytes) }
    }
}

impl QuotaRow {
    /// Whether all that was there when a directory got the quota is counted.
    pub const fn is_counted(&self, counts: QuotaCounts) -> bool {
        counts.recounts == 0 || self.since.0 < counts.recounting_since.0
    }
}

impl Transaction<'_> {
    /// What an account has by now.
    pub fn used(&self, account: Account) -> Result<Used, StoreError> {
        match self.accounts.get(&account) {
            Some(counted) => Ok(counted.now),
            None => Ok(self.row::<Usages>(&account)?.unwrap_or_default()),
        }
    }

    /// Adds to what a user owns.
    pub fn charge_user(&mut self, uid: u32, amount: Used) -> Result<(), StoreError> {
        let counted = self.counted(Account::User(uid))?;
        counted.now = counted.now.plus(amount);
        Ok(())
    }

    /// Takes from what a user owns.
    pub fn credit_user(&mut self, uid: u32, amount: Used) -> Result<(), StoreError> {
        let counted = self.counted(Account::User(uid))?;
        counted.now = counted.now.minus(amount);
        Ok(())
    }

    /// Adds to what directories hold.
    pub fn charge_directories(&mut self, directories: &[Lin], amount: Used) -> Result<(), StoreError> {
        for &lin in directories {
            let counted = self.counted(Account::Directory(lin))?;
            counted.now = counted.now.plus(amount);
        }
        Ok(())
    }

    /// Adds to what directories hold, whatever their quotas allow.
    pub fn tolerate(&mut self, directories: &[Lin], amount: Used) -> Result<(), StoreError> {
        self.charge_directories(directories, amount)?;
        for &lin in directories {
            let counted = self.counted(Account::Directory(lin))?;
            counted.tolerated = counted.tolerated.plus(amount);
        }
        Ok(())
    }

    /// Takes from what directories hold.
    pub fn credit_directories(&mut self, directories: &[Lin], amount: Used) -> Result<(), StoreError> {
        for &lin in directories {
            let counted = self.counted(Account::Directory(lin))?;
            counted.now = counted.now.minus(amount);
        }
        Ok(())
    }

    /// Counts what became of an inode that was there before the operation.
    pub fn recount_inode(&mut self, lin: Lin, before: Holding, now: Holding) -> Result<(), StoreError> {
        if before == now {
            return Ok(());
        }
        self.credit_user(before.uid, before.used())?;
        self.charge_user(now.uid, now.used())?;
        if before.bytes != now.bytes {
            let above = self.directories_above(self.scope(lin)?)?;
            self.credit_directories(&above, before.used())?;
            self.charge_directories(&above, now.used())?;
        }
        Ok(())
    }

    /// Writes what the operation has counted, unless a quota refuses it.
    pub fn settle_accounts(&mut self, judgement: Judgement) -> Result<(), Failure> {
        for (account, counted) in std::mem::take(&mut self.accounts) {
            if judgement == Judgement::Enforced {
                self.judge(account, &counted)?;
            }
            if counted.now == counted.stored {
                continue;
            }
            match counted.now == Used::default() {
                true => self.delete::<Usages>(&account),
                false => self.put::<Usages>(&account, &counted.now),
            }
        }
        Ok(())
    }

    /// Refuses what a quota does not allow.
    fn judge(&self, account: Account, counted: &Counted) -> Result<(), Failure> {
        let (before, now) = (counted.stored.plus(counted.tolerated), counted.now);
        let counts = self.progress.quotas;
        let quotas = match account {
            Account::Directory(_) => counts.directories,
            Account::User(_) => counts.users,
        };
        if quotas == 0 || (now.inodes <= before.inodes && now.bytes <= before.bytes) {
            return Ok(());
        }
        let Some(quota) = self.row::<Quotas>(&account)? else { return Ok(()) };
        if matches!(account, Account::Directory(_)) && !quota.is_counted(counts) {
            return Ok(());
        }
        expect_allowed(account, Resource::Bytes, quota.limits.bytes, (before.bytes, now.bytes))?;
        let inodes = (before.inodes.into(), now.inodes.into());
        Ok(expect_allowed(account, Resource::Inodes, quota.limits.inodes, inodes)?)
    }

    fn counted(&mut self, account: Account) -> Result<&mut Counted, StoreError> {
        let used = self.used(account)?;
        let untouched = Counted { stored: used, tolerated: Used::default(), now: used };
        Ok(self.accounts.entry(account).or_insert(untouched))
    }
}

/// Refuses what grows beyond its limit.
fn expect_allowed(
    account: Account,
    resource: Resource,
    limit: Option<u64>,
    (before, now): (u128, u128),
) -> Result<(), OperationError> {
    match limit {
        Some(limit) if now > before && now > limit.into() => {
            let (used, needed) = (saturated(before), saturated(now - before));
            Err(OperationError::OverQuota { account, resource, used, needed, limit })
        }
        _ => Ok(()),
    }
}

/// A number of bytes for people: the largest stands for those that are larger.
pub fn saturated(bytes: u128) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
