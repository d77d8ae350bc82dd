//! Joining, recovery, verification: what the master asks before the cluster operates.

use model::{Cell, CellChange, CellState, Nid, NodeState, NodeType, PartitionTableId, Tid};
use net::{ErrorCode, Message, OrderedMap, Value};

use super::world::{
    World, engine_options, introduction, load, oid, options, own, rows, tid, ttid, vote,
};
use crate::{Error, Storage, StorageExit};

#[test]
fn a_storage_says_where_it_is_and_asks_for_no_new_id() {
    let Message::RequestIdentification { node_type, nid, address, cluster, extra, .. } =
        World::new().join()
    else {
        panic!("no introduction")
    };
    assert_eq!((node_type, nid, cluster.as_str()), (NodeType::Storage, None, "test"));
    assert!(address.is_some());
    let device = ["host", "disk"].map(|part| Value::Bytes(part.as_bytes().into()));
    assert_eq!(extra.get(&"devpath".into()), Some(&Value::List(device.to_vec())));
    assert_eq!(extra.get(&"new_nid".into()), Some(&Value::List(Vec::new())));
}

#[test]
fn id_and_table_are_remembered() {
    let mut world = World::new();
    world.join();
    let nothing = Message::AnswerRecovery { table_id: None, backup_tid: None, truncate_tid: None };
    assert_eq!(world.ask_master(&Message::AskRecovery {}), nothing);
    world.send_table(7, rows(CellState::UpToDate));
    for disk in [world.disk.lose_all_unsynced(), world.close()] {
        let mut world = World::reopen(disk);
        let Message::RequestIdentification { nid, .. } = world.join() else { panic!() };
        assert_eq!(nid, Some(own()));
        let table_id = Some(PartitionTableId::new(7));
        let expected = Message::AnswerRecovery { table_id, backup_tid: None, truncate_tid: None };
        assert_eq!(world.ask_master(&Message::AskRecovery {}), expected);
        let (table_id, rows) = (PartitionTableId::new(7), rows(CellState::UpToDate));
        let expected = Message::AnswerPartitionTable { table_id, replicas: 0, rows };
        assert_eq!(world.ask_master(&Message::AskPartitionTable {}), expected);
    }
}

/// A master that lost its log may give an id that another storage has in its database.
#[test]
fn r19_an_id_is_given_up_with_the_master_before_there_is_a_table() {
    let mut world = World::new();
    world.join();
    let master = world.master();
    world.cut(master);
    world.advance(options().reconnect_delay);
    let Message::RequestIdentification { nid, .. } = world.join() else { panic!() };
    assert_eq!(nid, None);
    let disk = world.disk.lose_all_unsynced();
    let Message::RequestIdentification { nid, .. } = World::reopen(disk).join() else { panic!() };
    assert_eq!(nid, None);
    // With a table it keeps the id.
    world.send_table(7, rows(CellState::UpToDate));
    let master = world.master();
    world.cut(master);
    world.advance(options().reconnect_delay);
    let Message::RequestIdentification { nid, .. } = world.join() else { panic!() };
    assert_eq!(nid, Some(own()));
}

#[test]
fn a_database_of_another_cluster_is_refused() {
    let mut world = World::new();
    world.begin();
    let engine = |disk: engine::disk::MemoryDisk| {
        let mode = engine::OpenMode::ReadWrite;
        engine::Engine::open(std::sync::Arc::new(disk), engine_options(), mode).unwrap()
    };
    let disk = world.close();
    let other = crate::StorageOptions { cluster: "other".into(), ..options() };
    let error = Storage::open(other, engine(disk.snapshot()), model::Now::default()).err();
    assert!(matches!(error, Some(Error::OtherCluster { .. })), "{error:?}");

    let mut world = World::reopen(disk);
    world.join();
    world.send_table(9, rows(CellState::UpToDate)[..3].to_vec());
    let exit = world.exit.take();
    let Some(StorageExit::Failed(Error::OtherPartitions { cluster: 3, .. })) = exit else {
        panic!("{exit:?}")
    };
}

