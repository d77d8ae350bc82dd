//! Reads of all kinds, and that they wait for what is locked.

use bytes::Bytes;
use engine::disk::Faults;
use model::{Oid, PartitionId};
use net::{Checksum, Data, ErrorCode, Message, OrderedMap, UndoSerials};

use super::world::{PeerId, World, load, oid, store, stored, tid, ttid, vote};

fn partition(number: u32) -> PartitionId {
    PartitionId::new(number)
}

fn history(number: u64, first: u64, last: u64) -> Message {
    Message::AskObjectHistory { oid: oid(number), first, last }
}

fn tids(first: u64, last: u64, of: u32) -> Message {
    Message::AskTIDs { first, last, partition: partition(of) }
}

fn tids_from(min: u64, max: u64, length: u32, of: u32) -> Message {
    let (tid_min, tid_max) = (tid(min), tid(max));
    Message::AskTIDsFrom { tid_min, tid_max, length, partition: partition(of) }
}

fn oids_from(of: u32, length: u32, min: u64, at: u64) -> Message {
    Message::AskOIDsFrom { partition: partition(of), length, oid_min: oid(min), tid: tid(at) }
}

fn delete(world: &mut World, client: PeerId, number: u64, of: u64, serial: u64) {
    let message = Message::AskStoreObject {
        oid: oid(of),
        serial: tid(serial),
        compression: 0,
        checksum: Checksum::ZERO,
        data: Data::default(),
        data_serial: None,
        ttid: ttid(number),
    };
    assert_eq!(world.ask(client, &message), stored(None));
    world.ask(client, &vote(ttid(number), &[oid(of)]));
    world.lock_one(number, number + 4);
    world.unlock_one(number);
}

/// Object 1 at 104, 204 and 304; object 5 at 404, deleted at 504; object 2 at 604.
fn world() -> (World, PeerId) {
    let mut world = World::operating();
    let client = world.client();
    for (number, of, serial) in [(100, 1, 0), (200, 1, 104), (300, 1, 204), (400, 5, 0)] {
        world.commit(client, number, of, serial);
    }
    delete(&mut world, client, 500, 5, 404);
    world.commit(client, 600, 2, 0);
    (world, client)
}

#[test]
fn histories() {
    let (mut world, client) = world();
    let revisions = |list: &[(u64, u64)]| {
        list.iter().map(|(serial, size)| (tid(*serial), *size)).collect::<Vec<_>>()
    };
    let of = |number, list| Message::AnswerObjectHistory {
        oid: oid(number),
        revisions: revisions(list),
    };
    assert_eq!(world.ask(client, &history(1, 0, 9)), of(1, &[(304, 8), (204, 8), (104, 8)]));
    assert_eq!(world.ask(client, &history(1, 1, 2)), of(1, &[(204, 8)]));
    assert_eq!(world.ask(client, &history(5, 0, 9)), of(5, &[(504, 0), (404, 8)]));
    assert_eq!(world.refused(client, &history(1, 3, 9)), ErrorCode::OidNotFound);
    assert_eq!(world.refused(client, &history(77, 0, 9)), ErrorCode::OidNotFound);
    assert_eq!(world.refused(client, &history(1, 2, 2)), ErrorCode::ProtocolError);
}

#[test]
fn lists_of_tids() {
    let (mut world, client) = world();
    let answer =
        |list: &[u64]| Message::AnswerTIDs { tids: list.iter().copied().map(tid).collect() };
    let all = u32::MAX;
    assert_eq!(world.ask(client, &tids(0, 3, all)), answer(&[604, 504, 404]));
    assert_eq!(world.ask(client, &tids(1, 3, 0)), answer(&[504, 404]));
    assert_eq!(world.ask(client, &tids(4, 99, all)), answer(&[204, 104]));
    assert_eq!(world.ask(client, &tids(9, 99, all)), answer(&[]));
    assert_eq!(world.ask(client, &tids(0, 9, 1)), answer(&[]));
    let from =
        |list: &[u64]| Message::AnswerTIDsFrom { tids: list.iter().copied().map(tid).collect() };
    assert_eq!(world.ask(client, &tids_from(104, 404, 9, 0)), from(&[104, 204, 304, 404]));
    assert_eq!(world.ask(client, &tids_from(105, 999, 2, 0)), from(&[204, 304]));
    assert_eq!(world.ask(client, &tids_from(605, 999, 2, 0)), from(&[]));
    assert_eq!(world.refused(client, &tids_from(0, 9, 9, 99)), ErrorCode::NonReadableCell);
    assert_eq!(world.refused(client, &tids(0, 9, 99)), ErrorCode::NonReadableCell);
    assert_eq!(world.refused(client, &tids(3, 3, 0)), ErrorCode::ProtocolError);
}

