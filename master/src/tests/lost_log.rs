//! A log that was lost, or is an old copy; and the ids of storages then.

use std::time::Duration;

use engine::disk::{Fault, MemoryDisk};
use model::{ClusterState, Nid, NodeState, NodeType, Tid};
use net::{Action, ErrorCode, Event, Extra, Machine, Message};

use super::cluster::*;
use super::world::*;
use crate::{Error, MasterExit, MasterOptions};

/// A cluster of one storage that operates, with its log.
fn operating(disk: &MemoryDisk) -> World {
    let options = MasterOptions { autostart: Some(1), ..options() };
    let mut world = World::open(options, Some(disk), Duration::ZERO).unwrap();
    world.join_admin();
    world.join_storage("s1", None, 2001);
    world.serve("s1", &Answers::empty());
    world.join_client("c1");
    world.skip("s1");
    world
}

fn commit(world: &mut World) -> Tid {
    let ttid = world.begin("c1");
    world.skip("s1");
    world.finish("c1", ttid, &[1]);
    let tid = world.lock("s1");
    world.finished("c1");
    tid
}

/// A copy of the log of a master that is to truncate, and has told nobody yet.
fn truncating(world: &mut World, disk: &MemoryDisk, tid: Tid) -> MemoryDisk {
    world.ask("admin", Message::Truncate { tid });
    assert!(matches!(world.until_answer("admin"), Message::Error { code: ErrorCode::Ack, .. }));
    disk.snapshot()
}

fn table(id: u64, last_tid: Tid) -> Answers {
    let table = Answers::with_table(id, 0, rows(&["1U", "1U", "1U", "1U"]));
    Answers { last_tid: Some(last_tid), ..table }
}

/// Starts with a copy of a log; returns what the storage was asked, and the refusal to start.
fn restarted(copy: &MemoryDisk, after: Duration, answers: &Answers) -> (World, Vec<&'static str>) {
    let mut world = World::open(options(), Some(copy), after).unwrap();
    world.join_admin();
    world.join_storage("s1", Some(storage(1)), 2001);
    let names = world.serve("s1", answers);
    (world, names)
}

#[test]
fn an_old_copy_of_a_log_truncates_nothing() {
    let disk = MemoryDisk::new(1);
    let mut world = operating(&disk);
    let (first, second) = (commit(&mut world), commit(&mut world));
    let copy = truncating(&mut world, &disk, first);
    drop(world);

    // It is the right one: the storage is told what it has not heard yet.
    let after = Duration::from_secs(1);
    let mut world = World::open(options(), Some(&copy.snapshot()), after).unwrap();
    world.join_storage("s1", Some(storage(1)), 2001);
    let names: Vec<&str> = (0..5).map(|_| world.serve_one("s1", &table(1, second))).collect();
    assert!(names.contains(&"Truncate"), "{names:?}");
    drop(world);

    // The storages have a newer table: the truncation is long over, and so is its intent.
    let stale = copy.snapshot();
    let after = Duration::from_secs(100);
    let late = Tid::new(second.get() + (2 << 32));
    let (mut world, names) = restarted(&stale, after, &table(7, late));
    assert!(!names.contains(&"Truncate"), "{names:?}");
    assert_eq!(world.state(), ClusterState::Running);
    drop(world);
    let (_, names) = restarted(&stale, after, &table(7, late));
    assert!(!names.contains(&"Truncate"), "{names:?}");

    // The same table, and a transaction that the log knows nothing of.
    let (mut world, names) = restarted(&copy, after, &table(1, late));
    assert!(!names.contains(&"Truncate"), "{names:?}");
    assert_eq!(world.state(), ClusterState::Recovering);
    let Message::Error { code: ErrorCode::Denied, text } = world.start() else { panic!() };
    let text = String::from_utf8(text.to_vec()).unwrap();
    assert!(text.contains("it is an old copy"), "{text}");
    world.serve("s1", &table(1, late));
    assert!(!world.names("s1").contains(&"Truncate"));
}

