//! Tests of the counters.

use std::collections::BTreeSet;

use model::{Cell, CellState, Nid, NodeType, PartitionTableId, Ttid};
use net::{ErrorCode, Message};

use super::reach::{RARE, UNREACHABLE, matches};
use super::{Coverage, all_points, reason_not_to_reach};

#[test]
fn points_come_from_the_declarations() {
    let points = all_points();
    for point in [
        "packet AskFinalTID M > S",
        "packet AskFinalTID C > M",
        "packet AnswerFinalTID S > C",
        "packet AbortTransaction M > S",
        "packet NotifyClusterInformation M > S",
        "cluster RUNNING > RECOVERING",
        "cell UP_TO_DATE > OUT_OF_DATE",
        "node STORAGE RUNNING > DOWN",
        "error IncompleteTransaction",
    ] {
        assert!(points.contains(point), "{point}");
        assert_eq!(reason_not_to_reach(point), None, "{point}");
    }
    assert!(!points.iter().any(|point| point.contains("AskNodeList")), "it is for admins");
}

#[test]
fn each_entry_of_the_list_is_about_something() {
    let points = all_points();
    for (entry, _) in UNREACHABLE.iter().chain(RARE) {
        assert!(points.iter().any(|point| matches(entry, point)), "{entry}");
    }
    let entries: BTreeSet<_> = UNREACHABLE.iter().map(|(entry, _)| entry).collect();
    assert_eq!(entries.len(), UNREACHABLE.len());
}

#[test]
fn what_passes_is_counted() {
    let mut coverage = Coverage::default();
    let missing = coverage.missing().len();
    let ttid = Ttid::new(1);
    coverage.packet("M1", "S1", &Message::NotifyUnlockInformation { ttid });
    let text = bytes::Bytes::new();
    coverage.packet("S1", "C2", &Message::Error { code: ErrorCode::OidNotFound, text });
    assert!(coverage.unexpected().is_empty());
    assert_eq!(coverage.missing().len(), missing - 2, "the packet of errors is no point");
    let mut all = Coverage::default();
    all.packet("M1", "S1", &Message::NotifyUnlockInformation { ttid });
    all.add(coverage);
    let count = all.counts().find(|(point, _)| point.contains("NotifyUnlockInformation"));
    assert_eq!(count, Some(("packet NotifyUnlockInformation M > S", 2)));
    all.packet("M1", "S1", &Message::FlushLog {});
    assert_eq!(all.unexpected(), ["packet FlushLog M > S"]);
}

#[test]
fn a_table_that_was_forgotten_did_not_change_back() {
    let mut coverage = Coverage::default();
    let mut send = |table_id: u64, state| {
        let cell = Cell { nid: Nid::of(NodeType::Storage, 1), state };
        let table_id = Some(PartitionTableId::new(table_id));
        let table = Message::SendPartitionTable { table_id, replicas: 0, rows: vec![vec![cell]] };
        coverage.packet("M1", "S1", &table);
        coverage.unexpected()
    };
    let none: [&str; 0] = [];
    assert_eq!(send(2, CellState::UpToDate), none);
    assert_eq!(send(3, CellState::OutOfDate), none);
    assert_eq!(send(2, CellState::UpToDate), none);
    assert_eq!(send(3, CellState::OutOfDate), none);
    assert_eq!(send(4, CellState::UpToDate), ["cell OUT_OF_DATE > UP_TO_DATE"]);
}
