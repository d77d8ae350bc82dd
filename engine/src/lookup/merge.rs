//! Walks through all tables and runs of a snapshot, in order.

use std::sync::Arc;

use super::{Source, Step, ready};
use crate::error::Result;
use crate::format::{Item, Key, Order};
use crate::memtable::MemtableCursor;
use crate::run::RunCursor;
use crate::version::{Snapshot, Visibility};

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a few of them a walk, and no allocation")]
enum Cursor {
    Table(MemtableCursor),
    Run(RunCursor),
}

#[derive(Debug)]
enum Head {
    /// To be read.
    Unknown,
    Item(Item),
    End,
}

/// The visible items from a key on: of items with the same columns, the newest.
#[derive(Debug)]
pub(crate) struct MergeCursor {
    snapshot: Snapshot,
    order: Order,
    sources: Vec<(Cursor, Head)>,
    /// Columns that are dealt with: older items of the same ones do not count.
    done: Option<(u32, u64, u64)>,
}

impl MergeCursor {
    /// From `key` on.
    pub(crate) fn new(snapshot: Snapshot, order: Order, key: Key) -> Self {
        let version = Arc::clone(&snapshot.version);
        let tables = version
            .tables()
            .map(|table| Cursor::Table(MemtableCursor::new(Arc::clone(table), order, key)));
        let runs =
            version.runs(order).iter().map(|run| Cursor::Run(RunCursor::new(Arc::clone(run), key)));
        let sources = tables.chain(runs).map(|cursor| (cursor, Head::Unknown)).collect();
        Self { snapshot, order, sources, done: None }
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Goes forward to `key`.
    pub(crate) fn seek(&mut self, key: Key) {
        for (cursor, head) in &mut self.sources {
            let behind = match head {
                Head::Unknown => true,
                Head::Item(item) => item.key < key,
                Head::End => false,
            };
            if behind {
                *head = Head::Unknown;
                match cursor {
                    Cursor::Table(table) => table.seek(key),
                    Cursor::Run(run) => run.seek(key),
                }
            }
        }
    }

    /// The next visible item, `None` at the end.
    pub(crate) fn next(&mut self, source: &mut dyn Source) -> Result<Step<Option<Item>>> {
        loop {
            let mut least: Option<(usize, Key)> = None;
            for (number, (cursor, head)) in self.sources.iter_mut().enumerate() {
                if let Head::Unknown = head {
                    let item = match cursor {
                        Cursor::Table(table) => table.next(),
                        Cursor::Run(run) => ready!(run.next(source)?),
                    };
                    *head = item.map_or(Head::End, Head::Item);
                }
                if let Head::Item(item) = head
                    && least.is_none_or(|(_, key)| item.key < key)
                {
                    least = Some((number, item.key));
                }
            }
            let Some((number, _)) = least else { return Ok(Step::Done(None)) };
            let Head::Item(item) = std::mem::replace(&mut self.sources[number].1, Head::Unknown)
            else {
                unreachable!("the least head is an item")
            };
            let columns = item.key.columns();
            if self.done == Some(columns) {
                continue;
            }
            match self.snapshot.visibility(&item, self.order) {
                Visibility::Later => {}
                Visibility::Hidden => self.done = Some(columns),
                Visibility::Shown => {
                    self.done = Some(columns);
                    return Ok(Step::Done(Some(item)));
                }
            }
        }
    }
}
