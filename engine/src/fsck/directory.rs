//! What a directory holds by its manifest, and whether it could be opened.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::report::Findings;
use crate::database::{CLOSED, OpenMode};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::format::{HEADER_LENGTH, Position};
use crate::log::{segment_name, segment_number};
use crate::manifest::{MANIFEST, ManifestContents, padded, read_manifest};
use crate::recovery::{Recovered, read_closed, recover};
use crate::run::{PinBudget, RunSettings};

/// The files, and the database that they make if there is a manifest.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) names: Vec<String>,
    pub(super) database: Option<Database>,
}

/// A database whose manifest can be read.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) manifest: ManifestContents,
    /// Whether it says of itself that it was closed cleanly.
    pub(super) is_closed: bool,
    /// What was recovered, or why it could not be.
    pub(super) opened: Result<Recovered>,
    /// Where the log ends in each segment; unknown where nobody could say so.
    pub(super) segments: BTreeMap<u32, Option<u64>>,
}

impl Directory {
    /// Fails where there is nothing to check.
    pub(super) fn read(disk: &Arc<dyn Disk>, findings: &mut Findings) -> Result<Self> {
        let names = disk.list().map_err(|e| Error::io("list", disk.path(""), e))?;
        let database = match read_manifest(&**disk) {
            Ok(manifest) => Some(Database::read(disk, manifest, &names, findings)),
            Err(error @ Error::NewerFormat { .. }) => return Err(error),
            Err(error @ Error::NoDatabase { .. }) => {
                if !names.iter().any(|name| is_of_a_database(name)) {
                    return Err(error);
                }
                findings.damage(&disk.path(MANIFEST), None, "the file that names all others");
                None
            }
            Err(error) => {
                findings.error(&error);
                None
            }
        };
        let directory = Self { names, database };
        directory.note_strays(&**disk, findings);
        Ok(directory)
    }

    fn note_strays(&self, disk: &dyn Disk, findings: &mut Findings) {
        let state = self.database.as_ref().map(|database| &database.manifest.state);
        for name in &self.names {
            let is_named = match (run_number(name), segment_number(name)) {
                (Some(number), _) => state.map(|state| state.runs.contains_key(&number)),
                (_, Some(number)) => state.map(|state| state.segments.contains_key(&number)),
                _ if is_unfinished(name) => Some(false),
                _ => Some(name == MANIFEST || name == CLOSED),
            };
            if is_named != Some(false) {
                continue;
            }
            let text = match is_of_a_database(name) || is_unfinished(name) {
                true => "left over: goes away when the database is next opened to be written",
                false => "not a file of the database: left alone",
            };
            findings.note(&disk.path(name), None, text);
        }
    }
}

impl Database {
    fn read(
        disk: &Arc<dyn Disk>,
        manifest: ManifestContents,
        names: &[String],
        findings: &mut Findings,
    ) -> Self {
        let is_closed = names.iter().any(|name| name == CLOSED);
        if let Err(error) = read_closed(&**disk, &manifest) {
            findings.error(&error);
        }
        if !is_closed {
            let text = "not closed cleanly: the log is replayed when it is opened";
            findings.note(&disk.path(""), None, text);
        }
        check_end_of_manifest(&**disk, &manifest, is_closed, findings);
        // Nothing is pinned: all is read once, in order.
        let opened = recover(disk, &Arc::new(PinBudget::new(0)), OpenMode::ReadOnly);
        let segments = manifest
            .state
            .segments
            .iter()
            .map(|(&number, &length)| (number, length.or_else(|| end_of(number, &opened))))
            .collect();
        Self { manifest, is_closed, opened, segments }
    }

    /// From where the log is replayed.
    pub(super) fn replay(&self) -> Position {
        self.manifest.state.checkpoint.replay
    }
}

/// Where the log ends in a segment that the manifest does not know to be closed.
fn end_of(number: u32, opened: &Result<Recovered>) -> Option<u64> {
    let recovered = opened.as_ref().ok()?;
    // One that is not part of the log was prepared, or its first write had failed.
    Some(recovered.visited.get(&number).copied().unwrap_or(HEADER_LENGTH as u64))
}

/// The file ends in zeros, at a length that follows from its edits.
fn check_end_of_manifest(
    disk: &dyn Disk,
    manifest: &ManifestContents,
    is_closed: bool,
    findings: &mut Findings,
) {
    let path = disk.path(MANIFEST);
    let length = padded(manifest.edits_end);
    let end = Some(manifest.edits_end);
    match (manifest.tail, is_closed) {
        (Some(_), true) => {
            findings.damage(&path, end, "zeros behind the last edit");
        }
        (Some(_), false) => {
            findings.note(&path, end, "an edit that was not finished: it does not count");
        }
        (None, true) if manifest.file_length != length => {
            let text = format!("zeros up to offset {length}, and the end of the file there");
            findings.damage(&path, Some(manifest.file_length.min(length)), text);
        }
        (None, _) => {}
    }
}

fn is_of_a_database(name: &str) -> bool {
    name == CLOSED || run_number(name).is_some() || segment_number(name).is_some()
}

fn is_unfinished(name: &str) -> bool {
    name == "manifest.new" || name == "closed.new"
}

/// The number in the name of a run's file.
pub(super) fn run_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("run-")?;
    let number = u32::from_str_radix(digits, 16).ok()?;
    (RunSettings::name(number) == name).then_some(number)
}

/// Path of a segment's file.
pub(super) fn segment_path(disk: &dyn Disk, number: u32) -> String {
    disk.path(&segment_name(number))
}
