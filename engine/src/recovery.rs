//! Finds out what a directory holds. Nothing is written before everything was checked.

mod extents;
mod replay;
mod settle;
mod tail;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Ttid;

use crate::database::{OpenMode, Pending};
use crate::disk::{Access, Disk};
use crate::error::{Error, Result};
use crate::format::{Checkpoint, Closed, FileHeader, FileKind, HEADER_LENGTH, Metadata, Position};
use crate::manifest::{ManifestContents, read_manifest};
use crate::run::{PinBudget, RunFile, read_exact};
use crate::version::{Segment, Version};

pub(crate) use replay::Replay;
pub(crate) use settle::settle;
pub(crate) use tail::{SegmentMap, find_end};

/// What a directory holds.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) header: FileHeader,
    pub(crate) manifest: ManifestContents,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) segments: BTreeMap<u32, Option<u64>>,
    pub(crate) runs_known: Vec<u32>,
    pub(crate) version: Version,
    pub(crate) transactions: BTreeMap<Ttid, Pending>,
    pub(crate) metadata: Metadata,
    pub(crate) next_seq: u64,
    pub(crate) garbage_bytes: u64,
    /// Where the log ends, and the sequence number of the group that comes next.
    pub(crate) end: Position,
    pub(crate) next_sequence: u64,
    /// The greatest position that is proven to have been synced.
    pub(crate) durable: Position,
    /// Segments that hold part of the log, with the end of it in each.
    pub(crate) visited: BTreeMap<u32, u64>,
}

/// Reads and checks the manifest, the runs' ends and the log since the checkpoint.
pub(crate) fn recover(
    disk: &Arc<dyn Disk>,
    budget: &Arc<PinBudget>,
    mode: OpenMode,
) -> Result<Recovered> {
    let manifest = read_manifest(&**disk)?;
    let closed = read_closed(&**disk, &manifest)?;
    let segments = open_segments(&**disk, &manifest, mode)?;
    let mut version = Version {
        active: Arc::default(),
        frozen: Vec::new(),
        runs: Default::default(),
        segments: Arc::new(segments.clone()),
        intents: Arc::new(manifest.state.checkpoint.intents.clone()),
        voided: Arc::default(),
        seq_floor: 0,
    };
    for summary in manifest.state.runs.values() {
        let run = RunFile::open(&**disk, manifest.header.database, *summary, budget)?;
        version.runs_mut(summary.order).push(Arc::new(run));
    }
    version.sort_runs();
    let mut replay = Replay::new(&manifest.state.checkpoint, &segments, version)?;
    let end = find_end(&segments, &manifest.state.checkpoint, |group| replay.group(group))?;
    replay.forget_open();
    end.check_no_damage(&**disk, &segments, &manifest, closed.as_ref())?;
    for (number, length) in &end.visited {
        let is_last = *number == end.position.segment;
        if let Some(segment) = segments.get(number)
            && (!is_last || mode == OpenMode::ReadWrite || closed.is_some())
        {
            // Readers may map what nobody appends to any more.
            let _ = segment.sealed_length.set(*length);
        }
    }
    for (number, length) in &manifest.state.segments {
        if let (Some(segment), Some(length)) = (segments.get(number), length) {
            let _ = segment.sealed_length.set(*length);
        }
    }
    Ok(Recovered {
        header: manifest.header,
        checkpoint: manifest.state.checkpoint.clone(),
        segments: manifest.state.segments.clone(),
        runs_known: manifest.state.runs.keys().copied().collect(),
        version: replay.version,
        transactions: replay.transactions,
        metadata: replay.metadata,
        next_seq: replay.next_seq,
        garbage_bytes: replay.garbage_bytes,
        end: end.position,
        next_sequence: end.next_sequence,
        durable: end.durable,
        visited: end.visited,
        manifest,
    })
}

/// Reads the file `closed`, if it is there: then all else has to agree with it.
pub(crate) fn read_closed(disk: &dyn Disk, manifest: &ManifestContents) -> Result<Option<Closed>> {
    let name = crate::database::CLOSED;
    let path = disk.path(name);
    let file = match disk.open(name, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", path, error)),
    };
    let length = file.length().map_err(|e| Error::io("measure", path.clone(), e))?;
    let length = usize::try_from(length).expect("files fit in the address space");
    let bytes = read_exact(&*file, &path, 0, length)?;
    let header = FileHeader::decode(&bytes, FileKind::Closed, &path)?;
    if header.database != manifest.header.database {
        return Err(Error::ForeignFile { file: path });
    }
    let closed = Closed::decode(&bytes[HEADER_LENGTH..], header.seed()).map_err(|m| {
        Error::Damaged { file: path, offset: HEADER_LENGTH as u64, expected: m.expected }
    })?;
    let agrees = closed.manifest_sequence == manifest.sequence
        && closed.manifest_length == manifest.edits_end
        && header.epoch == manifest.header.epoch
        && manifest.tail.is_none();
    if !agrees {
        return Err(Error::Damaged {
            file: disk.path(crate::manifest::MANIFEST),
            offset: manifest.edits_end,
            expected: "the manifest as it was when the database was closed",
        });
    }
    Ok(Some(closed))
}

fn open_segments(
    disk: &dyn Disk,
    manifest: &ManifestContents,
    mode: OpenMode,
) -> Result<SegmentMap> {
    let access = match mode {
        OpenMode::ReadOnly => Access::Read,
        OpenMode::ReadWrite => Access::ReadWrite,
    };
    let mut segments = BTreeMap::new();
    for (&number, &length) in &manifest.state.segments {
        let database = manifest.header.database;
        let (segment, _) = crate::log::open_segment(disk, database, number, access)?;
        if let Some(length) = length {
            check_length(&segment, length)?;
        }
        segments.insert(number, Arc::new(segment));
    }
    Ok(segments)
}

/// A closed segment is not shorter than it was; what is behind its end does not count.
fn check_length(segment: &Segment, length: u64) -> Result<()> {
    let found = segment.file.length().map_err(|e| Error::io("measure", segment.path.clone(), e))?;
    if found < length {
        return Err(Error::Damaged {
            file: segment.path.clone(),
            offset: found,
            expected: "more bytes: the segment was longer when it was closed",
        });
    }
    Ok(())
}
