use std::fmt::Write;

use engine::{
    Engine, HistoryLookup, LiveOidsLookup, LoadLookup, ObjectsLookup, ReadMode, Result, TidsLookup,
    TransactionLookup, When,
};
use model::{Oid, PartitionId, Tid};

/// Everything that can be asked of a database, as text: equal contents give equal text.
pub(crate) fn listing(engine: &Engine, mode: ReadMode) -> Result<String> {
    let mut text = String::new();
    let reader = engine.reader(mode);
    let snapshot = engine.snapshot();
    let (zero, last) = (Tid::ZERO, Tid::new(u64::MAX));
    for (key, value) in engine.metadata().iter() {
        writeln!(text, "metadata {key:?} {value:?}").expect("a string");
    }
    for (ttid, state) in engine.transactions() {
        writeln!(text, "in doubt {ttid} {state:?}").expect("a string");
    }
    for partition in (0..3).map(PartitionId::new) {
        let tids =
            reader.run(TidsLookup::ascending(snapshot.clone(), partition, zero, last, 1000))?;
        for tid in tids {
            let lookup = TransactionLookup::new(snapshot.clone(), partition, tid);
            let found = reader.run(lookup)?;
            writeln!(text, "transaction {partition} {tid} {found:?}").expect("a string");
        }
        let from = (zero, Oid::ZERO);
        let lookup = ObjectsLookup::new(snapshot.clone(), partition, from, last, 1000);
        for (tid, oid) in reader.run(lookup)?.objects {
            let lookup = LoadLookup::new(snapshot.clone(), partition, oid, When::At(tid));
            let found = reader.run(lookup)?;
            writeln!(text, "object {partition} {tid} {oid} {found:?}").expect("a string");
        }
        let lookup = LiveOidsLookup::new(snapshot.clone(), partition, Oid::ZERO, last, 1000);
        let live = reader.run(lookup)?;
        writeln!(text, "live {partition} {live:?}").expect("a string");
        for oid in live.oids {
            let lookup = HistoryLookup::new(snapshot.clone(), partition, oid, 0, 100);
            let history = reader.run(lookup)?;
            writeln!(text, "history {partition} {oid} {history:?}").expect("a string");
        }
    }
    Ok(text)
}
