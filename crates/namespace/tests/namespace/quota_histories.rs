//! Random histories under quotas, of files that are held without a name too, compared with sums over the model's tree.
//!
//! The model says what an operation would answer without quotas; what every account has before and after is added up
//! from its tree, and so it is known what a quota has to refuse. While something is still being counted, and while a file
//! has names on both sides of a quota, a quota may refuse or not; what is counted then is checked once it is done.
//! A failure prints the seed; `HOLDFAST_SEED=<seed>` runs it alone.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::discriminant;

use bytes::Bytes;
use namespace::Store;
use runtime::Seed;
use types::{
    Account, AttributeChanges, Change, Content, Create, FileKind, Limits, Lin, Name, NewInode, Operation,
    OperationError, Outcome, QuotaOperation, QuotaState, Removal, Rename, RenameMode, Request, RequestKey, Resource,
    SessionId,
};

use crate::model::{Answer, Inode, Model, Tree};
use crate::world::{World, name, new_inode};

const SEEDS: u64 = 16;
const STEPS: usize = 400;

#[test]
fn random_histories_under_quotas_agree_with_sums_over_the_model() {
    let seeds = match std::env::var("HOLDFAST_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..SEEDS).chain([Seed::from_os().u64()]).collect(),
    };
    let mut refused = BTreeMap::new();
    for seed in seeds {
        println!("HOLDFAST_SEED={seed}");
        let mut history = History::new(seed);
        (0..STEPS).for_each(|_| history.step());
        history.end();
        for (what, times) in history.refused {
            *refused.entry(what).or_insert(0) += times;
        }
    }
    println!("refused: {refused:?}");
    if std::env::var("HOLDFAST_SEED").is_err() {
        for what in ["bytes", "inodes", "crosses"] {
            assert!(refused.get(what).is_some_and(|times| *times > 20), "too few to tell anything: {refused:?}");
        }
    }
}

/// What an account has: inodes and bytes.
type Sums = BTreeMap<Account, (u64, u64)>;

struct History {
    seed: Seed,
    world: World,
    follower: Store,
    unfollowed: Vec<namespace::Entry>,
    model: Model,
    session: SessionId,
    sequence: u64,
    quotas: BTreeMap<Account, Limits>,
    refused: BTreeMap<&'static str, u64>,
}

impl History {
    fn new(seed: u64) -> Self {
        let (world, session) = World::with_pool();
        let copy = world.folder.path().join("follower");
        world.store.checkpoint(&copy).unwrap();
        Self {
            seed: Seed::fixed(seed),
            model: Model::new(world.view().revision(), world.view().state_time(), session),
            follower: Store::open(copy).unwrap(),
            world,
            unfollowed: Vec::new(),
            session,
            sequence: 0,
            quotas: BTreeMap::new(),
            refused: BTreeMap::new(),
        }
    }

    fn step(&mut self) {
        match self.below(16) {
            0 => self.set_quota(),
            1 if self.below(2) == 0 => self.remove_quota(),
            2 => drop(self.count()),
            3 if self.below(10) == 0 => self.take_snapshot(),
            _ => self.change(),
        }
        if self.below(3) > 0 {
            while self.count() > 0 {}
        }
        if self.below(8) == 0 {
            self.compare();
            self.pass_time();
        }
    }

    /// Counts time, for each entry comes a second later: it would look like a jump of the clocks.
    fn pass_time(&mut self) {
        self.model.revision = self.model.revision.next();
        let after = self.world.view().counted_time();
        self.apply(Operation::CountTime { after, length_ms: 60_000 }).unwrap();
    }

    fn apply(&mut self, operation: Operation) -> Answer {
        self.apply_in(None, operation)
    }

    fn apply_in(&mut self, key: Option<RequestKey>, operation: Operation) -> Answer {
        let entry = self.world.entry(vec![Request { key, operation }]);
        self.unfollowed.push(entry.clone());
        self.world.store.apply(&[entry]).unwrap().remove(0).remove(0)
    }

    fn quota_operation(&mut self, operation: QuotaOperation) -> Answer {
        self.model.revision = self.model.revision.next();
        self.apply(Operation::Quota(operation))
    }

