//! Files of a window: opened before their content comes, finished after it.

use std::sync::{Arc, Mutex, PoisonError};

use types::ErrorKind;

use super::Restore;
use crate::plan::{Part, PlannedFile, PlannedSpecial, PlannedSymlink, Window};
use crate::report::{Failure, Report};
use crate::{Found, LocalFile, LocalTarget, NewFile, RelativePath, RestoreError, TargetError, Warnings};

/// A file that is being restored.
pub(super) struct OpenFile {
    plan: Arc<PlannedFile>,
    /// What was there and may hold some of the content.
    old: Option<LocalFile>,
    /// What takes its place; `None` as long as what was there may stay.
    new: Option<NewFile>,
    /// Up to where content and holes are accounted for, in bytes.
    position: u64,
    failure: Mutex<Option<Failure>>,
}

impl OpenFile {
    /// The file that is written, if there is one and nothing of it has failed.
    pub(super) fn writable(&self) -> Option<&LocalFile> {
        let has_failed = self.failure.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        self.new.as_deref().filter(|_| !has_failed)
    }

    /// Notes the first reason why the file cannot be restored.
    pub(super) fn fail(&self, failure: Failure) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
    }

    /// What an error of the target means for the file.
    pub(super) fn failure_of(&self, error: &TargetError) -> Failure {
        Failure::target(&self.plan.paths.first().cloned().unwrap_or_default(), error)
    }

    fn has_failed(&self) -> bool {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Begins a file in place of the one that was there, with what of that one is right so far.
    fn rewrite(&mut self, target: &LocalTarget, old: Option<&LocalFile>) -> Result<(), TargetError> {
        let (None, Some(path)) = (&self.new, self.plan.paths.first()) else { return Ok(()) };
        let new = target.new_file(path)?;
        new.set_length(self.plan.size)?;
        if let Some(old) = old {
            old.copy_to(&new, self.position)?;
        }
        self.new = Some(new);
        Ok(())
    }
}

impl Restore {
    /// Makes what has no content and opens files; takes out of the parts what is in place already.
    pub(super) fn open_window(
        &self,
        window: Window,
        mut carried: Option<OpenFile>,
    ) -> Result<(Vec<Part>, Vec<OpenFile>), RestoreError> {
        for (path, what) in &window.failures {
            self.report().fail(path, Failure::tables(what));
        }
        for symlink in &window.symlinks {
            self.make_symlink(symlink)?;
        }
        for special in &window.specials {
            self.make_special(special)?;
        }
        let mut parts = window.parts;
        let mut files = Vec::with_capacity(parts.len());
        for part in &mut parts {
            let mut file = match carried.take().filter(|_| !part.is_first) {
                Some(file) => file,
                None => self.open_file(&part.file)?,
            };
            if let Err(error) = self.prepare(&mut file, part) {
                stop_if_full(error).map(|error| file.fail(file.failure_of(&error)))?;
            }
            if file.has_failed() {
                part.extents.clear();
            }
            files.push(file);
        }
        Ok((parts, files))
    }

    fn make_symlink(&self, symlink: &PlannedSymlink) -> Result<(), RestoreError> {
        let PlannedSymlink { paths, metadata, target } = symlink;
        self.make_at_once(paths, |path| self.target.make_symlink(path, target, metadata), |report| report.symlinks += 1)
    }

    fn make_special(&self, special: &PlannedSpecial) -> Result<(), RestoreError> {
        let PlannedSpecial { paths, metadata, device } = special;
        self.make_at_once(
            paths,
            |path| self.target.make_special(path, *device, metadata),
            |report| report.specials += 1,
        )
    }

    /// Makes a file that is whole at once under its first name, and links the others to it.
    fn make_at_once(
        &self,
        paths: &[RelativePath],
        make: impl Fn(&RelativePath) -> Result<Warnings, TargetError>,
        count: impl FnOnce(&mut Report),
    ) -> Result<(), RestoreError> {
        let Some((first, others)) = paths.split_first() else { return Ok(()) };
        self.progress.add_file();
        match self.within_ancestors(first, || make(first)) {
            Ok(warnings) => {
                let mut report = self.report();
                count(&mut report);
                report.warnings.add(warnings);
            }
            Err(error) => {
                let failure = Failure::target(first, &stop_if_full(error)?);
                paths.iter().for_each(|path| self.report().fail(path, failure.clone()));
                return Ok(());
            }
        }
        others.iter().try_for_each(|path| self.link(first, path))
    }

    fn link(&self, first: &RelativePath, path: &RelativePath) -> Result<(), RestoreError> {
        match self.within_ancestors(path, || self.target.link(first, path)) {
            Ok(()) => self.report().links += 1,
            Err(error) => self.note(path, error)?,
        }
        Ok(())
    }

    fn open_file(&self, plan: &Arc<PlannedFile>) -> Result<OpenFile, RestoreError> {
        let plan = Arc::clone(plan);
        let mut file = OpenFile { plan, old: None, new: None, position: 0, failure: Mutex::new(None) };
        let path = file.plan.paths.first().cloned().unwrap_or_default();
        if let Err(error) = self.within_ancestors(&path, || self.begin(&mut file)) {
            file.fail(file.failure_of(&stop_if_full(error)?));
        }
        Ok(file)
    }

