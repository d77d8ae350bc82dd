//! All that can be read of a database, as text that stays the same.

use std::collections::BTreeSet;
use std::fmt::{Display, Write};

use engine::{
    BoundsLookup, Compression, Engine, HistoryLookup, LiveOidsLookup, LoadLookup, LoadResult,
    Lookup, ObjectsLookup, ReadMode, Reader, Result, Snapshot, TidOfLookup, TidsLookup,
    Transaction, TransactionLookup, TransactionState, UndoLookup, When,
};
use model::{Oid, PartitionId, Tid};

use super::PARTITIONS;

const LAST: Tid = Tid::new(u64::MAX);
/// Things on a page: few, so that there are several.
const PAGE: usize = 20;

/// What every lookup says of everything there is.
pub(crate) fn listing(engine: &Engine, mode: ReadMode) -> Result<String> {
    let mut lister =
        Lister { reader: engine.reader(mode), snapshot: engine.snapshot(), text: String::new() };
    for (key, value) in engine.metadata().iter() {
        lister.line(format_args!("metadata {key:?} {}", quoted(value)));
    }
    for (ttid, state) in engine.transactions() {
        match state {
            TransactionState::Open => lister.line(format_args!("open {ttid}")),
            TransactionState::Voted => lister.line(format_args!("voted {ttid}")),
            TransactionState::Locked(tid) => lister.line(format_args!("locked {ttid} {tid}")),
        }
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
        let (first, last) = (or(bounds.tid_first), or(bounds.tid_last));
        self.line(format_args!(
            "partition {partition} tids {first} {last} oid {}",
            or(bounds.oid_last)
        ));
        let snapshot = || self.snapshot.clone();
        let first = Tid::new(0);
        let tids = self.ask(TidsLookup::ascending(snapshot(), partition, first, LAST, PAGE))?;
        let down = self.ask(TidsLookup::descending(snapshot(), partition, first, LAST, PAGE))?;
        assert!(down.iter().rev().eq(&tids), "the same in both directions");
        for tid in tids {
            self.transaction(partition, tid)?;
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
            self.line(format_args!("live at {tid} {}", list(&live.oids)));
        }
        Ok(())
    }

    fn transaction(&mut self, partition: PartitionId, tid: Tid) -> Result<()> {
        let lookup = TransactionLookup::new(self.snapshot.clone(), partition, tid);
        let Some(transaction) = self.ask(lookup)? else {
            self.line(format_args!("transaction {tid} is missing"));
            return Ok(());
        };
        self.line(format_args!("transaction {tid} {}", said(&transaction)));
        let lookup = TidOfLookup::new(self.snapshot.clone(), partition, transaction.ttid);
        let found = self.ask(lookup)?;
        self.line(format_args!("  of its ttid {}", or(found)));
        Ok(())
    }

    fn object(&mut self, partition: PartitionId, oid: Oid) -> Result<()> {
        let snapshot = self.snapshot.clone();
        let history = self.ask(HistoryLookup::new(snapshot, partition, oid, 0, PAGE))?;
        self.line(format_args!("oid {oid}"));
        self.load(partition, oid, When::Newest)?;
        for entry in history {
            let (tid, data_tid) = (entry.tid, or(entry.data_tid));
            let (size, has_data) = (entry.size, entry.has_data);
            self.line(format_args!("  history {tid} {size} {has_data} {data_tid}"));
            self.load(partition, oid, When::At(tid))?;
            self.load(partition, oid, When::Before(tid))?;
            let lookup = UndoLookup::new(self.snapshot.clone(), partition, oid, None, tid, None);
            let Some(undo) = self.ask(lookup)? else { continue };
            let (current, undone) = (or(undo.current_tid), or(undo.undo_tid));
            self.line(format_args!("    undo {current} {undone} {}", undo.is_current));
        }
        Ok(())
    }

    fn load(&mut self, partition: PartitionId, oid: Oid, when: When) -> Result<()> {
        let found = self.ask(LoadLookup::new(self.snapshot.clone(), partition, oid, when))?;
        let when = match when {
            When::Newest => "newest",
            When::At(_) => "at",
            When::Before(_) => "before",
        };
        match found {
            LoadResult::Revision(revision) => {
                let (tid, next, data_tid) =
                    (revision.tid, or(revision.next_tid), or(revision.data_tid));
                let compression = match revision.compression {
                    Compression::None => "plain",
                    Compression::Zlib => "zlib",
                };
                let (data, checksum) = (quoted(&revision.data), quoted(&revision.checksum()));
                self.line(format_args!(
                    "    {when} {tid} {next} {data_tid} {compression} {data} {checksum}"
                ));
            }
            LoadResult::Deleted { tid, next_tid, data_tid } => {
                let (next, data_tid) = (or(next_tid), or(data_tid));
                self.line(format_args!("    {when} {tid} {next} {data_tid} deleted"));
            }
            LoadResult::NoRevision => self.line(format_args!("    {when} no revision")),
            LoadResult::NoSuchOid => self.line(format_args!("    {when} no such oid")),
        }
        Ok(())
    }
}

fn said(transaction: &Transaction) -> String {
    let Transaction { ttid, user, description, extension, oids, packed, .. } = transaction;
    let mut text = format!(
        "{ttid} {} {} {} packed {packed} oids {}",
        quoted(user),
        quoted(description),
        quoted(extension),
        list(oids)
    );
    if let Some(order) = &transaction.pack_order {
        let oids = order.oids.as_deref().map_or(String::from("all"), list);
        let (approved, partial, tid) = (order.approved, order.partial, order.tid);
        write!(text, " pack {approved:?} {partial} {oids} {tid}").expect("strings take everything");
    }
    for superseded in &transaction.superseded {
        let (position, data_tid) = (superseded.position, or(superseded.data_tid));
        let data = superseded.data.as_ref().map(|data| quoted(data));
        write!(text, " superseded {position} {data_tid} {}", or(data))
            .expect("strings take everything");
    }
    text
}

fn or<T: Display>(value: Option<T>) -> String {
    value.map_or(String::from("none"), |value| value.to_string())
}

fn list<T: Display>(values: &[T]) -> String {
    let values: Vec<String> = values.iter().map(T::to_string).collect();
    format!("[{}]", values.join(" "))
}

fn quoted(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 + 2 * bytes.len());
    text.push('"');
    for byte in bytes {
        match byte {
            b'"' | b'\\' => write!(text, "\\{}", char::from(*byte)),
            0x20..0x7f => write!(text, "{}", char::from(*byte)),
            _ => write!(text, "\\x{byte:02x}"),
        }
        .expect("strings take everything");
    }
    text.push('"');
    text
}
