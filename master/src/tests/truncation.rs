//! Truncation: by all that have cells, also those that come late (R18).

use std::time::Duration;

use engine::disk::MemoryDisk;
use model::{ClusterState, NodeState, Tid};
use net::{ErrorCode, Message};

use super::cluster::*;
use super::world::*;
use crate::MasterOptions;

/// Two replicas, the second of which is gone before three commits, of which the last is to be
/// truncated. Also the tid that stays.
fn truncating(disk: Option<&MemoryDisk>) -> (World, Tid) {
    let options = MasterOptions { autostart: Some(2), replicas: 1, ..options() };
    let mut world = World::open(options, disk, Duration::ZERO).unwrap();
    world.join_admin();
    world.join_storage("s1", None, 2001);
    world.join_storage("s2", None, 2002);
    world.serve_all(&["s1", "s2"], &Answers::empty());
    world.lose("s2");
    world.join_client("c1");
    let mut tids = Vec::new();
    for _ in 0..3 {
        let ttid = world.begin("c1");
        world.skip("s1");
        world.finish("c1", ttid, &[1]);
        tids.push(world.lock("s1"));
        world.finished("c1");
    }
    world.skip("s1");
    world.ask("admin", Message::Truncate { tid: tids[1] });
    assert!(matches!(world.until_answer("admin"), Message::Error { code: ErrorCode::Ack, .. }));
    let answers = first_answers(tids[1]);
    world.serve("s1", &answers);
    assert_eq!(world.state(), ClusterState::Recovering, "S2 is to truncate too");
    (world, tids[1])
}

/// What S1 answers, which knows that S2 was lost.
fn first_answers(tid: Tid) -> Answers {
    let table = Answers::with_table(2, 1, rows(&["1U 2O", "1U 2O", "1U 2O", "1U 2O"]));
    Answers { truncate: Some(tid), last_tid: Some(tid), ..table }
}

/// What S2 answers, which does not.
fn second_answers(truncate: Option<Tid>) -> Answers {
    let table = Answers::with_table(1, 1, rows(&["1U 2U", "1U 2U", "1U 2U", "1U 2U"]));
    Answers { truncate, ..table }
}

#[test]
fn r18_a_storage_that_comes_late_truncates_before_it_counts() {
    let disk = MemoryDisk::new(1);
    let (mut world, tid) = truncating(Some(&disk));
    world.start();
    world.serve("s1", &first_answers(tid));
    assert_eq!(world.state(), ClusterState::Running);

    world.skip("s1");
    world.join_storage("s2", Some(storage(2)), 2002);
    let (id, _) = world.until("s2", "AskRecovery");
    let (table_id, backup_tid) = (Some(model::PartitionTableId::new(1)), None);
    let truncate_tid = None;
    world.answer("s2", id, Message::AnswerRecovery { table_id, backup_tid, truncate_tid });
    assert_eq!(world.request("s2").1, Message::Truncate { tid });
    let (id, message) = world.request("s2");
    assert_eq!(message, Message::AskLastIDs {});
    // Changes of the table are not for one that has no table.
    world.ask("admin", Message::SetNumReplicas { replicas: 2 });
    assert!(world.names("s1").contains(&"NotifyPartitionChanges"));
    assert!(world.skip("s2").is_empty());
    let (last_tid, last_oid, first_tid) = (Some(tid), None, tid);
    world.answer("s2", id, Message::AnswerLastIDs { last_tid, last_oid, first_tid });
    assert_eq!(world.names("s2"), ["SendPartitionTable", "StartOperation"]);
    // Once is enough.
    world.lose("s2");
    world.join_storage("s2", Some(storage(2)), 2002);
    let expected = ["NotifyNodeInformation", "SendPartitionTable", "StartOperation"];
    assert_eq!(world.names("s2"), expected);
}

#[test]
fn r18_what_a_late_storage_has_to_truncate_outlives_the_master_and_concerns_nobody_else() {
    let disk = MemoryDisk::new(1);
    let (mut world, tid) = truncating(Some(&disk));
    world.start();
    world.serve("s1", &first_answers(tid));
    world.join_storage("s2", Some(storage(2)), 2002);
    while world.serve_one("s2", &second_answers(None)) != "Truncate" {}
    drop(world);

    // It was told and has not done it. Those who have go on with what they have since.
    let options = MasterOptions { replicas: 1, ..options() };
    let mut world = World::open(options, Some(&disk), Duration::from_secs(9)).unwrap();
    world.join_admin();
    world.join_storage("s1", Some(storage(1)), 2001);
    world.join_storage("s2", Some(storage(2)), 2002);
    let newest = Answers { truncate: None, ..first_answers(tid) };
    let asked = world.serve("s2", &second_answers(Some(tid)));
    let expected =
        ["NotifyNodeInformation", "AskRecovery", "Truncate", "AskLastIDs", "AskRecovery"];
    assert_eq!(asked, expected);
    let asked = world.serve("s1", &newest);
    assert!(!asked.contains(&"Truncate"), "{asked:?}");
    world.serve("s2", &second_answers(None));
    world.serve("s1", &newest);
    assert_eq!(world.state(), ClusterState::Running);
    world.ask("admin", Message::AskRecovery {});
    let answer = world.until_answer("admin");
    assert!(matches!(answer, Message::AnswerRecovery { truncate_tid: None, .. }), "{answer:?}");
}

