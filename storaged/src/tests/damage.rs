//! Bytes that cannot be read: the storage goes on with all others.

use engine::disk::{Disk, Fault, Faults, MemoryDisk};
use net::{Checksum, Data, ErrorCode, Message};

use super::world::{PeerId, World, load, oid, store, stored, tid, ttid, vote};
use crate::{Error, StorageExit};

/// Bytes in front of the first block of a run.
const RUN_HEADER_LENGTH: u64 = 64;

/// Flips a bit of the first bytes in the log that are these.
fn damage_record(disk: &MemoryDisk, bytes: &str) {
    damage_byte(disk, bytes, 0);
}

fn damage_byte(disk: &MemoryDisk, bytes: &str, index: usize) {
    for name in disk.list().unwrap().into_iter().filter(|name| name.starts_with("log-")) {
        let contents = disk.read_file(&name).unwrap();
        let at = contents.windows(bytes.len()).position(|window| window == bytes.as_bytes());
        if let Some(at) = at {
            return disk.flip(&name, (at + index) as u64, 3);
        }
    }
    panic!("the bytes are not in the log");
}

/// Flips a bit of the first block of each index.
fn damage_indexes(disk: &MemoryDisk) {
    let names = disk.list().unwrap().into_iter().filter(|name| name.starts_with("run-"));
    let mut count = 0;
    for name in names {
        disk.flip(&name, RUN_HEADER_LENGTH + 9, 3);
        count += 1;
    }
    assert!(count >= 3, "the tables were written");
}

/// Object 1 at 104, 204 and 304, object 5 at 404: of a database that was closed.
fn closed() -> MemoryDisk {
    let mut world = World::operating();
    let client = world.client();
    for (number, of, serial) in [(100, 1, 0), (200, 1, 104), (300, 1, 204), (400, 5, 0)] {
        world.commit(client, number, of, serial);
    }
    world.close()
}

fn open(disk: MemoryDisk) -> (World, PeerId) {
    let mut world = World::reopen(disk);
    world.begin();
    let client = world.client();
    (world, client)
}

/// What a load is answered whose revision cannot be read.
fn damaged(serial: u64, next_serial: Option<u64>) -> Message {
    Message::AnswerObject {
        oid: oid(1),
        serial: tid(serial),
        next_serial: next_serial.map(tid),
        compression: Some(0),
        checksum: Checksum([0xff; 20]),
        data: Data::default(),
        data_serial: None,
    }
}

fn before(number: u64, bound: u64) -> Message {
    Message::AskObject { oid: oid(number), at: None, before: Some(tid(bound)) }
}

fn undo(of: &str, is_whole: bool) -> Message {
    let Message::AskStoreObject { oid, serial, compression, ttid, checksum, data, .. } =
        store(ttid(700), oid(1), tid(304), of)
    else {
        panic!()
    };
    let (checksum, data) = match is_whole {
        true => (checksum, data),
        false => (Checksum::ZERO, Data::default()),
    };
    let data_serial = Some(tid(204));
    Message::AskStoreObject { oid, serial, compression, checksum, data, data_serial, ttid }
}

#[test]
fn a_load_of_a_damaged_record_is_answered_with_its_tids_and_the_rest_is_served() {
    let disk = closed();
    damage_record(&disk, "1 of 200");
    let (mut world, client) = open(disk);
    let at = Message::AskObject { oid: oid(1), at: Some(tid(204)), before: None };
    for _ in 0..2 {
        assert_eq!(world.ask(client, &at), damaged(204, Some(304)));
        assert_eq!(world.ask(client, &before(1, 300)), damaged(204, Some(304)));
    }
    assert_eq!(world.newest(client, 1), Some((304, "1 of 300".into())));
    assert_eq!(world.newest(client, 5), Some((404, "5 of 400".into())));
    // What stores compare with is not the data.
    world.commit(client, 500, 1, 304);
    assert_eq!(world.newest(client, 1), Some((504, "1 of 500".into())));
    assert!(world.exit.is_none() && world.is_open(client));
}

#[test]
fn r16_a_damaged_revision_waits_for_what_is_locked() {
    let disk = closed();
    damage_record(&disk, "1 of 300");
    let (mut world, client) = open(disk);
    world.vote_one(client, 500, 1, 304);
    let token = world.post(client, &before(1, 400));
    assert_eq!(world.answer(client, token), Some(damaged(304, None)));
    world.lock_one(500, 504);
    let token = world.post(client, &before(1, 400));
    assert_eq!(world.answer(client, token), None);
    world.unlock_one(500);
    assert_eq!(world.answer(client, token), Some(damaged(304, Some(504))));
}