#[test]
fn lists_of_oids_leave_out_what_is_deleted_but_count_it() {
    let (mut world, client) = world();
    let answer = |next: Option<u64>, list: &[u64]| Message::AnswerOIDsFrom {
        next: next.map(oid),
        oids: list.iter().copied().map(oid).collect(),
    };
    assert_eq!(world.ask(client, &oids_from(1, 9, 0, 999)), answer(None, &[1]));
    assert_eq!(world.ask(client, &oids_from(1, 2, 0, 999)), answer(Some(9), &[1]));
    assert_eq!(world.ask(client, &oids_from(1, 2, 9, 999)), answer(None, &[]));
    assert_eq!(world.ask(client, &oids_from(1, 9, 0, 404)), answer(None, &[1, 5]));
    assert_eq!(world.ask(client, &oids_from(1, 9, 2, 404)), answer(None, &[5]));
    assert_eq!(world.ask(client, &oids_from(1, 9, 0, 103)), answer(None, &[]));
    assert_eq!(world.refused(client, &oids_from(9, 9, 0, 999)), ErrorCode::NonReadableCell);
}

#[test]
fn metadata_of_transactions() {
    let (mut world, client) = world();
    let expected = Message::AnswerTransactionInformation {
        tid: tid(204),
        user: Bytes::from_static(b"user"),
        description: Bytes::from_static(b"description"),
        extension: Bytes::new(),
        packed: false,
        oids: vec![oid(1)].into(),
    };
    let ask = |number| Message::AskTransactionInformation { tid: tid(number) };
    assert_eq!(world.ask(client, &ask(204)), expected);
    assert_eq!(world.refused(client, &ask(205)), ErrorCode::TidNotFound);
}

#[test]
fn r3_what_became_of_a_transaction() {
    let (mut world, client) = world();
    let ask = |number| Message::AskFinalTID { ttid: ttid(number) };
    let answer = |number: Option<u64>| Message::AnswerFinalTID { tid: number.map(tid) };
    assert_eq!(world.ask(client, &ask(200)), answer(Some(204)));
    assert_eq!(world.ask(client, &ask(201)), answer(None));
    world.vote_one(client, 700, 1, 304);
    assert_eq!(world.ask(client, &ask(700)), answer(None), "voted is not committed");
    world.lock_one(700, 704);
    assert_eq!(world.ask(client, &ask(700)), answer(Some(704)));
    assert_eq!(world.ask_master(&ask(200)), answer(Some(204)));
}

fn undo_serials(number: u64, limit: u64, undone: u64, oids: &[u64]) -> Message {
    let oids = oids.iter().copied().map(Oid::new).collect();
    Message::AskObjectUndoSerial {
        ttid: ttid(number),
        limit: tid(limit),
        undone: tid(undone),
        oids,
    }
}

#[test]
fn undo() {
    let (mut world, client) = world();
    let serials = |list: &[(u64, u64, Option<u64>, bool)]| {
        let entry = |&(number, current, undo, is_current): &(u64, u64, Option<u64>, bool)| {
            let (current_serial, undo_serial) = (tid(current), undo.map(tid));
            (oid(number), UndoSerials { current_serial, undo_serial, is_current })
        };
        Message::AnswerObjectUndoSerial { objects: OrderedMap(list.iter().map(entry).collect()) }
    };
    let answer = world.ask(client, &undo_serials(700, 700, 304, &[1, 2]));
    assert_eq!(answer, serials(&[(1, 304, Some(204), true)]));
    let answer = world.ask(client, &undo_serials(700, 700, 104, &[1]));
    assert_eq!(answer, serials(&[(1, 304, None, false)]));
    assert_eq!(world.refused(client, &undo_serials(700, 204, 204, &[1])), ErrorCode::OidNotFound);
    // The storage has the data: what the client sends does not matter.
    let undo = |number, data_serial: u64, serial: u64| {
        let Message::AskStoreObject { oid, serial, compression, checksum, data, ttid, .. } =
            store(ttid(number), oid(1), tid(serial), "whatever")
        else {
            panic!()
        };
        let data_serial = Some(tid(data_serial));
        Message::AskStoreObject { oid, serial, compression, checksum, data, data_serial, ttid }
    };
    assert_eq!(world.refused(client, &undo(700, 205, 304)), ErrorCode::UndoPackError);
    assert_eq!(world.ask(client, &undo(700, 204, 304)), stored(None));
    let answer = world.ask(client, &undo_serials(700, 700, 204, &[1]));
    assert_eq!(answer, serials(&[(1, 204, Some(104), true)]), "it sees what it stored itself");
    world.ask(client, &vote(ttid(700), &[oid(1)]));
    world.lock_one(700, 704);
    world.unlock_one(700);
    let answer = world.ask(client, &load(oid(1)));
    let Message::AnswerObject { serial, data, data_serial, .. } = answer else { panic!() };
    assert_eq!((serial, data_serial), (tid(704), Some(tid(204))));
    assert_eq!(data.bytes, "1 of 200");
}

