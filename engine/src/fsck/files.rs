//! The stages of a check; and files by themselves, where no manifest says what belongs together.

use std::ops::Range;
use std::sync::Arc;

use super::Check;
use super::directory::{Database, Directory, run_number};
use super::hash::hash_file;
use super::indexes::check_runs;
use super::report::{Findings, Totals};
use super::segments::{Visitor, walk};
use super::watch::{Going, Stage, Watch};
use crate::disk::{Access, Disk};
use crate::error::{Error, Result};
use crate::format::{
    DatabaseId, FileHeader, FileKind, GroupHeader, HEADER_LENGTH, Location, Malformed, Position,
    Record,
};
use crate::log::{SegmentBytes, open_segment, segment_number};
use crate::run::{FOOTER_LENGTH, Footer, read_exact};

impl Check<'_, '_> {
    /// Everything of a database whose manifest can be read.
    pub(super) fn database(&mut self, database: &Database) -> Going {
        let disk = Arc::clone(self.disk);
        let state = &database.manifest.state;
        let runs: Vec<_> = state.runs.values().copied().collect();
        // Runs are hashed, gone through block by block, and looked at once more for what is
        // visible; how often they are compared with the log is not known yet.
        let bytes_of_runs: u64 = runs.iter().map(|run| run.length).sum();
        let bytes_of_log: u64 = database.segments.values().flatten().sum();
        self.watch.expect(3 * bytes_of_runs + bytes_of_log);
        self.watch.begin(Stage::Indexes)?;
        self.totals.runs = runs.len() as u64;
        self.totals.items = runs.iter().map(|run| run.items).sum();
        let id = database.manifest.header.database;
        let indexes = check_runs(&*disk, id, runs, self.findings, self.watch)?;
        let outcome = self.log(&*disk, database, &indexes)?;
        self.hits(&*disk, database, &indexes, &outcome)?;
        if let Err(error) = &database.opened {
            self.refused(error);
        }
        if !self.findings.has_damage() {
            self.visible(database)?;
        }
        self.totals.bytes = self.watch.bytes_done();
        Ok(())
    }

    /// Why it cannot be opened, if that is not told already.
    fn refused(&mut self, error: &Error) {
        let is_told = match error {
            Error::Damaged { file, .. }
            | Error::MissingFile { file }
            | Error::ForeignFile { file } => self.findings.has_damage_in(file),
            _ => false,
        };
        if !is_told {
            self.findings.error(error);
        }
    }

    /// Each file by itself.
    pub(super) fn files_alone(&mut self, directory: &Directory) -> Going {
        self.watch.begin(Stage::Indexes)?;
        let disk = Arc::clone(self.disk);
        for name in &directory.names {
            let checked = match (run_number(name), segment_number(name)) {
                (Some(number), _) => {
                    self.totals.runs += 1;
                    run_alone(&*disk, name, number, self.watch)?
                }
                (_, Some(number)) => {
                    self.totals.segments += 1;
                    self.segment_alone(&*disk, name, number)?
                }
                _ => Ok(()),
            };
            if let Err(error) = checked {
                self.findings.error(&error);
            }
        }
        self.totals.bytes = self.watch.bytes_done();
        Ok(())
    }

    fn segment_alone(&mut self, disk: &dyn Disk, name: &str, number: u32) -> Going<Result<()>> {
        let opened = database_of(disk, name, FileKind::Log).and_then(|id| {
            let (segment, _) = open_segment(disk, id, number, Access::Read)?;
            SegmentBytes::new(Arc::new(segment))
        });
        let mut bytes = match opened {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Err(error)),
        };
        self.watch.expect(bytes.length);
        let mut alone = Alone {
            findings: &mut *self.findings,
            totals: &mut *self.totals,
            watch: &mut *self.watch,
        };
        let reached = walk(&mut bytes, None, &mut alone)?;
        self.watch.advance(bytes.length.saturating_sub(reached))?;
        Ok(bytes.find_nonzero(reached).map(|nonzero| {
            if nonzero.is_some() {
                let text = "bytes that are no whole group: the end of the log, or damage";
                self.findings.note(&disk.path(name), Some(reached), text);
            }
        }))
    }
}

/// The database that a file says it belongs to.
fn database_of(disk: &dyn Disk, name: &str, kind: FileKind) -> Result<DatabaseId> {
    header_of(disk, name, kind).map(|header| header.database)
}

fn header_of(disk: &dyn Disk, name: &str, kind: FileKind) -> Result<FileHeader> {
    let path = disk.path(name);
    let file = disk.open(name, Access::Read).map_err(|e| Error::io("open", path.clone(), e))?;
    let header = read_exact(&*file, &path, 0, HEADER_LENGTH)?;
    FileHeader::decode(&header, kind, &path)
}

/// The hash of a run covers every byte of it.
fn run_alone(disk: &dyn Disk, name: &str, number: u32, watch: &mut Watch<'_>) -> Going<Result<()>> {
    let path = disk.path(name);
    let damaged = |offset, malformed: Malformed| Error::Damaged {
        file: path.clone(),
        offset,
        expected: malformed.expected,
    };
    let read_footer = || {
        let header = header_of(disk, name, FileKind::Run)?;
        let file = disk.open(name, Access::Read).map_err(|e| Error::io("open", path.clone(), e))?;
        let length = file.length().map_err(|e| Error::io("measure", path.clone(), e))?;
        let at = length.saturating_sub(FOOTER_LENGTH as u64);
        let footer = read_exact(&*file, &path, at, FOOTER_LENGTH)?;
        let footer = Footer::decode(&footer, header.seed(), number, length);
        Ok((file, at, footer.map_err(|m| damaged(at, m))?))
    };
    let (file, end, footer) = match read_footer() {
        Ok(found) => found,
        Err(error) => return Ok(Err(error)),
    };
    watch.expect(end);
    Ok(hash_file(&*file, &path, end, watch)?.and_then(|hash| match hash == footer.hash {
        true => Ok(()),
        false => {
            let expected = "the hash of all bytes of the file";
            Err(damaged(end, Malformed { expected }))
        }
    }))
}

/// Goes through a segment of which nothing else is known.
struct Alone<'a, 'b> {
    findings: &'a mut Findings,
    totals: &'a mut Totals,
    watch: &'a mut Watch<'b>,
}

impl Visitor for Alone<'_, '_> {
    fn read(&mut self, bytes: u64) -> Going {
        self.watch.advance(bytes)
    }

    fn group(&mut self, _: Position, _: &GroupHeader) {
        self.totals.groups += 1;
    }

    fn record(&mut self, _: Location, _: Record) -> Going {
        self.totals.records += 1;
        Ok(())
    }

    fn damage(&mut self, _: u32, error: &Error, _: Range<u64>) {
        self.findings.error(error);
    }
}