#[test]
fn changes_of_the_table_follow_one_another() {
    let mut world = World::operating();
    let change =
        |partition, state| CellChange { partition: World::partition(partition), nid: own(), state };
    let changes = vec![change(1, CellState::OutOfDate)];
    let table_id = PartitionTableId::new(2);
    world.tell(&Message::NotifyPartitionChanges { table_id, replicas: 1, changes });
    let client = world.client();
    assert_eq!(world.refused(client, &load(oid(1))), ErrorCode::NonReadableCell, "R17");
    assert_eq!(world.refused(client, &load(oid(2))), ErrorCode::OidDoesNotExist);
    let (master, table_id) = (world.master(), PartitionTableId::new(4));
    let skipped = Message::NotifyPartitionChanges { table_id, replicas: 1, changes: Vec::new() };
    assert_eq!(world.refused(master, &skipped), ErrorCode::ProtocolError);
    assert!(!world.is_open(master) && !world.is_open(client));
    world.join();
}

#[test]
fn t8_clients_wait_until_the_master_announces_them() {
    let mut world = World::operating();
    let nid = model::Nid::of(NodeType::Client, 9);
    let announced = world.tick();
    let early = world.connect();
    let token = world.post(early, &introduction(NodeType::Client, Some(nid), Some(announced)));
    let late = world.post(early, &load(oid(1)));
    assert!(world.is_open(early));
    assert_eq!(world.answer(early, token), None);
    let node = world.information(NodeType::Client, nid, NodeState::Running, announced);
    world.tell_nodes(vec![node]);
    let answer = world.answer(early, token);
    assert!(matches!(answer, Some(Message::AcceptIdentification { .. })), "{answer:?}");
    let answer = world.answer(early, late);
    assert!(matches!(answer, Some(Message::Error { code: ErrorCode::OidDoesNotExist, .. })));
}

#[test]
fn r21_a_node_is_its_id_and_its_timestamp() {
    let mut world = World::operating();
    let client = world.client();
    let nid = model::Nid::of(NodeType::Client, 1);
    let stale = world.connect();
    let before = Some(net::IdTimestamp(1.0));
    let stale_introduction = introduction(NodeType::Client, Some(nid), before);
    assert_eq!(world.refused(stale, &stale_introduction), ErrorCode::NotReady);
    assert!(world.is_open(client) && !world.is_open(stale));
    let timestamp = world.tick();
    let node = world.information(NodeType::Client, nid, NodeState::Running, timestamp);
    world.tell_nodes(vec![node]);
    assert!(!world.is_open(client), "another node has the id now");
}

#[test]
fn who_comes_before_operation_waits_but_not_for_ever() {
    let mut world = World::new();
    world.join();
    let peer = world.connect();
    let timestamp = Some(world.tick());
    let nid = Some(model::Nid::of(NodeType::Client, 1));
    let token = world.post(peer, &introduction(NodeType::Client, nid, timestamp));
    assert_eq!(world.answer(peer, token), None);
    world.advance(std::time::Duration::from_secs(11));
    let answer = world.answer(peer, token);
    assert!(matches!(answer, Some(Message::Error { code: ErrorCode::NotReady, .. })));
    assert!(!world.is_open(peer));
}

