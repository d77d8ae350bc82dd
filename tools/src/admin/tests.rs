//! The admin between a primary master and operators, whose packets are written down here.

mod network;

use std::time::Duration;

use model::{
    Cell, CellChange, CellState, ClusterState, Nid, NodeState, NodeType, Now, PartitionId,
    PartitionTableId, Tid,
};
use net::{ErrorCode, Event, IdTimestamp, Machine, Message, NodeInformation, Signal};

use super::AdminExit;
use network::{MASTER, Network};

fn storage(number: u32) -> Nid {
    Nid::of(NodeType::Storage, number)
}

fn node(nid: Nid, state: NodeState) -> NodeInformation {
    NodeInformation {
        node_type: nid.node_type().expect("it is of a node"),
        address: None,
        nid: Some(nid),
        state,
        id_timestamp: Some(IdTimestamp(1.0)),
    }
}

fn nodes(states: &[(u32, NodeState)]) -> Message {
    let node = |&(number, state): &(u32, NodeState)| node(storage(number), state);
    Message::NotifyNodeInformation {
        timestamp: IdTimestamp(2.0),
        nodes: states.iter().map(node).collect(),
    }
}

fn change(id: u64, partition: u32, number: u32, state: CellState) -> Message {
    let change = CellChange { partition: PartitionId::new(partition), nid: storage(number), state };
    let table_id = PartitionTableId::new(id);
    Message::NotifyPartitionChanges { table_id, replicas: 0, changes: vec![change] }
}

/// Two partitions, each on a storage of its own.
fn table() -> Message {
    let row = |number| vec![Cell { nid: storage(number), state: CellState::UpToDate }];
    Message::SendPartitionTable {
        table_id: Some(PartitionTableId::new(3)),
        replicas: 0,
        rows: vec![row(1), row(2)],
    }
}

/// An admin that is connected to the master of a cluster in a state.
fn connected(state: ClusterState) -> Network {
    let mut network = Network::new();
    network.accept();
    network.master_says(&nodes(&[(1, NodeState::Running), (2, NodeState::Running)]));
    network.master_says(&table());
    let asked = network.take_asked();
    assert_eq!(asked, [(1, Message::AskClusterState {})]);
    network.master_answers(1, &Message::AnswerClusterState { state: Some(state) });
    network
}

fn refused(code: ErrorCode, text: &'static str) -> Message {
    Message::error(code, text)
}

fn summary(text: &'static str, warnings: usize, problems: usize) -> Message {
    Message::AnswerMonitorInformation {
        warnings: vec![None; warnings],
        problems: vec![None; problems],
        text: text.into(),
    }
}

#[test]
fn without_a_master_everything_is_refused() {
    let mut network = Network::new();
    let operator = network.operator();
    network.operator_asks(operator, 7, &Message::AskClusterState {});
    let text = "Not connected to a primary master.";
    assert_eq!(network.answers(operator), [(7, refused(ErrorCode::NotReady, text))]);
    assert!(network.is_closed(operator));
}

#[test]
fn questions_are_answered_from_what_the_master_told() {
    let mut network = connected(ClusterState::Running);
    let operator = network.operator();
    network.operator_asks(operator, 0, &Message::AskPrimary {});
    network.operator_asks(operator, 1, &Message::AskClusterState {});
    network.master_says(&change(4, 1, 3, CellState::OutOfDate));
    network.master_says(&change(5, 1, 2, CellState::Discarded));
    let (first, last, nid) = (1, 2, None);
    network.operator_asks(operator, 2, &Message::AskPartitionList { first, last, nid });
    network.master_says(&nodes(&[(2, NodeState::Unknown), (3, NodeState::Pending)]));
    let node_type = Some(NodeType::Storage);
    network.operator_asks(operator, 3, &Message::AskNodeList { node_type });
    let master = Nid::of(NodeType::Master, 1);
    let row = vec![Cell { nid: storage(3), state: CellState::OutOfDate }];
    let expected = [
        (0, Message::AnswerPrimary { nid: master }),
        (1, Message::AnswerClusterState { state: Some(ClusterState::Running) }),
        (
            2,
            Message::AnswerPartitionList {
                table_id: Some(PartitionTableId::new(5)),
                replicas: 0,
                rows: vec![row],
            },
        ),
        (
            3,
            Message::AnswerNodeList {
                nodes: vec![
                    node(storage(1), NodeState::Running),
                    node(storage(3), NodeState::Pending),
                ],
            },
        ),
    ];
    assert_eq!(network.answers(operator), expected);
    let (first, last) = (3, 4);
    network.operator_asks(operator, 4, &Message::AskPartitionList { first, last, nid });
    let text = "invalid partition table offset";
    assert_eq!(network.answers(operator), [(4, refused(ErrorCode::ProtocolError, text))]);
    assert!(network.is_closed(operator));
}

