//! This storage as the source of others, and compared with them.

use model::{CellChange, CellState, PartitionId, PartitionTableId};
use net::{Checksum, ErrorCode, Message, OrderedMap};

use super::world::{PeerId, World, introduction, oid, own, tid};

/// Objects 1 and 5 of partition 1, and a storage that asks.
fn world() -> (World, PeerId) {
    let mut world = World::operating();
    let client = world.client();
    for (number, of, serial) in [(100, 1, 0), (200, 5, 0), (300, 1, 104), (400, 5, 204)] {
        world.commit(client, number, of, serial);
    }
    let storage = world.other_storage();
    (world, storage)
}

fn fetch_transactions(length: u32, min: u64, known: &[u64]) -> Message {
    Message::AskFetchTransactions {
        partition: PartitionId::new(0),
        length,
        tid_min: tid(min),
        tid_max: tid(399),
        tids: known.iter().copied().map(tid).collect(),
        want_pack_id: true,
    }
}

fn fetch_objects(length: u32, min: (u64, u64), known: &[(u64, &[u64])]) -> Message {
    let known =
        known.iter().map(|(serial, oids)| (tid(*serial), oids.iter().copied().map(oid).collect()));
    Message::AskFetchObjects {
        partition: PartitionId::new(1),
        length,
        tid_min: tid(min.0),
        tid_max: tid(399),
        oid_min: oid(min.1),
        objects: OrderedMap(known.collect()),
    }
}

fn added(world: &mut World, storage: PeerId) -> Vec<(u64, String)> {
    let said = world.said(storage).into_iter();
    said.map(|message| match message {
        Message::AddTransaction { tid, user, .. } => {
            (tid.get(), String::from_utf8(user.to_vec()).unwrap())
        }
        Message::AddObject { serial, data, .. } => {
            (serial.get(), String::from_utf8(data.bytes.to_vec()).unwrap())
        }
        other => panic!("{other:?}"),
    })
    .collect()
}

#[test]
fn transactions_are_fetched_in_chunks() {
    let (mut world, storage) = world();
    let answer = |next: Option<u64>, deleted: &[u64]| Message::AnswerFetchTransactions {
        next_tid: next.map(tid),
        deleted: deleted.iter().copied().map(tid).collect(),
        pack_id: Some(tid(0)),
    };
    let got = world.ask(storage, &fetch_transactions(2, 0, &[]));
    assert_eq!(got, answer(Some(304), &[]));
    let user = || "user".to_owned();
    assert_eq!(added(&mut world, storage), [(104, user()), (204, user())]);
    let got = world.ask(storage, &fetch_transactions(9, 0, &[104, 304, 305, 500]));
    assert_eq!(got, answer(None, &[305, 500]), "also what is past the end");
    assert_eq!(added(&mut world, storage), [(204, user())]);
}

#[test]
fn objects_are_fetched_in_chunks() {
    let (mut world, storage) = world();
    let answer = |next: Option<(u64, u64)>, deleted: &[(u64, &[u64])]| {
        let deleted = deleted.iter();
        let deleted =
            deleted.map(|(serial, oids)| (tid(*serial), oids.iter().copied().map(oid).collect()));
        Message::AnswerFetchObjects {
            next_tid: next.map(|(serial, _)| tid(serial)),
            next_oid: next.map(|(_, number)| oid(number)),
            deleted: OrderedMap(deleted.collect()),
        }
    };
    let got = world.ask(storage, &fetch_objects(2, (0, 0), &[]));
    assert_eq!(got, answer(Some((304, 1)), &[]));
    let expected = [(104, "1 of 100".to_owned()), (204, "5 of 200".to_owned())];
    assert_eq!(added(&mut world, storage), expected);
    let known: &[(u64, &[u64])] = &[(204, &[5, 9]), (304, &[1])];
    let got = world.ask(storage, &fetch_objects(9, (104, 2), known));
    assert_eq!(got, answer(None, &[(204, &[9])]));
    assert_eq!(added(&mut world, storage), []);
}

