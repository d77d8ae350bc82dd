//! Starting and stopping, and the shortest commit.

use model::{ClusterState, NodeState};
use net::{ErrorCode, Message};

use super::cluster::*;
use super::world::*;
use crate::MasterExit;

#[test]
fn first_start_by_an_operator() {
    let mut world = World::new(options());
    world.join_admin();
    assert_eq!(world.join_storage("s1", None, 2001), storage(1));
    let names = world.serve("s1", &Answers::empty());
    assert_eq!(names, ["NotifyNodeInformation", "AskRecovery"]);
    assert_eq!(world.state(), ClusterState::Recovering);
    assert_eq!(world.table(), (None, vec![String::new(); 4]));
    let answer = world.start();
    assert!(matches!(answer, Message::Error { code: ErrorCode::Ack, .. }), "{answer:?}");
    let names = world.serve("s1", &Answers::empty());
    let expected = [
        "NotifyNodeInformation",
        "NotifyClusterInformation",
        "SendPartitionTable",
        "AskLockedTransactions",
        "AskLastIDs",
        "AskPackOrders",
        "NotifyClusterInformation",
        "StartOperation",
    ];
    assert_eq!(names, expected);
    assert_eq!(
        world.names("admin"),
        [
            "NotifyNodeInformation",
            "SendPartitionTable",
            "NotifyClusterInformation",
            "NotifyClusterInformation"
        ]
    );
    assert_eq!(world.table(), (Some(1), vec!["1U".to_owned(); 4]));
}

#[test]
fn first_start_with_enough_storages() {
    let mut world = World::new(crate::MasterOptions { autostart: Some(2), ..options() });
    world.join_admin();
    world.join_storage("s1", None, 2001);
    world.serve("s1", &Answers::empty());
    assert_eq!(world.state(), ClusterState::Recovering);
    world.join_storage("s2", None, 2002);
    world.serve_all(&["s1", "s2"], &Answers::empty());
    assert_eq!(world.state(), ClusterState::Running);
    assert_eq!(world.table().1, ["1U", "2U", "1U", "2U"]);
}

#[test]
fn a_commit_and_an_orderly_stop() {
    let mut world = running(options(), &["s1"]);
    world.join_client("c1");
    world.join_client("c2");
    let ttid = world.begin("c1");
    world.skip("s1");
    world.finish("c1", ttid, &[1]);
    let tid = world.lock("s1");
    assert_eq!(world.finished("c1"), tid);
    let (_, message) = world.until("c2", "InvalidateObjects");
    assert_eq!(message, Message::InvalidateObjects { tid, oids: vec![model::Oid::new(1)].into() });
    assert_eq!(world.names("s1"), ["NotifyUnlockInformation"]);
    assert_eq!(world.last_tid(), tid);

    // One more is on its way when the cluster is told to stop.
    let ttid = world.begin("c1");
    world.finish("c1", ttid, &[2]);
    world.ask("admin", Message::SetClusterState { state: ClusterState::Stopping });
    world.until_answer("admin");
    world.ask("c2", Message::AskBeginTransaction { tid: None });
    assert!(world.exit.is_none());
    let tid = world.lock("s1");
    assert_eq!(world.finished("c1"), tid);
    world.until("s1", "NotifyUnlockInformation");
    let (_, message) = world.until("s1", "NotifyNodeInformation");
    let Message::NotifyNodeInformation { nodes, .. } = message else { unreachable!() };
    assert_eq!((nodes[0].state, nodes[0].id_timestamp), (NodeState::Down, None));
    assert!(world.is_closed("s1") && world.is_closed("c1") && world.is_closed("admin"));
    assert!(matches!(world.exit, Some(MasterExit::Stopped)), "{:?}", world.exit);
    assert!(!world.names("c2").contains(&"AnswerBeginTransaction"));
}
