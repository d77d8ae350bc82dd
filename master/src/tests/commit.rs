//! Commits: what happens when somebody is lost, and in which order they end.

use std::collections::BTreeSet;
use std::time::Duration;

use model::{ClusterState, NodeState, NodeType, Oid, PartitionId, Tid, Ttid};
use net::{ErrorCode, Message};

use super::cluster::*;
use super::world::*;
use crate::MasterOptions;

fn replicated() -> MasterOptions {
    MasterOptions { replicas: 1, ..options() }
}

/// Four storages, so that every partition is on two of them: 1 2, 3 4, 1 2, 3 4.
fn four() -> World {
    let mut world = running(replicated(), &["s1", "s2", "s3", "s4"]);
    assert_eq!(world.table().1, ["1U 2U", "3U 4U", "1U 2U", "3U 4U"]);
    world.join_client("c1");
    world.join_client("c2");
    world
}

fn failed(world: &mut World, client: &'static str, ttid: Ttid, number: u32) {
    world.ask(client, Message::FailedVote { ttid, nids: vec![storage(number)] });
}

fn code(message: Message) -> ErrorCode {
    match message {
        Message::Error { code, .. } => code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn commits_end_in_the_order_of_tids() {
    let mut world = running(options(), &["s1", "s2"]);
    world.join_client("c1");
    world.join_client("c2");
    let first = world.begin("c1");
    let second = world.begin("c2");
    for name in ["s1", "s2"] {
        world.skip(name);
    }
    world.finish("c1", first, &[0, 1]);
    world.finish("c2", second, &[2, 3]);
    let (id, first_lock) = world.until("s1", "AskLockInformation");
    let Message::AskLockInformation { tid: first_tid, .. } = first_lock else { panic!() };
    let second_tid = world.lock("s1");
    assert!(second_tid > first_tid);
    world.lock("s2");
    world.lock("s2");
    // The second is locked everywhere, and waits for the first.
    assert!(world.skip("c2").is_empty() && world.skip("s1").is_empty());
    world.answer("s1", id, Message::AnswerInformationLocked { ttid: first });
    assert_eq!(world.finished("c1"), first_tid);
    assert_eq!(world.names("c2"), ["InvalidateObjects", "AnswerTransactionFinished"]);
    let unlocked: Vec<Message> =
        (0..2).map(|_| world.until("s1", "NotifyUnlockInformation").1).collect();
    let unlock = |ttid| Message::NotifyUnlockInformation { ttid };
    assert_eq!(unlocked, [unlock(first), unlock(second)]);
    assert_eq!(world.last_tid(), second_tid);
}

#[test]
fn only_involved_storages_lock() {
    let mut world = four();
    let ttid = world.begin("c1");
    let names = ["s1", "s2", "s3", "s4"];
    names.iter().for_each(|name| drop(world.skip(name)));
    // Partition of the ttid, and of oid 1.
    let partition = ttid.get() % 4;
    world.finish("c1", ttid, &[1]);
    let mut expected = BTreeSet::from(["s3", "s4"]);
    if partition.is_multiple_of(2) {
        expected.extend(["s1", "s2"]);
    }
    let asked: BTreeSet<&str> =
        names.into_iter().filter(|name| !world.peer(name).came.is_empty()).collect();
    assert_eq!(asked, expected);
    let tid = expected.iter().map(|name| world.lock(name)).last().unwrap();
    assert_eq!(tid.get() % 4, partition, "a tid is of its ttid's partition");
}

#[test]
fn r02_the_death_of_a_client_after_the_lock_changes_nothing() {
    let mut world = running(options(), &["s1"]);
    world.join_client("c1");
    world.join_client("c2");
    let ttid = world.begin("c1");
    world.skip("s1");
    world.finish("c1", ttid, &[1]);
    world.lose("c1");
    let tid = world.lock("s1");
    world.until("s1", "NotifyUnlockInformation");
    world.until("c2", "InvalidateObjects");
    assert_eq!(world.last_tid(), tid);
}

#[test]
fn r10_the_death_of_a_client_before_the_lock_drops_its_transactions() {
    let mut world = running(options(), &["s1"]);
    let nid = world.join_client("c1");
    world.join_client("c2");
    let ttid = world.begin("c1");
    world.skip("s1");
    // Someone who replicates waits for it.
    let partitions = vec![PartitionId::new(0)];
    world.ask("s1", Message::AskUnfinishedTransactions { partitions });
    let answer = world.until_answer("s1");
    let expected = Message::AnswerUnfinishedTransactions { last_tid: Tid::ZERO, ttids: vec![ttid] };
    assert_eq!(answer, expected);
    world.lose("c1");
    let (_, message) = world.until("s1", "AbortTransaction");
    assert_eq!(message, Message::AbortTransaction { ttid, nids: vec![] });
    let (_, message) = world.until("s1", "NotifyNodeInformation");
    let Message::NotifyNodeInformation { nodes, .. } = message else { panic!() };
    assert_eq!((nodes[0].nid, nodes[0].state), (Some(nid), NodeState::Unknown));
    world.ask("c2", Message::AskFinalTID { ttid });
    // It is over: the storages know.
    assert_eq!(world.until_answer("c2"), Message::AnswerFinalTID { tid: Some(Tid::MAX) });
}

#[test]
fn r03_the_outcome_can_be_asked_until_the_end() {
    let mut world = running(options(), &["s1"]);
    world.join_client("c1");
    world.join_client("c2");
    let ttid = world.begin("c1");
    let later = Ttid::new(ttid.get() + (1 << 40));
    world.ask("c2", Message::AskFinalTID { ttid: later });
    assert_eq!(world.until_answer("c2"), Message::AnswerFinalTID { tid: None });
    world.skip("s1");
    world.finish("c1", ttid, &[1]);
    world.lose("c1");
    world.ask("c2", Message::AskFinalTID { ttid });
    assert!(world.skip("c2").is_empty(), "it is being decided");
    let tid = world.lock("s1");
    assert_eq!(world.until_answer("c2"), Message::AnswerFinalTID { tid: Some(tid) });
}

#[test]
fn r08_failed_votes_are_judged_together() {
    let mut world = four();
    let first = world.begin("c1");
    let second = world.begin("c2");
    failed(&mut world, "c1", first, 1);
    assert_eq!(code(world.until_answer("c1")), ErrorCode::Ack);
    // Without S1, S2 is needed: as long as the first may still commit.
    failed(&mut world, "c2", second, 2);
    assert!(world.skip("c2").is_empty(), "the answer waits");
    // Another pair has nothing to do with it.
    let third = world.begin("c1");
    failed(&mut world, "c1", third, 3);
    assert_eq!(code(world.until_answer("c1")), ErrorCode::Ack);
    world.send("c1", Message::AbortTransaction { ttid: first, nids: vec![] });
    assert_eq!(code(world.until_answer("c2")), ErrorCode::Ack);
}

#[test]
fn r05_failures_of_one_transaction_add_up() {
    // Partitions are on 1 2, or 3 4.
    let mut world = four();
    let ttid = world.begin("c1");
    failed(&mut world, "c1", ttid, 1);
    assert_eq!(code(world.until_answer("c1")), ErrorCode::Ack);
    failed(&mut world, "c1", ttid, 3);
    assert_eq!(code(world.until_answer("c1")), ErrorCode::Ack);
    // S1 has not got what it missed before.
    failed(&mut world, "c1", ttid, 2);
    assert_eq!(code(world.until_answer("c1")), ErrorCode::IncompleteTransaction);
    world.ask("c1", Message::FailedVote { ttid, nids: vec![] });
    assert_eq!(code(world.until_answer("c1")), ErrorCode::Ack);
    world.finish("c1", ttid, &[0, 1]);
    assert!(world.is_closed("s1") && world.is_closed("s3"));
    let tid = world.lock("s2");
    world.lock("s4");
    assert_eq!(world.finished("c1"), tid);
    assert_eq!(world.table().1, ["1O 2U", "3O 4U", "1O 2U", "3O 4U"]);
}

#[test]
fn r08_a_cluster_does_not_kill_itself() {
    let mut world = four();
    let first = world.begin("c1");
    let second = world.begin("c2");
    failed(&mut world, "c1", first, 1);
    world.skip("c1");
    failed(&mut world, "c2", second, 2);
    // The first commits: S1 goes.
    world.finish("c1", first, &[0]);
    assert!(world.is_closed("s1"));
    world.lock("s2");
    if first.get() % 2 == 1 {
        world.lock("s3");
        world.lock("s4");
    }
    world.finished("c1");
    // The second cannot any more.
    assert_eq!(code(world.until_answer("c2")), ErrorCode::IncompleteTransaction);
    assert_eq!(world.state(), ClusterState::Running);
    assert_eq!(world.table().1, ["1O 2U", "3U 4U", "1O 2U", "3U 4U"]);
}

#[test]
fn a_failed_storage_is_out_of_the_table_before_anything_is_locked() {
    let mut world = four();
    let ttid = world.begin("c1");
    failed(&mut world, "c1", ttid, 1);
    world.skip("s2");
    world.finish("c1", ttid, &[0]);
    let expected = ["NotifyNodeInformation", "NotifyPartitionChanges", "AskLockInformation"];
    assert_eq!(world.names("s2"), expected);
}

#[test]
fn a_failed_vote_of_the_only_copy_is_incomplete() {
    let mut world = running(options(), &["s1", "s2"]);
    world.join_client("c1");
    let ttid = world.begin("c1");
    failed(&mut world, "c1", ttid, 1);
    assert_eq!(code(world.until_answer("c1")), ErrorCode::IncompleteTransaction);
    // Nodes that are unknown or not ready are none that count.
    failed(&mut world, "c1", ttid, 77);
    assert_eq!(code(world.until_answer("c1")), ErrorCode::Ack);
}

#[test]
fn a_storage_that_dies_is_not_waited_for() {
    let mut world = four();
    // Before the lock: it does not take part.
    let ttid = world.begin("c1");
    world.lose("s1");
    world.skip("s2");
    world.finish("c1", ttid, &[0]);
    if ttid.get() % 2 == 1 {
        world.lock("s3");
        world.lock("s4");
    }
    world.lock("s2");
    world.finished("c1");
    // While it locks: the others suffice, and it is out of the table before the answer.
    let ttid = world.begin("c1");
    ["s2", "s3", "s4"].iter().for_each(|name| drop(world.skip(name)));
    world.skip("c2");
    world.finish("c1", ttid, &[1]);
    world.lock("s3");
    if ttid.get().is_multiple_of(2) {
        world.lock("s2");
    }
    assert!(world.skip("c1").is_empty());
    world.lose("s4");
    let names = world.names("c1");
    assert_eq!(
        names,
        ["NotifyNodeInformation", "NotifyPartitionChanges", "AnswerTransactionFinished"]
    );
    world.until("c2", "NotifyPartitionChanges");
    world.until("c2", "InvalidateObjects");
    assert_eq!(world.table().1, ["1O 2U", "3U 4O", "1O 2U", "3U 4O"]);
}

#[test]
fn a_cluster_without_a_partition_goes_back_to_recovery_and_returns_by_itself() {
    let mut world = running(options(), &["s1", "s2"]);
    world.join_client("c1");
    let ttid = world.begin("c1");
    world.finish("c1", ttid, &[0, 1]);
    let table = world.table();
    world.lose("s2");
    assert!(world.is_closed("c1"));
    assert!(!world.names("c1").contains(&"AnswerTransactionFinished"));
    let names = world.names("s1");
    assert!(
        names.ends_with(&[
            "StopOperation",
            "NotifyNodeInformation",
            "NotifyClusterInformation",
            "AskRecovery"
        ]) || names.contains(&"StopOperation"),
        "{names:?}"
    );
    assert_eq!(world.state(), ClusterState::Recovering);
    let answers = Answers::with_table(1, 0, rows(&["1U", "2U", "1U", "2U"]));
    assert_eq!(world.table(), table, "the last copies are not outdated");
    world.lose("s1");
    world.join_storage("s1", Some(storage(1)), 2001);
    world.join_storage("s2", Some(storage(2)), 2002);
    world.serve_all(&["s1", "s2"], &answers);
    assert_eq!(world.state(), ClusterState::Running);
}

#[test]
fn r25_tids_grow_when_the_clock_goes_back() {
    let mut world = running(options(), &["s1"]);
    world.join_client("c1");
    let mut last = 0;
    for step in 0..20 {
        let ttid = world.begin("c1");
        assert!(ttid.get() > last);
        world.now.unix -= Duration::from_millis(500 * (step % 3));
        world.finish("c1", ttid, &[1]);
        let tid = world.lock("s1");
        assert_eq!(tid.get() % 4, ttid.get() % 4);
        assert!(tid.get() > ttid.get());
        last = tid.get();
        world.finished("c1");
    }
}

#[test]
fn a_client_may_choose_a_tid_if_it_is_alone() {
    let mut world = running(options(), &["s1"]);
    world.join_client("c1");
    world.join_client("c2");
    let tid = Tid::new(1_000_000);
    world.ask("c1", Message::AskBeginTransaction { tid: Some(tid) });
    let ttid = Ttid::new(1_000_000);
    assert_eq!(world.until_answer("c1"), Message::AnswerBeginTransaction { ttid });
    world.ask("c2", Message::AskBeginTransaction { tid: None });
    assert_eq!(code(world.until_answer("c2")), ErrorCode::ProtocolError);
    assert!(world.is_closed("c2"));
    world.skip("s1");
    world.finish("c1", ttid, &[u64::MAX >> 1]);
    assert_eq!(world.lock("s1"), tid);
    assert_eq!(world.finished("c1"), tid);
    world.ask("c1", Message::AskNewOIDs { count: 1 });
    let oids = vec![Oid::new((u64::MAX >> 1) + 1)];
    assert_eq!(world.until_answer("c1"), Message::AnswerNewOIDs { oids: oids.into() });
    world.ask("c1", Message::AskBeginTransaction { tid: Some(tid) });
    assert_eq!(code(world.until_answer("c1")), ErrorCode::ProtocolError);
}

#[test]
fn nothing_begins_while_a_storage_starts() {
    let mut world = four();
    world.lose("s1");
    world.identify("s1", NodeType::Storage, Some(storage(1)), Some(2001), net::Extra::default());
    world.ask("c1", Message::AskBeginTransaction { tid: None });
    assert!(!world.names("c1").contains(&"AnswerBeginTransaction"));
    world.until("s1", "StartOperation");
    world.send("s1", Message::NotifyReady {});
    assert!(world.names("c1").contains(&"AnswerBeginTransaction"));
}

#[test]
fn a_storage_that_is_just_starting_is_told_to_forget() {
    let mut world = four();
    world.lose("s1");
    let ttid = world.begin("c1");
    world.join_storage("s1", Some(storage(1)), 2001);
    world.until("s1", "StartOperation");
    // What it says takes its time, and the client was faster.
    world.finish("c1", ttid, &[0]);
    let names = world.names("s1");
    assert!(!names.contains(&"AskLockInformation"));
    assert!(names.contains(&"AbortTransaction"), "it may have voted");
}

#[test]
fn a_storage_that_came_later_does_not_lock() {
    let mut world = four();
    world.lose("s1");
    let ttid = world.begin("c1");
    world.join_storage("s1", Some(storage(1)), 2001);
    world.until("s1", "StartOperation");
    world.send("s1", Message::NotifyReady {});
    world.skip("s1");
    world.finish("c1", ttid, &[0]);
    let names = world.names("s1");
    assert!(!names.contains(&"AskLockInformation"));
    assert!(names.contains(&"AbortTransaction"), "it may have voted");
    // The next one is its business, too, though its cell is out of date.
    let ttid = world.begin("c2");
    world.finish("c2", ttid, &[0]);
    assert!(world.names("s1").contains(&"AskLockInformation"));
}
