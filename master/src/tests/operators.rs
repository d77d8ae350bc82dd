//! What operators ask for: add, tweak, replicas, kill, drop, check, truncate.

use model::{CellState, ClusterState, NodeState, NodeType, PartitionId, Tid};
use net::{ErrorCode, Extra, Message, OrderedMap};

use super::cluster::*;
use super::world::*;
use crate::MasterOptions;

fn command(world: &mut World, message: Message) -> (ErrorCode, String) {
    world.skip("admin");
    world.ask("admin", message);
    match world.until_answer("admin") {
        Message::Error { code, text } => (code, String::from_utf8(text.to_vec()).unwrap()),
        other => panic!("{other:?}"),
    }
}

fn tweak(world: &mut World, dry_run: bool, excluded: &[u32]) -> (bool, Vec<String>) {
    world.skip("admin");
    let excluded = excluded.iter().map(|number| storage(*number)).collect();
    world.ask("admin", Message::TweakPartitionTable { dry_run, excluded });
    match world.until_answer("admin") {
        Message::AnswerTweakPartitionTable { changed, rows } => (changed, shown(&rows)),
        other => panic!("{other:?}"),
    }
}

fn add(world: &mut World, name: &'static str, port: u16) {
    let nid = world.join_storage(name, None, port);
    let (code, text) = command(world, Message::AddPendingNodes { nids: vec![nid] });
    assert_eq!((code, text), (ErrorCode::Ack, format!("Nodes added: {nid}")));
    world.until(name, "StartOperation");
    world.send(name, Message::NotifyReady {});
    world.skip(name);
}

fn set_state(world: &mut World, number: u32, state: NodeState) -> (ErrorCode, String) {
    command(world, Message::SetNodeState { nid: storage(number), state })
}

/// A node has replicated all its cells.
fn replicate(world: &mut World, name: &'static str) {
    let partitions: Vec<PartitionId> = (0..4).map(PartitionId::new).collect();
    world.ask(name, Message::AskUnfinishedTransactions { partitions: partitions.clone() });
    for partition in partitions {
        world.send(name, Message::NotifyReplicationDone { partition, tid: Tid::ZERO });
    }
    world.skip(name);
}

#[test]
fn cells_move_to_a_new_node() {
    let mut world = running(options(), &["s1"]);
    assert_eq!(tweak(&mut world, false, &[]), (false, vec!["1U".to_owned(); 4]));
    let (code, text) = command(&mut world, Message::AddPendingNodes { nids: vec![storage(2)] });
    assert_eq!((code, text.as_str()), (ErrorCode::Ack, "No node added"));
    add(&mut world, "s2", 2002);
    let moved = vec!["1U", "1F 2O", "1U", "1F 2O"];
    let (changed, dry) = tweak(&mut world, true, &[]);
    assert!(changed);
    assert_eq!(dry, moved);
    assert_eq!(world.table(), (Some(1), vec!["1U".to_owned(); 4]), "it was a dry run");
    assert_eq!(tweak(&mut world, false, &[]).1, moved);
    assert_eq!(world.table().0, Some(2));
    assert!(!tweak(&mut world, false, &[]).0, "a second tweak changes nothing");
    assert_eq!(world.table().0, Some(2));
    replicate(&mut world, "s2");
    assert_eq!(world.table().1, ["1U", "2U", "1U", "2U"]);
    assert!(!tweak(&mut world, false, &[]).0);
}

#[test]
fn replicas_appear_and_go() {
    let mut world = running(options(), &["s1", "s2", "s3"]);
    assert_eq!(world.table().1, ["1U", "2U", "3U", "1U"]);
    let (code, _) = command(&mut world, Message::SetNumReplicas { replicas: 1 });
    assert_eq!(code, ErrorCode::Ack);
    let (_, changes) = world.until("s1", "NotifyPartitionChanges");
    let Message::NotifyPartitionChanges { replicas: 1, changes, .. } = changes else { panic!() };
    assert!(changes.is_empty());
    let (changed, rows) = tweak(&mut world, false, &[]);
    assert!(changed);
    let counts = |rows: &[String], nid: &str| rows.iter().filter(|row| row.contains(nid)).count();
    for nid in ["1", "2", "3"] {
        assert!((2..=3).contains(&counts(&rows, nid)), "{rows:?}");
    }
    assert!(rows.iter().all(|row| !row.contains('F')), "nothing had to move: {rows:?}");
    ["s1", "s2", "s3"].into_iter().for_each(|name| replicate(&mut world, name));
    assert!(world.table().1.iter().all(|row| row.matches('U').count() == 2));
    command(&mut world, Message::SetNumReplicas { replicas: 0 });
    tweak(&mut world, false, &[]);
    assert!(world.table().1.iter().all(|row| row.matches('U').count() == 1 && row.len() == 2));
}