#[test]
fn r1_voted_and_locked_transactions_survive_and_are_decided() {
    let mut world = World::operating();
    let client = world.client();
    world.commit(client, 100, 1, 0);
    world.vote_one(client, 200, 2, 0);
    world.vote_one(client, 300, 3, 0);
    world.lock_one(300, 304);
    let open = super::world::store(ttid(400), oid(5), tid(0), "open");
    world.ask(client, &open);

    let mut world = World::reopen(world.disk.lose_all_unsynced());
    world.join();
    world.send_table(1, rows(CellState::UpToDate));
    let answer = world.ask_master(&Message::AskLockedTransactions {});
    let Message::AnswerLockedTransactions { transactions: OrderedMap(mut in_doubt) } = answer
    else {
        panic!("{answer:?}")
    };
    // An unlock is not synced: what was unlocked is found locked again.
    in_doubt.retain(|(ttid, _)| ttid.get() != 100);
    assert_eq!(in_doubt, [(ttid(200), None), (ttid(300), Some(tid(304)))]);
    let answer = world.ask_master(&Message::AskFinalTID { ttid: ttid(300) });
    assert_eq!(answer, Message::AnswerFinalTID { tid: Some(tid(304)) });
    for (ttid_, tid_) in [(100, 104), (300, 304)] {
        world.tell(&Message::ValidateTransaction { ttid: ttid(ttid_), tid: tid(tid_) });
    }
    let last = Message::AnswerLastIDs {
        last_tid: Some(tid(304)),
        last_oid: Some(oid(3)),
        first_tid: tid(104),
    };
    assert_eq!(world.ask_master(&Message::AskLastIDs {}), last);
    world.start();
    let client = world.client();
    assert_eq!(world.newest(client, 1).unwrap().0, 104);
    assert_eq!(world.newest(client, 3), Some((304, "3 of 300".into())));
    assert_eq!(world.newest(client, 2), None, "nobody decided to commit it");
    assert_eq!(world.newest(client, 5), None);
    // The dropped ones are gone for good.
    let mut world = World::reopen(world.close());
    world.join();
    let none = Message::AnswerLockedTransactions { transactions: OrderedMap::default() };
    assert_eq!(world.ask_master(&Message::AskLockedTransactions {}), none);
}

#[test]
fn a_locked_transaction_that_the_cluster_did_not_commit_is_dropped() {
    let mut world = World::operating();
    let client = world.client();
    world.vote_one(client, 300, 3, 0);
    world.lock_one(300, 304);
    let mut world = World::reopen(world.kill());
    world.begin();
    let client = world.client();
    assert_eq!(world.newest(client, 3), None);
    world.commit(client, 400, 3, 0);
    assert_eq!(world.newest(client, 3).unwrap().0, 404);
}

#[test]
fn r18_truncation_is_intended_first_and_done_when_the_last_ids_are_asked() {
    let mut world = World::operating();
    let client = world.client();
    world.commit(client, 100, 1, 0);
    world.commit(client, 200, 1, 104);
    world.tell(&Message::StopOperation {});
    assert!(!world.is_open(client));
    world.tell(&Message::Truncate { tid: tid(150) });
    let truncate_tid = |world: &mut World| match world.ask_master(&Message::AskRecovery {}) {
        Message::AnswerRecovery { truncate_tid, .. } => truncate_tid,
        other => panic!("{other:?}"),
    };
    assert_eq!(truncate_tid(&mut world), Some(tid(150)));
    let mut world = World::reopen(world.disk.lose_all_unsynced());
    world.join();
    assert_eq!(truncate_tid(&mut world), Some(tid(150)), "the intent is durable");
    world.send_table(1, rows(CellState::UpToDate));
    for ttid_ in [100, 200] {
        world.tell(&Message::ValidateTransaction { ttid: ttid(ttid_), tid: tid(ttid_ + 4) });
    }
    let last = Message::AnswerLastIDs {
        last_tid: Some(tid(104)),
        last_oid: Some(oid(1)),
        first_tid: tid(104),
    };
    assert_eq!(world.ask_master(&Message::AskLastIDs {}), last);
    assert_eq!(truncate_tid(&mut world), None);
    let mut world = World::reopen(world.disk.lose_all_unsynced());
    world.begin();
    let client = world.client();
    assert_eq!(world.newest(client, 1), Some((104, "1 of 100".into())));
}

#[test]
fn an_empty_database_has_no_last_ids() {
    let mut world = World::new();
    world.join();
    world.send_table(1, rows(CellState::UpToDate));
    let last = Message::AnswerLastIDs { last_tid: None, last_oid: None, first_tid: Tid::MAX };
    assert_eq!(world.ask_master(&Message::AskLastIDs {}), last);
}