/// The log is lost, and an empty storage is given an id that another one has in its database.
#[test]
fn a_storage_gets_the_id_that_is_in_its_database() {
    let mut world = World::new(options());
    world.join_admin();
    assert_eq!(world.join_storage("new", None, 2002), storage(1));
    world.serve("new", &Answers::empty());
    assert_eq!(world.join_storage("s1", Some(storage(1)), 2001), storage(1));
    assert!(world.is_closed("new"));
    world.serve("s1", &table(5, Tid::new(1000)));
    assert_eq!(world.state(), ClusterState::Running);
    // It noted the id that it was given, and gets another one.
    world.lose("new");
    let nid = world.join_storage("new", Some(storage(1)), 2002);
    assert_eq!(nid, storage(2));
    assert_eq!(world.table(), (Some(5), vec!["1U".to_owned(); 4]));
    // Nobody displaces one that holds something.
    world.identify("x", NodeType::Storage, Some(storage(1)), Some(2009), Extra::default());
    assert!(matches!(world.until_answer("x"), Message::Error { .. }));
    assert!(!world.is_closed("s1"));
}

/// The same, and the empty one comes back with that id while the other one is away: to a master
/// that knows of no transaction, as it lost its log, and would not know it from one that was never
/// used.
#[test]
fn r19_an_empty_storage_does_not_stand_for_one_that_had_a_database() {
    for with_table in [false, true] {
        let disk = MemoryDisk::new(1);
        let options = || MasterOptions { autostart: Some(1), ..options() };
        let mut world = World::open(options(), Some(&disk), Duration::ZERO).unwrap();
        world.join_storage("s1", Some(storage(1)), 2001);
        let of_s1 = table(5, Tid::new(1000));
        let last = if with_table { "AskPartitionTable" } else { "AskRecovery" };
        while world.serve_one("s1", &of_s1) != last {}
        world.lose("s1");

        for after in [0, 1, 2] {
            if after > 0 {
                let after = Duration::from_secs(after);
                world = World::open(options(), Some(&disk.snapshot()), after).unwrap();
            }
            world.join_admin();
            world.join_storage("empty", Some(storage(1)), 2002);
            world.serve("empty", &Answers::empty());
            assert_eq!(world.state(), ClusterState::Recovering);
            let Message::Error { code: ErrorCode::Denied, text } = world.start() else { panic!() };
            let text = String::from_utf8(text.to_vec()).unwrap();
            let reasons = ["S1", "has partition table 5", "had a database"];
            assert!(reasons.iter().any(|reason| text.contains(reason)), "{text}");
            world.serve("empty", &Answers::empty());
            assert_eq!(world.state(), ClusterState::Recovering);
        }

        assert_eq!(world.join_storage("s1", Some(storage(1)), 2001), storage(1));
        world.serve("s1", &of_s1);
        assert_eq!(world.state(), ClusterState::Running);
    }
}

/// The log is lost, and what an empty storage was given is the id of one with data that is away, as
/// another one tells who has no data.
#[test]
fn r19_an_empty_storage_gives_up_an_id_that_the_table_has() {
    let first = || Answers::with_table(1, 0, rows(&["1U", "1U", "1U", "1U"]));
    let mut world = World::new(MasterOptions { autostart: Some(2), ..options() });
    world.join_admin();
    assert_eq!(world.join_storage("empty", None, 2002), storage(1));
    world.serve("empty", &Answers::empty());
    world.join_storage("s3", Some(storage(3)), 2003);
    world.serve("s3", &first());
    assert!(world.is_closed("empty"));
    world.lose("empty");
    assert_eq!(world.join_storage("empty", None, 2002), storage(2));
    world.serve("empty", &Answers::empty());
    assert_eq!(world.state(), ClusterState::Recovering);
    world.join_storage("s1", Some(storage(1)), 2001);
    let full = Answers { last_tid: Some(Tid::new(1000)), ..first() };
    for _ in 0..3 {
        world.serve("s1", &full);
        world.serve("s3", &first());
        world.serve("empty", &Answers::empty());
    }
    assert_eq!(world.state(), ClusterState::Running);
    assert!(!world.is_closed("empty"));
}

