//! Settings of backups.

use std::time::Duration;

use repo::ObjectOptions;
use runtime::Clock;
use site::Retry;

use crate::plan::CutOptions;

/// Settings of the backups that a node takes part in.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How large units are.
    pub cut: CutOptions,
    /// How large upload objects get. One is filled, one waits and two are uploaded at a time: four times this is what a
    /// worker holds in memory.
    pub objects: ObjectOptions,
    /// Blocks that a worker reads at a time: enough to hide a disk's or a peer's latency.
    pub reads_max: usize,
    /// How often jobs are looked for, and workers without work ask again.
    pub poll: Duration,
    /// How often an owner notes its job's progress in the replicated state: each note is a log entry.
    pub progress: Duration,
    /// A job fails whose set has lost a larger share than this since its base, in percent, unless that is accepted
    /// (rule P17). Half is more than any clean-up takes, and less than what a mistake or an intruder leaves.
    pub shrunk_percent_max: u64,
    /// A set that had fewer files, directories and links than this is not compared: one folder less is too much of it.
    pub shrunk_lins_min: u64,
    /// How often a step that failed for a reason that may pass is tried again before the job fails; the pause doubles
    /// from [`Options::retry_first`], so that ten are some eight minutes.
    pub retries_max: u32,
    /// The first pause before a step is tried again.
    pub retry_first: Duration,
    /// How long a request to a site may take, before it counts as failed and is tried again: the largest object at
    /// 2 Mbit/s, so that a slow line is not taken for one that hangs.
    pub request_deadline: Duration,
    /// How long opening a site and reading its bootstrap may take: that is a few hundred bytes.
    pub check_deadline: Duration,
    /// How often an owner tries to put a commit that is fixed before it gives the job to another node that is there:
    /// with the pauses some half a minute, since no other job of the site can commit meanwhile.
    pub commit_tries: u32,
    /// What failed is not started again before this time after its start.
    pub restart_pause: Duration,
    /// How often a worker lets the owner of its job know that it is there.
    pub sign_of_life: Duration,
    /// A worker that the owner has not heard for so long loses its units: its node may be there, and not reach the
    /// owner's. Signs of life go on while it packs and uploads, however long that takes.
    pub worker_silence: Duration,
    /// How long the owner of a job may be silent before the leader gives the job to another node.
    pub owner_grace: Duration,
}

impl Options {
    /// Tries again what may pass by itself.
    pub(crate) fn retry(&self, clock: &Clock) -> Retry {
        Retry::new(clock, self.retries_max, self.retry_first)
    }

    /// Tries a commit that is fixed a few times, whatever the error is: it must not be given up (rule P22), and another
    /// node may be able to put it.
    pub(crate) fn retry_of_commit(&self, clock: &Clock) -> Retry {
        Retry::new(clock, self.commit_tries.saturating_sub(1), self.retry_first).after_any_error()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cut: CutOptions::default(),
            objects: ObjectOptions::default(),
            reads_max: 16,
            poll: Duration::from_millis(200),
            progress: Duration::from_secs(2),
            shrunk_percent_max: 50,
            shrunk_lins_min: 100,
            retries_max: 10,
            retry_first: Duration::from_millis(500),
            request_deadline: Duration::from_mins(5),
            check_deadline: Duration::from_secs(30),
            commit_tries: 6,
            restart_pause: Duration::from_secs(3),
            sign_of_life: Duration::from_secs(5),
            worker_silence: Duration::from_mins(1),
            owner_grace: Duration::from_secs(5),
        }
    }
}