    fn set_quota(&mut self) {
        let directory = Account::Directory(self.some(|inode| inode.kind == FileKind::Directory));
        let account = if self.below(4) == 0 { Account::User(self.user()) } else { directory };
        let limit = |below: u64, bound| (below > 0).then_some(bound);
        let limits =
            Limits { bytes: limit(self.below(4), self.below(600)), inodes: limit(self.below(4), self.below(14)) };
        self.quota_operation(QuotaOperation::Set { account, limits }).unwrap();
        self.quotas.insert(account, limits);
    }

    fn remove_quota(&mut self) {
        let accounts: Vec<Account> = self.quotas.keys().copied().collect();
        let place = self.below(accounts.len() as u64 + 1) as usize;
        let Some(&account) = accounts.get(place) else { return };
        self.quota_operation(QuotaOperation::Remove { account }).unwrap();
        self.quotas.remove(&account);
    }

    fn count(&mut self) -> u64 {
        let entries_max = u32::try_from(1 + self.below(4)).unwrap();
        match self.quota_operation(QuotaOperation::Count { entries_max }) {
            Ok(Outcome::Remaining(left)) => left,
            other => panic!("{other:?}"),
        }
    }

    fn take_snapshot(&mut self) {
        let name = format!("s{}", self.model.revision.0);
        self.model.now = self.world.next_time();
        let operation = Operation::Change(Change::CreateSnapshot { name });
        let expected = self.model.request(None, &operation);
        assert_eq!(self.apply(operation), expected);
    }

    /// A change that the model knows, judged by the sums before and after.
    fn change(&mut self) {
        let change = self.random_change();
        let is_certain = !self.world.view().has_uncounted() && !self.has_spanning_file();
        let (before, sums) = (self.model.head.clone(), self.sums());
        self.model.now = self.world.next_time();
        let operation = Operation::Change(change.clone());
        let key = self.key();
        let mut expected = self.model.request(Some(key), &operation);
        if expected.is_ok() && is_certain {
            expected = match self.refusal(&before, &change, &sums) {
                Some(refused) => Err(refused),
                None => expected,
            };
        }
        let answer = self.apply_in(Some(key), operation);
        self.note(&answer);
        if let Err(OperationError::OverQuota { .. } | OperationError::CrossesQuota { .. }) = &answer
            && !is_certain
        {
            self.model.head = before;
            return;
        }
        let agree = match (&answer, &expected) {
            (Ok(answer), Ok(expected)) => answer == expected,
            (Err(answer), Err(expected)) => discriminant(answer) == discriminant(expected),
            _ => false,
        };
        assert!(agree, "{change:#?}\nanswers {answer:#?}\nand not {expected:#?}\nquotas: {:#?}", self.quotas);
        if answer.is_err() {
            self.model.head = before;
        }
        // A directory goes with its quota.
        let head = &self.model.head;
        self.quotas.retain(|account, _| !matches!(account, Account::Directory(lin) if !head.0.contains_key(lin)));
    }

    fn key(&mut self) -> RequestKey {
        self.sequence += 1;
        RequestKey { session: self.session, sequence: self.sequence, low_water: self.sequence }
    }

    fn note(&mut self, answer: &Answer) {
        let what = match answer {
            Err(OperationError::OverQuota { resource: Resource::Bytes, .. }) => "bytes",
            Err(OperationError::OverQuota { resource: Resource::Inodes, .. }) => "inodes",
            Err(OperationError::CrossesQuota { .. }) => "crosses",
            _ => return,
        };
        *self.refused.entry(what).or_default() += 1;
    }

    /// What quotas say of a change that the model has carried out.
    fn refusal(&self, before: &Tree, change: &Change, sums: &Sums) -> Option<OperationError> {
        if self.model.head != *before && self.crosses(before, change) {
            return Some(OperationError::CrossesQuota { lin: Lin(0) });
        }
        let now = self.sums();
        let has = |sums: &Sums, account| sums.get(account).copied().unwrap_or_default();
        let exceeded = |limit: Option<u64>, before, now| limit.is_some_and(|limit| now > before && now > limit);
        self.quotas.iter().find_map(|(account, limits)| {
            let ((inodes, bytes), (more_inodes, more_bytes)) = (has(sums, account), has(&now, account));
            let over = exceeded(limits.bytes, bytes, more_bytes) || exceeded(limits.inodes, inodes, more_inodes);
            let resource = Resource::Bytes;
            over.then_some(OperationError::OverQuota { account: *account, resource, used: 0, needed: 0, limit: 0 })
        })
    }

