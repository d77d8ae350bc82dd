//! Peers that lie, or speak out of turn: they lose their connection, and nobody else anything.

use bytes::Bytes;
use model::{Nid, NodeType};
use net::{Checksum, Data, ErrorCode, Message};

use super::world::{PeerId, World, introduction, load, oid, own, store, stored, tid, ttid, vote};

fn alive(world: &mut World, other: PeerId) {
    world.commit(other, 900, 9, 0);
    assert_eq!(world.newest(other, 9).unwrap().0, 904);
    assert!(world.exit.is_none());
}

#[test]
fn t6_a_lie_about_a_checksum_is_refused_before_anything_is_acknowledged() {
    let mut world = World::operating();
    let (client, other) = (world.client(), world.client());
    let data = Data::new(Bytes::from_static(b"data"));
    for (compression, checksum) in
        [(0, Checksum::of(b"other")), (0, Checksum::ZERO), (2, Checksum::of(b"data"))]
    {
        let lie = Message::AskStoreObject {
            oid: oid(1),
            serial: tid(0),
            compression,
            checksum,
            data: data.clone(),
            data_serial: None,
            ttid: ttid(100),
        };
        let client = if world.is_open(client) { client } else { world.client() };
        assert_eq!(world.refused(client, &lie), ErrorCode::ProtocolError);
        assert!(!world.is_open(client));
    }
    assert_eq!(world.newest(other, 1), None);
    alive(&mut world, other);
}

#[test]
fn votes_that_make_no_sense() {
    let mut world = World::operating();
    let other = world.client();
    let unknown = Message::AskVoteTransaction { ttid: ttid(77) };
    let client = world.client();
    assert_eq!(world.refused(client, &unknown), ErrorCode::ProtocolError);
    let client = world.client();
    world.vote_one(client, 100, 1, 0);
    assert_eq!(world.refused(client, &vote(ttid(100), &[])), ErrorCode::ProtocolError);
    let client = world.client();
    world.vote_one(client, 200, 2, 0);
    let more = store(ttid(200), oid(3), tid(0), "more");
    assert_eq!(world.refused(client, &more), ErrorCode::ProtocolError);
    // Of a store that waits for a lock the vote knows nothing.
    let client = world.client();
    world.ask(other, &store(ttid(300), oid(5), tid(0), "held"));
    world.post(client, &store(ttid(400), oid(5), tid(0), "waits"));
    assert_eq!(world.refused(client, &vote(ttid(400), &[oid(5)])), ErrorCode::ProtocolError);
    // A transaction of somebody else.
    let client = world.client();
    let stolen = Message::AskVoteTransaction { ttid: ttid(300) };
    assert_eq!(world.refused(client, &stolen), ErrorCode::ProtocolError);
    alive(&mut world, other);
}

#[test]
fn introductions_that_make_no_sense() {
    let mut world = World::operating();
    let other = world.client();
    let client = Some(Nid::of(NodeType::Client, 1));
    let now = Some(world.tick());
    let wrong_cluster = match introduction(NodeType::Client, client, now) {
        Message::RequestIdentification { node_type, nid, address, id_timestamp, extra, .. } => {
            let cluster = "other".into();
            let (nid, address) = (nid, address);
            Message::RequestIdentification { node_type, nid, address, cluster, id_timestamp, extra }
        }
        other => panic!("{other:?}"),
    };
    let wrong = [
        wrong_cluster,
        introduction(NodeType::Client, None, now),
        introduction(NodeType::Client, client, None),
        introduction(NodeType::Storage, Some(own()), now),
        introduction(NodeType::Admin, Some(Nid::of(NodeType::Admin, 1)), now),
        introduction(NodeType::Master, None, None),
        load(oid(1)),
    ];
    for message in wrong {
        let peer = world.connect();
        assert_eq!(world.refused(peer, &message), ErrorCode::ProtocolError, "{message:?}");
        assert!(!world.is_open(peer));
    }
    alive(&mut world, other);
}

#[test]
fn bytes_that_make_no_sense() {
    let mut world = World::operating();
    let other = world.client();
    let requests: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x92\xa3NEO\x04",
        b"\x92\xa3NEO\x05\x93\x00\x01\x90",
        b"\x92\xa3NEO\x05\x93\x00\x01\xdd\xff\xff\xff\xff",
        b"\x92\xa3NEO\x05\xc6\xff\xff\xff\xff",
        b"\x92\xa3NEO\x05\x93\x00\xcd\x7f\xff\x90",
    ];
    for bytes in requests {
        let peer = world.connect_raw();
        world.send_bytes(peer, bytes);
        assert!(!world.is_open(peer), "{}", bytes.escape_ascii());
    }
    alive(&mut world, other);
}

#[test]
fn requests_out_of_turn() {
    let mut world = World::operating();
    let other = world.client();
    let wrong = [
        Message::AskLockInformation { ttid: ttid(1), tid: tid(2), pack_approved: false },
        Message::AskRecovery {},
        Message::AskFetchTransactions {
            partition: World::partition(0),
            length: 1,
            tid_min: tid(0),
            tid_max: tid(9),
            tids: Vec::new(),
            want_pack_id: false,
        },
        Message::AskObject { oid: oid(1), at: Some(tid(1)), before: Some(tid(2)) },
    ];
    for message in wrong {
        let client = world.client();
        assert_eq!(world.refused(client, &message), ErrorCode::ProtocolError, "{message:?}");
        assert!(!world.is_open(client));
    }
    let storage = world.other_storage();
    assert_eq!(world.refused(storage, &load(oid(1))), ErrorCode::ProtocolError);
    alive(&mut world, other);
}

#[test]
fn relocks_of_nothing_are_answered() {
    let mut world = World::operating();
    let client = world.client();
    let relock = |number, of| Message::AskRelockObject { ttid: ttid(number), oid: oid(of) };
    let nothing = Message::AnswerRelockObject { conflict: None };
    assert_eq!(world.ask(client, &relock(1, 1)), nothing);
    assert_eq!(world.ask(client, &store(ttid(100), oid(1), tid(0), "1")), stored(None));
    assert_eq!(world.ask(client, &relock(100, 2)), nothing);
    assert_eq!(world.ask(client, &relock(100, 1)), nothing, "it gets its lock back");
    world.ask(client, &vote(ttid(100), &[oid(1)]));
    assert_eq!(world.ask(client, &relock(100, 1)), nothing);
    alive(&mut world, client);
}
