//! What is read is what ZODB's own API said about the same files.

use std::collections::{BTreeMap, BTreeSet};

use model::Tid;

use super::super::{Position, Reader};
use super::{Database, databases, sample, summarize};
use crate::dump::{Canonical, DataTids, Digest, Events, Hasher, Revision};

#[test]
fn hashes_and_counts_equal_the_truth() {
    for database in databases() {
        let (summary, torn_tail) = summarize(&database.path).unwrap();
        let name = &database.name;
        assert_eq!(summary.sha256.to_string(), database.text("dump_sha256"), "{name}");
        assert_eq!(
            summary.sha256_without_data_tids.to_string(),
            database.text("dump_without_data_txn_sha256"),
            "{name}"
        );
        assert_eq!(summary.counts.transactions, database.number("transactions"), "{name}");
        assert_eq!(summary.counts.records, database.number("records"), "{name}");
        assert_eq!(summary.counts.data_bytes, database.number("pickle_bytes"), "{name}");

        let file_size = database.number("file_size");
        let opened_size = database.truth["opened_size"].as_u64().unwrap_or(file_size);
        match torn_tail {
            None => assert_eq!(opened_size, file_size, "{name}"),
            Some(torn) => {
                assert_eq!(torn.position.get(), opened_size, "{name}");
                assert_eq!(torn.length.get(), file_size - opened_size, "{name}");
            }
        }
    }
}

#[test]
fn every_transaction_equals_the_truth() {
    for database in databases() {
        let mut expected = database.truth["per_transaction"].as_array().unwrap().iter();
        let mut kinds = BTreeMap::from([("data", 0), ("backpointer", 0), ("none", 0)]);
        let mut statuses = BTreeMap::new();
        let mut oids = BTreeSet::new();
        let mut reader = Reader::open(&database.path).unwrap();
        while let Some(transaction) = reader.next_transaction().unwrap() {
            let mut canonical = Canonical::new(Hasher::default(), DataTids::Included);
            canonical.transaction(&transaction.metadata()).unwrap();
            let (mut count, mut data_bytes) = (0, 0);
            while let Some(record) = reader.next_record().unwrap() {
                count += 1;
                data_bytes += record.data.as_ref().map_or(0, |data| data.len());
                let kind = match (&record.data, record.data_tid) {
                    (None, _) => "none",
                    (Some(_), Some(_)) => "backpointer",
                    (Some(_), None) => "data",
                };
                *kinds.get_mut(kind).unwrap() += 1;
                oids.insert(record.oid);
                let (oid, data_tid) = (record.oid, record.data_tid);
                let revision = Revision { oid, data: record.data.as_deref(), data_tid };
                canonical.record(&revision).unwrap();
            }
            canonical.end().unwrap();
            *statuses.entry(char::from(transaction.status.byte()).to_string()).or_insert(0) += 1;
            let digest: Digest = canonical.into_inner().finish();
            let found = serde_json::json!([
                transaction.tid.to_string(),
                count,
                data_bytes,
                digest.to_string()
            ]);
            assert_eq!(Some(&found), expected.next(), "{}", database.name);
        }
        assert_eq!(expected.next(), None, "{}", database.name);
        assert_eq!(serde_json::json!(statuses), database.truth["status"], "{}", database.name);
        assert_eq!(oids.len() as u64, database.number("oids"), "{}", database.name);
        for (kind, count) in kinds {
            assert_eq!(count, database.number(&format!("records_{kind}")), "{}", database.name);
        }
    }
}

#[test]
fn identity_is_that_of_the_first_transaction() {
    for database in databases() {
        let identity = Reader::open(&database.path).unwrap().identity();
        assert_eq!(identity.format.to_string(), database.text("magic"), "{}", database.name);
        let first_tid = identity.first_tid.unwrap().to_string();
        assert_eq!(first_tid, database.text("first_tid"), "{}", database.name);
        let reader = Reader::open(&database.path).unwrap();
        assert_eq!(reader.file_length().get(), database.number("file_size"), "{}", database.name);
    }
}

#[test]
fn seeking_goes_behind_any_transaction() {
    for database in databases() {
        let tids = tids(&database);
        let mut reader = Reader::open(&database.path).unwrap();
        let step = tids.len().div_ceil(100);
        for (index, tid) in tids.iter().enumerate().step_by(step) {
            assert_eq!(reader.seek_after(*tid).unwrap(), Some(*tid));
            let next = reader.next_transaction().unwrap().map(|transaction| transaction.tid);
            assert_eq!(next, tids.get(index + 1).copied());

            let before = Tid::new(tid.get() - 1);
            let previous = index.checked_sub(1).map(|index| tids[index]);
            assert_eq!(reader.seek_after(before).unwrap(), previous);
            let next = reader.next_transaction().unwrap().map(|transaction| transaction.tid);
            assert_eq!(next, Some(*tid));
            // The tid after it is in the middle of the transaction's records: no matter.
            reader.next_record().unwrap();
        }
        assert_eq!(reader.seek_after(Tid::MAX).unwrap(), tids.last().copied());
        assert_eq!(reader.next_transaction().unwrap(), None);
        assert_eq!(reader.seek_after(Tid::ZERO).unwrap(), None);
        assert_eq!(reader.next_transaction().unwrap().unwrap().tid, tids[0]);
    }
}

#[test]
fn a_reader_at_its_end_stays_there() {
    let mut reader = Reader::open(sample().path).unwrap();
    while reader.next_transaction().unwrap().is_some() {}
    assert_eq!(reader.next_transaction().unwrap(), None);
    assert_eq!(reader.next_record().unwrap(), None);
}

#[test]
fn previous_records_are_those_of_earlier_transactions() {
    let mut reader = Reader::open(sample().path).unwrap();
    let mut last = BTreeMap::<_, Position>::new();
    let mut twice = 0;
    while reader.next_transaction().unwrap().is_some() {
        let mut current = BTreeMap::new();
        while let Some(record) = reader.next_record().unwrap() {
            assert_eq!(record.previous, last.get(&record.oid).copied(), "{record:?}");
            twice += u32::from(current.insert(record.oid, record.position).is_some());
        }
        last.append(&mut current);
    }
    assert_eq!(twice, 1, "the sample has an oid twice in one transaction");
}

fn tids(database: &Database) -> Vec<Tid> {
    let transactions = database.truth["per_transaction"].as_array().unwrap();
    let tid = |text: &str| Tid::new(u64::from_str_radix(text, 16).unwrap());
    transactions.iter().map(|transaction| tid(transaction[0].as_str().unwrap())).collect()
}
