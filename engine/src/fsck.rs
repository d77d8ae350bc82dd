//! Checks a database: every byte, and the indexes against the data both ways.
//!
//! Nothing is written and nothing is mapped. A database that was not closed cleanly is checked as
//! it stands. What is asserted:
//!
//! - the manifest and `closed`: headers, checksums, that each edit fits, the zeros at the end, the
//!   length of the file, and that both agree;
//! - runs: every checksum and the hash of the whole file; that blocks follow each other without a
//!   gap; that items are in order and as the index above names them, that each is found where a
//!   lookup looks for it, that the filter passes each, and that all counts and bounds are right;
//! - the log: every group and record, sequence numbers, that each group follows the one before,
//!   that votes have as many objects as they say, that what is locked or unlocked was voted, and
//!   zeros behind the end;
//! - what the manifest's checkpoint says of transactions in doubt, intents and node metadata, by
//!   what the log says;
//! - each item of each index is one that the log tells, byte for byte: partition, oid, tid,
//!   sequence number, data_tid, and the place of the record;
//! - each object and transaction that the log commits is named by the indexes, unless something
//!   later in the log replaced it, deleted it or hid it; and nothing comes back that was hidden;
//! - the objects that are visible by oid are those that are visible by tid.
//!
//! Not asserted: that each oid in a transaction's list has a revision. A node keeps the objects
//! of its own partitions only, replication brings lists and objects apart, and delete, drop and
//! truncate take objects away. The numbers are in [`Totals`] instead.
//!
//! Memory is bounded: indexes are compared with the log in windows of sequence numbers, of which
//! one is kept as hashes of 8 bytes an item. Beyond that there are the open transactions of the
//! log, and whatever the log has and the indexes lack until it is explained.

mod agreement;
mod commits;
mod directory;
mod files;
mod fingerprint;
mod hash;
mod hits;
mod indexes;
mod log;
mod missing;
mod report;
mod segments;
mod visible;
mod watch;

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::disk::Disk;
use crate::error::Result;

pub use report::{Finding, Hit, Hits, Report, Severity, Totals};
pub use watch::{Progress, Stage};

use directory::Directory;
use report::Findings;
use watch::{Going, Watch};

/// Index items that are compared with the log at once, unless one transaction has more.
const WINDOW_ITEMS_MAX: u64 = 32 << 20;

/// A check of a database, to be run once.
#[derive(Debug)]
pub struct Fsck {
    disk: Arc<dyn Disk>,
    window_items_max: u64,
}

impl Fsck {
    /// Of the database on a disk.
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, window_items_max: WINDOW_ITEMS_MAX }
    }

    /// Bounds the index items that are kept in memory at once, at 8 bytes and a bit each. With
    /// fewer, the indexes are read more often.
    #[must_use]
    pub fn with_window_items_max(mut self, items: u64) -> Self {
        self.window_items_max = items.max(1);
        self
    }

    /// Checks everything. `progress` is told how far it is, and can stop it: then the report
    /// has what was found so far. Fails only where there is nothing that could be checked: no
    /// database, a newer format, a directory that cannot be listed.
    pub fn run(self, progress: &mut dyn FnMut(Progress) -> ControlFlow<()>) -> Result<Report> {
        let mut findings = Findings::default();
        let mut totals = Totals::default();
        let directory = Directory::read(&self.disk, &mut findings)?;
        totals.files = directory.names.len() as u64;
        let mut watch = Watch::new(progress);
        let mut check = Check {
            disk: &self.disk,
            findings: &mut findings,
            totals: &mut totals,
            watch: &mut watch,
            window_items_max: self.window_items_max,
        };
        let is_complete = check.all(&directory).is_ok();
        Ok(findings.into_report(totals, is_complete))
    }
}

/// What all stages share.
struct Check<'a, 'b> {
    disk: &'a Arc<dyn Disk>,
    findings: &'a mut Findings,
    totals: &'a mut Totals,
    watch: &'a mut Watch<'b>,
    window_items_max: u64,
}

impl Check<'_, '_> {
    fn all(&mut self, directory: &Directory) -> Going {
        match &directory.database {
            Some(database) => self.database(database),
            None => self.files_alone(directory),
        }
    }
}

#[cfg(test)]
mod tests;