#[test]
fn what_cannot_be_answered_in_part_closes_the_connection() {
    let disk = closed();
    damage_record(&disk, "description");
    let (mut world, client) = open(disk);
    let information = |number| Message::AskTransactionInformation { tid: tid(number) };
    let token = world.post(client, &information(104));
    assert!(!world.is_open(client) && world.answer(client, token).is_none());
    let client = world.client();
    let answer = world.ask(client, &information(204));
    assert!(matches!(answer, Message::AnswerTransactionInformation { .. }), "{answer:?}");
    let storage = world.other_storage();
    let fetch = Message::AskFetchTransactions {
        partition: World::partition(0),
        length: 9,
        tid_min: tid(0),
        tid_max: tid(999),
        tids: Vec::new(),
        want_pack_id: false,
    };
    world.post(storage, &fetch);
    assert!(!world.is_open(storage) && world.is_open(client) && world.exit.is_none());
}

#[test]
fn an_undo_takes_the_data_that_it_is_given_where_its_own_is_damaged() {
    let disk = closed();
    damage_record(&disk, "1 of 200");
    let (mut world, client) = open(disk.keep_all());
    assert_eq!(world.ask(client, &undo("1 of 200", true)), stored(None));
    world.ask(client, &vote(ttid(700), &[oid(1)]));
    world.lock_one(700, 704);
    world.unlock_one(700);
    assert_eq!(world.newest(client, 1), Some((704, "1 of 200".into())));

    let (mut world, client) = open(disk);
    world.post(client, &undo("", false));
    assert!(!world.is_open(client) && world.exit.is_none());
}

#[test]
fn a_damaged_index_fails_what_needs_it_and_not_the_storage() {
    let disk = closed();
    damage_indexes(&disk);
    let (mut world, client) = open(disk);
    assert_eq!(world.ask(client, &load(oid(1))), damaged(0, None));
    let at = Message::AskObject { oid: oid(1), at: Some(tid(204)), before: None };
    assert_eq!(world.ask(client, &at), damaged(204, None));
    // Whether there is a conflict is not known: the store fails, and leaves nothing (R10).
    world.post(client, &store(ttid(500), oid(1), tid(304), "new"));
    assert!(!world.is_open(client));
    let client = world.client();
    assert_eq!(world.refused(client, &Message::AskVoteTransaction { ttid: ttid(500) }), {
        ErrorCode::ProtocolError
    });
    for message in [
        Message::AskObjectHistory { oid: oid(1), first: 0, last: 9 },
        Message::AskTIDs { first: 0, last: 9, partition: World::partition(0) },
        Message::AskFinalTID { ttid: ttid(77) },
    ] {
        let client = world.client();
        world.post(client, &message);
        assert!(!world.is_open(client) && world.exit.is_none(), "{message:?}");
    }
    // The master must not be told half of the truth.
    let master = world.master();
    world.post(master, &Message::AskFinalTID { ttid: ttid(77) });
    let Some(StorageExit::Failed(Error::Engine(error))) = &world.exit else { panic!() };
    assert!(error.to_string().contains("run-"), "{error}");
}

#[test]
fn long_records_are_verified_in_turns() {
    let mut world = World::operating();
    let client = world.client();
    let long = "0123456789abcdef".repeat(60_000);
    assert_eq!(world.ask(client, &store(ttid(100), oid(1), tid(0), &long)), stored(None));
    world.ask(client, &vote(ttid(100), &[oid(1)]));
    world.lock_one(100, 104);
    world.unlock_one(100);
    world.commit(client, 200, 5, 0);
    let tokens = world.post_all(client, &[load(oid(1)), load(oid(5))]);
    assert!(world.answered(client).ends_with(&[tokens[1], tokens[0]]), "the short one is first");
    let Some(Message::AnswerObject { data, checksum, .. }) = world.answer(client, tokens[0]) else {
        panic!()
    };
    assert_eq!((&data.bytes[..], checksum), (long.as_bytes(), Checksum::of(long.as_bytes())));

    let disk = world.close();
    damage_byte(&disk, &long, long.len() - 1);
    let (mut world, client) = open(disk);
    assert_eq!(world.ask(client, &load(oid(1))), damaged(104, None));
    assert_eq!(world.newest(client, 5), Some((204, "5 of 200".into())));
}

#[test]
fn a_bad_sector_is_like_damage() {
    let disk = closed().with_faults(Faults { miss_permille: 1000, ..Faults::default() });
    let (mut world, client) = open(disk.clone());
    // Blocks of the index are cached from now on; a record that is asked for by its tid is not.
    let request = Message::AskObject { oid: oid(1), at: Some(tid(304)), before: None };
    let answer = world.ask(client, &request);
    assert!(matches!(answer, Message::AnswerObject { data, .. } if &data.bytes[..] == b"1 of 300"));
    disk.schedule(disk.reads(), Fault::ReadError);
    assert_eq!(world.ask(client, &load(oid(1))), damaged(304, None));
    assert_eq!(world.newest(client, 1), Some((304, "1 of 300".into())));
    assert!(world.exit.is_none());
}
