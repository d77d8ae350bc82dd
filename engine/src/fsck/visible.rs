//! What a reader sees, by each order of the index.

use std::sync::Arc;

use bytes::Bytes;

use super::Check;
use super::directory::Database;
use super::fingerprint;
use super::watch::{Going, Stage, Watch};
use crate::error::Result;
use crate::format::{Item, Key, Order};
use crate::lookup::{MergeCursor, Source, Step};
use crate::run::{Block, RunFile, read_exact};
use crate::version::{Segment, Snapshot};

impl Check<'_, '_> {
    /// Compares the objects that are visible by oid with those that are visible by tid. Only where
    /// nothing is damaged so far.
    pub(super) fn visible(&mut self, database: &Database) -> Going {
        let Ok(recovered) = &database.opened else { return Ok(()) };
        self.watch.begin(Stage::Visible)?;
        let version = Arc::new(recovered.version.clone());
        let snapshot = Snapshot { version, seq: recovered.next_seq - 1 };
        let mut seen = [Seen::default(); 3];
        for (order, seen) in Order::ALL.into_iter().zip(&mut seen) {
            match see(&snapshot, order, self.watch)? {
                Ok(found) => *seen = found,
                Err(error) => {
                    self.findings.error(&error);
                    return Ok(());
                }
            }
        }
        let [by_oid, by_tid, transactions] = seen;
        self.totals.revisions = by_oid.count;
        self.totals.transactions = transactions.count;
        if by_oid != by_tid {
            let text =
                format!("the same objects by oid ({}) and by tid ({})", by_oid.count, by_tid.count);
            self.findings.damage(&self.disk.path(""), None, text);
        }
        Ok(())
    }
}

/// How many items there are, and the sum of their hashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Seen {
    count: u64,
    sum: u64,
}

fn see(snapshot: &Snapshot, order: Order, watch: &mut Watch<'_>) -> Going<Result<Seen>> {
    let from = Key { seq: u64::MAX, ..Key::default() };
    let mut cursor = MergeCursor::new(snapshot.clone(), order, from);
    let mut source = Waiting { bytes: 0 };
    let mut seen = Seen::default();
    loop {
        match cursor.next(&mut source) {
            Ok(Step::Done(Some(item))) => {
                seen.count += 1;
                seen.sum = seen.sum.wrapping_add(hash(order, &item));
            }
            Ok(Step::Done(None)) => return Ok(Ok(seen)),
            Ok(Step::Need(_) | Step::Pause) => unreachable!("a source that waits has everything"),
            Err(error) => return Ok(Err(error)),
        }
        watch.advance(std::mem::take(&mut source.bytes))?;
    }
}

/// The same for an object in both orders. Without what items say: of an object that was added
/// twice at once, the order of tids may keep either.
fn hash(order: Order, item: &Item) -> u64 {
    let Key { a, b, c, seq } = item.key;
    let key = match order {
        Order::Objects => Key { a, b: !c, c: b, seq },
        Order::ByTid | Order::Transactions => item.key,
    };
    fingerprint::of_item(Order::ByTid, &Item { key, ..Item::default() })
}

/// A source that reads what is asked for.
struct Waiting {
    bytes: u64,
}

impl Source for Waiting {
    fn block(
        &mut self,
        run: &RunFile,
        offset: u64,
        length: u32,
        _: Option<usize>,
    ) -> Result<Step<Block>> {
        self.bytes += u64::from(length);
        let bytes = read_exact(&**run.file(), &run.path, offset, length as usize)?;
        run.verify(bytes.into(), offset).map(Step::Done)
    }

    fn record(&mut self, segment: &Segment, offset: u64, length: u32) -> Result<Step<Bytes>> {
        let bytes = read_exact(&*segment.file, &segment.path, offset, length as usize)?;
        Ok(Step::Done(bytes.into()))
    }
}
