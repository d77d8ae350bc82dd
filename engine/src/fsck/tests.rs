//! What no checksum shows: indexes and a checkpoint that contradict the log. Files are written
//! anew, sound in themselves, with something else in them.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use model::{Oid, PartitionId, Tid, Ttid};

use super::indexes::scan_run;
use super::watch::Watch;
use super::{Fsck, Report};
use crate::database::{CLOSED, Delete, Engine, ObjectData, Options};
use crate::disk::{Disk, MemoryDisk};
use crate::format::{
    Closed, FileHeader, FileKind, HEADER_LENGTH, Item, Key, Order, RunSummary, Transaction,
};
use crate::manifest::{Manifest, ManifestState, read_manifest};
use crate::run::{PinBudget, RunFile, RunSettings, RunWriter};

const PARTITION: PartitionId = PartitionId::new(0);

fn options() -> Options {
    Options { segment_length: 2048, reserve_length: 1024, fan_out: 100, ..Options::default() }
}

fn engine(disk: &MemoryDisk) -> Engine {
    Engine::create(Arc::new(disk.clone()), options(), [1; 16], Vec::new()).expect("no faults")
}

fn commit(engine: &mut Engine, n: u64, oids: &[u64]) {
    let (ttid, tid) = (Ttid::new(10 * n), Tid::new(10 * n + 1));
    for oid in oids {
        let data = Some(Bytes::from(format!("{oid} at {n}")));
        let object = ObjectData { data, ..ObjectData::default() };
        engine.store(ttid, PARTITION, Oid::new(*oid), &object).expect("no faults");
    }
    let oids = oids.iter().copied().map(Oid::new).collect();
    let transaction = Transaction { ttid, oids, ..Transaction::default() };
    engine.commit(n, ttid, tid, PARTITION, Some(transaction)).expect("no faults");
    engine.wait_for(n).expect("no faults");
}

/// Three transactions in one run of each order.
fn database() -> MemoryDisk {
    let disk = MemoryDisk::new(1);
    let mut engine = engine(&disk);
    for n in 1..=3 {
        commit(&mut engine, n, &[5, 10 + n]);
    }
    engine.close().expect("no faults");
    disk
}

fn check(disk: &MemoryDisk) -> Report {
    let fsck = Fsck::new(Arc::new(disk.clone()));
    fsck.run(&mut |_| ControlFlow::Continue(())).expect("it runs")
}

/// The findings, without file names.
fn told(disk: &MemoryDisk) -> Vec<String> {
    let report = check(disk);
    let text = |finding: &super::Finding| {
        let line = finding.to_string();
        line.split_once("expected ").map_or(line.clone(), |(_, expected)| expected.to_owned())
    };
    report.findings.iter().map(text).collect()
}

/// Writes a manifest with another state, and a `closed` that goes with it.
fn with_state(disk: &MemoryDisk, change: impl FnOnce(&mut ManifestState)) {
    let contents = read_manifest(disk).expect("sound");
    let FileHeader { database, epoch, .. } = contents.header;
    let mut state = contents.state;
    change(&mut state);
    let dynamic: Arc<dyn Disk> = Arc::new(disk.clone());
    let manifest = Manifest::write(dynamic, database, epoch, state, 99).expect("no faults");
    let old = disk.read_file(CLOSED).expect("closed");
    let header = FileHeader { kind: FileKind::Closed, database, number: 0, epoch };
    let closed = Closed::decode(&old[HEADER_LENGTH..], header.seed()).expect("sound");
    let closed = Closed { manifest_sequence: 99, manifest_length: manifest.length(), ..closed };
    let mut bytes = header.encode();
    bytes.extend_from_slice(&closed.encode(header.seed()));
    disk.write_file(CLOSED, &bytes);
}

/// The first run of an order.
fn run_of(disk: &MemoryDisk, order: Order) -> RunSummary {
    let contents = read_manifest(disk).expect("sound");
    let mut runs = contents.state.runs.into_values();
    runs.find(|run| run.order == order).expect("a run of each order")
}

