//! Ends everything in good order.

use crate::database::OpenMode;
use crate::disk::Access;
use crate::error::{Error, Result};
use crate::format::{Change, Closed, FileHeader, FileKind};
use crate::log::segment_name;
use crate::manifest::{Manifest, remove_if_there, write_all};

use super::engine::Engine;

/// Name of the file that says so.
pub(crate) const CLOSED: &str = "closed";
const CLOSED_NEW: &str = "closed.new";

impl Engine {
    /// Writes what is in memory, and says in the directory that nothing is missing. Jobs that were
    /// taken have to be given back before. Voted transactions stay voted. Without a close,
    /// nothing that was acknowledged is lost either, but the next opening replays the log.
    pub fn close(mut self) -> Result<()> {
        if self.mode == OpenMode::ReadOnly {
            return Ok(());
        }
        self.log()?.gather(false);
        let is_open = |pending: &super::Pending| pending.state == super::State::Open;
        let open: Vec<_> = self
            .transactions
            .iter()
            .filter(|(_, pending)| is_open(pending))
            .map(|(ttid, _)| *ttid)
            .collect();
        for ttid in open {
            self.abort(ttid)?;
        }
        self.flush()?;
        self.freeze();
        self.flush()?;
        self.end_log()?;
        self.end_manifest()?;
        self.write_closed()
    }

    /// Cuts the last segment where the log ends, and removes those that were never written to.
    fn end_log(&mut self) -> Result<()> {
        if !self.transactions.is_empty() && self.make_place().is_err() && self.failed.is_some() {
            self.log()?;
        }
        for number in std::mem::take(&mut self.spares) {
            remove_if_there(&*self.disk, &segment_name(number))?;
        }
        let Some(log) = &mut self.log else { return Err(Error::ReadOnly) };
        let mut changes: Vec<Change> = log
            .take_closed()
            .into_iter()
            .map(|(number, length)| Change::SegmentClosed { number, length })
            .collect();
        let keeps_reserve = !self.transactions.is_empty() || log.is_full();
        for (segment, length) in log.end_active() {
            let path = || segment.path.clone();
            segment.file.set_length(length).map_err(|e| Error::io("end", path(), e))?;
            segment.file.sync().map_err(|e| Error::sync(path(), e))?;
            changes.push(Change::SegmentClosed { number: segment.number, length });
        }
        let mut unused = Vec::new();
        if !keeps_reserve {
            let state = self.manifest.as_ref().map(|manifest| manifest.lock().state().clone());
            for (number, length) in state.unwrap_or_default().segments {
                let closed = changes.iter().any(|change| {
                    matches!(change, Change::SegmentClosed { number: n, .. } if *n == number)
                });
                if length.is_none() && !closed {
                    changes.push(Change::SegmentRemoved { number });
                    unused.push(number);
                }
            }
        }
        if !changes.is_empty() {
            self.commit_manifest(&changes)?;
        }
        for number in unused {
            remove_if_there(&*self.disk, &segment_name(number))?;
        }
        if let Some(mut job) = self.take_job_to_discard() {
            job.run()?;
        }
        self.disk.sync_directory().map_err(|e| Error::sync(self.disk.path(""), e))
    }

    /// A manifest without history.
    fn end_manifest(&mut self) -> Result<()> {
        let Some(log) = &self.log else { return Err(Error::ReadOnly) };
        let end = super::freeze::TableStart {
            position: log.end(),
            sequence: log.next_sequence(),
            seq: self.next_seq,
            seq_min: self.next_seq,
        };
        let checkpoint = self.checkpoint_at(end);
        let Some(manifest) = &self.manifest else { return Err(Error::ReadOnly) };
        let mut manifest = manifest.lock();
        let mut state = manifest.state().clone();
        state.checkpoint = checkpoint;
        let sequence = manifest.sequence() + 1;
        let disk = std::sync::Arc::clone(&self.disk);
        *manifest = Manifest::write(disk, self.database, self.epoch, state, sequence)?;
        Ok(())
    }

    fn write_closed(&mut self) -> Result<()> {
        let (Some(log), Some(manifest)) = (&self.log, &self.manifest) else {
            return Err(Error::ReadOnly);
        };
        let header = FileHeader {
            kind: FileKind::Closed,
            database: self.database,
            number: 0,
            epoch: self.epoch,
        };
        let manifest = manifest.lock();
        let closed = Closed {
            manifest_sequence: manifest.sequence(),
            manifest_length: manifest.length(),
            log_end: log.end(),
            group_sequence: log.next_sequence(),
        };
        let mut bytes = header.encode();
        bytes.extend_from_slice(&closed.encode(header.seed()));
        let disk = &self.disk;
        let path = disk.path(CLOSED_NEW);
        remove_if_there(&**disk, CLOSED_NEW)?;
        let file = disk
            .open(CLOSED_NEW, Access::CreateNew)
            .map_err(|e| Error::io("create", path.clone(), e))?;
        write_all(&*file, &path, &bytes, 0)?;
        file.sync().map_err(|e| Error::sync(path.clone(), e))?;
        disk.rename(CLOSED_NEW, CLOSED).map_err(|e| Error::io("rename", path, e))?;
        disk.sync_directory().map_err(|e| Error::sync(disk.path(""), e))
    }
}