    fn crosses(&self, before: &Tree, change: &Change) -> bool {
        let moves = |lin: Lin, from, to| {
            let inode = &before.0[&lin];
            let whole = match inode.kind {
                FileKind::Directory => inode.entries.is_empty() || self.quotas.contains_key(&Account::Directory(lin)),
                _ => before.links(lin).len() == 1,
            };
            self.scope_in(before, from) == self.scope_in(before, to) || whole
        };
        match change {
            Change::Link { lin, parent, .. } => {
                let (other, _) = before.links(*lin).pop_first().unwrap();
                self.scope_in(before, other) != self.scope_in(before, *parent)
            }
            Change::Rename(rename) => {
                let (from, to) = (rename.from_parent, rename.to_parent);
                let moved = before.entry(from, &rename.from_name).unwrap();
                let back = before.entry(to, &rename.to_name).filter(|_| rename.mode == RenameMode::Exchange);
                !moves(moved, from, to) || back.is_some_and(|lin| !moves(lin, to, from))
            }
            _ => false,
        }
    }

    /// The nearest directory with a quota for which what is in a directory counts.
    fn scope_in(&self, tree: &Tree, directory: Lin) -> Option<Lin> {
        let mut above = Some(directory);
        while let Some(lin) = above {
            if self.quotas.contains_key(&Account::Directory(lin)) {
                return Some(lin);
            }
            above = tree.links(lin).pop_first().map(|(parent, _)| parent);
        }
        None
    }

    fn has_spanning_file(&self) -> bool {
        let head = &self.model.head;
        let mut scopes: BTreeMap<Lin, BTreeSet<Option<Lin>>> = BTreeMap::new();
        for (&parent, inode) in &head.0 {
            for &lin in inode.entries.values() {
                scopes.entry(lin).or_default().insert(self.scope_in(head, parent));
            }
        }
        scopes.values().any(|scopes| scopes.len() > 1)
    }

    /// What every user owns, and what is below every directory with a quota.
    fn sums(&self) -> Sums {
        let head = &self.model.head;
        let mut sums = Sums::new();
        let mut add = |account, inode: &Inode| {
            let sum: &mut (u64, u64) = sums.entry(account).or_default();
            sum.0 += 1;
            sum.1 += inode.bytes.len() as u64;
        };
        for inode in head.0.values() {
            add(Account::User(inode.uid), inode);
        }
        for account in self.quotas.keys() {
            if let Account::Directory(lin) = account
                && head.0.contains_key(lin)
            {
                below(head, *lin).into_iter().for_each(|lin| add(*account, &head.0[&lin]));
            }
        }
        sums
    }

    fn compare(&mut self) {
        let view = self.world.view();
        let sums = self.sums();
        let is_certain = !view.has_uncounted() && !self.has_spanning_file();
        for uid in 0..4 {
            let owned = view.owned_by(uid).unwrap();
            assert_eq!(owned, sums.get(&Account::User(uid)).copied().unwrap_or_default(), "user {uid}");
        }
        let told = view.quotas(None, usize::MAX).unwrap();
        let accounts: Vec<Account> = told.iter().map(|quota| quota.account).collect();
        assert_eq!(accounts, self.quotas.keys().copied().collect::<Vec<_>>());
        for quota in told.into_iter().filter(|_| is_certain) {
            let expected = sums.get(&quota.account).copied().unwrap_or_default();
            assert_eq!((quota.used_inodes, quota.used_bytes), expected, "{}", quota.account);
            assert_eq!(quota.state, QuotaState::Enforced);
        }
        self.world.check();
        let unfollowed = std::mem::take(&mut self.unfollowed);
        self.follower.apply(&unfollowed).unwrap();
        assert_eq!(self.follower.view().unwrap().digest(), view.digest());
    }