#[test]
fn a_node_is_emptied_then_dropped() {
    let mut world = running(options(), &["s1"]);
    add(&mut world, "s2", 2002);
    // Cells of nodes that are left out stay: they are not what is spread.
    let (_, rows) = tweak(&mut world, false, &[1]);
    assert_eq!(rows, vec!["1U 2O"; 4]);
    replicate(&mut world, "s2");
    assert_eq!(world.table().1, vec!["1U 2U"; 4]);
    let (code, _) = set_state(&mut world, 1, NodeState::Unknown);
    assert_eq!(code, ErrorCode::Denied, "it is running");
    world.skip("s1");
    let (code, text) = set_state(&mut world, 1, NodeState::Down);
    assert_eq!((code, text.as_str()), (ErrorCode::Ack, "state changed"));
    let (_, message) = world.until("s1", "NotifyNodeInformation");
    let Message::NotifyNodeInformation { nodes, .. } = message else { panic!() };
    assert_eq!((nodes[0].nid, nodes[0].state), (Some(storage(1)), NodeState::Down));
    assert!(world.is_closed("s1"));
    assert_eq!(world.table().1, vec!["1O 2U"; 4]);
    let (code, text) = set_state(&mut world, 1, NodeState::Down);
    assert_eq!((code, text.as_str()), (ErrorCode::Ack, "node already in DOWN state"));
    world.skip("s2");
    let (code, text) = set_state(&mut world, 1, NodeState::Unknown);
    assert_eq!((code, text.as_str()), (ErrorCode::Ack, "node permanently removed"));
    assert_eq!(world.table().1, vec!["2U"; 4]);
    // Rows go before the node is forgotten.
    assert_eq!(world.names("s2"), ["NotifyPartitionChanges", "NotifyNodeInformation"]);
    let (code, _) = set_state(&mut world, 1, NodeState::Down);
    assert_eq!(code, ErrorCode::Denied, "it is unknown");
    assert_eq!(set_state(&mut world, 2, NodeState::Down).0, ErrorCode::Denied, "the only copy");
}

#[test]
fn a_pending_node_can_be_dropped() {
    let mut world = running(options(), &["s1"]);
    world.join_storage("s2", None, 2002);
    let (code, _) = set_state(&mut world, 2, NodeState::Unknown);
    assert_eq!(code, ErrorCode::Ack);
    world.until("s2", "NotifyNodeInformation");
    let (_, message) = world.until("s2", "NotifyNodeInformation");
    let Message::NotifyNodeInformation { nodes, .. } = message else { panic!() };
    assert_eq!((nodes[0].nid, nodes[0].state), (Some(storage(2)), NodeState::Unknown));
    assert!(world.is_closed("s2"));
}

#[test]
fn a_down_node_has_to_be_listed() {
    let mut world = running(MasterOptions { replicas: 1, ..options() }, &["s1", "s2", "s3"]);
    world.lose("s3");
    let (code, text) =
        command(&mut world, Message::TweakPartitionTable { dry_run: false, excluded: vec![] });
    assert_eq!(code, ErrorCode::Denied);
    assert!(text.contains("down nodes must be listed"), "{text}");
    let (changed, rows) = tweak(&mut world, false, &[3]);
    assert!(changed);
    for row in rows {
        assert!(row.contains("1U") || row.contains("2U"), "{row}");
        assert!(row.contains('1') && row.contains('2'), "{row}");
    }
}

#[test]
fn the_only_copy_cannot_be_killed_nor_the_primary() {
    let mut world = running(options(), &["s1", "s2"]);
    assert_eq!(set_state(&mut world, 1, NodeState::Down).0, ErrorCode::Denied);
    let nid = model::Nid::of(NodeType::Master, 1);
    let kill = Message::SetNodeState { nid, state: NodeState::Down };
    let (code, text) = command(&mut world, kill);
    assert_eq!((code, text.as_str()), (ErrorCode::Denied, "can not kill primary master node"));
    assert_eq!(set_state(&mut world, 1, NodeState::Running).0, ErrorCode::Denied);
}