    /// Looks at what is there; begins a new file unless that may stay.
    fn begin(&self, file: &mut OpenFile) -> Result<(), TargetError> {
        let Some(path) = file.plan.paths.first() else { return Ok(()) };
        match self.target.find_file(path, &file.plan.paths)? {
            Found::Own(old) if old.length()? == file.plan.size => {
                file.old = Some(old);
                return Ok(());
            }
            Found::Own(old) | Found::Foreign(old) => file.old = Some(old),
            Found::Nothing => {}
        }
        file.rewrite(&self.target, None)
    }

    /// Checks the extents of a part; takes out those that what was there has, too.
    fn prepare(&self, file: &mut OpenFile, part: &mut Part) -> Result<(), TargetError> {
        if file.has_failed() {
            return Ok(());
        }
        let end = |offset: u64, length: u32| offset.checked_add(u64::from(length));
        let fits = |(offset, extent): &(u64, repo::ExtentRecord)| {
            end(*offset, extent.length).is_some_and(|end| end <= file.plan.size)
        };
        if !part.extents.iter().all(fits) {
            file.fail(Failure::tables("one of its extents lies beyond its end"));
            return Ok(());
        }
        if !part.extents.iter().all(|(_, extent)| extent.location.is_within_limits()) {
            file.fail(Failure::tables("one of its blocks is longer than the format allows"));
            return Ok(());
        }
        let Some(old) = file.old.take() else { return Ok(()) };
        let wanted = self.compare(file, part, &old)?;
        part.extents = wanted;
        // It is of no more use once all of it was compared, unless it stays; fewer files are open without it.
        file.old = (!part.is_last || file.new.is_none()).then_some(old);
        Ok(())
    }

    /// Compares what was there with a part, and begins a new file at the first difference. Gives what is to be brought.
    fn compare(
        &self,
        file: &mut OpenFile,
        part: &mut Part,
        old: &LocalFile,
    ) -> Result<Vec<(u64, repo::ExtentRecord)>, TargetError> {
        let mut wanted = Vec::with_capacity(part.extents.len());
        for (offset, extent) in part.extents.drain(..) {
            if file.new.is_none() && !old.is_zero(file.position..offset)? {
                file.rewrite(&self.target, Some(old))?;
            }
            file.position = file.position.max(offset);
            if let Some(bytes) = self.in_place(old, offset, &extent)? {
                if let Some(new) = &file.new {
                    new.write_at(&bytes, offset)?;
                }
                self.report().bytes_kept += u64::from(extent.length);
                self.progress.add_bytes(u64::from(extent.length));
            } else {
                file.rewrite(&self.target, Some(old))?;
                wanted.push((offset, extent));
            }
            file.position = file.position.max(offset + u64::from(extent.length));
        }
        if part.is_last && file.new.is_none() && !old.is_zero(file.position..file.plan.size)? {
            file.rewrite(&self.target, Some(old))?;
        }
        Ok(wanted)
    }

    /// The bytes of an extent, if what was there has them. Only whole blocks can be told by their digest.
    fn in_place(
        &self,
        old: &LocalFile,
        offset: u64,
        extent: &repo::ExtentRecord,
    ) -> Result<Option<Vec<u8>>, TargetError> {
        if extent.block_offset != 0 || extent.length != extent.location.plain_length {
            return Ok(None);
        }
        let bytes = old.read_at(offset, extent.length as usize)?;
        Ok((self.keys.keyed(&block::digest(&bytes)) == extent.digest).then_some(bytes))
    }

    /// Gives complete files their metadata and names; those that failed are dropped. Gives the last one if it goes on.
    pub(super) fn finish_window(
        &self,
        parts: &[Part],
        files: Arc<Vec<OpenFile>>,
    ) -> Result<Option<OpenFile>, RestoreError> {
        let files = Arc::into_inner(files).expect("whoever filled the files has let go of them");
        let mut carried = None;
        for (part, file) in parts.iter().zip(files) {
            if part.is_last {
                self.finish_file(file)?;
            } else {
                carried = Some(file);
            }
        }
        Ok(carried)
    }

    fn finish_file(&self, file: OpenFile) -> Result<(), RestoreError> {
        let OpenFile { plan, old, new, failure, .. } = file;
        let Some((first, others)) = plan.paths.split_first() else { return Ok(()) };
        self.progress.add_file();
        let is_kept = new.is_none();
        let finished = match (failure.into_inner().unwrap_or_else(PoisonError::into_inner), new, old) {
            (Some(failure), ..) => Err(failure),
            (None, Some(new), _) => self.finished(first, self.target.finish_file(new, &plan.metadata))?,
            (None, None, Some(old)) => self.finished(first, old.finish(&plan.metadata))?,
            (None, None, None) => return Ok(()),
        };
        match finished {
            Ok(warnings) => {
                let mut report = self.report();
                report.files += 1;
                report.files_kept += u64::from(is_kept);
                report.warnings.add(warnings);
            }
            Err(failure) => {
                plan.paths.iter().for_each(|path| self.report().fail(path, failure.clone()));
                return Ok(());
            }
        }
        others.iter().try_for_each(|path| self.link(first, path))
    }

    /// Tells an error that concerns the file from one that ends the restore.
    fn finished<T>(
        &self,
        path: &RelativePath,
        outcome: Result<T, TargetError>,
    ) -> Result<Result<T, Failure>, RestoreError> {
        outcome.map_or_else(
            |error| stop_if_full(error).map(|error| Err(Failure::target(path, &error))),
            |value| Ok(Ok(value)),
        )
    }
}

/// A full disk ends the restore; all else concerns one file.
fn stop_if_full(error: TargetError) -> Result<TargetError, RestoreError> {
    if error.kind() == ErrorKind::NoSpace { Err(error.into()) } else { Ok(error) }
}
