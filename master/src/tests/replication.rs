//! Cells that become readable.

use std::time::Duration;

use engine::disk::MemoryDisk;
use model::{NodeState, PartitionId, Tid};
use net::Message;

use super::cluster::*;
use super::world::*;
use crate::MasterOptions;

fn done(world: &mut World, name: &'static str, partition: u32) {
    let partition = PartitionId::new(partition);
    world.send(name, Message::NotifyReplicationDone { partition, tid: Tid::ZERO });
}

/// S2 came back: its cells are out of date.
fn outdated() -> World {
    let mut world = running(MasterOptions { replicas: 1, ..options() }, &["s1", "s2"]);
    world.lose("s2");
    world.join_storage("s2", Some(storage(2)), 2002);
    world.until("s2", "StartOperation");
    world.send("s2", Message::NotifyReady {});
    assert_eq!(world.table().1, vec!["1U 2O"; 4]);
    world
}

fn ask(world: &mut World, partitions: &[u32]) -> Message {
    let partitions = partitions.iter().map(|number| PartitionId::new(*number)).collect();
    world.ask("s2", Message::AskUnfinishedTransactions { partitions });
    world.until_answer("s2")
}

#[test]
fn r12_only_who_asked_since_it_became_out_of_date_is_heeded() {
    let mut world = outdated();
    done(&mut world, "s2", 0);
    assert_eq!(world.table().1, vec!["1U 2O"; 4], "it has not asked");
    ask(&mut world, &[0, 1]);
    done(&mut world, "s2", 0);
    assert_eq!(world.table().1, ["1U 2U", "1U 2O", "1U 2O", "1U 2O"]);
    done(&mut world, "s2", 2);
    done(&mut world, "s1", 1);
    assert_eq!(world.table().1, ["1U 2U", "1U 2O", "1U 2O", "1U 2O"]);
    // What it asked on another connection is forgotten.
    world.lose("s2");
    world.join_storage("s2", Some(storage(2)), 2002);
    done(&mut world, "s2", 1);
    assert_eq!(world.table().1, vec!["1U 2O"; 4]);
}

#[test]
fn who_replicates_is_told_the_end_of_what_was_pending() {
    let mut world = outdated();
    world.join_client("c1");
    world.join_client("c2");
    let first = world.begin("c1");
    let second = world.begin("c2");
    let answer = ask(&mut world, &[0]);
    let ttids = vec![first, second];
    let expected = Message::AnswerUnfinishedTransactions { last_tid: Tid::ZERO, ttids };
    assert_eq!(answer, expected);
    world.skip("s1");
    world.finish("c1", first, &[1]);
    let tid = world.lock("s1");
    world.lock("s2");
    let (_, message) = world.until("s2", "NotifyTransactionFinished");
    assert_eq!(message, Message::NotifyTransactionFinished { ttid: first, tid });
    world.send("c2", Message::AbortTransaction { ttid: second, nids: vec![] });
    world.until("s2", "AbortTransaction");
}

#[test]
fn feeding_cells_go_when_the_others_are_readable() {
    let mut world = running(options(), &["s1"]);
    let nid = world.join_storage("s2", None, 2002);
    world.ask("admin", Message::AddPendingNodes { nids: vec![nid] });
    world.until("s2", "StartOperation");
    world.send("s2", Message::NotifyReady {});
    world.ask("admin", Message::TweakPartitionTable { dry_run: false, excluded: vec![] });
    assert_eq!(world.table().1, ["1U", "1F 2O", "1U", "1F 2O"]);
    ask(&mut world, &[1, 3]);
    world.skip("s1");
    done(&mut world, "s2", 1);
    assert_eq!(world.table().1, ["1U", "2U", "1U", "1F 2O"]);
    let (_, message) = world.until("s1", "NotifyPartitionChanges");
    let Message::NotifyPartitionChanges { changes, .. } = message else { panic!() };
    let changes: Vec<String> =
        changes.iter().map(|change| format!("{} {}", change.nid, change.state)).collect();
    assert_eq!(changes, ["S2 UP_TO_DATE", "S1 DISCARDED"]);
}

#[test]
fn a_feeding_cell_stays_when_the_new_one_is_lost() {
    let mut world = running(options(), &["s1"]);
    let nid = world.join_storage("s2", None, 2002);
    world.ask("admin", Message::AddPendingNodes { nids: vec![nid] });
    world.until("s2", "StartOperation");
    world.send("s2", Message::NotifyReady {});
    world.ask("admin", Message::TweakPartitionTable { dry_run: false, excluded: vec![] });
    world.lose("s2");
    assert_eq!(world.table().1, ["1U", "1F 2O", "1U", "1F 2O"]);
    world.skip("admin");
    world.ask("admin", Message::SetNodeState { nid, state: NodeState::Unknown });
    world.until_answer("admin");
    assert_eq!(world.table().1, vec!["1U"; 4]);
}

/// Its disk was replaced, so it comes as a new one, with its address and its cells.
#[test]
fn a_storage_with_cells_that_goes_before_it_was_added_is_down() {
    let disk = MemoryDisk::new(1);
    let options = MasterOptions { replicas: 1, autostart: Some(2), ..options() };
    let mut world = World::open(options, Some(&disk), Duration::ZERO).unwrap();
    world.join_admin();
    world.join_storage("s1", None, 2001);
    world.join_storage("s2", None, 2002);
    world.serve_all(&["s1", "s2"], &Answers::empty());
    world.lose("s2");
    let nid = world.join_storage("s2", None, 2002);
    assert_eq!(nid, storage(2));
    world.lose("s2");
    world.ask("admin", Message::SetNodeState { nid, state: NodeState::Unknown });
    world.until_answer("admin");
    assert_eq!(world.table().1, vec!["1U"; 4], "its cells go with it");
}
