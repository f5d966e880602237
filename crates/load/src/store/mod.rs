//! A state store with very many files, made as a member of a cluster makes it, and what it costs.
//!
//! Every file is made by a client's request in an entry of a log, which goes through [`Store::apply`]; nothing is written
//! behind the store's back. So the rate is what one member's state store takes, without log and network.

mod feed;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use namespace::{Store, View};
use runtime::{Clock, EntryKind, Files, Seed};
use types::{Lin, Name};

use feed::{ENTRY_REQUESTS, Feed, file_name};

/// Files of each directory but the first.
const DIRECTORY_FILES: u64 = 1000;
/// Files that change between two snapshots.
const CHANGED: u64 = 100;
/// After so many files a difference of snapshots is measured, besides the end.
const MILESTONES: [u64; 2] = [100_000, 1_000_000];
/// How long look-ups are counted.
const LOOK_UPS: Duration = Duration::from_secs(5);
/// Entries of one page of a listing.
const PAGE: usize = 4096;
/// Bytes that are copied at once.
const CHUNK: u64 = 1 << 20;
/// Lines of progress.
const LINES: u64 = 20;

/// Which store is made.
#[derive(Args)]
pub struct Plan {
    /// A folder that is not there yet: it gets the store and two copies, and is removed at the end
    #[arg(long)]
    folder: PathBuf,
    /// How many files
    #[arg(long, default_value_t = 1_000_000)]
    files: u64,
    /// How many of them lie in one directory
    #[arg(long, default_value_t = 1_000_000)]
    largest: u64,
    /// What the contents are drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// A store that grows, and where its files are.
struct Filled<'a> {
    plan: &'a Plan,
    clock: &'a Clock,
    feed: Feed,
    files: u64,
    directories: Vec<Lin>,
}

/// Makes the store, measures it, prints, and removes it.
pub fn measure(plan: &Plan, clock: &Clock) -> Result<()> {
    let files = Files::real();
    ensure!(!files.exists(&plan.folder)?, "{} is there: name a new folder", plan.folder.display());
    files.create_dirs(&plan.folder)?;
    let measured = measure_in(plan, clock, &files);
    files.remove_dir_all(&plan.folder)?;
    measured
}

fn measure_in(plan: &Plan, clock: &Clock, files: &Files) -> Result<()> {
    let store = Store::open(plan.folder.join("store"))?;
    let feed = Feed::new(store, Seed::fixed(plan.seed))?;
    let mut filled = Filled { plan, clock, feed, files: 0, directories: Vec::new() };
    filled.fill(files)?;
    let (flush, flushed) = timed(clock, || filled.feed.store.flush());
    flushed?;
    println!("flush: {:.2} s", flush.as_secs_f64());
    let bytes = folder_bytes(files, &plan.folder)?;
    println!("store: {} MiB, {:.0} bytes a file", bytes >> 20, bytes as f64 / filled.files as f64);
    filled.difference()?;
    filled.look_ups()?;
    filled.listing()?;
    filled.copies(files)?;
    println!("memory at the end: {}", memory(files)?);
    Ok(())
}

