//! Directories that are not opened.

use std::sync::Arc;

use engine::disk::{Disk, MemoryDisk};
use engine::{Engine, MetadataEdit, MetadataKey, ObjectData, OpenMode, Transaction};
use model::{Cell, CellState, Nid, NodeType, Oid, PartitionCount, PartitionId, PartitionTable};
use model::{PartitionTableId, Tid, Ttid};

use super::world::{commit, limits, load, open, options, try_open};
use crate::{EmbeddedOptions, Error, InDoubt, Opening, Trouble, Unfit};

fn engine(disk: &MemoryDisk) -> Engine {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Engine::open(disk, limits(), OpenMode::ReadWrite).unwrap()
}

/// A database with some edits of its metadata.
fn edited(edits: Vec<MetadataEdit>) -> MemoryDisk {
    let disk = MemoryDisk::new(1);
    drop(open(&disk));
    let mut engine = engine(&disk);
    engine.edit(1, edits).unwrap();
    engine.wait_for(1).unwrap();
    engine.close().unwrap();
    disk
}

fn refusal(disk: &MemoryDisk, options: EmbeddedOptions) -> Unfit {
    match try_open(disk, options) {
        Err(error @ Error::Unfit { .. }) => {
            assert_eq!(error.trouble(), Trouble::Refused);
            assert!(error.to_string().starts_with("memory:: "), "{error}");
            let Error::Unfit { reason, .. } = error else { unreachable!("just matched") };
            reason
        }
        other => panic!("{:?}", other.map(drop)),
    }
}

fn storage(number: u32) -> Nid {
    Nid::of(NodeType::Storage, number)
}

fn table(rows: Vec<Vec<(u32, CellState)>>, replicas: u32) -> MetadataEdit {
    let row = |row: Vec<(u32, CellState)>| {
        row.into_iter().map(|(number, state)| Cell { nid: storage(number), state }).collect()
    };
    let rows = rows.into_iter().map(row).collect();
    let table = PartitionTable::new(PartitionTableId::FIRST, replicas, rows).unwrap();
    MetadataEdit::set(MetadataKey::PartitionTable, table.to_bytes())
}

#[test]
fn what_is_no_database_of_its_own() {
    use CellState::{OutOfDate, UpToDate};
    let one = |state| vec![(1, state)];
    let tid = Tid::new(77);
    let tid_bytes = tid.get().to_le_bytes();
    let second = PartitionId::new(1);
    let cases = [
        (MetadataEdit::set(MetadataKey::Import, *b"x"), Unfit::Import),
        (MetadataEdit::set(MetadataKey::BackupTid, tid_bytes), Unfit::Backup { tid }),
        (MetadataEdit::set(MetadataKey::TruncateTid, tid_bytes), Unfit::Truncation { tid }),
        (MetadataEdit::remove(MetadataKey::PartitionTable), Unfit::NoTable),
        (
            MetadataEdit::set(MetadataKey::PartitionTable, *b"x"),
            Unfit::Metadata { what: "partition table" },
        ),
        (
            MetadataEdit::set(MetadataKey::Partitions, 4_u32.to_le_bytes()),
            Unfit::Metadata { what: "number of partitions" },
        ),
        (MetadataEdit::remove(MetadataKey::Nid), Unfit::Metadata { what: "node id" }),
        (
            table(vec![one(UpToDate), one(OutOfDate), one(UpToDate)], 0),
            Unfit::NotUpToDate { partition: second, state: OutOfDate },
        ),
        (
            table(vec![one(UpToDate), vec![(2, UpToDate)], one(UpToDate)], 0),
            Unfit::NoCell { partition: second },
        ),
        (
            table(vec![one(UpToDate), vec![(1, UpToDate), (2, UpToDate)], one(UpToDate)], 1),
            Unfit::Replicated { partition: second, nid: storage(2) },
        ),
    ];
    for (edit, expected) in cases {
        let disk = edited(vec![edit]);
        let before = disk.read_file("manifest");
        for opening in [Opening::OrCreate, Opening::ReadWrite, Opening::ReadOnly] {
            assert_eq!(refusal(&disk, EmbeddedOptions { opening, ..options() }), expected);
        }
        assert!(before.is_some() && !expected.to_string().is_empty());
    }
}

#[test]
fn what_is_another_database_than_was_asked_for() {
    let disk = MemoryDisk::new(1);
    let named = EmbeddedOptions { name: Some("mine".to_owned()), ..options() };
    let existing = EmbeddedOptions { opening: Opening::ReadWrite, ..options() };
    assert_eq!(refusal(&disk, existing), Unfit::NoDatabase);
    drop(try_open(&disk, named.clone()).unwrap());
    drop(try_open(&disk, named).unwrap());
    let other = EmbeddedOptions { name: Some("other".to_owned()), ..options() };
    let (database, wanted) = ("mine".to_owned(), "other".to_owned());
    assert_eq!(refusal(&disk, other), Unfit::OtherName { database, wanted });
    let [database, wanted] = [3, 4].map(|count| PartitionCount::new(count).unwrap());
    let other = EmbeddedOptions { partitions: Some(wanted), ..options() };
    assert_eq!(refusal(&disk, other), Unfit::OtherPartitions { database, wanted });
    let any = EmbeddedOptions { partitions: None, ..options() };
    assert_eq!(try_open(&disk, any).unwrap().partitions(), database);
    let foreign = MemoryDisk::new(1);
    foreign.write_file("Data.fs", b"FS21");
    assert_eq!(refusal(&foreign, options()), Unfit::NotEmpty { file: "Data.fs".to_owned() });
}