#[test]
fn r19_an_id_that_a_storage_keeps_is_given_to_nobody_else() {
    let disk = MemoryDisk::new(1);
    let mut world = operating(&disk);
    assert_eq!(world.join_storage("s2", None, 2002), storage(2));
    world.lose("s2");
    drop(world);
    let (mut world, _) = restarted(&disk, Duration::from_secs(1), &table(1, Tid::new(1000)));
    assert_eq!(world.state(), ClusterState::Running, "it is not waited for");
    // But it has its id in its database, and comes back with it.
    assert_eq!(world.join_storage("s3", None, 2003), storage(3));
    assert_eq!(world.join_storage("s2", Some(storage(2)), 2002), storage(2));
    // One that is remembered and not in the table any more can be dropped.
    world.ask("admin", Message::AddPendingNodes { nids: vec![storage(3)] });
    world.until_answer("admin");
    world.ask("admin", Message::TweakPartitionTable { dry_run: false, excluded: vec![] });
    world.until_answer("admin");
    assert!(world.table().1.iter().any(|row| row.contains('3')));
    drop(world);
    let (mut world, _) = restarted(&disk, Duration::from_secs(2), &table(9, Tid::new(1000)));
    let unknown = |nid: Nid| Message::SetNodeState { nid, state: NodeState::Unknown };
    assert_eq!(world.join_storage("s4", None, 2004), storage(4), "the others are taken");
    world.lose("s4");
    world.ask("admin", unknown(storage(3)));
    let answer = world.until_answer("admin");
    assert!(matches!(answer, Message::Error { code: ErrorCode::Ack, .. }), "{answer:?}");
    world.ask("admin", unknown(storage(3)));
    let answer = world.until_answer("admin");
    assert!(matches!(answer, Message::Error { code: ErrorCode::Denied, .. }), "{answer:?}");
    assert_eq!(world.join_storage("s5", None, 2005), storage(5), "also that of a dropped one");
}

#[test]
fn a_storage_with_the_last_id_leaves_room_for_others() {
    let mut world = operating(&MemoryDisk::new(1));
    let last = storage(Nid::NUMBER_MAX);
    assert_eq!(world.join_storage("s2", Some(last), 2002), last);
    assert_eq!(world.join_storage("s3", None, 2003), storage(2));
    assert_eq!(world.join_storage("s4", None, 2004), storage(3));
}

/// What failed once is never acknowledged, whatever happens afterwards.
#[test]
fn a_master_whose_log_failed_does_nothing_more() {
    for fault in [Fault::SyncError, Fault::WriteError] {
        let disk = MemoryDisk::new(1);
        let mut world = operating(&disk);
        world.skip("admin");
        disk.schedule(disk.operations(), fault);
        world.ask("admin", Message::SetNumReplicas { replicas: 1 });
        let failed = matches!(world.exit, Some(MasterExit::Failed(Error::Disk { .. })));
        assert!(failed, "{fault:?}: {:?}", world.exit);
        let operations = disk.operations();
        for _ in 0..5 {
            world.now.monotonic += Duration::from_secs(1);
            world.master.handle(world.now, Event::Disk);
            world.pump();
        }
        world.ask("admin", Message::AskClusterState {});
        assert_eq!(world.names("admin"), [""; 0], "{fault:?}");
        assert_eq!(disk.operations(), operations, "{fault:?}");
    }
}

/// What comes while a change waits for space is bounded: its sender is not read from any more, and
/// again afterwards.
#[test]
fn who_sends_while_a_change_waits_for_space_is_not_read_from() {
    let disk = MemoryDisk::new(1);
    let mut world = operating(&disk);
    let link = world.remote("c1");
    let reads = |world: &mut World| {
        let actions = std::iter::from_fn(|| world.master.links().poll_action());
        let reads = actions.filter_map(|action| match action {
            Action::Read { link: other, on } if other == link => Some(on),
            _ => None,
        });
        reads.collect::<Vec<bool>>()
    };
    disk.schedule(disk.operations(), Fault::NoSpace);
    world.send_only("admin", Message::SetNumReplicas { replicas: 1 });
    world.master.handle(world.now, Event::Disk);
    assert_eq!(reads(&mut world), []);
    // A notification that is never finished.
    for _ in 0..3 {
        let bytes = bytes::BytesMut::zeroed(32 << 10);
        world.master.handle(world.now, Event::Received { link, bytes });
    }
    assert_eq!(reads(&mut world), [false]);
    for _ in 0..4 {
        world.now.monotonic += Duration::from_secs(2);
        world.master.handle(world.now, Event::Timer);
    }
    assert!(reads(&mut world).contains(&true));
}
