//! Commits from the first store to the load of what was stored.

use bytes::Bytes;
use model::{CellChange, CellState, PartitionTableId};
use net::{Checksum, Data, ErrorCode, Message};

use super::world::{
    World, engine_options, load, lock, oid, options, own, rows, store, stored, tid, ttid, vote,
};

#[test]
fn what_is_committed_is_read() {
    let mut world = World::operating();
    let client = world.client();
    assert_eq!(world.newest(client, 1), None);
    world.commit(client, 100, 1, 0);
    assert_eq!(world.newest(client, 1), Some((104, "1 of 100".into())));
    world.commit(client, 200, 1, 104);
    assert_eq!(world.newest(client, 1), Some((204, "1 of 200".into())));
    let at =
        world.ask(client, &Message::AskObject { oid: oid(1), at: Some(tid(104)), before: None });
    let before = Message::AskObject { oid: oid(1), at: None, before: Some(tid(204)) };
    assert_eq!(world.ask(client, &before), at);
    let Message::AnswerObject { serial, next_serial, checksum, data, compression, .. } = at else {
        panic!("{at:?}")
    };
    assert_eq!((serial, next_serial, compression), (tid(104), Some(tid(204)), Some(0)));
    assert_eq!(checksum, Checksum::of(&data.bytes));
    let lower = Message::AskObject { oid: oid(1), at: None, before: Some(tid(104)) };
    assert_eq!(world.refused(client, &lower), ErrorCode::OidNotFound);
    let mut world = World::reopen(world.close());
    world.begin();
    let client = world.client();
    assert_eq!(world.newest(client, 1), Some((204, "1 of 200".into())));
}

#[test]
fn what_is_asked_for_together_is_one_sync() {
    let mut world = World::operating();
    let client = world.client();
    let transactions = || (1..=6).map(|number| (ttid(100 * number), oid(number)));
    for (ttid, oid) in transactions() {
        assert_eq!(world.ask(client, &store(ttid, oid, tid(0), "data")), stored(None));
    }
    let before = world.syncs();
    let votes: Vec<_> = transactions().map(|(ttid, oid)| vote(ttid, &[oid])).collect();
    for token in world.post_all(client, &votes) {
        assert_eq!(world.answer(client, token), Some(Message::AnswerStoreTransaction {}));
    }
    assert_eq!(world.syncs() - before, 1, "6 votes");
    let locks: Vec<_> = transactions().map(|(ttid, _)| lock(ttid, tid(ttid.get() + 4))).collect();
    let master = world.master();
    for (token, (ttid, _)) in world.post_all(master, &locks).into_iter().zip(transactions()) {
        let answer = Message::AnswerInformationLocked { ttid };
        assert_eq!(world.answer(master, token), Some(answer));
    }
    assert_eq!(world.syncs() - before, 2, "6 locks");
    world.ask(client, &vote(ttid(5000), &[]));
    assert_eq!(world.syncs() - before, 3, "one alone waits for nobody");
}

#[test]
fn deletions_have_no_data() {
    let mut world = World::operating();
    let client = world.client();
    world.commit(client, 100, 1, 0);
    let delete = Message::AskStoreObject {
        oid: oid(1),
        serial: tid(104),
        compression: 0,
        checksum: Checksum::ZERO,
        data: Data::default(),
        data_serial: None,
        ttid: ttid(200),
    };
    assert_eq!(world.ask(client, &delete), stored(None));
    world.ask(client, &vote(ttid(200), &[oid(1)]));
    world.lock_one(200, 204);
    world.unlock_one(200);
    let expected = Message::AnswerObject {
        oid: oid(1),
        serial: tid(204),
        next_serial: None,
        compression: None,
        checksum: Checksum::ZERO,
        data: Data::default(),
        data_serial: None,
    };
    assert_eq!(world.ask(client, &load(oid(1))), expected);
}

#[test]
fn empty_data_is_data() {
    let mut world = World::operating();
    let client = world.client();
    assert_eq!(world.ask(client, &store(ttid(100), oid(1), tid(0), "")), stored(None));
    world.ask(client, &vote(ttid(100), &[oid(1)]));
    world.lock_one(100, 104);
    world.unlock_one(100);
    assert_eq!(world.newest(client, 1), Some((104, String::new())), "R25: no data is data");
}

#[test]
fn oids_of_the_upper_half_are_as_good_as_others() {
    let mut world = World::operating();
    let client = world.client();
    for (number, high) in [(100, 1 << 63), (200, u64::MAX)] {
        world.commit(client, number, high, 0);
        assert_eq!(world.newest(client, high).unwrap().0, number + 4);
    }
}