#[test]
fn orders_go_to_the_master_and_its_answers_back() {
    let mut network = connected(ClusterState::Running);
    let (first, second) = (network.operator(), network.operator());
    let order = Message::SetNumReplicas { replicas: 1 };
    let tweak = Message::TweakPartitionTable { dry_run: true, excluded: Vec::new() };
    network.operator_asks(first, 5, &order);
    network.operator_asks(second, 5, &tweak);
    assert_eq!(network.take_asked(), [(2, order), (3, tweak)]);
    let answer = Message::AnswerTweakPartitionTable { changed: false, rows: Vec::new() };
    network.master_answers(3, &answer);
    network.master_answers(2, &refused(ErrorCode::Denied, "no"));
    assert_eq!(network.answers(second), [(5, answer)]);
    assert_eq!(network.answers(first), [(5, refused(ErrorCode::Denied, "no"))]);
    assert!(!network.is_closed(first));
    network.operator_asks(first, 6, &Message::FlushLog {});
    assert_eq!(network.take_asked(), [(4, Message::FlushLog {})]);
}

#[test]
fn an_operator_may_leave_before_the_answer() {
    let mut network = connected(ClusterState::Running);
    let operator = network.operator();
    network.operator_asks(operator, 0, &Message::AskRecovery {});
    network.operator_asks(operator, 1, &Message::AskMonitorInformation {});
    network.operator_leaves(operator);
    let asked = network.take_asked();
    assert_eq!(asked.len(), 2);
    let (table_id, backup_tid, truncate_tid) = (None, None, None);
    network.master_answers(2, &Message::AnswerRecovery { table_id, backup_tid, truncate_tid });
    network.master_answers(3, &Message::AnswerLastTransaction { tid: Tid::ZERO });
    network.admin.invariants();
}

#[test]
fn what_is_not_for_an_admin_is_refused() {
    let mut network = connected(ClusterState::Running);
    let cases = [
        (Message::AskNewOIDs { count: 1 }, "unexpected packet AskNewOIDs"),
        (Message::StopOperation {}, "unexpected packet StopOperation"),
        (network::identification(NodeType::Client), "reject non-admin node"),
        (network::identification(NodeType::Admin), "unknown backup cluster \"test\""),
    ];
    for (message, text) in cases {
        let operator = network.operator();
        network.operator_asks(operator, 9, &message);
        assert_eq!(network.answers(operator), [(9, refused(ErrorCode::ProtocolError, text))]);
        assert!(network.is_closed(operator), "{text}");
    }
    let operator = network.operator();
    network.operator_asks(operator, 0, &Message::CloseClient {});
    assert!(network.is_closed(operator));
    assert!(network.has_master());
}

#[test]
fn requests_of_one_operator_are_limited() {
    let mut network = connected(ClusterState::Running);
    let operator = network.operator();
    for id in 0..256 {
        network.operator_asks(operator, id, &Message::AskRecovery {});
    }
    assert_eq!(network.answers(operator), []);
    network.operator_asks(operator, 256, &Message::AskRecovery {});
    let text = "too many requests at a time";
    assert_eq!(network.answers(operator), [(256, refused(ErrorCode::ProtocolError, text))]);
    assert_eq!(network.take_asked().len(), 256);
}

#[test]
fn when_the_master_is_lost_who_waits_is_told_and_it_is_searched_again() {
    let mut network = connected(ClusterState::Running);
    let (first, second) = (network.operator(), network.operator());
    network.operator_asks(first, 1, &Message::AskRecovery {});
    network.operator_asks(second, 2, &Message::AskMonitorInformation {});
    network.lose_master();
    let text = "connection to master lost";
    assert_eq!(network.answers(first), [(1, refused(ErrorCode::ProtocolError, text))]);
    assert!(network.is_closed(first));
    let expected = summary("Not connected to a primary master.", 0, 1);
    assert_eq!(network.answers(second), [(2, expected)]);
    assert_eq!(network.connections, [MASTER, MASTER]);
    network.accept();
    let operator = network.operator();
    network.operator_asks(operator, 0, &Message::AskClusterState {});
    assert_eq!(network.answers(operator), [(0, Message::AnswerClusterState { state: None })]);
}