/// What is in it.
fn items_of(disk: &MemoryDisk, order: Order) -> Vec<Item> {
    let database = read_manifest(disk).expect("sound").header.database;
    let budget = Arc::new(PinBudget::new(0));
    let run = RunFile::open(disk, database, run_of(disk, order), &budget).expect("sound");
    let mut items = Vec::new();
    let mut go_on = |_| ControlFlow::Continue(());
    let going = scan_run(&run, &mut Watch::new(&mut go_on), &(0..u64::MAX), &mut |found| {
        items.push(found.item);
    });
    going.expect("nobody stops it");
    items
}

/// Writes the first run of an order with other items.
fn with_items(disk: &MemoryDisk, order: Order, change: impl FnOnce(&mut Vec<Item>)) {
    let FileHeader { database, epoch, .. } = read_manifest(disk).expect("sound").header;
    let summary = run_of(disk, order);
    let mut items = items_of(disk, order);
    change(&mut items);
    items.sort_unstable_by_key(|item| item.key);
    disk.remove_file(&RunSettings::name(summary.number));
    let settings = RunSettings {
        database,
        number: summary.number,
        epoch,
        order,
        level: summary.level,
        keys_max: 100,
        block_length: 200,
    };
    let mut writer = RunWriter::create(disk, settings).expect("no faults");
    for item in &items {
        writer.push(item).expect("no faults");
    }
    let written = writer.finish(disk).expect("no faults").expect("some items");
    with_state(disk, |state| {
        state.runs.insert(written.number, written);
    });
}

const FIVE: u64 = 5;

/// Whether an item is oid 5 of tid 21.
fn is_five_at_21(order: Order, key: &Key) -> bool {
    match order {
        Order::Objects => (key.b, !key.c) == (FIVE, 21),
        Order::ByTid => (key.c, key.b) == (FIVE, 21),
        Order::Transactions => key.b == 21,
    }
}

#[test]
fn nothing_is_told_of_a_sound_database() {
    let disk = database();
    with_state(&disk, |_| {});
    with_items(&disk, Order::Objects, |_| {});
    let report = check(&disk);
    assert_eq!(report.findings, []);
    assert_eq!((report.totals.revisions, report.totals.transactions), (6, 3));
    assert_eq!((report.totals.listed_oids, report.totals.listed_oids_elsewhere), (6, 0));
}

#[test]
fn items_that_are_missing_are_told() {
    let expected = [
        "a record that the index by oid names; hit: oid 0000000000000005 of tid 0000000000000015",
        "objects that the index by tid names; hit: oid 0000000000000005 of tid 0000000000000015",
        "a record that the index of transactions names; hit: the transaction 0000000000000015",
    ];
    for (order, expected) in Order::ALL.into_iter().zip(expected) {
        let disk = database();
        with_items(&disk, order, |items| items.retain(|item| !is_five_at_21(order, &item.key)));
        assert_eq!(told(&disk), [expected]);
    }
}

#[test]
fn items_that_say_something_else_are_told() {
    type Change = fn(&mut Item);
    let changes: [Change; 7] = [
        |item| item.key.seq += 100,
        |item| item.key.a += 1,
        |item| item.key.c ^= 1,
        |item| item.extra = Some(7),
        |item| item.flags = crate::format::ItemFlags::NO_DATA,
        |item| item.location.as_mut().expect("a place").offset += 1,
        |item| item.location.as_mut().expect("a place").length -= 1,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let disk = database();
        with_items(&disk, Order::Objects, |items| {
            let at = items.iter().position(|item| is_five_at_21(Order::Objects, &item.key));
            change(&mut items[at.expect("it is there")]);
        });
        let told = told(&disk);
        let has = |text: &str| told.iter().any(|line| line.starts_with(text));
        assert!(has("a record that the index by oid names"), "change {number}: {told:?}");
        assert!(has("an index item that the log tells"), "change {number}: {told:?}");
    }
}

