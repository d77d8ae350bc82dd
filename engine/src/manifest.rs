//! The manifest: which files live, and from where the log is replayed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::disk::{Access, Disk, File};
use crate::error::{Error, Result, is_full};
use crate::format::{
    Change, Checkpoint, DatabaseId, EDIT_HEADER_LENGTH, FileHeader, FileKind, HEADER_LENGTH,
    Malformed, RunSummary, decode_edit, encode_edit,
};
use crate::run::read_exact;

/// Name of the file.
pub(crate) const MANIFEST: &str = "manifest";
const MANIFEST_NEW: &str = "manifest.new";
/// The file ends at a multiple of this, in zeros.
const PADDING: u64 = 4096;
/// At least so many zeros: room for an edit when the disk is full.
const SLACK_MIN: u64 = 1024;
/// A manifest is rewritten when it is this many times what its state needs.
const GROWTH_MAX: u64 = 8;
/// And not before it has this length.
const REWRITE_MIN: u64 = 256 << 10;

/// What all edits together say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct ManifestState {
    pub(crate) runs: BTreeMap<u32, RunSummary>,
    /// Every segment that was ever prepared and not removed, with its length once it is closed.
    pub(crate) segments: BTreeMap<u32, Option<u64>>,
    pub(crate) checkpoint: Checkpoint,
}

impl ManifestState {
    fn apply(&mut self, changes: &[Change]) -> std::result::Result<(), Malformed> {
        for change in changes {
            let sound = match change {
                Change::RunAdded(run) => self.runs.insert(run.number, *run).is_none(),
                Change::RunRemoved { number } => self.runs.remove(number).is_some(),
                Change::SegmentOpened { number } => self.segments.insert(*number, None).is_none(),
                Change::SegmentClosed { number, length } => {
                    self.segments.insert(*number, Some(*length)) == Some(None)
                }
                Change::SegmentRemoved { number } => self.segments.remove(number).is_some(),
                Change::Checkpoint(checkpoint) => {
                    self.checkpoint = checkpoint.clone();
                    true
                }
            };
            if !sound {
                return Err(Malformed { expected: "a change that fits the manifest's state" });
            }
        }
        Ok(())
    }

    fn to_changes(&self) -> Vec<Change> {
        let mut changes: Vec<Change> = self.runs.values().copied().map(Change::RunAdded).collect();
        for (&number, length) in &self.segments {
            changes.push(Change::SegmentOpened { number });
            if let Some(length) = *length {
                changes.push(Change::SegmentClosed { number, length });
            }
        }
        changes.push(Change::Checkpoint(self.checkpoint.clone()));
        changes
    }
}

/// A manifest that was read.
#[derive(Clone, Debug)]
pub(crate) struct ManifestContents {
    pub(crate) header: FileHeader,
    pub(crate) state: ManifestState,
    /// Sequence number of the last edit.
    pub(crate) sequence: u64,
    /// Where the edits end.
    pub(crate) edits_end: u64,
    pub(crate) file_length: u64,
    /// What is behind the edits, if it is not zeros: an edit that was being written.
    pub(crate) tail: Option<Malformed>,
}

/// Reads the manifest. An incomplete last edit is left out; an edit behind it proves damage.
pub(crate) fn read_manifest(disk: &dyn Disk) -> Result<ManifestContents> {
    let path = disk.path(MANIFEST);
    let file = match disk.open(MANIFEST, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::NoDatabase { path: disk.path("") });
        }
        Err(error) => return Err(Error::io("open", path, error)),
    };
    let file_length = file.length().map_err(|e| Error::io("measure", path.clone(), e))?;
    let length = usize::try_from(file_length).expect("files fit in the address space");
    let bytes = read_exact(&*file, &path, 0, length)?;
    let header = FileHeader::decode(&bytes, FileKind::Manifest, &path)?;
    let mut contents = ManifestContents {
        header,
        state: ManifestState::default(),
        sequence: 0,
        edits_end: HEADER_LENGTH as u64,
        file_length,
        tail: None,
    };
    let damaged = |offset: usize, malformed: Malformed| Error::Damaged {
        file: path.clone(),
        offset: offset as u64,
        expected: malformed.expected,
    };
    let mut at = HEADER_LENGTH;
    let mut chain = header.seed();
    loop {
        match decode_edit(&bytes[at..], chain) {
            Ok((sequence, changes, length)) => {
                if contents.sequence != 0 && sequence != contents.sequence + 1 {
                    let expected = "the next manifest edit";
                    return Err(damaged(at, Malformed { expected }));
                }
                contents.state.apply(&changes).map_err(|m| damaged(at, m))?;
                contents.sequence = sequence;
                chain = chain_of(&bytes[at..]);
                at += length;
            }
            Err(malformed) if contents.sequence == 0 => return Err(damaged(at, malformed)),
            Err(malformed) => {
                contents.edits_end = at as u64;
                if bytes[at..].iter().any(|byte| *byte != 0) {
                    contents.tail = Some(malformed);
                }
                return Ok(contents);
            }
        }
    }
}

/// What the checksum of the next edit starts from: the checksum of this one.
fn chain_of(edit: &[u8]) -> u32 {
    edit.first_chunk::<4>().map_or(0, |crc| u32::from_le_bytes(*crc))
}

/// The manifest, open for writing.
#[derive(Debug)]
pub(crate) struct Manifest {
    disk: Arc<dyn Disk>,
    file: Arc<dyn File>,
    header: FileHeader,
    state: ManifestState,
    sequence: u64,
    chain: u32,
    length: u64,
    padded_length: u64,
    rewrite_at: u64,
}