impl Filled<'_> {
    fn fill(&mut self, files: &Files) -> Result<()> {
        let began = self.clock.now();
        let line = (self.plan.files / LINES).max(ENTRY_REQUESTS);
        let (mut next_line, mut line_began, mut line_files, mut directory_end) = (line, began, 0, 0);
        while self.files < self.plan.files {
            if self.files == directory_end {
                let number = self.directories.len();
                self.directories.push(self.feed.make_directory(&format!("directory-{number:06}"))?);
                directory_end += if number == 0 { self.plan.largest.max(1) } else { DIRECTORY_FILES };
            }
            let directory = *self.directories.last().context("there is a directory")?;
            let milestone = MILESTONES.into_iter().find(|milestone| *milestone > self.files).unwrap_or(u64::MAX);
            let end = (self.files + ENTRY_REQUESTS).min(directory_end).min(self.plan.files).min(milestone);
            self.feed.make_files(directory, self.files..end)?;
            self.files = end;
            if end == milestone && end < self.plan.files {
                self.difference()?;
            }
            if end >= next_line {
                let rate = (end - line_files) as f64 / self.clock.now().duration_since(line_began).as_secs_f64();
                let bytes = folder_bytes(files, &self.plan.folder)?;
                println!("{end} files, {rate:.0} a second now, {} MiB on disk, {}", bytes >> 20, memory(files)?);
                (next_line, line_began, line_files) = (next_line + line, self.clock.now(), end);
            }
        }
        let took = self.clock.now().duration_since(began).as_secs_f64();
        println!("fill: {} files in {took:.1} s, {:.0} a second", self.files, self.files as f64 / took);
        Ok(())
    }

    /// Two snapshots with some changes between them, and their difference.
    fn difference(&mut self) -> Result<()> {
        let view = self.feed.store.view()?;
        let step = (self.files / CHANGED).max(1);
        let changed: Result<Vec<Lin>> = (0..self.files)
            .step_by(usize::try_from(step)?)
            .take(CHANGED as usize)
            .map(|n| self.lin(&view, n))
            .collect();
        let changed = changed?;
        let (taken, base) = timed(self.clock, || self.feed.snapshot("base"));
        let base = base?;
        self.feed.change_modes(&changed, 0o600)?;
        let to = self.feed.snapshot("to")?;
        let view = self.feed.store.view()?;
        let (compared, page) = timed(self.clock, || view.changed_since(Some(base.id), to.id, None, usize::MAX));
        let page = page?;
        ensure!(page.changes.len() == changed.len(), "{} changes of {}", page.changes.len(), changed.len());
        println!(
            "difference: {} changed of {} files, {} rows read, {:.2} ms; a snapshot takes {:.2} ms",
            changed.len(),
            self.files,
            page.rows_read,
            compared.as_secs_f64() * 1e3,
            taken.as_secs_f64() * 1e3,
        );
        drop(view);
        self.feed.drop_snapshot(base.id)?;
        self.feed.drop_snapshot(to.id)
    }

    /// Names that are drawn are looked up, with what `stat` tells of them.
    fn look_ups(&self) -> Result<()> {
        let (view, seed) = (self.feed.store.view()?, Seed::fixed(self.plan.seed).child("look-ups"));
        let (began, mut count) = (self.clock.now(), 0_u64);
        while self.clock.now().duration_since(began) < LOOK_UPS {
            for _ in 0..100 {
                let lin = self.lin(&view, seed.below(self.files))?;
                view.attributes(lin)?;
            }
            count += 100;
        }
        let took = self.clock.now().duration_since(began).as_secs_f64();
        println!("look-ups of a drawn name and its attributes: {:.0} a second", count as f64 / took);
        Ok(())
    }

    /// The largest directory is listed.
    fn listing(&self) -> Result<()> {
        let view = self.feed.store.view()?;
        let directory = *self.directories.first().context("there is a directory")?;
        let (took, entries) = timed(self.clock, || list(&view, directory));
        println!("listing of a directory with {} entries: {:.2} s", entries?, took.as_secs_f64());
        Ok(())
    }

    /// A copy of the state, as it is sent to a member that is too far behind, and what that one does with it.
    fn copies(&self, files: &Files) -> Result<()> {
        let (copy, received) = (self.plan.folder.join("copy"), self.plan.folder.join("received"));
        let (took, copied) = timed(self.clock, || self.feed.store.checkpoint(&copy));
        copied?;
        println!("checkpoint: {:.2} s", took.as_secs_f64());
        let (took, bytes) = timed(self.clock, || receive(files, &copy, &received));
        println!("install: {} MiB written and synced in {:.1} s", bytes? >> 20, took.as_secs_f64());
        let (took, store) = timed(self.clock, || Store::open(&received));
        ensure!(store?.digest() == self.feed.store.digest(), "the copy holds another state");
        println!("install: opened in {:.2} s", took.as_secs_f64());
        Ok(())
    }

    fn lin(&self, view: &View, number: u64) -> Result<Lin> {
        let beyond = number.checked_sub(self.plan.largest.max(1));
        let place = beyond.map_or(0, |beyond| 1 + beyond / DIRECTORY_FILES);
        let directory = self.directories.get(usize::try_from(place)?).context("every file has a directory")?;
        Ok(view.lookup(*directory, &Name::new(file_name(number))?)?.lin)
    }
}

fn list(view: &View, directory: Lin) -> Result<u64> {
    let (mut after, mut entries) = (None, 0);
    loop {
        let mut page = view.read_directory(directory, after.as_ref(), PAGE)?;
        entries += page.len() as u64;
        match page.pop() {
            Some(last) => after = Some(last.name),
            None => return Ok(entries),
        }
    }
}

/// Copies a folder of files byte by byte and syncs each, as a member does with what it is sent.
fn receive(files: &Files, from: &Path, to: &Path) -> Result<u64> {
    files.create_dirs(to)?;
    let mut bytes = 0;
    for entry in files.list(from)? {
        let (source, target) = (files.open_read(&entry.path)?, files.create(&to.join(&entry.name))?);
        let length = source.len()?;
        let mut offset = 0;
        while offset < length {
            let chunk = source.read_exact_at(offset, usize::try_from(CHUNK.min(length - offset))?)?;
            target.write_all_at(offset, &chunk)?;
            offset += chunk.len() as u64;
        }
        target.sync_data()?;
        bytes += length;
    }
    files.sync_dir(to)?;
    Ok(bytes)
}

/// The bytes of all files of a folder. One that goes meanwhile does not count.
fn folder_bytes(files: &Files, folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in files.list(folder)? {
        bytes += match entry.kind {
            EntryKind::Directory => folder_bytes(files, &entry.path)?,
            _ => files.open_read(&entry.path).and_then(|file| file.len()).unwrap_or_default(),
        };
    }
    Ok(bytes)
}

/// The memory that the process has, and has had at most.
fn memory(files: &Files) -> Result<String> {
    let status = String::from_utf8(files.read(Path::new("/proc/self/status"))?)?;
    let kib = |key: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(key))?;
        value.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    };
    let mib = |key| kib(key).map_or(0, |kib| kib >> 10);
    Ok(format!("{} MiB resident, {} MiB at most", mib("VmRSS:"), mib("VmHWM:")))
}

fn timed<T>(clock: &Clock, work: impl FnOnce() -> T) -> (Duration, T) {
    let began = clock.now();
    let done = work();
    (clock.now().duration_since(began), done)
}