#[test]
fn conflicts_name_the_newer_revision() {
    let mut world = World::operating();
    let client = world.client();
    world.commit(client, 100, 1, 0);
    let answer = world.ask(client, &store(ttid(200), oid(1), tid(0), "stale"));
    assert_eq!(answer, stored(Some(104)));
    let check = Message::AskCheckCurrentSerial { ttid: ttid(200), oid: oid(1), serial: tid(3) };
    let conflict = Some(tid(104));
    assert_eq!(world.ask(client, &check), Message::AnswerCheckCurrentSerial { conflict });
    let answer = world.ask(client, &store(ttid(200), oid(1), tid(104), "resolved"));
    assert_eq!(answer, stored(None));
    world.ask(client, &vote(ttid(200), &[oid(1)]));
    world.lock_one(200, 204);
    world.unlock_one(200);
    assert_eq!(world.newest(client, 1), Some((204, "resolved".into())));
}

#[test]
fn r6_a_transaction_that_only_checked_votes_too() {
    let mut world = World::operating();
    let client = world.client();
    world.commit(client, 100, 1, 0);
    let check = Message::AskCheckCurrentSerial { ttid: ttid(200), oid: oid(1), serial: tid(104) };
    let checked = Message::AnswerCheckCurrentSerial { conflict: None };
    assert_eq!(world.ask(client, &check), checked);
    let vote = Message::AskVoteTransaction { ttid: ttid(200) };
    assert_eq!(world.ask(client, &vote), Message::AnswerVoteTransaction {});
    let waiting = world.post(client, &store(ttid(150), oid(1), tid(104), "older"));
    assert_eq!(world.answer(client, waiting), None, "a voted transaction keeps its lock");
    world.lock_one(200, 204);
    world.unlock_one(200);
    assert_eq!(world.answer(client, waiting), Some(stored(None)));
}

#[test]
fn r11_cells_that_are_not_readable_take_writes_without_locks() {
    let mut world = World::new();
    world.join();
    world.send_table(1, rows(CellState::OutOfDate));
    world.start();
    let client = world.client();
    for number in [100, 200] {
        let answer = world.ask(client, &store(ttid(number), oid(1), tid(77), "any"));
        assert_eq!(answer, stored(Some(0)));
        world.ask(client, &vote(ttid(number), &[oid(1)]));
    }
    for number in [100, 200] {
        world.lock_one(number, number + 4);
        world.unlock_one(number);
    }
    assert_eq!(world.refused(client, &load(oid(1))), ErrorCode::NonReadableCell);
    let mut world = World::reopen(world.close());
    world.begin();
    let client = world.client();
    assert_eq!(world.newest(client, 1).unwrap().0, 204, "it was stored all the same");
}

#[test]
fn an_unassigned_cell_stores_nothing_and_a_discarded_one_forgets() {
    let mut world = World::operating();
    let client = world.client();
    world.commit(client, 100, 1, 0);
    world.ask(client, &store(ttid(200), oid(1), tid(104), "open"));
    let waiting = world.post(client, &store(ttid(300), oid(1), tid(104), "waits"));
    let change =
        CellChange { partition: World::partition(1), nid: own(), state: CellState::Discarded };
    let (table_id, changes) = (PartitionTableId::new(2), vec![change]);
    world.tell(&Message::NotifyPartitionChanges { table_id, replicas: 0, changes });
    assert_eq!(world.answer(client, waiting), Some(stored(Some(0))));
    let answer = world.ask(client, &store(ttid(400), oid(5), tid(0), "nowhere"));
    assert_eq!(answer, stored(Some(0)));
    world.ask(client, &vote(ttid(200), &[oid(1)]));
    world.lock_one(200, 204);
    world.unlock_one(200);
    // Back again, it has nothing of before.
    let change =
        CellChange { partition: World::partition(1), nid: own(), state: CellState::UpToDate };
    let (table_id, changes) = (PartitionTableId::new(3), vec![change]);
    world.tell(&Message::NotifyPartitionChanges { table_id, replicas: 0, changes });
    assert_eq!(world.newest(client, 1), None);
}

#[test]
fn locks_have_to_follow_votes() {
    let mut world = World::operating();
    let client = world.client();
    world.ask(client, &store(ttid(100), oid(1), tid(0), "open"));
    let master = world.master();
    assert_eq!(world.refused(master, &lock(ttid(100), tid(104))), ErrorCode::ProtocolError);
}

#[test]
fn transactions_of_many_and_of_large_objects() {
    let mut world = World::operating();
    let client = world.client();
    let large = "x".repeat(700_000);
    let oids: Vec<_> = (0..3000).map(oid).collect();
    for &each in &oids {
        let data = if each.get() % 1000 == 0 { large.as_str() } else { "small" };
        assert_eq!(world.ask(client, &store(ttid(100), each, tid(0), data)), stored(None));
    }
    world.ask(client, &vote(ttid(100), &oids));
    world.lock_one(100, 104);
    world.unlock_one(100);
    assert_eq!(world.newest(client, 2000), Some((104, large)));
    assert_eq!(world.newest(client, 2999), Some((104, "small".into())));
}