#[test]
fn table_commands_are_for_a_running_cluster() {
    let mut world = World::new(options());
    world.join_admin();
    let commands = [
        Message::AddPendingNodes { nids: vec![] },
        Message::SetNumReplicas { replicas: 1 },
        Message::TweakPartitionTable { dry_run: true, excluded: vec![] },
        Message::Truncate { tid: Tid::new(1) },
        Message::SetClusterState { state: ClusterState::StartingBackup },
        Message::SetClusterState { state: ClusterState::Running },
    ];
    for message in commands {
        let (code, text) = command(&mut world, message.clone());
        assert_eq!(code, ErrorCode::Denied, "{message:?}: {text}");
    }
}

#[test]
fn a_node_with_cells_can_be_dropped_in_recovery_once_the_others_are_known() {
    let mut world = World::new(options());
    world.join_admin();
    let answers = Answers::with_table(5, 1, rows(&["1U 2U", "1U 2U", "1O 2U", "1U 2U"]));
    world.join_storage("s1", Some(storage(1)), 2001);
    world.serve("s1", &answers);
    let (code, text) = set_state(&mut world, 2, NodeState::Unknown);
    assert_eq!(code, ErrorCode::Denied);
    assert!(text.contains("the only readable copy of partition 2"), "{text}");
    world.lose("s1");

    let answers = Answers::with_table(6, 1, rows(&["1U 2U", "1U 2U", "1U 2U", "1U 2U"]));
    world.join_storage("s1", Some(storage(1)), 2001);
    let (id, _) = world.until("s1", "AskRecovery");
    let table_id = Some(model::PartitionTableId::new(6));
    let (backup_tid, truncate_tid) = (None, None);
    world.answer("s1", id, Message::AnswerRecovery { table_id, backup_tid, truncate_tid });
    let (code, text) = set_state(&mut world, 2, NodeState::Unknown);
    assert_eq!(code, ErrorCode::Denied, "nobody knows that table yet: {text}");
    world.serve("s1", &answers);
    let (code, text) = set_state(&mut world, 1, NodeState::Unknown);
    assert_eq!(code, ErrorCode::Denied);
    assert!(text.contains("waiting for S2"), "{text}");
    let (code, text) = set_state(&mut world, 2, NodeState::Unknown);
    assert_eq!((code, text.as_str()), (ErrorCode::Ack, "node permanently removed"));
    world.serve("s1", &answers);
    assert_eq!(world.state(), ClusterState::Running, "nobody is missing");
    assert_eq!(world.table(), (Some(7), vec!["1U".to_owned(); 4]));
}

#[test]
fn a_node_with_cells_can_be_killed_in_recovery() {
    let mut world = World::new(options());
    world.join_admin();
    let answers = Answers::with_table(5, 1, rows(&["1U 2U", "1U 2U", "1U 2U", "1U 2U"]));
    world.join_storage("s1", Some(storage(1)), 2001);
    world.serve("s1", &answers);
    let (code, text) = set_state(&mut world, 1, NodeState::Down);
    assert_eq!((code, text.as_str()), (ErrorCode::Ack, "state changed"));
    assert!(world.is_closed("s1"));
    assert_eq!(world.table(), (Some(5), vec!["1U 2U".to_owned(); 4]), "nothing is known to miss");
    assert_eq!(world.state(), ClusterState::Recovering);
}

#[test]
fn nodes_with_cells_can_be_killed_and_dropped_while_it_is_verified() {
    let mut world = World::new(options());
    world.join_admin();
    let answers = Answers::with_table(5, 2, rows(&["1U 2U 3O", "1U 2U", "1U 2U", "1U 2U"]));
    for (number, name) in [(1, "s1"), (2, "s2")] {
        world.join_storage(name, Some(storage(u32::from(number))), 2000 + number);
    }
    for name in ["s1", "s2"] {
        while world.peer(name).came.iter().any(|came| match came {
            Came::Request(_, message) => message.name() != "AskLockedTransactions",
            _ => true,
        }) {
            world.serve_one(name, &answers);
        }
    }
    assert_eq!(world.state(), ClusterState::Verifying);
    let (code, text) = set_state(&mut world, 3, NodeState::Unknown);
    assert_eq!((code, text.as_str()), (ErrorCode::Ack, "node permanently removed"));
    let (code, text) = set_state(&mut world, 2, NodeState::Down);
    assert_eq!((code, text.as_str()), (ErrorCode::Ack, "state changed"));
    assert_eq!(world.table(), (Some(7), vec!["1U 2O".to_owned(); 4]));
    world.serve("s1", &answers);
    assert_eq!(world.state(), ClusterState::Running);
}