#[test]
fn r18_an_empty_database_has_nothing_to_truncate() {
    let disk = MemoryDisk::new(1);
    let (mut world, tid) = truncating(Some(&disk));
    world.start();
    world.serve("s1", &first_answers(tid));
    // S2 has lost its disk. It must not be asked for last ids before it has a table.
    world.join_storage("s2", Some(storage(2)), 2002);
    let names = world.serve("s2", &Answers::empty());
    let expected = ["NotifyNodeInformation", "AskRecovery", "SendPartitionTable", "StartOperation"];
    assert_eq!(names, expected);
    drop(world);
    let options = MasterOptions { replicas: 1, ..options() };
    let mut world = World::open(options, Some(&disk), Duration::from_secs(9)).unwrap();
    world.join_storage("s2", Some(storage(2)), 2002);
    let names = world.serve("s2", &Answers::empty());
    assert_eq!(names, ["NotifyNodeInformation", "AskRecovery"]);
}

#[test]
fn r18_without_a_log_nobody_may_be_missing() {
    let (mut world, tid) = truncating(None);
    let Message::Error { code: ErrorCode::Denied, text } = world.start() else { panic!() };
    let text = String::from_utf8(text.to_vec()).unwrap();
    assert!(text.contains("waiting for S2"), "{text}");
    world.serve("s1", &first_answers(tid));
    assert_eq!(world.state(), ClusterState::Recovering);
    world.join_storage("s2", Some(storage(2)), 2002);
    let answers = second_answers(None);
    let mut names = Vec::new();
    while !names.contains(&"Truncate") {
        names.push(world.serve_one("s2", &answers));
    }
}

/// S2 missed a truncation that it had been told of, and the log that knew is lost: the others have
/// long gone on.
#[test]
fn r18_who_has_no_readable_cells_truncates_nobody_else() {
    let mut world = World::new(options());
    world.join_admin();
    let table = Answers::with_table(5, 1, rows(&["1U 2O", "1U 2O", "1U 2O", "1U 2O"]));
    let told = Answers { truncate: Some(Tid::new(1000)), ..table.clone() };
    world.join_storage("s2", Some(storage(2)), 2002);
    world.serve("s2", &told);
    world.join_storage("s1", Some(storage(1)), 2001);
    let asked = world.serve("s1", &table);
    assert!(!asked.contains(&"Truncate"), "{asked:?}");
    world.serve("s2", &told);
    world.serve("s1", &table);
    assert_eq!(world.state(), ClusterState::Running);
}

#[test]
fn r18_only_who_has_cells_is_told_to_truncate() {
    let mut world = running(options(), &["s1"]);
    world.join_storage("s2", None, 2002);
    world.join_client("c1");
    let mut tids = Vec::new();
    for _ in 0..2 {
        let ttid = world.begin("c1");
        world.skip("s1");
        world.finish("c1", ttid, &[1]);
        tids.push(world.lock("s1"));
        world.finished("c1");
    }
    for name in ["s1", "s2"] {
        world.skip(name);
    }
    world.ask("admin", Message::Truncate { tid: tids[0] });
    world.until_answer("admin");
    world.until("s1", "Truncate");
    world.until("s2", "StopOperation");
    let table = rows(&["1U", "1U", "1U", "1U"]);
    let answers = Answers { last_tid: Some(tids[0]), ..Answers::with_table(1, 0, table) };
    for _ in 0..3 {
        let names = world.serve("s2", &answers);
        assert!(!names.contains(&"Truncate"), "{names:?}");
        world.serve("s1", &Answers { truncate: Some(tids[0]), ..answers.clone() });
    }
    assert_eq!(world.state(), ClusterState::Running, "{:?}", world.master.obstacle());
}

/// One of two storages was told, there is no log, and a third one is dropped before it starts.
#[test]
fn r18_a_truncation_that_a_storage_knows_of_outlives_a_drop() {
    let mut world = World::new(options());
    world.join_admin();
    let table = Answers::with_table(5, 2, rows(&["1U 2U 3O", "1U 2U 3O", "1U 2U 3O", "1U 2U 3O"]));
    let tid = Tid::new(1000);
    world.join_storage("s1", Some(storage(1)), 2001);
    world.serve("s1", &Answers { truncate: Some(tid), ..table.clone() });
    world.join_storage("s2", Some(storage(2)), 2002);
    world.serve("s2", &table);
    assert_eq!(world.state(), ClusterState::Recovering, "S3 is missing");
    let message = Message::SetNodeState { nid: storage(3), state: NodeState::Unknown };
    world.ask("admin", message);
    let answer = world.until_answer("admin");
    assert!(matches!(answer, Message::Error { code: ErrorCode::Ack, .. }), "{answer:?}");
    let mut asked = Vec::new();
    while !asked.contains(&"Truncate") {
        asked.push(world.serve_one("s2", &table));
    }
}