#[test]
fn what_a_later_version_wrote() {
    let disk = MemoryDisk::new(1);
    drop(open(&disk));
    let mut manifest = disk.read_file("manifest").unwrap();
    // The version is behind the magic, and the header is checksummed: an engine says so itself.
    manifest[8] += 1;
    disk.write_file("manifest", &manifest);
    match try_open(&disk, options()).map(drop) {
        Err(Error::Unfit { reason: Unfit::NewerFormat { found, known, .. }, .. }) => {
            assert_eq!(found, known + 1);
        }
        Err(Error::Unreadable { oid: None, text }) => assert!(text.contains("manifest"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reader_writes_nothing() {
    let disk = MemoryDisk::new(1);
    let embedded = open(&disk);
    let first = commit(&embedded, &[(1, Tid::ZERO, "one")]).unwrap();
    drop(embedded);
    let operations = disk.operations();
    let reading = EmbeddedOptions { opening: Opening::ReadOnly, ..options() };
    let embedded = try_open(&disk, reading).unwrap();
    assert_eq!(embedded.last_tid(), first);
    assert_eq!(load(&embedded, 1).unwrap().as_ref(), b"one");
    assert_eq!(embedded.begin().map(drop), Err(Error::ReadOnly));
    assert_eq!(embedded.begin_at(Tid::MAX).map(drop), Err(Error::ReadOnly));
    assert_eq!(embedded.new_oids(1), Err(Error::ReadOnly));
    assert_eq!(embedded.figures(), Err(Error::ReadOnly));
    assert_eq!(embedded.pack(first, None), Err(Error::Unsupported { what: "packing" }));
    drop(embedded);
    assert_eq!(disk.operations(), operations);
}

/// What a storage leaves that was killed while clients committed.
fn in_doubt() -> (MemoryDisk, Tid) {
    let disk = MemoryDisk::new(1);
    drop(open(&disk));
    let mut engine = engine(&disk);
    let partitions = PartitionCount::new(3).unwrap();
    let mut token = 1;
    for number in [301_u64, 601] {
        let (ttid, oid) = (Ttid::new(number), Oid::new(number));
        let data = Some(bytes::Bytes::from("in doubt"));
        let object = ObjectData { data, ..ObjectData::default() };
        engine.store(ttid, partitions.of_oid(oid), oid, &object).unwrap();
        let transaction = Transaction { ttid, oids: vec![oid], ..Transaction::default() };
        engine.vote(token, ttid, partitions.of_ttid(ttid), Some(transaction)).unwrap();
        engine.wait_for(token).unwrap();
        token += 1;
    }
    let tid = Tid::new(1201);
    engine.lock(token, Ttid::new(601), tid).unwrap();
    engine.wait_for(token).unwrap();
    (disk, tid)
}

#[test]
fn what_a_cluster_left_in_doubt() {
    let (disk, tid) = in_doubt();
    for disk in [disk.lose_all_unsynced(), disk.keep_all()] {
        let first = Ttid::new(301);
        assert_eq!(refusal(&disk, options()), Unfit::InDoubt { count: 2, first });
        let settling = EmbeddedOptions { in_doubt: InDoubt::Settle, ..options() };
        let reading = EmbeddedOptions { opening: Opening::ReadOnly, ..settling.clone() };
        assert_eq!(refusal(&disk, reading), Unfit::InDoubt { count: 2, first });
        // What has a tid may have been acknowledged.
        drop(try_open(&disk, settling).unwrap());
        for disk in [disk.lose_all_unsynced(), disk.keep_all()] {
            let embedded = open(&disk);
            assert_eq!(embedded.last_tid(), tid);
            assert_eq!(load(&embedded, 601).unwrap().as_ref(), b"in doubt");
            let oid = Oid::new(301);
            assert_eq!(embedded.load(oid), Err(Error::NoSuchObject { oid }));
        }
    }
}

/// The lock of a directory goes when it is closed, whoever still has it.
#[test]
fn what_is_open_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let embedded = crate::Embedded::open(&path, options()).unwrap();
    commit(&embedded, &[(1, Tid::ZERO, "one")]).unwrap();
    let snapshot = embedded.clone();
    let in_use = crate::Embedded::open(&path, options()).map(drop);
    let error = in_use.unwrap_err();
    assert!(matches!(&error, Error::Unfit { reason: Unfit::InUse, .. }), "{error}");
    embedded.close();
    let again = crate::Embedded::open(&path, options()).unwrap();
    assert_eq!(load(&again, 1).unwrap().as_ref(), b"one");
    drop((again, snapshot));
    let reading = EmbeddedOptions { opening: Opening::ReadOnly, ..options() };
    assert_eq!(load(&crate::Embedded::open(&path, reading.clone()).unwrap(), 1).unwrap().len(), 3);
    let missing = crate::Embedded::open(directory.path().join("none"), reading).map(drop);
    let reason = Unfit::NoDatabase;
    let path = directory.path().join("none").display().to_string();
    assert_eq!(missing, Err(Error::Unfit { path, reason }));
}