#[test]
fn replicas_are_compared_by_few_nodes() {
    let mut world = running(MasterOptions { replicas: 1, ..options() }, &["s1", "s2"]);
    let partitions = OrderedMap((0..4).map(|number| (PartitionId::new(number), None)).collect());
    let (code, _) = command(
        &mut world,
        Message::CheckReplicas { partitions, tid_min: Tid::ZERO, tid_max: None },
    );
    assert_eq!(code, ErrorCode::Ack);
    let asked = [world.names("s1"), world.names("s2")].concat();
    assert_eq!(asked, ["CheckPartition"; 4]);
}

#[test]
fn r18_truncation_is_durable_and_refused_where_it_does_nothing_or_too_much() {
    let mut world = running(options(), &["s1"]);
    world.join_client("c1");
    let mut tids = Vec::new();
    for _ in 0..3 {
        let ttid = world.begin("c1");
        world.skip("s1");
        world.finish("c1", ttid, &[1]);
        tids.push(world.lock("s1"));
        world.finished("c1");
    }
    let before = Tid::new(tids[0].get() - 1);
    for tid in [before, Tid::ZERO, tids[2], Tid::MAX] {
        assert_eq!(command(&mut world, Message::Truncate { tid }).0, ErrorCode::Denied);
    }
    world.skip("s1");
    let tid = tids[1];
    assert_eq!(command(&mut world, Message::Truncate { tid }).0, ErrorCode::Ack);
    assert!(world.is_closed("c1"));
    let names: Vec<&str> = world
        .peer("s1")
        .came
        .iter()
        .map(|came| match came {
            Came::Request(_, message) => message.name(),
            _ => "",
        })
        .collect();
    assert_eq!(
        names,
        [
            "NotifyNodeInformation",
            "StopOperation",
            "Truncate",
            "NotifyNodeInformation",
            "NotifyClusterInformation",
            "AskRecovery"
        ]
    );
    let table = Answers::with_table(1, 0, rows(&["1U", "1U", "1U", "1U"]));
    let answers = Answers { truncate: Some(tid), last_tid: Some(tid), ..table };
    world.serve("s1", &answers);
    assert_eq!(world.state(), ClusterState::Running);
    assert_eq!(world.last_tid(), tid);
    // Tids still grow.
    world.join_client("c1");
    let ttid = world.begin("c1");
    assert!(ttid.get() > tids[2].get());
}

#[test]
fn logs_are_flushed_everywhere_else() {
    let mut world = running(options(), &["s1"]);
    world.join_client("c1");
    world.skip("admin");
    world.send("admin", Message::FlushLog {});
    assert_eq!(world.names("c1"), ["FlushLog"]);
    assert!(world.names("s1").contains(&"FlushLog"));
    assert_eq!(world.names("admin"), [""; 0]);
}

#[test]
fn t11_replicas_are_on_different_machines() {
    let mut world = World::new(MasterOptions { replicas: 1, ..options() });
    world.join_admin();
    let path = |room: &'static str| {
        let room = net::Value::Bytes(bytes::Bytes::from_static(room.as_bytes()));
        let devpath = net::Value::List(vec![room]);
        OrderedMap(vec![(bytes::Bytes::from_static(b"devpath"), devpath)])
    };
    for (index, (name, room)) in
        [("s1", "a"), ("s2", "a"), ("s3", "b"), ("s4", "b")].into_iter().enumerate()
    {
        let port = 2000 + u16::try_from(index).unwrap();
        world.identify(name, NodeType::Storage, None, Some(port), path(room));
        world.accepted_nid(name);
        world.serve(name, &Answers::empty());
    }
    world.start();
    world.serve_all(&["s1", "s2", "s3", "s4"], &Answers::empty());
    let (_, rows) = world.table();
    for row in &rows {
        let in_first = row.contains("1U") || row.contains("2U");
        let in_second = row.contains("3U") || row.contains("4U");
        assert!(in_first && in_second, "{rows:?}");
    }
    assert!(!tweak(&mut world, true, &[]).0, "it is what a tweak makes");
    // Nodes without paths: still a replica each.
    let mut world = World::new(MasterOptions { replicas: 1, ..options() });
    world.identify("s1", NodeType::Storage, None, Some(2001), Extra::default());
    let state = CellState::UpToDate;
    assert!(state.is_readable());
}