/// A database in which something is hidden and merged away, with an item of before put back.
fn with_item_back(hide: impl FnOnce(&mut Engine), put_back_tid: u64) -> MemoryDisk {
    let disk = MemoryDisk::new(1);
    let mut engine = engine(&disk);
    for n in 1..=3 {
        commit(&mut engine, n, &[FIVE, 10 + n]);
    }
    engine.flush().expect("no faults");
    let before = disk.keep_all();
    hide(&mut engine);
    engine.wait_for(70).expect("no faults");
    commit(&mut engine, 4, &[FIVE]);
    engine.flush().expect("no faults");
    while let Some(mut job) = engine.take_idle_job() {
        let result = job.run();
        engine.finish_job(job, result).expect("no faults");
    }
    engine.close().expect("no faults");
    assert_eq!(check(&disk).findings, []);
    let state = read_manifest(&disk).expect("sound").state;
    assert_eq!(state.checkpoint.intents, [], "all is merged");
    assert_eq!(state.runs.values().map(|run| run.tombstones).sum::<u64>(), 0, "all is merged");
    let item = items_of(&before, Order::Objects)
        .into_iter()
        .find(|item| (item.key.b, !item.key.c) == (FIVE, put_back_tid));
    with_items(&disk, Order::Objects, |items| items.push(item.expect("it was there")));
    disk
}

#[test]
fn what_was_truncated_does_not_come_back() {
    let truncate = |engine: &mut Engine| engine.truncate(70, Tid::new(0)).expect("no faults");
    let told = told(&with_item_back(truncate, 31));
    let expected = "nothing that was deleted, dropped or truncated; \
                    hit: oid 0000000000000005 of tid 000000000000001f";
    assert_eq!(told, [expected]);
}

#[test]
fn what_was_deleted_does_not_come_back() {
    let revision =
        Delete::Revision { partition: PARTITION, oid: Oid::new(FIVE), tid: Tid::new(11) };
    let delete = |engine: &mut Engine| engine.delete(70, &[revision]).expect("no faults");
    let told = told(&with_item_back(delete, 11));
    let expected = "nothing that was deleted, dropped or truncated; \
                    hit: oid 0000000000000005 of tid 000000000000000b";
    assert_eq!(told, [expected]);
}

#[test]
fn a_checkpoint_that_the_log_contradicts_is_told() {
    let disk = MemoryDisk::new(1);
    let mut engine = engine(&disk);
    commit(&mut engine, 1, &[5]);
    engine.flush().expect("no faults");
    engine.truncate(70, Tid::new(0)).expect("no faults");
    let ttid = Ttid::new(500);
    engine.vote(71, ttid, PARTITION, Some(Transaction::default())).expect("no faults");
    engine.wait_for(71).expect("no faults");
    engine.close().expect("no faults");
    assert_eq!(check(&disk).findings, []);

    let one = disk.snapshot();
    with_state(&one, |state| state.checkpoint.in_doubt.clear());
    assert!(
        told(&one).contains(&String::from("a checkpoint with the log's transactions in doubt"))
    );
    let two = disk.snapshot();
    with_state(&two, |state| state.checkpoint.intents.clear());
    let told_two = told(&two);
    assert!(told_two[0].starts_with("nothing that was deleted, dropped"), "{told_two:?}");
    let three = disk.snapshot();
    with_state(&three, |state| {
        let crate::format::Intent::Truncate { tid, .. } = &mut state.checkpoint.intents[0] else {
            panic!("a truncation")
        };
        *tid = Tid::new(5);
    });
    assert!(told(&three).contains(&String::from("a checkpoint with intents of the log")));
}

#[test]
fn windows_do_not_change_what_is_told() {
    let disk = database();
    with_items(&disk, Order::ByTid, |items| {
        items.retain(|item| !is_five_at_21(Order::ByTid, &item.key));
    });
    let whole = check(&disk);
    for items_max in [1, 2, 5] {
        let fsck = Fsck::new(Arc::new(disk.clone())).with_window_items_max(items_max);
        let report = fsck.run(&mut |_| ControlFlow::Continue(())).expect("it runs");
        assert_eq!(report.findings, whole.findings);
    }
}

#[test]
fn whoever_watches_can_stop_it() {
    let fsck = Fsck::new(Arc::new(database()));
    let report = fsck.run(&mut |_| ControlFlow::Break(())).expect("it runs");
    assert!(!report.is_complete);
}

#[test]
fn without_a_database_there_is_nothing_to_check() {
    let fsck = Fsck::new(Arc::new(MemoryDisk::new(1)));
    let error = fsck.run(&mut |_| ControlFlow::Continue(())).expect_err("nothing is there");
    assert!(matches!(error, crate::Error::NoDatabase { .. }), "{error}");
}