#[test]
fn a_full_disk_refuses_writes_and_nothing_else() {
    let mut world = World::operating();
    let client = world.client();
    world.commit(client, 100, 1, 0);
    world.vote_one(client, 200, 2, 0);
    let disk = world.disk.clone();
    disk.set_capacity(Some(disk.allocated_bytes()));
    let large = "y".repeat(300_000);
    let mut refused = 0;
    for number in 3..7 {
        let at = ttid(number * 100);
        match world.ask(client, &store(at, oid(number), tid(0), &large)) {
            Message::AnswerStoreObject { conflict: None } => {
                match world.ask(client, &vote(at, &[oid(number)])) {
                    Message::Error { code: ErrorCode::ReadOnlyAccess, .. } => refused += 1,
                    other => panic!("{other:?}"),
                }
            }
            Message::Error { code: ErrorCode::ReadOnlyAccess, .. } => refused += 1,
            other => panic!("{other:?}"),
        }
        world.notify(client, &Message::AbortTransaction { ttid: at, nids: Vec::new() });
    }
    assert_eq!(refused, 4);
    assert_eq!(world.newest(client, 1).unwrap().0, 104);
    world.lock_one(200, 204);
    world.unlock_one(200);
    assert_eq!(world.newest(client, 2).unwrap().0, 204, "what was voted goes forward");
    disk.set_capacity(None);
    world.commit(client, 900, 9, 0);
    assert_eq!(world.newest(client, 9).unwrap().0, 904);
}

#[test]
fn a_storage_with_a_full_disk_joins_and_notes_later_what_finds_no_space() {
    let mut world = World::operating();
    let client = world.client();
    world.commit(client, 100, 1, 0);
    let disk = world.close();
    disk.set_capacity(Some(disk.allocated_bytes()));
    let mut world = World::reopen(disk.clone());
    world.begin();
    let client = world.client();
    assert_eq!(world.newest(client, 1).unwrap().0, 104);
    // Tables take what is left; then the master waits, and with it everything behind the table.
    let master = world.master();
    let orders = Message::AskPackOrders { first_id: tid(0) };
    let waiting = (2..10_000).find_map(|table_id| {
        let table_id = PartitionTableId::new(table_id);
        world.tell(&Message::NotifyPartitionChanges { table_id, replicas: 0, changes: vec![] });
        let token = world.post(master, &orders);
        world.answer(master, token).is_none().then_some(token)
    });
    let waiting = waiting.expect("the disk is full");
    assert!(world.exit.is_none() && world.is_open(master));
    assert_eq!(world.newest(client, 1).unwrap().0, 104);
    disk.set_capacity(None);
    world.advance(std::time::Duration::from_secs(1));
    let answer = world.answer(master, waiting);
    assert!(matches!(answer, Some(Message::AnswerPackOrders { .. })), "{answer:?}");
    world.commit(client, 900, 9, 0);
}

#[test]
fn a_failed_sync_ends_the_storage() {
    let mut world = World::operating();
    let client = world.client();
    let disk = world.disk.clone();
    world.ask(client, &store(ttid(100), oid(1), tid(0), "lost"));
    for ahead in 0..4 {
        disk.schedule(disk.operations() + ahead, engine::disk::Fault::SyncError);
    }
    let token = world.post(client, &vote(ttid(100), &[oid(1)]));
    assert_eq!(world.answer(client, token), None);
    assert!(matches!(world.exit, Some(crate::StorageExit::Failed(crate::Error::Engine(_)))));
}

#[test]
fn a_copy_gets_an_id_of_its_own() {
    let mut world = World::operating();
    let client = world.client();
    world.commit(client, 100, 1, 0);
    let disk = world.close();
    let mode = engine::OpenMode::ReadWrite;
    let arc = std::sync::Arc::new(disk.clone());
    let engine = engine::Engine::open(arc, engine_options(), mode).unwrap();
    let mut world = World::on(disk, engine, crate::StorageOptions { new_nid: true, ..options() });
    world.settle();
    let master = world.master();
    let (id, message) = world.take_request(master);
    let Message::RequestIdentification { nid: None, address: None, extra, .. } = message else {
        panic!("{message:?}")
    };
    let partitions = (0..4).map(net::Value::Unsigned).collect();
    assert_eq!(extra.get(&Bytes::from("new_nid")), Some(&net::Value::List(partitions)));
    let nid = model::Nid::of(model::NodeType::Storage, 5);
    let answer = Message::AcceptIdentification {
        node_type: model::NodeType::Master,
        nid: Some(model::Nid::of(model::NodeType::Master, 1)),
        your_nid: Some(nid),
    };
    world.reply(master, id, &answer);
    assert!(matches!(world.exit, Some(crate::StorageExit::Cloned { nid: found }) if found == nid));
    let disk = world.close();
    let engine = engine::Engine::open(std::sync::Arc::new(disk), engine_options(), mode).unwrap();
    let table = engine.metadata().get(engine::MetadataKey::PartitionTable).unwrap();
    let table = model::PartitionTable::from_bytes(table).unwrap();
    assert_eq!(table.cell_state(World::partition(0), nid), Some(CellState::UpToDate));
    assert_eq!(table.cell_state(World::partition(0), own()), None);
}