#[test]
fn t10_down_means_to_stop_and_unknown_to_put_the_database_aside() {
    for (state, dropped) in [(NodeState::Down, false), (NodeState::Unknown, true)] {
        let mut world = World::operating();
        let timestamp = world.tick();
        let node = world.information(NodeType::Storage, own(), state, timestamp);
        world.tell_nodes(vec![node]);
        match world.exit {
            Some(StorageExit::Dropped) => assert!(dropped),
            Some(StorageExit::Stopped) => assert!(!dropped),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn pack_orders_are_kept_signed_and_called_done() {
    let mut world = World::operating();
    let client = world.client();
    world.commit(client, 100, 1, 0);
    for (number, approved) in [(200, false), (300, true)] {
        let Message::AskStoreTransaction { ttid, user, description, extension, oids, .. } =
            vote(ttid(number), &[])
        else {
            panic!()
        };
        let pack = Some(net::PackRequest { oids: Some(vec![oid(1)].into()), tid: tid(104) });
        let vote = Message::AskStoreTransaction { ttid, user, description, extension, oids, pack };
        assert_eq!(world.ask(client, &vote), Message::AnswerStoreTransaction {});
        let lock =
            Message::AskLockInformation { ttid, tid: tid(number + 4), pack_approved: approved };
        world.ask_master(&lock);
        world.unlock_one(number);
    }
    let orders = |world: &mut World, first| match world
        .ask_master(&Message::AskPackOrders { first_id: tid(first) })
    {
        Message::AnswerPackOrders { orders } => orders
            .into_iter()
            .map(|order| (order.id.get(), order.state.approved))
            .collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(orders(&mut world, 0), [(204, None), (304, Some(true))]);
    assert_eq!(orders(&mut world, 205), [(304, Some(true))]);
    let (approved, rejected) = (vec![tid(304)], vec![tid(204)]);
    world.tell(&Message::NotifyPackSigned { approved, rejected });
    let master = world.master();
    let completed = Message::NotifyPackCompleted { pack_id: tid(304) };
    assert!(world.said(master).contains(&completed));
    assert_eq!(orders(&mut world, 0), [(204, Some(false)), (304, Some(true))]);
    let mut world = World::reopen(world.close());
    world.join();
    assert_eq!(orders(&mut world, 0), [(204, Some(false)), (304, Some(true))]);
}

/// A table in which all cells are of another storage.
fn of_another() -> Vec<Vec<Cell>> {
    let cell = Cell { nid: Nid::of(NodeType::Storage, 2), state: CellState::UpToDate };
    vec![vec![cell]; 4]
}

/// A storage with something committed, that comes back.
fn back() -> World {
    let mut world = World::operating();
    let client = world.client();
    world.commit(client, 100, 1, 0);
    let mut world = World::reopen(world.close());
    world.join();
    world
}

#[test]
fn r18_who_was_dropped_while_it_was_away_ends_and_erases_nothing() {
    let mut world = back();
    world.send_table(2, of_another());
    assert!(matches!(world.exit, Some(StorageExit::Dropped)), "{:?}", world.exit);
    let mut world = World::reopen(world.close());
    world.begin();
    let client = world.client();
    assert_eq!(world.newest(client, 1).unwrap().0, 104);
}

#[test]
fn r18_an_older_table_erases_nothing() {
    let mut world = back();
    world.send_table(0, of_another());
    assert!(world.exit.is_none(), "{:?}", world.exit);
    world.send_table(3, rows(CellState::UpToDate));
    world.start();
    let client = world.client();
    assert_eq!(world.newest(client, 1).unwrap().0, 104);
}

#[test]
fn r18_what_was_not_truncated_in_time_is_not_told_to_the_next_master() {
    let mut world = World::operating();
    let client = world.client();
    world.commit(client, 100, 1, 0);
    world.commit(client, 200, 1, 104);
    world.tell(&Message::StopOperation {});
    world.tell(&Message::Truncate { tid: tid(150) });
    let mut world = World::reopen(world.kill());
    world.join();
    // It operates, and did not ask this one for anything.
    world.send_table(2, rows(CellState::OutOfDate));
    world.start();
    world.tell(&Message::StopOperation {});
    let answer = world.ask_master(&Message::AskRecovery {});
    assert!(matches!(answer, Message::AnswerRecovery { truncate_tid: None, .. }), "{answer:?}");
    let answer = world.ask_master(&Message::AskLastIDs {});
    assert!(matches!(answer, Message::AnswerLastIDs { last_tid: None, .. }), "{answer:?}");
    world.send_table(3, rows(CellState::UpToDate));
    world.start();
    let client = world.client();
    assert_eq!(world.newest(client, 1).unwrap().0, 104, "it has what the others have");
}