#[test]
fn r16_every_read_waits_for_what_is_locked() {
    let (mut world, client) = world();
    let storage = world.other_storage();
    world.vote_one(client, 700, 1, 304);
    world.lock_one(700, 704);
    let waiting = requests_that_wait(client, storage);
    let ask = |(peer, message)| (peer, world.post(peer, &message), message);
    let tokens: Vec<_> = waiting.into_iter().map(ask).collect();
    for (peer, token, message) in &tokens {
        assert_eq!(world.answer(*peer, *token), None, "{message:?}");
    }
    let settled = [
        load(oid(2)),
        Message::AskObject { oid: oid(1), at: Some(tid(204)), before: None },
        Message::AskObject { oid: oid(1), at: None, before: Some(tid(304)) },
        tids_from(0, 703, 9, 0),
        oids_from(1, 9, 0, 703),
        Message::AskTransactionInformation { tid: tid(304) },
    ];
    for message in settled {
        let answer = world.ask(client, &message);
        assert!(!matches!(answer, Message::Error { .. }), "{message:?}: {answer:?}");
    }
    world.unlock_one(700);
    for (peer, token, message) in tokens {
        let answer = world.answer(peer, token);
        assert!(
            answer.as_ref().is_some_and(|answer| !matches!(answer, Message::Error { .. })),
            "{message:?}: {answer:?}"
        );
        match answer {
            Some(Message::AnswerTIDs { tids } | Message::AnswerTIDsFrom { tids }) => {
                assert!(tids.contains(&tid(704)));
            }
            Some(Message::AnswerObjectHistory { revisions, .. }) => {
                assert_eq!(revisions[0].0, tid(704));
            }
            Some(Message::AnswerObject { serial, next_serial, .. }) => {
                assert!(serial == tid(704) || next_serial == Some(tid(704)));
            }
            _ => {}
        }
    }
}

#[test]
fn r16_a_read_waits_only_for_what_was_locked_when_it_was_asked() {
    let (mut world, client) = world();
    world.vote_one(client, 700, 1, 304);
    world.vote_one(client, 800, 2, 604);
    world.lock_one(700, 704);
    let asked =
        [tids(0, 9, u32::MAX), tids_from(0, 999, 9, 0), oids_from(2, 9, 0, 999), history(1, 0, 9)];
    let ask = |message| (world.post(client, &message), message);
    let tokens: Vec<_> = asked.into_iter().map(ask).collect();
    // Where many commit, there is always another one.
    world.lock_one(800, 804);
    world.unlock_one(700);
    for (token, message) in tokens {
        match world.answer(client, token) {
            Some(Message::AnswerTIDs { tids } | Message::AnswerTIDsFrom { tids }) => {
                assert!(tids.contains(&tid(704)) && !tids.contains(&tid(804)), "{tids:?}");
            }
            Some(Message::AnswerObjectHistory { revisions, .. }) => {
                assert_eq!(revisions[0].0, tid(704));
            }
            Some(Message::AnswerOIDsFrom { oids, .. }) => assert_eq!(oids, [oid(2)].into()),
            other => panic!("{message:?}: {other:?}"),
        }
    }
}

#[test]
fn r16_what_is_unlocked_while_a_load_waits_for_the_disk_is_seen() {
    let (world, _) = world();
    let disk = world.close().with_faults(Faults { miss_permille: 1000, ..Faults::default() });
    let mut world = World::reopen(disk.clone());
    world.begin();
    let client = world.client();
    world.vote_one(client, 700, 5, 504);
    world.lock_one(700, 704);
    world.hold_disk(true);
    let before = Message::AskObject { oid: oid(1), at: None, before: Some(tid(999)) };
    let other = world.post(client, &before);
    let before = Message::AskObject { oid: oid(5), at: None, before: Some(tid(999)) };
    let token = world.post(client, &before);
    assert!(disk.outstanding() > 0, "the load waits for the disk");
    world.unlock_one(700);
    assert_eq!(world.answer(client, token), None);
    world.hold_disk(false);
    let Some(Message::AnswerObject { serial, .. }) = world.answer(client, token) else { panic!() };
    assert_eq!(serial, tid(704), "the client may know of it already");
    assert!(world.answer(client, other).is_some());
}

