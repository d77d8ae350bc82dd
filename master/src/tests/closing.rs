//! Peers whose connections the master closes are lost like any other.

use std::time::Duration;

use model::{ClusterState, Nid, NodeState, Tid, Ttid};
use net::{Machine, Message, NodeInformation};

use super::cluster::*;
use super::world::*;
use crate::MasterOptions;

/// What a storage was told of a node last.
fn told(world: &mut World, name: &'static str, nid: Nid) -> Option<NodeState> {
    let came = world.skip(name).into_iter();
    let nodes = came.flat_map(|came| match came {
        Came::Request(_, Message::NotifyNodeInformation { nodes, .. }) => nodes,
        _ => Vec::<NodeInformation>::new(),
    });
    nodes.filter(|node| node.nid == Some(nid)).map(|node| node.state).last()
}

#[test]
fn r10_a_client_that_is_refused_leaves_no_transaction() {
    let mut world = running(options(), &["s1"]);
    let nid = world.join_client("c1");
    world.join_client("c2");
    let ttid = world.begin("c1");
    world.skip("s1");
    world.finish("c1", Ttid::new(5), &[1]);
    assert!(world.is_closed("c1"));
    assert_eq!(told(&mut world, "s1", nid), Some(NodeState::Unknown));
    world.ask("c2", Message::AskFinalTID { ttid });
    assert_eq!(world.until_answer("c2"), Message::AnswerFinalTID { tid: Some(Tid::MAX) });
}

#[test]
fn r07_a_storage_that_is_refused_is_not_waited_for() {
    let mut world = running(MasterOptions { replicas: 1, ..options() }, &["s1", "s2"]);
    world.join_client("c1");
    let ttid = world.begin("c1");
    world.finish("c1", ttid, &[1]);
    world.skip("s1");
    world.ask("s1", Message::AskNewOIDs { count: 1 });
    assert!(world.is_closed("s1"));
    let tid = world.lock("s2");
    assert_eq!(world.finished("c1"), tid);
    assert_eq!(world.table().1, vec!["1O 2U".to_owned(); 4]);
    // It may come back.
    world.join_storage("s1", Some(storage(1)), 2001);
    world.until("s1", "StartOperation");
}

#[test]
fn the_only_storage_refused_brings_recovery_back() {
    let mut world = running(options(), &["s1"]);
    world.ask("s1", Message::AskNewOIDs { count: 1 });
    assert_eq!(world.state(), ClusterState::Recovering);
}

#[test]
fn an_empty_database_does_not_start_by_itself_after_a_fall_back() {
    let mut world = running(options(), &["s1"]);
    world.lose("s1");
    assert_eq!(world.join_storage("s1", None, 2001), storage(1));
    world.serve("s1", &Answers::empty());
    assert_eq!(world.state(), ClusterState::Recovering);
}

#[test]
fn a_notification_of_a_client_is_never_refused() {
    let mut world = running(options(), &["s1"]);
    world.join_client("c1");
    world.send("c1", Message::AbortTransaction { ttid: Ttid::new(5), nids: vec![storage(1)] });
    assert!(world.skip("c1").is_empty());
    let ttid = world.begin("c1");
    world.skip("s1");
    world.finish("c1", ttid, &[1]);
    world.send("c1", Message::AbortTransaction { ttid, nids: vec![storage(1)] });
    let tid = world.lock("s1");
    assert_eq!(world.finished("c1"), tid);
    world.send("c1", Message::CloseClient {});
    assert_eq!(world.names("c1"), ["closed"]);
}

#[test]
fn a_stop_that_waits_for_a_lock_asks_for_no_timer_in_the_past() {
    let mut world = running(options(), &["s1"]);
    world.join_client("c1");
    let ttid = world.begin("c1");
    world.skip("s1");
    world.finish("c1", ttid, &[1]);
    world.ask("admin", Message::SetClusterState { state: ClusterState::Stopping });
    world.pass(Duration::from_secs(61));
    assert!(world.exit.is_none());
    let now = world.now.monotonic;
    assert!(world.master.deadline().is_none_or(|deadline| deadline > now));
    world.lock("s1");
    assert!(world.exit.is_some());
}
