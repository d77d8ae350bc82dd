//! All that can be read of a database, as text.

use std::collections::BTreeSet;
use std::fmt::Write;

use engine::{
    BoundsLookup, Engine, HistoryLookup, LiveOidsLookup, LoadLookup, LoadResult, Lookup,
    ObjectsLookup, ReadMode, Reader, Result, Snapshot, TidOfLookup, TidsLookup,
    TransactionLookup, UndoLookup, When,
};
use model::{Oid, PartitionId, Tid};

use super::PARTITIONS;

const LAST: Tid = Tid::new(u64::MAX);
/// Things on a page: few, so that there are several.
const PAGE: usize = 20;

/// What every lookup says of everything there is.
pub(crate) fn listing(engine: &Engine) -> Result<String> {
    let mut lister = Lister {
        reader: engine.reader(ReadMode::Calls),
        snapshot: engine.snapshot(),
        text: String::new(),
    };
    for (key, value) in engine.metadata().iter() {
        lister.line(format_args!("metadata {key:?}: {value:02x?}"));
    }
    for (ttid, state) in engine.transactions() {
        lister.line(format_args!("in doubt {ttid}: {state:?}"));
    }
    for number in 0..PARTITIONS {
        lister.partition(PartitionId::new(number))?;
    }
    Ok(lister.text)
}

struct Lister {
    reader: Reader,
    snapshot: Snapshot,
    text: String,
}

impl Lister {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{line}").expect("strings take everything");
    }

    fn ask<L: Lookup>(&self, lookup: L) -> Result<L::Output> {
        self.reader.run(lookup)
    }

    fn partition(&mut self, partition: PartitionId) -> Result<()> {
        let bounds = self.ask(BoundsLookup::new(self.snapshot.clone(), partition))?;
        self.line(format_args!("partition {partition}: {bounds:?}"));
        let first = Tid::new(0);
        let snapshot = || self.snapshot.clone();
        let tids = self.ask(TidsLookup::ascending(snapshot(), partition, first, LAST, PAGE))?;
        let down = self.ask(TidsLookup::descending(snapshot(), partition, first, LAST, PAGE))?;
        self.line(format_args!("tids {tids:?}\ndown {down:?}"));
        for tid in tids {
            let lookup = TransactionLookup::new(self.snapshot.clone(), partition, tid);
            let transaction = self.ask(lookup)?;
            self.line(format_args!("transaction {tid}: {transaction:?}"));
            if let Some(transaction) = transaction {
                let ttid = transaction.ttid;
                let lookup = TidOfLookup::new(self.snapshot.clone(), partition, ttid);
                let tid = self.ask(lookup)?;
                self.line(format_args!("ttid {ttid}: {tid:?}"));
            }
        }
        let mut oids = BTreeSet::new();
        let mut next = Some((Tid::new(0), Oid::new(0)));
        while let Some(from) = next {
            let lookup = ObjectsLookup::new(self.snapshot.clone(), partition, from, LAST, PAGE);
            let page = self.ask(lookup)?;
            for (tid, oid) in page.objects {
                oids.insert(oid);
                self.line(format_args!("object {tid} {oid}"));
            }
            next = page.next;
        }
        for oid in oids {
            self.object(partition, oid)?;
        }
        for tid in [LAST, Tid::new(400)] {
            let from = Oid::new(0);
            let lookup = LiveOidsLookup::new(self.snapshot.clone(), partition, from, tid, PAGE);
            let live = self.ask(lookup)?;
            self.line(format_args!("live at {tid}: {live:?}"));
        }
        Ok(())
    }

    fn object(&mut self, partition: PartitionId, oid: Oid) -> Result<()> {
        let snapshot = self.snapshot.clone();
        let history = self.ask(HistoryLookup::new(snapshot, partition, oid, 0, PAGE))?;
        self.line(format_args!("oid {oid}"));
        self.load(partition, oid, When::Newest)?;
        for entry in history {
            self.line(format_args!("  {entry:?}"));
            let tid = entry.tid;
            self.load(partition, oid, When::At(tid))?;
            self.load(partition, oid, When::Before(tid))?;
            let lookup =
                UndoLookup::new(self.snapshot.clone(), partition, oid, None, tid, None);
            let undo = self.ask(lookup)?;
            self.line(format_args!("  undo {undo:?}"));
        }
        Ok(())
    }

    fn load(&mut self, partition: PartitionId, oid: Oid, when: When) -> Result<()> {
        let found = self.ask(LoadLookup::new(self.snapshot.clone(), partition, oid, when))?;
        self.line(format_args!("  {when:?}: {found:?}"));
        if let LoadResult::Revision(revision) = found {
            self.line(format_args!("    checksum {:02x?}", revision.checksum()));
        }
        Ok(())
    }
}
