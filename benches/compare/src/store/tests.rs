//! Every engine, in a directory of its own: its answers at the edges, and in a small run.

use clap::ValueEnum;
use model::{Oid, Tid};

use super::*;
use crate::workload::Workload;

const CACHE_BYTES: usize = 16 << 20;
const RECORDS: [(u64, u64, &[u8]); 4] =
    [(1, 10, b"1 at 10"), (1, 20, b"1 at 20"), (3, 10, b"3 at 10"), (255, 15, b"255 at 15")];
const ANSWERS: [(u64, u64, Option<&[u8]>); 13] = [
    (0, 99, None),
    (1, 9, None),
    (1, 10, Some(b"1 at 10")),
    (1, 19, Some(b"1 at 10")),
    (1, 20, Some(b"1 at 20")),
    (1, 1 << 62, Some(b"1 at 20")),
    (2, 99, None),
    (3, 9, None),
    (3, 10, Some(b"3 at 10")),
    (3, 99, Some(b"3 at 10")),
    (255, 14, None),
    (255, 15, Some(b"255 at 15")),
    (256, 99, None),
];

#[test]
fn every_engine_finds_the_revision_at_or_before() {
    edges::<neolith::Neolith>();
    edges::<control::Control>();
    #[cfg(feature = "rocksdb")]
    edges::<rocksdb::Rocksdb<rocksdb::Lz4>>();
    #[cfg(feature = "rocksdb")]
    edges::<rocksdb::Rocksdb<rocksdb::Blob>>();
    edges::<fjall::Fjall>();
    edges::<lmdb::Lmdb>();
    edges::<redb::Redb>();
    edges::<sqlite::Sqlite>();
}

#[test]
fn every_engine_answers_a_small_run_rightly() {
    let parameters =
        Parameters { records: 5000, batch: 100, oids: None, lookups: None, cache_mib: 16, seed: 7 };
    let expected = Workload::new(&parameters).answers();
    assert_eq!(expected.hits + expected.misses, 5000);
    assert!(expected.misses > 0, "some lookups ask for a time before the object");
    for engine in Engine::value_variants() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let measure = engine.measure(directory.path(), &parameters).expect("the engine works");
        assert_eq!(measure.answers, expected, "{}", engine.name());
    }
}

/// Two batches, the second with a later revision of the first's oid; then all of `ANSWERS`.
fn edges<S: Store>() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut store = S::open(directory.path(), CACHE_BYTES).expect("opens");
    let record = |(oid, tid, value)| Record { oid: Oid::new(oid), tid: Tid::new(tid), value };
    let records = RECORDS.map(record);
    store.batch(&[records[0], records[2]]).expect("inserts");
    store.batch(&[records[3], records[1]]).expect("inserts");
    for settle in [false, true] {
        if settle {
            store.settle().expect("settles");
        }
        let mut reader = store.reader().expect("reads");
        for (oid, tid, expected) in ANSWERS {
            let mut found = None;
            let show = |value: &[u8]| found = Some(value.to_vec());
            reader.at_or_before(Oid::new(oid), Tid::new(tid), show).expect("reads");
            assert_eq!(found.as_deref(), expected, "{}: {oid} at {tid}", S::DURABILITY);
        }
    }
    store.close().expect("closes");
}