/// Everything whose answer changes when a transaction 704, which is locked, is unlocked.
fn requests_that_wait(client: PeerId, storage: PeerId) -> Vec<(PeerId, Message)> {
    let fetch_objects = Message::AskFetchObjects {
        partition: partition(1),
        length: 1000,
        tid_min: tid(0),
        tid_max: tid(704),
        oid_min: oid(0),
        objects: OrderedMap::default(),
    };
    let fetch_transactions = Message::AskFetchTransactions {
        partition: partition(0),
        length: 1000,
        tid_min: tid(0),
        tid_max: tid(704),
        tids: Vec::new(),
        want_pack_id: false,
    };
    let (tid_min, tid_max, oid_min) = (tid(0), tid(704), oid(0));
    let (length, of) = (1000, partition(0));
    vec![
        (client, load(oid(1))),
        (client, Message::AskObject { oid: oid(1), at: Some(tid(704)), before: None }),
        (client, Message::AskObject { oid: oid(1), at: Some(tid(304)), before: None }),
        (client, Message::AskObject { oid: oid(1), at: None, before: Some(tid(999)) }),
        (client, history(1, 0, 9)),
        (client, tids(0, 9, u32::MAX)),
        (client, tids(0, 9, 0)),
        (client, tids_from(0, 704, 9, 0)),
        (client, oids_from(1, 9, 0, 704)),
        (client, Message::AskTransactionInformation { tid: tid(704) }),
        (client, undo_serials(800, 800, 304, &[1])),
        (storage, fetch_transactions),
        (storage, fetch_objects),
        (storage, Message::AskCheckTIDRange { partition: of, length, tid_min, tid_max }),
        (
            storage,
            Message::AskCheckSerialRange { partition: of, length, tid_min, tid_max, oid_min },
        ),
    ]
}

#[test]
fn nothing_is_shown_before_it_is_locked() {
    let (mut world, client) = world();
    world.vote_one(client, 700, 1, 304);
    assert_eq!(world.newest(client, 1).unwrap().0, 304);
    let answer = world.ask(client, &tids(0, 1, u32::MAX));
    assert_eq!(answer, Message::AnswerTIDs { tids: vec![tid(604)] });
}

#[test]
fn long_lists_and_cold_reads() {
    let mut world = World::operating();
    let client = world.client();
    for number in 0..700 {
        world.vote_one(client, 10_000 + 4 * number, 4 * number, 0);
        world.lock_one(10_000 + 4 * number, 10_004 + 4 * number);
        world.unlock_one(10_000 + 4 * number);
    }
    let disk = world.close();
    let faults =
        engine::disk::Faults { miss_permille: 500, slow_permille: 300, ..Default::default() };
    let mut world = World::reopen(disk.with_faults(faults));
    world.begin();
    let client = world.client();
    let answer = world.ask(client, &tids_from(0, 99_999, 10_000, 0));
    let Message::AnswerTIDsFrom { tids: all } = answer else { panic!() };
    assert_eq!(all.len(), 700);
    assert!(all.is_sorted());
    let answer = world.ask(client, &tids(10, 690, 0));
    let Message::AnswerTIDs { tids } = answer else { panic!() };
    assert_eq!(tids.len(), 680);
    assert!(tids.is_sorted_by(|a, b| a > b));
    let answer = world.ask(client, &oids_from(0, 10_000, 0, 99_999));
    let Message::AnswerOIDsFrom { next: None, oids } = answer else { panic!() };
    assert_eq!(oids.len(), 700);
    let answer = world.ask(client, &oids_from(0, 600, 0, 99_999));
    let Message::AnswerOIDsFrom { next, oids } = answer else { panic!() };
    assert_eq!((next, oids.len()), (Some(oid(2400)), 600));
    let tokens: Vec<_> = (0..700).map(|n| (n, world.post(client, &load(oid(4 * n))))).collect();
    for (number, token) in tokens {
        let answer = world.answer(client, token);
        let Some(Message::AnswerObject { serial, .. }) = answer else { panic!("{answer:?}") };
        assert_eq!(serial, tid(10_004 + 4 * number));
    }
}