impl Manifest {
    /// Writes a whole manifest and puts it in the place of the one before, durably.
    pub(crate) fn write(
        disk: Arc<dyn Disk>,
        database: DatabaseId,
        epoch: u32,
        state: ManifestState,
        sequence: u64,
    ) -> Result<Self> {
        let path = disk.path(MANIFEST_NEW);
        remove_if_there(&*disk, MANIFEST_NEW)?;
        let header = FileHeader { kind: FileKind::Manifest, database, number: 0, epoch };
        let mut bytes = header.encode();
        let edit = encode_edit(&state.to_changes(), sequence, header.seed());
        let chain = chain_of(&edit);
        bytes.extend_from_slice(&edit);
        let length = bytes.len() as u64;
        let padded_length = padded(length);
        bytes.resize(usize::try_from(padded_length).expect("fits in memory"), 0);
        let file = match write_new(&*disk, &path, &bytes) {
            Err(error @ Error::Full { .. }) => {
                // The space that it took is of more use elsewhere.
                remove_if_there(&*disk, MANIFEST_NEW)?;
                return Err(error);
            }
            other => other?,
        };
        disk.sync_directory().map_err(|e| Error::sync(disk.path(""), e))?;
        let rewrite_at = (length * GROWTH_MAX).max(REWRITE_MIN);
        Ok(Self { disk, file, header, state, sequence, chain, length, padded_length, rewrite_at })
    }

    pub(crate) fn state(&self) -> &ManifestState {
        &self.state
    }

    /// Sequence number of the last durable edit.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Where the edits end.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Adds an edit, durably.
    pub(crate) fn commit(&mut self, changes: &[Change]) -> Result<()> {
        if self.length > self.rewrite_at {
            match self.rewrite() {
                Ok(()) => {}
                // The old file goes on while the disk is full.
                Err(Error::Full { .. }) => self.rewrite_at *= 2,
                Err(error) => return Err(error),
            }
        }
        let edit = encode_edit(changes, self.sequence + 1, self.chain);
        assert!(edit.len() > EDIT_HEADER_LENGTH, "an edit changes something");
        let chain = chain_of(&edit);
        let end = self.length + edit.len() as u64;
        self.grow(padded(end))?;
        self.write_edit(&edit)?;
        self.state.apply(changes).expect("the engine's own changes fit");
        self.sequence += 1;
        self.chain = chain;
        self.length = end;
        Ok(())
    }

    /// Zeros go first, so that the file never ends within an edit, and an edit finds its space.
    fn grow(&mut self, length: u64) -> Result<()> {
        if length > self.padded_length {
            let zeros = usize::try_from(length - self.padded_length).expect("fits in memory");
            let path = self.disk.path(MANIFEST);
            write_all(&*self.file, &path, &vec![0; zeros], self.padded_length)?;
            self.padded_length = length;
        }
        Ok(())
    }

    /// An edit is there, durably, or there is nothing of it: who goes on without it must not
    /// find it later.
    fn write_edit(&self, edit: &[u8]) -> Result<()> {
        let path = self.disk.path(MANIFEST);
        let mut at = 0;
        while at < edit.len() {
            match self.file.write_at(&edit[at..], self.length + at as u64) {
                Ok(count) => at += count,
                Err(error) if at == 0 || !is_full(&error) => {
                    return Err(Error::io("write", path, error));
                }
                Err(error) => {
                    let zeros = vec![0; at];
                    write_all(&*self.file, &path, &zeros, self.length).map_err(|_| Error::Io {
                        action: "take back an edit of",
                        file: path.clone(),
                        source: std::io::Error::other("a part of it could not be written"),
                    })?;
                    self.file.sync().map_err(|e| Error::sync(path.clone(), e))?;
                    return Err(Error::io("write", path, error));
                }
            }
        }
        self.file.sync().map_err(|e| Error::sync(path, e))
    }

    fn rewrite(&mut self) -> Result<()> {
        *self = Self::write(
            Arc::clone(&self.disk),
            self.header.database,
            self.header.epoch,
            self.state.clone(),
            self.sequence,
        )?;
        Ok(())
    }
}

/// Length of a file with edits up to there.
pub(crate) fn padded(length: u64) -> u64 {
    (length + SLACK_MIN).next_multiple_of(PADDING)
}

fn write_new(disk: &dyn Disk, path: &str, bytes: &[u8]) -> Result<Arc<dyn File>> {
    let file = disk
        .open(MANIFEST_NEW, Access::CreateNew)
        .map_err(|e| Error::io("create", path.to_owned(), e))?;
    write_all(&*file, path, bytes, 0)?;
    file.sync().map_err(|e| Error::sync(path.to_owned(), e))?;
    disk.rename(MANIFEST_NEW, MANIFEST).map_err(|e| Error::io("rename", path.to_owned(), e))?;
    Ok(file)
}

/// Writes all bytes, going on after short writes.
pub(crate) fn write_all(
    file: &dyn File,
    path: &str,
    mut bytes: &[u8],
    mut offset: u64,
) -> Result<()> {
    while !bytes.is_empty() {
        let count =
            file.write_at(bytes, offset).map_err(|e| Error::io("write", path.to_owned(), e))?;
        bytes = &bytes[count..];
        offset += count as u64;
    }
    Ok(())
}

/// Removes a file that may not exist.
pub(crate) fn remove_if_there(disk: &dyn Disk, name: &str) -> Result<()> {
    match disk.remove(name) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove", disk.path(name), error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
