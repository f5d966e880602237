//! The part of a backup that runs on every node: finds what of a unit has changed, and packs and uploads it.

mod error;
mod line;
mod pack_unit;
mod uploader;

pub use error::WorkError;
pub use line::Line;

use std::collections::HashSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use repo::{Writer, WriterKeys};
use site::Site;
use tokio::sync::mpsc;
use types::{Fence, Job, Lin, Policy};

use crate::pack::{Differ, PackError, Packed, Packer, PackerOptions};
use crate::plan::UnitName;
use crate::set::Membership;
use crate::work::{Pulled, WorkerId};
use crate::{Options, Surroundings};
use uploader::Uploader;

/// One node's worker for one job.
pub struct Worker {
    id: WorkerId,
    around: Surroundings,
    options: Options,
    job: Job,
    generation: types::Generation,
    line: Line,
    differ: Arc<Mutex<Differ>>,
    packer: Arc<Mutex<Packer>>,
    site: Site,
    packed: HashSet<UnitName>,
}

/// What a worker is made of besides its node's surroundings.
pub struct Assignment {
    /// The job.
    pub job: Job,
    /// Its policy.
    pub policy: Policy,
    /// The record of its site.
    pub site_record: types::Site,
    /// The site.
    pub site: Site,
    /// The repository's keys.
    pub keys: WriterKeys,
    /// Counts the objects of this process.
    pub sequence: Arc<AtomicU64>,
}

impl Worker {
    /// Makes a worker.
    ///
    /// # Errors
    /// The job's snapshots cannot be read.
    pub fn new(
        id: WorkerId,
        around: Surroundings,
        options: Options,
        line: Line,
        assignment: Assignment,
    ) -> Result<Self, WorkError> {
        let Assignment { job, policy, site_record, site, keys, sequence } = assignment;
        let view = around.state.view()?;
        let roots: Vec<Lin> = policy.roots.iter().map(|root| root.lin).collect();
        let now = Membership::new(view.at(job.snapshot)?, roots.iter().copied());
        let base = match job.base_snapshot {
            Some(base) => Some(Membership::new(view.at(base)?, roots)),
            None => None,
        };
        let packer = PackerOptions {
            repository: site_record.repository,
            keys,
            set: job.set,
            epoch: job.epoch,
            objects: options.objects,
        };
        let seed = around.seed.clone();
        Ok(Self {
            id,
            around,
            options,
            generation: site_record.generation,
            line,
            differ: Arc::new(Mutex::new(Differ::new(now, base))),
            packer: Arc::new(Mutex::new(Packer::new(packer, seed, sequence))),
            site,
            packed: HashSet::new(),
            job,
        })
    }

    /// Works until the job has no more units, or ends.
    ///
    /// # Errors
    /// What cannot be packed, uploaded or reported; units that were not reported go back to the owner's queue.
    pub async fn run(mut self) -> Result<(), WorkError> {
        let (sender, receiver) = mpsc::channel(1);
        let (site, line, metrics) = (self.site.clone(), self.line.clone(), self.around.metrics.clone());
        let uploader = Uploader { node: self.id.node, site, line, metrics };
        let line = self.line.clone();
        let working = async { futures::try_join!(self.work(sender), uploader.run(receiver)) };
        tokio::select! {
            worked = working => worked.map(drop),
            Err(error) = line.give_signs_of_life() => Err(error),
        }
    }

    async fn work(&mut self, sender: mpsc::Sender<Packed>) -> Result<(), WorkError> {
        for number in 0.. {
            let Some((fence, pulled)) = self.line.pull(number).await? else { return Ok(()) };
            match pulled {
                Pulled::Unit(unit) if self.packed.contains(&unit.name) => {
                    // It was given back and came again: its rows are in an object already, and one has a key once.
                    self.complete(unit.name, &sender).await?;
                }
                Pulled::Unit(unit) => {
                    let name = unit.name.clone();
                    self.pack_unit(unit, self.writer(fence), &sender).await?;
                    self.packed.insert(name.clone());
                    self.complete(name, &sender).await?;
                }
                Pulled::Later => self.around.clock.sleep(self.options.poll).await,
                Pulled::Drain => {
                    self.flush(&sender).await?;
                    self.around.clock.sleep(self.options.poll).await;
                }
                Pulled::Finished => return Ok(()),
            }
        }
        Ok(())
    }

    /// Notes a unit as packed; what is full is sent on its way.
    async fn complete(&self, name: UnitName, sender: &mpsc::Sender<Packed>) -> Result<(), WorkError> {
        let complete = |packer: &mut Packer| {
            packer.complete_unit(name);
            packer.take_full()
        };
        self.take(complete, sender).await
    }

    /// Sends what is packed on its way, however little.
    async fn flush(&self, sender: &mpsc::Sender<Packed>) -> Result<(), WorkError> {
        self.take(Packer::take, sender).await
    }

    async fn take(
        &self,
        take: impl FnOnce(&mut Packer) -> Result<Option<Packed>, PackError> + Send + 'static,
        sender: &mpsc::Sender<Packed>,
    ) -> Result<(), WorkError> {
        let packer = Arc::clone(&self.packer);
        let taken = runtime::blocking(move || take(&mut packer.lock().unwrap_or_else(PoisonError::into_inner))).await?;
        match taken {
            Some(packed) => sender.send(packed).await.map_err(|_| WorkError::Stopped),
            None => Ok(()),
        }
    }

    fn writer(&self, fence: Fence) -> Writer {
        Writer {
            generation: self.generation,
            epoch: self.job.epoch,
            fence,
            node: self.id.node,
            incarnation: self.id.incarnation,
            sequence: 0,
        }
    }
}