#[test]
fn it_ends_with_its_cluster() {
    let mut network = connected(ClusterState::Running);
    network.master_says(&Message::NotifyClusterInformation { state: ClusterState::Stopping });
    assert_eq!(network.admin.exit(), None);
    network.lose_master();
    assert_eq!(network.admin.exit(), Some(AdminExit::ClusterStopped));
}

#[test]
fn it_ends_when_it_is_told_to() {
    let mut network = Network::new();
    network.admin.handle(Now::default(), Event::Signal(Signal::Terminate));
    assert_eq!(network.admin.exit(), Some(AdminExit::Terminated));
}

#[test]
fn summaries() {
    let tid = Tid::new(0x040d_3187_03c9_b696);
    let mut network = connected(ClusterState::Running);
    let operator = network.operator();
    let mut id = 0;
    let mut ask = |network: &mut Network, request: u32| {
        id += 1;
        network.operator_asks(operator, id, &Message::AskMonitorInformation {});
        let asked = network.take_asked();
        if request > 0 {
            assert_eq!(asked, [(request, Message::AskLastTransaction {})]);
            network.master_answers(request, &Message::AnswerLastTransaction { tid });
        }
        let answers = network.answers(operator);
        assert_eq!(answers.len(), 1);
        answers.into_iter().map(|(_, answer)| answer).next().expect("there is one")
    };
    let last = "ltid=040d318703c9b696 (2026-11-22 19:51:00.887798)";
    let text = |text: String| -> &'static str { text.leak() };
    let expected = summary(text(format!("RUNNING; UP_TO_DATE=2; {last}")), 0, 0);
    assert_eq!(ask(&mut network, 2), expected);
    network.master_says(&change(4, 0, 2, CellState::OutOfDate));
    let cells = "OUT_OF_DATE=1, UP_TO_DATE=2";
    let expected = summary(text(format!("RUNNING; {cells}; {last}")), 1, 0);
    assert_eq!(ask(&mut network, 3), expected);
    network.master_says(&nodes(&[(2, NodeState::Down)]));
    let expected = summary(text(format!("RUNNING; {cells}; DOWN=1; {last}")), 0, 1);
    assert_eq!(ask(&mut network, 4), expected);
    network.master_says(&Message::NotifyClusterInformation { state: ClusterState::Recovering });
    let expected = summary(text(format!("RECOVERING; {cells}; DOWN=1")), 0, 1);
    assert_eq!(ask(&mut network, 0), expected);
}

#[test]
fn a_backup_is_as_new_as_its_backup_tid() {
    let mut network = connected(ClusterState::BackingUp);
    let operator = network.operator();
    network.operator_asks(operator, 0, &Message::AskMonitorInformation {});
    let asked = network.take_asked();
    assert_eq!(asked, [(2, Message::AskRecovery {}), (3, Message::AskLastTransaction {})]);
    let (table_id, backup_tid, truncate_tid) = (None, Some(Tid::ZERO), None);
    network.master_answers(2, &Message::AnswerRecovery { table_id, backup_tid, truncate_tid });
    network.master_answers(3, &Message::AnswerLastTransaction { tid: Tid::MAX });
    let text = "BACKINGUP; UP_TO_DATE=2; ltid=0000000000000000 (1900-01-01 00:00:00)";
    assert_eq!(network.answers(operator), [(0, summary(text, 0, 0))]);
}

#[test]
fn a_master_that_does_not_answer_is_left() {
    let mut network = connected(ClusterState::Running);
    let operator = network.operator();
    network.operator_asks(operator, 0, &Message::AskMonitorInformation {});
    let deadline = network.admin.deadline().expect("it waits for the master");
    assert_eq!(deadline, network.now.monotonic + Duration::from_secs(60));
    network.now.monotonic = deadline;
    network.timer();
    assert_eq!(network.connections, [MASTER, MASTER]);
    let expected = summary("Not connected to a primary master.", 0, 1);
    assert_eq!(network.answers(operator), [(0, expected)]);
}

#[test]
fn a_master_that_contradicts_itself_is_left() {
    for wrong in [change(3, 0, 1, CellState::OutOfDate), change(4, 2, 1, CellState::OutOfDate)] {
        let mut network = connected(ClusterState::Running);
        network.master_says(&wrong);
        assert!(!network.has_master());
        assert_eq!(network.connections, [MASTER, MASTER]);
    }
}
