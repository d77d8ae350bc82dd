//! Edits of the manifest that follow from background work. They are synced, so they are background
//! work themselves: whoever owns the engine does not wait for the disk.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::engine::Engine;
use super::job::{Flush, Job, JobKind, JobState, Prepare};
use super::merge::Merge;
use crate::error::{Error, Result};
use crate::format::Change;
use crate::log::segment_name;
use crate::manifest::{MANIFEST, Manifest};

/// The manifest, which the engine and its jobs edit, one at a time.
#[derive(Clone, Debug)]
pub(super) struct SharedManifest(Arc<Mutex<Manifest>>);

impl SharedManifest {
    pub(super) fn new(manifest: Manifest) -> Self {
        Self(Arc::new(Mutex::new(manifest)))
    }

    /// Waits while somebody else edits it.
    pub(super) fn lock(&self) -> MutexGuard<'_, Manifest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an edit, durably. The sequence number of the edit.
    fn commit(&self, changes: &[Change]) -> Result<u64> {
        let mut manifest = self.lock();
        manifest.commit(changes)?;
        Ok(manifest.sequence())
    }
}

/// An edit, and what is done once it is durable.
#[derive(Debug)]
pub(super) struct Edit {
    manifest: SharedManifest,
    changes: Vec<Change>,
    purpose: Purpose,
    /// Its sequence number, once it is durable.
    sequence: u64,
}

/// What an edit is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// To take a segment into use.
    Prepare(Prepare),
    /// To put runs in the place of a memory table.
    Flush(Flush),
    /// To put a run in the place of others.
    Merge(Merge),
    /// To remove a segment.
    Remove(u32),
}

impl Edit {
    pub(super) fn step(&mut self) -> Result<JobState> {
        self.sequence = self.manifest.commit(&self.changes)?;
        Ok(JobState::Done)
    }
}

impl Engine {
    /// Has an edit made in the background.
    pub(super) fn edit_manifest(&mut self, changes: Vec<Change>, purpose: Purpose) -> Result<()> {
        let Some(manifest) = self.manifest.clone() else { return Err(Error::ReadOnly) };
        self.edits.push_back(Edit { manifest, changes, purpose, sequence: 0 });
        Ok(())
    }

    pub(super) fn take_edit_job(&mut self) -> Option<Job> {
        self.edits.pop_front().map(|edit| Job { kind: JobKind::Edit(edit) })
    }

    /// Makes all edits that wait, on this thread.
    pub(super) fn make_edits(&mut self) -> Result<()> {
        while let Some(mut job) = self.take_edit_job() {
            let result = job.run();
            self.finish_job(job, result)?;
        }
        Ok(())
    }

    /// Now the work that an edit is for counts, if it is there.
    pub(super) fn finish_edit(&mut self, edit: Edit, result: &Result<()>) -> Result<()> {
        self.edited(result, edit.sequence);
        let is_sound = result.is_ok();
        match edit.purpose {
            Purpose::Prepare(prepare) => self.segment_named(prepare, is_sound),
            Purpose::Flush(flush) => {
                self.flush_named(flush, &edit.changes, is_sound);
                Ok(())
            }
            Purpose::Merge(merge) => {
                self.merge_named(merge, is_sound);
                Ok(())
            }
            Purpose::Remove(number) => {
                // If the disk is full it stays, unused, until the database is closed or opened.
                if is_sound {
                    self.discard.file(segment_name(number));
                }
                Ok(())
            }
        }
    }

    /// Adds an edit to the manifest at once. After an error other than a full disk nothing goes on.
    pub(super) fn commit_manifest(&mut self, changes: &[Change]) -> Result<()> {
        let Some(manifest) = &self.manifest else { return Err(Error::ReadOnly) };
        let committed = manifest.commit(changes);
        let sequence = *committed.as_ref().unwrap_or(&0);
        let result = committed.map(drop);
        self.edited(&result, sequence);
        result
    }

    /// The log says how many edits there are, so that none can be lost unnoticed.
    fn edited(&mut self, result: &Result<()>, sequence: u64) {
        match result {
            Ok(()) => {
                if let Some(log) = &mut self.log {
                    log.manifest_sequence = log.manifest_sequence.max(sequence);
                }
            }
            Err(Error::Full { .. }) => {}
            Err(_) => self.failed = Some(self.disk.path(MANIFEST)),
        }
    }
}
