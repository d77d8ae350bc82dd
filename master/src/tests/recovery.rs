//! Recovery: whose table counts, and who has to be there (R19).

use std::time::Duration;

use engine::disk::MemoryDisk;
use model::{ClusterState, NodeState, NodeType, Tid};
use net::{ErrorCode, Extra, Message};

use super::cluster::*;
use super::world::*;
use crate::{Error, MasterOptions};

fn two_replicas() -> Answers {
    Answers::with_table(5, 1, rows(&["1U 2U", "1U 2U", "1U 2U", "1U 2U"]))
}

/// The text with which an operator's start is refused.
fn denied(world: &mut World) -> String {
    match world.start() {
        Message::Error { code: ErrorCode::Denied, text } => {
            String::from_utf8(text.to_vec()).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

/// A cluster of two storages that has just begun.
fn begun(options: &MasterOptions, disk: &MemoryDisk) -> World {
    let mut world = World::open(options.clone(), Some(disk), Duration::ZERO).unwrap();
    world.join_storage("s1", None, 2001);
    world.join_storage("s2", None, 2002);
    world.serve_all(&["s1", "s2"], &Answers::empty());
    world
}

#[test]
fn r19_recovery_waits_for_all_nodes_with_readable_cells() {
    let mut world = World::new(options());
    world.join_admin();
    world.join_storage("s1", Some(storage(1)), 2001);
    world.serve("s1", &two_replicas());
    assert_eq!(world.state(), ClusterState::Recovering);
    assert_eq!(world.table().0, Some(5));
    world.join_storage("s2", Some(storage(2)), 2002);
    world.serve_all(&["s1", "s2"], &two_replicas());
    assert_eq!(world.state(), ClusterState::Running);
    assert_eq!(world.table(), (Some(5), vec!["1U 2U".to_owned(); 4]));
}

#[test]
fn an_operator_can_start_it_with_one_readable_cell_a_partition() {
    let mut world = World::new(options());
    world.join_admin();
    world.join_storage("s1", Some(storage(1)), 2001);
    world.serve("s1", &two_replicas());
    let answer = world.start();
    assert!(matches!(answer, Message::Error { code: ErrorCode::Ack, .. }), "{answer:?}");
    world.serve("s1", &two_replicas());
    assert_eq!(world.state(), ClusterState::Running);
    assert_eq!(world.table(), (Some(6), vec!["1U 2O".to_owned(); 4]));
}

#[test]
fn an_operator_cannot_start_it_while_a_partition_is_missing() {
    let mut world = World::new(options());
    world.join_admin();
    let answer = world.start();
    assert!(matches!(answer, Message::Error { code: ErrorCode::Denied, .. }), "{answer:?}");
    let answers = Answers::with_table(5, 0, rows(&["1U", "2U", "1U", "2U"]));
    world.join_storage("s1", Some(storage(1)), 2001);
    let answer = world.start();
    assert!(matches!(answer, Message::Error { code: ErrorCode::Denied, .. }), "it is entering");
    world.serve("s1", &answers);
    let text = denied(&mut world);
    assert!(text.contains("partition 1, 3: waiting for S2"), "{text}");
    assert_eq!(world.state(), ClusterState::Recovering);
    // When all are there it starts by itself.
    world.join_storage("s2", Some(storage(2)), 2002);
    world.serve_all(&["s1", "s2"], &answers);
    assert_eq!(world.state(), ClusterState::Running);
}

#[test]
fn the_highest_table_wins_whoever_comes_first() {
    let old = Answers::with_table(4, 0, rows(&["1U", "1U", "1U", "1U"]));
    let new = Answers::with_table(7, 0, rows(&["1U", "2U", "2U", "1U"]));
    for order in [[1, 2], [2, 1]] {
        let mut world = World::new(options());
        world.join_admin();
        for number in order {
            let (name, answers) = if number == 1 { ("s1", &old) } else { ("s2", &new) };
            let port = if number == 1 { 2001 } else { 2002 };
            world.join_storage(name, Some(storage(number)), port);
            // Both are there before anything is decided.
            let (id, _) = world.until(name, "AskRecovery");
            let table_id = answers.table.as_ref().map(|one| model::PartitionTableId::new(one.0));
            let (backup_tid, truncate_tid) = (None, None);
            world.answer(name, id, Message::AnswerRecovery { table_id, backup_tid, truncate_tid });
        }
        for _ in 0..3 {
            world.serve("s1", &old);
            world.serve("s2", &new);
        }
        assert_eq!(world.state(), ClusterState::Running, "{order:?}");
        let rows = ["1U", "2U", "2U", "1U"].map(str::to_owned).to_vec();
        assert_eq!(world.table(), (Some(7), rows));
    }
}

#[test]
fn two_tables_of_one_id_are_refused_and_shown() {
    let mut world = World::new(options());
    world.join_admin();
    let one = Answers::with_table(5, 1, rows(&["1U 2U", "1U 2U", "1U 2U", "1U 2U"]));
    let other = Answers::with_table(5, 1, rows(&["1U 2U", "1U 2U", "1U 2U", "1O 2U"]));
    world.join_storage("s1", Some(storage(1)), 2001);
    world.serve("s1", &one);
    world.join_storage("s2", Some(storage(2)), 2002);
    world.serve("s2", &other);
    assert_eq!(world.state(), ClusterState::Recovering);
    let Message::Error { code: ErrorCode::Denied, text } = world.start() else { panic!() };
    let text = String::from_utf8(text.to_vec()).unwrap();
    assert!(text.contains("3=[S1:UP_TO_DATE S2:UP_TO_DATE]"), "{text}");
    assert!(text.contains("3=[S1:OUT_OF_DATE S2:UP_TO_DATE]"), "{text}");
    // Without the other one there is no doubt.
    world.lose("s2");
    world.start();
    world.serve("s1", &one);
    assert_eq!(world.state(), ClusterState::Running);
}

#[test]
fn an_empty_database_does_not_stand_for_a_full_one() {
    let mut world = World::new(options());
    let full = Answers { last_tid: Some(Tid::new(9)), ..two_replicas() };
    world.join_admin();
    world.join_storage("s1", Some(storage(1)), 2001);
    world.join_storage("s2", Some(storage(2)), 2002);
    world.serve("s1", &full);
    world.serve("s2", &Answers::empty());
    world.serve("s1", &full);
    world.serve("s2", &Answers::empty());
    assert_eq!(world.state(), ClusterState::Recovering, "S2 lost its database");
    world.start();
    world.serve("s1", &full);
    world.serve("s2", &Answers::empty());
    world.serve("s1", &full);
    assert_eq!(world.state(), ClusterState::Running);
    assert_eq!(world.table(), (Some(6), vec!["1U 2O".to_owned(); 4]));
}

#[test]
fn the_log_knows_the_table_and_only_empty_storages_never_start_by_themselves() {
    let disk = MemoryDisk::new(1);
    let options = MasterOptions { autostart: Some(1), ..options() };
    let mut world = World::open(options.clone(), Some(&disk), Duration::ZERO).unwrap();
    world.join_storage("s1", None, 2001);
    world.serve("s1", &Answers::empty());
    drop(world);

    let mut world = World::open(options, Some(&disk), Duration::from_secs(9)).unwrap();
    world.join_admin();
    assert_eq!(world.table(), (Some(1), vec!["1U".to_owned(); 4]));
    world.join_storage("s1", Some(storage(1)), 2001);
    world.serve("s1", &Answers::empty());
    assert_eq!(world.state(), ClusterState::Recovering);
    world.start();
    world.serve("s1", &Answers::empty());
    assert_eq!(world.state(), ClusterState::Running, "a database that was never used");
}

/// A first start that ends before S2 has the table.
fn interrupted(log: bool) -> World {
    let disk = log.then(|| MemoryDisk::new(1));
    let options = MasterOptions { autostart: Some(2), ..options() };
    let mut world = World::open(options.clone(), disk.as_ref(), Duration::ZERO).unwrap();
    for (number, name) in [(1, "s1"), (2, "s2")] {
        world.join_storage(name, None, 2000 + number);
        let (id, _) = world.until(name, "AskRecovery");
        let (table_id, backup_tid, truncate_tid) = (None, None, None);
        world.answer(name, id, Message::AnswerRecovery { table_id, backup_tid, truncate_tid });
    }
    world.until("s1", "SendPartitionTable");
    drop(world);
    let mut world = World::open(options, disk.as_ref(), Duration::from_secs(9)).unwrap();
    world.join_admin();
    for (number, name) in [(1, "s1"), (2, "s2")] {
        world.join_storage(name, Some(storage(u32::from(number))), 2000 + number);
    }
    world
}

#[test]
fn a_first_start_that_was_interrupted_goes_on_by_itself() {
    let mut world = interrupted(true);
    let first = Answers::with_table(1, 0, rows(&["1U", "2U", "1U", "2U"]));
    let mut has_table = false;
    for _ in 0..4 {
        world.serve("s1", &first);
        let names = world.serve("s2", &Answers::empty());
        let of = |wanted: &str| names.iter().position(|name| *name == wanted);
        // Before it has a table it cannot be asked for last ids.
        assert!(of("AskLastIDs").is_none() || of("SendPartitionTable").is_some() || has_table);
        has_table |= of("SendPartitionTable").is_some();
    }
    assert_eq!(world.state(), ClusterState::Running);
    assert_eq!(world.table(), (Some(1), ["1U", "2U", "1U", "2U"].map(str::to_owned).to_vec()));
}

/// Whatever the log has of it, the storages, which know nothing, are those of the table.
#[test]
fn a_first_start_that_was_interrupted_anywhere_goes_on_by_itself() {
    let options = MasterOptions { autostart: Some(2), ..options() };
    let mut tables = 0;
    for operation in 0..20 {
        let disk = MemoryDisk::new(1);
        let mut world = World::open(options.clone(), Some(&disk), Duration::ZERO).unwrap();
        for (number, name) in [(1, "s1"), (2, "s2")] {
            world.join_storage(name, None, 2000 + number);
        }
        disk.schedule(disk.operations() + operation, engine::disk::Fault::Crash);
        for name in ["s1", "s2"] {
            let (id, _) = world.until(name, "AskRecovery");
            let (table_id, backup_tid, truncate_tid) = (None, None, None);
            world.answer(name, id, Message::AnswerRecovery { table_id, backup_tid, truncate_tid });
        }
        drop(world);
        let disk = disk.keep_all();
        let mut world = World::open(options.clone(), Some(&disk), Duration::from_secs(9)).unwrap();
        tables += u32::from(world.master.table().is_some());
        world.join_admin();
        for (number, name) in [(1, "s2"), (2, "s1")] {
            world.join_storage(name, None, 2003 - number);
        }
        world.serve_all(&["s1", "s2"], &Answers::empty());
        assert_eq!(world.state(), ClusterState::Running, "after operation {operation}");
    }
    assert!((1..20).contains(&tables), "{tables}");
}

/// Nobody knows then whether the empty one is the one that has the cells.
#[test]
fn a_first_start_that_was_interrupted_does_not_go_on_without_its_log() {
    let mut world = interrupted(false);
    let first = Answers::with_table(1, 0, rows(&["1U", "2U", "1U", "2U"]));
    for _ in 0..4 {
        world.serve("s1", &first);
        world.serve("s2", &Answers::empty());
    }
    assert_eq!(world.state(), ClusterState::Recovering);
    let text = denied(&mut world);
    assert!(text.contains("partition 1, 3: the database of S2 is empty"), "{text}");
}

#[test]
fn an_empty_database_beside_one_that_was_used_is_named() {
    let first = Answers::with_table(1, 0, rows(&["1U", "2U", "1U", "2U"]));
    let used = [
        Answers { last_tid: Some(Tid::new(9)), ..first.clone() },
        Answers { last_oid: Some(model::Oid::ZERO), ..first.clone() },
        Answers { locked: vec![(model::Ttid::new(9), None)], ..first },
    ];
    for answers in used {
        let mut world = interrupted(true);
        for _ in 0..4 {
            world.serve("s1", &answers);
            world.serve("s2", &Answers::empty());
        }
        assert_eq!(world.state(), ClusterState::Recovering);
        let text = denied(&mut world);
        assert!(text.contains("partition 1, 3: the database of S2 is empty"), "{text}");
    }
}

#[test]
fn an_empty_database_does_not_count_where_ids_were_given_out() {
    let disk = MemoryDisk::new(1);
    let options = MasterOptions { autostart: Some(2), ..options() };
    drop(begun(&options, &disk));

    let mut world = World::open(options, Some(&disk), Duration::from_secs(9)).unwrap();
    world.join_admin();
    world.join_storage("s1", Some(storage(1)), 2001);
    world.join_storage("s2", Some(storage(2)), 2002);
    world.serve("s1", &Answers::with_table(1, 0, rows(&["1U", "2U", "1U", "2U"])));
    world.serve("s2", &Answers::empty());
    let text = denied(&mut world);
    assert!(text.contains("the database of S2 is empty"), "{text}");
    assert_eq!(world.state(), ClusterState::Recovering);
}

#[test]
fn an_operator_cannot_take_an_empty_database_for_a_new_one_while_another_is_missing() {
    let disk = MemoryDisk::new(1);
    let options = MasterOptions { autostart: Some(2), replicas: 1, ..options() };
    drop(begun(&options, &disk));

    // S1 lost its disk. S2, which has everything, comes later.
    let mut world = World::open(options, Some(&disk), Duration::from_secs(9)).unwrap();
    world.join_admin();
    world.join_storage("s1", Some(storage(1)), 2001);
    world.serve("s1", &Answers::empty());
    let text = denied(&mut world);
    assert!(text.contains("waiting for S2; the database of S1 is empty"), "{text}");
    world.join_storage("s2", Some(storage(2)), 2002);
    let full = Answers::with_table(1, 1, rows(&["1U 2U", "1U 2U", "1U 2U", "1U 2U"]));
    for _ in 0..2 {
        world.serve("s2", &full);
        world.serve("s1", &Answers::empty());
        world.start();
    }
    world.serve_all(&["s2", "s1"], &full);
    assert_eq!(world.state(), ClusterState::Running);
    assert_eq!(world.table().1, vec!["1O 2U"; 4]);
}

#[test]
fn a_database_in_backup_mode_does_not_start() {
    let mut world = World::new(options());
    world.join_admin();
    world.join_storage("s1", Some(storage(1)), 2001);
    let plain = Answers::with_table(5, 0, rows(&["1U", "1U", "1U", "1U"]));
    world.serve("s1", &Answers { backup: Some(Tid::new(77)), ..plain.clone() });
    assert_eq!(world.state(), ClusterState::Recovering);
    let text = denied(&mut world);
    assert!(text.contains("S1 has a database in backup mode"), "{text}");
    assert_eq!(world.state(), ClusterState::Recovering);
    world.lose("s1");
    world.join_storage("s1", Some(storage(1)), 2001);
    world.serve("s1", &plain);
    assert_eq!(world.state(), ClusterState::Running);
}

#[test]
fn the_log_has_a_higher_table_than_the_storages() {
    let disk = MemoryDisk::new(1);
    let options = MasterOptions { autostart: Some(2), replicas: 1, ..options() };
    let mut world = begun(&options, &disk);
    world.lose("s2");
    drop(world);

    let mut world = World::open(options, Some(&disk), Duration::from_secs(9)).unwrap();
    world.join_admin();
    assert_eq!(world.table(), (Some(2), vec!["1U 2O".to_owned(); 4]));
    let old = Answers::with_table(1, 1, rows(&["1U 2U", "1U 2U", "1U 2U", "1U 2U"]));
    world.join_storage("s2", Some(storage(2)), 2002);
    world.serve("s2", &old);
    assert_eq!(world.state(), ClusterState::Recovering, "S2 missed what S1 has");
    world.join_storage("s1", Some(storage(1)), 2001);
    world.serve_all(&["s1", "s2"], &old);
    assert_eq!(world.state(), ClusterState::Running);
    assert_eq!(world.table(), (Some(2), vec!["1U 2O".to_owned(); 4]));
}

#[test]
fn the_storages_have_a_higher_table_than_the_log() {
    let disk = MemoryDisk::new(1);
    let options = MasterOptions { autostart: Some(1), ..options() };
    let mut world = World::open(options.clone(), Some(&disk), Duration::ZERO).unwrap();
    world.join_storage("s1", None, 2001);
    world.serve("s1", &Answers::empty());
    drop(world);

    let newer = Answers::with_table(9, 0, rows(&["1U", "1U", "1U", "1U"]));
    let mut world = World::open(options.clone(), Some(&disk), Duration::from_secs(9)).unwrap();
    world.join_admin();
    world.join_storage("s1", Some(storage(1)), 2001);
    world.serve("s1", &newer);
    assert_eq!(world.state(), ClusterState::Running);
    drop(world);
    let mut world = World::open(options, Some(&disk), Duration::from_secs(19)).unwrap();
    assert_eq!(world.table().0, Some(9), "it was taken over");
}

#[test]
fn a_log_of_another_cluster_is_refused() {
    let disk = MemoryDisk::new(1);
    World::open(options(), Some(&disk), Duration::ZERO).unwrap();
    let other = MasterOptions { cluster: Some("other".to_owned()), ..options() };
    let refused = World::open(other, Some(&disk), Duration::ZERO).err().unwrap();
    assert!(matches!(refused, Error::OtherCluster { .. }), "{refused}");
    // Without a name it is what it was.
    let nameless = MasterOptions { cluster: None, ..options() };
    let world = World::open(nameless, Some(&disk), Duration::ZERO).unwrap();
    assert_eq!(world.master.cluster(), "test");
}

#[test]
fn t23_a_name_is_made_up_once() {
    let disk = MemoryDisk::new(1);
    let nameless = MasterOptions { cluster: None, ..options() };
    let name = |seed| {
        let options = MasterOptions { seed, ..nameless.clone() };
        let world = World::open(options, Some(&disk), Duration::ZERO).unwrap();
        world.master.cluster().to_owned()
    };
    let first = name(1);
    assert!(first.starts_with("neolith-"), "{first}");
    assert_eq!(name(2), first);
}

#[test]
fn other_masters_are_refused() {
    let masters = vec![address(1000), address(1001)];
    let refused = World::open(MasterOptions { masters, ..options() }, None, Duration::ZERO);
    assert!(matches!(refused.err(), Some(Error::SeveralMasters { .. })));

    let mut world = World::new(options());
    world.identify("m2", NodeType::Master, None, Some(1001), Extra::default());
    let Message::Error { code, text } = world.answered("m2") else { panic!() };
    assert_eq!(code, ErrorCode::ProtocolError);
    assert!(String::from_utf8_lossy(&text).contains("several masters come later"));
    assert!(world.is_closed("m2"));
}

#[test]
fn r18_an_unfinished_truncation_needs_all_nodes_and_is_repeated() {
    let mut world = World::new(options());
    world.join_admin();
    let table = rows(&["1U 2O", "1U 2O", "1U 2O", "1U 2O"]);
    let plain = Answers::with_table(5, 1, table);
    let tid = Tid::new(1000);
    let truncating = Answers { truncate: Some(tid), ..plain.clone() };
    world.join_storage("s1", Some(storage(1)), 2001);
    world.serve("s1", &truncating);
    assert_eq!(world.state(), ClusterState::Recovering, "S2 is to truncate too");
    world.join_storage("s2", Some(storage(2)), 2002);
    // It does not know of it: it is told, and asked again.
    let (id, _) = world.until("s2", "AskRecovery");
    let table_id = Some(model::PartitionTableId::new(5));
    let (backup_tid, truncate_tid) = (None, None);
    world.answer("s2", id, Message::AnswerRecovery { table_id, backup_tid, truncate_tid });
    let (id, _) = world.until("s2", "AskPartitionTable");
    let (_, replicas, rows) = plain.table.clone().unwrap();
    let table_id = model::PartitionTableId::new(5);
    world.answer("s2", id, Message::AnswerPartitionTable { table_id, replicas, rows });
    let (_, message) = world.until("s2", "Truncate");
    assert_eq!(message, Message::Truncate { tid });
    assert_eq!(world.state(), ClusterState::Recovering);
    world.serve("s2", &truncating);
    world.serve_all(&["s1", "s2"], &truncating);
    assert_eq!(world.state(), ClusterState::Running);
    world.ask("admin", Message::AskRecovery {});
    let answer = world.until_answer("admin");
    assert!(matches!(answer, Message::AnswerRecovery { truncate_tid: None, .. }), "{answer:?}");
}

#[test]
fn t8_early_clients_wait_and_are_taken_in_when_it_runs() {
    let mut world = World::new(MasterOptions { autostart: Some(1), ..options() });
    world.identify("c1", NodeType::Client, None, None, Extra::default());
    world.identify("c2", NodeType::Client, None, None, Extra::default());
    assert_eq!(world.names("c1"), [""; 0]);
    world.lose("c2");
    world.join_storage("s1", None, 2001);
    world.serve("s1", &Answers::empty());
    let expected = ["AcceptIdentification", "NotifyNodeInformation", "SendPartitionTable"];
    assert_eq!(world.names("c1"), expected);
}

#[test]
fn r21_timestamps_grow_and_the_own_entry_comes_first() {
    let mut world = running(options(), &["s1"]);
    let mut last = 0.0;
    for _ in 0..5 {
        // A clock that goes back.
        world.now.unix -= Duration::from_secs(1);
        let nid = world.join_storage("s9", None, 2009);
        let (_, message) = world.until("s9", "NotifyNodeInformation");
        let Message::NotifyNodeInformation { timestamp, nodes } = message else { panic!() };
        assert_eq!((nodes[0].nid, nodes[0].state), (Some(nid), NodeState::Pending));
        let own = nodes[0].id_timestamp.unwrap();
        assert!(own.0 > last && timestamp.0 > own.0);
        last = timestamp.0;
        world.lose("s9");
    }
}
