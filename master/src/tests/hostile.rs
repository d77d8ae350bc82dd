//! Peers that err. Each of these ends a NEO/py master, or would; here it costs them their request
//! or connection.

use bytes::Bytes;
use model::{ClusterState, Nid, NodeType, Oid, PartitionId, Tid, Ttid};
use net::{ErrorCode, Extra, Message, OrderedMap, PackRequest, Value};

use super::cluster::*;
use super::world::*;

fn refused(world: &mut World, name: &'static str, expected: ErrorCode) -> String {
    match world.until_answer(name) {
        Message::Error { code, text } => {
            assert_eq!(code, expected);
            assert_eq!(world.is_closed(name), code.closes(), "{code:?}");
            String::from_utf8(text.to_vec()).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_wrong_cluster_name() {
    let mut world = running(options(), &["s1"]);
    world.connect("x");
    let request = Message::RequestIdentification {
        node_type: NodeType::Client,
        nid: None,
        address: None,
        cluster: "other".to_owned(),
        id_timestamp: None,
        extra: Extra::default(),
    };
    world.ask("x", request);
    let text = refused(&mut world, "x", ErrorCode::ProtocolError);
    assert!(text.contains("invalid cluster name"), "{text}");
}

#[test]
fn a_packet_before_identification() {
    let mut world = running(options(), &["s1"]);
    world.connect("x");
    world.ask("x", Message::AskBeginTransaction { tid: None });
    refused(&mut world, "x", ErrorCode::ProtocolError);
    assert_eq!(world.state(), ClusterState::Running);
}

#[test]
fn a_second_storage_with_the_same_id_or_address() {
    let mut world = running(options(), &["s1"]);
    world.identify("x", NodeType::Storage, Some(storage(1)), Some(2009), Extra::default());
    assert_eq!(refused(&mut world, "x", ErrorCode::ProtocolError), "already connected");
    world.identify("y", NodeType::Storage, None, Some(2001), Extra::default());
    assert_eq!(refused(&mut world, "y", ErrorCode::ProtocolError), "already connected");
    world.identify("z", NodeType::Storage, None, Some(1000), Extra::default());
    assert_eq!(refused(&mut world, "z", ErrorCode::ProtocolError), "address conflict");
    let nid = Some(Nid::of(NodeType::Client, 1));
    world.identify("c", NodeType::Storage, nid, Some(2010), Extra::default());
    refused(&mut world, "c", ErrorCode::ProtocolError);
    assert_eq!(world.state(), ClusterState::Running);
}

#[test]
fn r21_a_storage_does_not_take_the_address_of_another() {
    let options = crate::MasterOptions { replicas: 2, ..options() };
    let mut world = running(options, &["s1", "s2", "s3"]);
    world.lose("s2");
    world.lose("s3");
    world.identify("s3", NodeType::Storage, Some(storage(3)), Some(2002), Extra::default());
    let text = refused(&mut world, "s3", ErrorCode::ProtocolError);
    assert!(text.contains("the address of S2"), "{text}");
    // S2 is found where it was.
    world.join_storage("s2", Some(storage(2)), 2002);
    world.lose("s2");
    let nid = storage(2);
    world.ask("admin", Message::SetNodeState { nid, state: model::NodeState::Unknown });
    assert_eq!(world.join_storage("s3", Some(storage(3)), 2002), storage(3));
}

#[test]
fn r21_nobody_is_told_of_two_nodes_with_one_address() {
    let disk = engine::disk::MemoryDisk::new(1);
    let options = crate::MasterOptions { autostart: Some(2), replicas: 1, ..options() };
    let none = std::time::Duration::ZERO;
    let mut world = World::open(options.clone(), Some(&disk), none).unwrap();
    world.join_storage("s1", None, 2001);
    world.join_storage("s2", None, 2002);
    world.serve_all(&["s1", "s2"], &Answers::empty());
    drop(world);

    // The other one, whose address is only remembered, listens elsewhere since.
    let mut world = World::open(options, Some(&disk), none).unwrap();
    world.join_admin();
    world.join_storage("s2", Some(storage(2)), 2001);
    let mut told = Vec::new();
    for came in world.skip("admin") {
        if let Came::Request(_, Message::NotifyNodeInformation { nodes, .. }) = came {
            told.extend(nodes.into_iter().map(|node| (node.nid, node.address)));
        }
    }
    let expected = [(Some(storage(1)), None), (Some(storage(2)), Some(address(2001)))];
    assert_eq!(told, expected);
    assert_eq!(world.join_storage("s1", Some(storage(1)), 2002), storage(1));
}

#[test]
fn a_temporary_id_in_use_is_replaced() {
    let mut world = running(options(), &["s1"]);
    let first = world.join_client("c1");
    world.identify("c2", NodeType::Client, Some(first), None, Extra::default());
    assert_ne!(world.accepted_nid("c2"), first);
    // Also one of another type, and that of this master.
    for nid in [Nid::of(NodeType::Master, 1), storage(1), Nid::new(0)] {
        world.identify("c3", NodeType::Client, Some(nid), None, Extra::default());
        assert_eq!(world.accepted_nid("c3").node_type(), Some(NodeType::Client));
        world.lose("c3");
    }
}

#[test]
fn identified_twice() {
    let mut world = running(options(), &["s1"]);
    world.join_client("c1");
    let request = Message::RequestIdentification {
        node_type: NodeType::Admin,
        nid: None,
        address: None,
        cluster: "test".to_owned(),
        id_timestamp: None,
        extra: Extra::default(),
    };
    world.ask("c1", request);
    refused(&mut world, "c1", ErrorCode::ProtocolError);
}

#[test]
fn ttids_that_are_unknown_or_of_somebody_else() {
    let mut world = running(options(), &["s1"]);
    for name in ["c1", "c2", "c3", "c4"] {
        world.join_client(name);
    }
    let ttid = world.begin("c4");
    world.finish("c1", Ttid::new(5), &[1]);
    refused(&mut world, "c1", ErrorCode::ProtocolError);
    world.finish("c2", ttid, &[1]);
    refused(&mut world, "c2", ErrorCode::ProtocolError);
    world.ask("c3", Message::FailedVote { ttid, nids: vec![storage(1)] });
    refused(&mut world, "c3", ErrorCode::ProtocolError);
    // An abort of somebody else's has no effect.
    world.join_client("c5");
    world.send("c5", Message::AbortTransaction { ttid, nids: vec![storage(1)] });
    world.skip("s1");
    world.finish("c4", ttid, &[1]);
    let tid = world.lock("s1");
    assert_eq!(world.finished("c4"), tid);
}

#[test]
fn a_commit_that_is_asked_for_twice_or_dropped_too_late() {
    let mut world = running(options(), &["s1"]);
    world.join_client("c1");
    world.join_client("c2");
    let first = world.begin("c1");
    let second = world.begin("c2");
    world.finish("c1", first, &[1]);
    world.finish("c1", first, &[1]);
    refused(&mut world, "c1", ErrorCode::ProtocolError);
    world.finish("c2", second, &[1]);
    world.send("c2", Message::AbortTransaction { ttid: second, nids: vec![] });
    assert!(!world.names("c2").contains(&"Error"));
    // Both go forward.
    world.lock("s1");
    let tid = world.lock("s1");
    assert_eq!(world.last_tid(), tid);
}

#[test]
fn partitions_that_do_not_exist() {
    let mut world = running(options(), &["s1", "s2"]);
    world.join_client("c1");
    let ttid = world.begin("c1");
    let far = PartitionId::new(4);
    let finish = Message::AskFinishTransaction {
        ttid,
        oids: vec![].into(),
        deleted: vec![far],
        checked: vec![PartitionId::new(u32::MAX)],
        pack: None,
    };
    world.ask("c1", finish);
    refused(&mut world, "c1", ErrorCode::ProtocolError);
    let check = Message::CheckReplicas {
        partitions: OrderedMap(vec![(far, None)]),
        tid_min: Tid::ZERO,
        tid_max: None,
    };
    world.ask("admin", check);
    refused(&mut world, "admin", ErrorCode::Denied);
    let check = Message::CheckReplicas {
        partitions: OrderedMap(vec![(PartitionId::new(0), Some(storage(9)))]),
        tid_min: Tid::ZERO,
        tid_max: None,
    };
    world.ask("admin", check);
    refused(&mut world, "admin", ErrorCode::Denied);
    assert_eq!(world.state(), ClusterState::Running);
    world.ask("s2", Message::AskUnfinishedTransactions { partitions: vec![far] });
    refused(&mut world, "s2", ErrorCode::ProtocolError);
}

#[test]
fn a_clone_of_partitions_that_do_not_exist() {
    let mut world = running(options(), &["s1"]);
    let new_nid = |items| OrderedMap(vec![(Bytes::from_static(b"new_nid"), Value::List(items))]);
    let wrong =
        [vec![Value::Unsigned(4)], vec![Value::Nil], vec![Value::Unsigned(u64::MAX)], vec![]];
    for items in wrong {
        world.identify("x", NodeType::Storage, None, None, new_nid(items));
        refused(&mut world, "x", ErrorCode::ProtocolError);
    }
    let items = vec![Value::Unsigned(0), Value::Unsigned(3), Value::Unsigned(3)];
    world.identify("y", NodeType::Storage, None, None, new_nid(items));
    assert_eq!(world.accepted_nid("y"), storage(2));
    assert_eq!(world.table().1, ["1U 2O", "1U", "1U", "1U 2O"]);
}

#[test]
fn too_many_oids_or_none() {
    let mut world = running(options(), &["s1"]);
    for (name, count) in [("c1", 0), ("c2", u32::MAX)] {
        world.join_client(name);
        world.ask(name, Message::AskNewOIDs { count });
        refused(&mut world, name, ErrorCode::ProtocolError);
    }
    world.join_client("c3");
    let ttid = world.begin("c3");
    world.skip("s1");
    world.finish("c3", ttid, &[u64::MAX]);
    world.lock("s1");
    world.finished("c3");
    // New ones do not follow it.
    world.join_client("c4");
    world.ask("c4", Message::AskNewOIDs { count: 1 });
    let answer = world.until_answer("c4");
    assert_eq!(answer, Message::AnswerNewOIDs { oids: vec![Oid::new(1)].into() });
}

#[test]
fn a_pack_time_that_is_none() {
    let mut world = running(options(), &["s1"]);
    for (name, tid) in [("c1", Tid::ZERO), ("c2", Tid::MAX)] {
        world.join_client(name);
        let ttid = world.begin(name);
        let (oids, deleted, checked) = (vec![], vec![], vec![]);
        let pack = Some(PackRequest { oids: None, tid });
        let finish =
            Message::AskFinishTransaction { ttid, oids: oids.into(), deleted, checked, pack };
        world.ask(name, finish);
        refused(&mut world, name, ErrorCode::ProtocolError);
    }
}

#[test]
fn packets_of_others() {
    let mut world = running(options(), &["s1", "s2"]);
    world.join_client("c1");
    world.ask("c1", Message::SetClusterState { state: ClusterState::Stopping });
    refused(&mut world, "c1", ErrorCode::ProtocolError);
    world.ask("admin", Message::AskBeginTransaction { tid: None });
    refused(&mut world, "admin", ErrorCode::ProtocolError);
    world.ask("s1", Message::AskNewOIDs { count: 1 });
    refused(&mut world, "s1", ErrorCode::ProtocolError);
}

#[test]
fn a_storage_that_refuses_to_lock_is_done_without() {
    let mut world = running(crate::MasterOptions { replicas: 1, ..options() }, &["s1", "s2"]);
    world.join_client("c1");
    let ttid = world.begin("c1");
    world.skip("s1");
    world.skip("s2");
    world.finish("c1", ttid, &[1]);
    let (id, _) = world.until("s1", "AskLockInformation");
    world.answer("s1", id, Message::error(ErrorCode::ProtocolError, "no such transaction"));
    let tid = world.lock("s2");
    assert_eq!(world.finished("c1"), tid);
    assert_eq!(world.table().1, vec!["1O 2U".to_owned(); 4]);
}

#[test]
fn oids_of_all_64_bits() {
    let mut world = running(options(), &["s1"]);
    world.join_client("c1");
    let ttid = world.begin("c1");
    world.skip("s1");
    world.finish("c1", ttid, &[(1 << 63) + 5]);
    let tid = world.lock("s1");
    assert_eq!(world.finished("c1"), tid);
    world.ask("c1", Message::AskNewOIDs { count: 1 });
    let oids = vec![Oid::new((1 << 63) + 6)];
    assert_eq!(world.until_answer("c1"), Message::AnswerNewOIDs { oids: oids.into() });
}