#[test]
fn a_slow_peer_gets_all_in_the_end() {
    let mut world = World::operating();
    let client = world.client();
    let large = "z".repeat(300_000);
    for number in 0..40_u64 {
        let at = model::Ttid::new(1000 + 4 * number);
        let of = oid(1 + 4 * number);
        world.ask(client, &super::world::store(at, of, tid(0), &large));
        world.ask(client, &super::world::vote(at, &[of]));
        world.lock_one(at.get(), at.get() + 4);
        world.unlock_one(at.get());
    }
    let storage = world.other_storage();
    let all = Message::AskFetchObjects {
        partition: PartitionId::new(1),
        length: 1000,
        tid_min: tid(0),
        tid_max: tid(9999),
        oid_min: oid(0),
        objects: OrderedMap::default(),
    };
    let token = world.post(storage, &all);
    let answer = world.answer(storage, token);
    assert!(matches!(answer, Some(Message::AnswerFetchObjects { next_tid: None, .. })));
    assert_eq!(added(&mut world, storage).len(), 40);
}

#[test]
fn digests_are_of_decimal_numbers() {
    let (mut world, storage) = world();
    let (partition, length) = (PartitionId::new(0), 40_000);
    let ask = |min, max| Message::AskCheckTIDRange {
        partition,
        length,
        tid_min: tid(min),
        tid_max: tid(max),
    };
    let got = world.ask(storage, &ask(104, 399));
    let checksum = Checksum::of(b"104,204,304");
    let expected = Message::AnswerCheckTIDRange { count: 3, checksum, last_tid: tid(304) };
    assert_eq!(got, expected);
    let got = world.ask(storage, &ask(305, 399));
    let checksum = Checksum::ZERO;
    assert_eq!(got, Message::AnswerCheckTIDRange { count: 0, checksum, last_tid: tid(0) });
    let objects = Message::AskCheckSerialRange {
        partition: PartitionId::new(1),
        length: 2,
        tid_min: tid(104),
        tid_max: tid(999),
        oid_min: oid(2),
    };
    let expected = Message::AnswerCheckSerialRange {
        count: 2,
        serials_checksum: Checksum::of(b"204,304"),
        last_serial: tid(304),
        oids_checksum: Checksum::of(b"5,1"),
        last_oid: oid(1),
    };
    assert_eq!(world.ask(storage, &objects), expected);
}

#[test]
fn a_cell_that_is_not_readable_is_no_source() {
    let (mut world, storage) = world();
    let change =
        |number, state| CellChange { partition: PartitionId::new(number), nid: own(), state };
    let changes = vec![change(0, CellState::OutOfDate), change(1, CellState::Corrupted)];
    let table_id = PartitionTableId::new(2);
    world.tell(&Message::NotifyPartitionChanges { table_id, replicas: 0, changes });
    let code = world.refused(storage, &fetch_transactions(9, 0, &[]));
    assert_eq!(code, ErrorCode::ReplicationError);
    let code = world.refused(storage, &fetch_objects(9, (0, 0), &[]));
    assert_eq!(code, ErrorCode::ReplicationError);
    let (length, tid_min, tid_max) = (9, tid(0), tid(9));
    for (number, allowed) in [(0, false), (1, true), (9, false)] {
        let partition = PartitionId::new(number);
        let check = Message::AskCheckTIDRange { partition, length, tid_min, tid_max };
        match world.ask(storage, &check) {
            Message::Error { code, .. } => {
                assert_eq!((code, allowed), (ErrorCode::CheckingError, false));
            }
            _ => assert!(allowed),
        }
    }
    assert!(world.is_open(storage));
}

#[test]
fn a_storage_of_another_cluster_comes_without_id() {
    let (mut world, _) = world();
    let peer = world.connect();
    let timestamp = Some(world.tick());
    let answer = world.ask(peer, &introduction(model::NodeType::Storage, None, timestamp));
    let node_type = model::NodeType::Storage;
    assert_eq!(answer, Message::AcceptIdentification { node_type, nid: None, your_nid: None });
    world.ask(peer, &fetch_transactions(9, 0, &[]));
    world.notify(peer, &Message::CloseClient {});
    assert!(!world.is_open(peer));
}