    /// Counts everything, and then removes every quota: nothing is left of them.
    fn end(&mut self) {
        while self.count() > 0 {}
        self.compare();
        for account in std::mem::take(&mut self.quotas).into_keys() {
            self.quota_operation(QuotaOperation::Remove { account }).unwrap();
        }
        while self.count() > 0 {}
        self.compare();
        let rows = self.world.view().row_counts().unwrap();
        let of_quotas = rows.iter().filter(|(family, _)| ["quota", "scope", "recount"].contains(&family.name()));
        assert!(of_quotas.clone().count() == 3 && of_quotas.clone().all(|(_, rows)| *rows == 0), "{rows:?}");
    }

    fn random_change(&mut self) -> Change {
        let directory = |inode: &Inode| inode.kind == FileKind::Directory;
        let (parent, name) = (self.some(directory), self.name());
        match self.below(17) {
            0..=4 => {
                let kind = [FileKind::File, FileKind::Directory][self.below(2) as usize];
                let size = if kind == FileKind::File { self.below(200) } else { 0 };
                let inode = NewInode { size, uid: self.user(), ..new_inode(kind) };
                Change::Create(Create { parent, name, inode, replace: self.below(3) == 0 })
            }
            5 => Change::Link { lin: self.some(|inode| !directory(inode)), parent, name },
            6 => {
                let expect = if self.below(2) == 0 { Removal::Directory } else { Removal::NotDirectory };
                let (parent, name) = self.place();
                Change::Remove { parent, name, expect }
            }
            7..=10 => {
                let (from_parent, from_name) = self.place();
                let (to_parent, to_name) = if self.below(3) == 0 { self.place() } else { (parent, name) };
                let modes = [RenameMode::Replace, RenameMode::Replace, RenameMode::NoReplace, RenameMode::Exchange];
                let mode = modes[self.below(4) as usize];
                Change::Rename(Rename { from_parent, from_name, to_parent, to_name, mode })
            }
            11 => {
                let content = Content::Inline(Bytes::from(vec![b'x'; self.below(200) as usize]));
                Change::Write { lin: self.some(|inode| inode.kind == FileKind::File), content, mtime: None }
            }
            12 | 13 => Change::Hold { lin: self.some(|inode| !directory(inode)) },
            14 => {
                let held: Vec<Lin> = self.model.holds.iter().map(|(_, lin)| *lin).collect();
                let place = self.below(held.len() as u64 + 1) as usize;
                Change::Release { lin: held.get(place).copied().unwrap_or(Lin::ROOT) }
            }
            _ => {
                let (size, uid) = ((self.below(2) == 0).then(|| self.below(200)), Some(self.user()));
                let uid = uid.filter(|_| self.below(2) == 0);
                let changes = AttributeChanges { size, uid, ..AttributeChanges::default() };
                Change::SetAttributes { lin: self.some(|_| true), changes }
            }
        }
    }

    fn user(&self) -> u32 {
        u32::try_from(self.below(4)).unwrap()
    }

    fn name(&self) -> Name {
        name(["a", "b", "c", "d"][self.below(4) as usize])
    }

    fn some(&self, kind: impl Fn(&Inode) -> bool) -> Lin {
        let lins: Vec<Lin> = self.model.head.0.iter().filter(|(_, inode)| kind(inode)).map(|(lin, _)| *lin).collect();
        let place = self.below(lins.len().max(1) as u64) as usize;
        lins.get(place).copied().unwrap_or(Lin::ROOT)
    }

    /// Mostly a name that is there.
    fn place(&self) -> (Lin, Name) {
        let parent = self.some(|inode| !inode.entries.is_empty());
        let names: Vec<Name> = self.model.head.0[&parent].entries.keys().cloned().collect();
        let place = self.below(names.len() as u64 + 1) as usize;
        (parent, names.get(place).cloned().unwrap_or_else(|| self.name()))
    }

    fn below(&self, bound: u64) -> u64 {
        self.seed.below(bound)
    }
}

/// Everything below a directory.
fn below(tree: &Tree, directory: Lin) -> BTreeSet<Lin> {
    let mut found = BTreeSet::new();
    let mut ahead = vec![directory];
    while let Some(lin) = ahead.pop() {
        for &lin in tree.0[&lin].entries.values() {
            if found.insert(lin) {
                ahead.push(lin);
            }
        }
    }
    found
}
