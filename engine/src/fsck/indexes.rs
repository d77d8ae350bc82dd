//! Index runs by themselves, and what is in them.

mod check;
mod histogram;

use std::ops::Range;
use std::sync::Arc;

use super::report::{FindingId, Findings};
use super::watch::{Going, Watch};
use crate::disk::Disk;
use crate::error::Result;
use crate::format::{DatabaseId, Item, Key, Order, RunSummary};
use crate::run::{Block, IndexEntry, PinBudget, RunFile, read_exact};

use histogram::Histogram;

/// The runs that the manifest names, after each was checked by itself.
#[derive(Debug)]
pub(super) struct Indexes {
    pub(super) runs: Vec<RunSummary>,
    database: DatabaseId,
    /// Parts of runs that cannot be read.
    pub(super) lost: Vec<Lost>,
    pub(super) histogram: Histogram,
}

/// Items that cannot be read: those of a run within these keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost {
    pub(super) run: RunSummary,
    from: Key,
    until: Option<Key>,
    pub(super) finding: FindingId,
}

impl Lost {
    /// Whether an item may have been among them.
    pub(super) fn may_hold(&self, order: Order, key: &Key) -> bool {
        self.run.order == order
            && (self.run.seq_min..=self.run.seq_max).contains(&key.seq)
            && self.from <= *key
            && self.until.is_none_or(|until| *key < until)
    }
}

/// An item of a run, and where it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) order: Order,
    pub(super) item: Item,
    pub(super) run: u32,
    /// Of its block.
    pub(super) offset: u64,
}

impl Indexes {
    /// Goes through the items of runs of these orders that may have these sequence numbers, leaving
    /// out what cannot be read.
    pub(super) fn scan(
        &self,
        disk: &dyn Disk,
        watch: &mut Watch<'_>,
        orders: &[Order],
        seqs: &Range<u64>,
        visit: &mut dyn FnMut(&Found),
    ) -> Going {
        for summary in &self.runs {
            let overlaps = summary.seq_min < seqs.end && summary.seq_max >= seqs.start;
            if !overlaps || !orders.contains(&summary.order) {
                continue;
            }
            let budget = Arc::new(PinBudget::new(0));
            let Ok(run) = RunFile::open(disk, self.database, *summary, &budget) else { continue };
            scan_run(&run, watch, seqs, visit)?;
        }
        Ok(())
    }

    /// The finding about the part of a run where an item may have been.
    pub(super) fn lost(&self, order: Order, key: &Key) -> Option<FindingId> {
        self.lost.iter().find(|lost| lost.may_hold(order, key)).map(|lost| lost.finding)
    }

    /// Path of a run's file.
    pub(super) fn path(disk: &dyn Disk, run: u32) -> String {
        disk.path(&crate::run::RunSettings::name(run))
    }
}

/// Goes through the items of one run.
pub(super) fn scan_run(
    run: &RunFile,
    watch: &mut Watch<'_>,
    seqs: &Range<u64>,
    visit: &mut dyn FnMut(&Found),
) -> Going {
    for entry in run.root() {
        watch.advance(u64::from(entry.length))?;
        let Ok(leaves) = leaves(run, entry) else { continue };
        for leaf in leaves {
            watch.advance(u64::from(leaf.length))?;
            let Ok(block) = read_block(run, &leaf) else { continue };
            let mut at = block.start();
            while let Ok(Some(item)) = block.next(&mut at) {
                if seqs.contains(&item.key.seq) {
                    let (order, number) = (run.summary.order, run.summary.number);
                    visit(&Found { order, item, run: number, offset: leaf.offset });
                }
            }
        }
    }
    Ok(())
}

/// What an index block names.
fn leaves(run: &RunFile, entry: &IndexEntry) -> Result<Vec<IndexEntry>> {
    let block = read_block(run, entry)?;
    run.entries(&block).map_err(|malformed| run.damaged(entry.offset, malformed))
}

fn read_block(run: &RunFile, entry: &IndexEntry) -> Result<Block> {
    let bytes = read_exact(&**run.file(), &run.path, entry.offset, entry.length as usize)?;
    run.verify(bytes.into(), entry.offset)
}

/// Checks the runs, one after the other.
pub(super) fn check_runs(
    disk: &dyn Disk,
    database: DatabaseId,
    runs: Vec<RunSummary>,
    findings: &mut Findings,
    watch: &mut Watch<'_>,
) -> Going<Indexes> {
    let histogram = Histogram::new(&runs);
    let mut indexes = Indexes { runs, database, lost: Vec::new(), histogram };
    for summary in indexes.runs.clone() {
        check::run(disk, &summary, &mut indexes, findings, watch)?;
    }
    Ok(indexes)
}
