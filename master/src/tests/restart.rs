//! What the log keeps across restarts, and what waits for it.

use std::time::Duration;

use engine::disk::{Fault, MemoryDisk};
use model::{ClusterState, Oid, Tid, Ttid};
use net::{Event, Machine, Message, Signal};

use super::cluster::*;
use super::world::*;
use crate::{Error, MasterExit, MasterOptions};

fn start(disk: &MemoryDisk, after: Duration, answers: &Answers) -> World {
    let options = MasterOptions { autostart: Some(1), ..options() };
    let mut world = World::open(options, Some(disk), after).unwrap();
    world.join_admin();
    world.join_storage("s1", Some(storage(1)), 2001);
    world.serve("s1", answers);
    assert_eq!(world.state(), ClusterState::Running);
    world.join_client("c1");
    world
}

fn oids(world: &mut World, count: u32) -> Vec<Oid> {
    world.ask("c1", Message::AskNewOIDs { count });
    match world.until_answer("c1") {
        Message::AnswerNewOIDs { oids } => oids.iter().collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn r25_ids_are_never_given_twice_whatever_is_lost_and_the_clock_says() {
    let mut disk = MemoryDisk::new(1);
    let (mut last_ttid, mut last_oid) = (Ttid::ZERO, Oid::ZERO);
    let table = Answers::with_table(1, 0, rows(&["1U", "1U", "1U", "1U"]));
    for round in 0..5 {
        let answers = if round == 0 { Answers::empty() } else { table.clone() };
        // The clock stands still from one life to the next, and goes back within.
        let mut world = start(&disk, Duration::ZERO, &answers);
        for _ in 0..10 {
            let ttid = world.begin("c1");
            assert!(ttid > last_ttid, "{round}: {ttid} after {last_ttid}");
            last_ttid = ttid;
            let oids = oids(&mut world, 10_000);
            assert!(oids[0] > last_oid);
            last_oid = *oids.last().unwrap();
            world.now.unix -= Duration::from_secs(1);
        }
        // Nothing of all this was committed; the machine loses power.
        disk = disk.lose_all_unsynced();
    }
}

/// Has a master end in good order.
fn terminate(world: &mut World) {
    world.master.handle(world.now, Event::Signal(Signal::Terminate));
    world.pump();
    assert!(matches!(world.exit, Some(MasterExit::Terminated)));
}

#[test]
fn tids_go_on_at_once_after_an_orderly_end_and_soon_after_a_crash() {
    // Tids have 2^32 units a minute.
    let second = (1 << 32) / 60;
    for is_orderly in [true, false] {
        let disk = MemoryDisk::new(1);
        let mut world = start(&disk, Duration::ZERO, &Answers::empty());
        let before = world.begin("c1");
        let oid = oids(&mut world, 1)[0];
        if is_orderly {
            terminate(&mut world);
        }
        drop(world);
        let table = Answers::with_table(1, 0, rows(&["1U", "1U", "1U", "1U"]));
        let mut world = start(&disk.lose_all_unsynced(), Duration::ZERO, &table);
        let after = world.begin("c1");
        let ahead = after.get() - before.get();
        let next = oids(&mut world, 1)[0];
        if is_orderly {
            assert_eq!((ahead, next.get()), (1, oid.get() + 1));
        } else {
            assert!(ahead > second / 2 && ahead < second * 2, "{ahead}");
            assert!(next > oid);
        }
    }
}

#[test]
fn r25_nothing_is_given_out_behind_the_marks_of_an_orderly_end() {
    let mut disk = MemoryDisk::new(1);
    let mut world = start(&disk, Duration::ZERO, &Answers::empty());
    let (mut last_ttid, mut last_oid) = (world.begin("c1"), oids(&mut world, 1)[0]);
    let table = Answers::with_table(1, 0, rows(&["1U", "1U", "1U", "1U"]));
    for _ in 0..5 {
        // A commit is on its way, so it does not end at once; others go on.
        let ttid = world.begin("c1");
        world.skip("s1");
        world.finish("c1", ttid, &[1]);
        world.master.handle(world.now, Event::Signal(Signal::Terminate));
        world.pump();
        world.join_client("c2");
        last_ttid = last_ttid.max(ttid).max(world.begin("c2"));
        world.ask("c2", Message::AskNewOIDs { count: 3 });
        let Message::AnswerNewOIDs { oids: given } = world.until_answer("c2") else { panic!() };
        last_oid = last_oid.max(given.get(2).unwrap());
        last_ttid = last_ttid.max(Ttid::new(world.lock("s1").get()));
        assert!(matches!(world.exit, Some(MasterExit::Terminated)));
        drop(world);
        disk = disk.lose_all_unsynced();
        world = start(&disk, Duration::ZERO, &table);
        let ttid = world.begin("c1");
        assert!(ttid > last_ttid);
        last_ttid = ttid;
        let oid = oids(&mut world, 1)[0];
        assert!(oid > last_oid);
        last_oid = oid;
    }
}

#[test]
fn an_idle_cluster_does_not_write_its_log() {
    let disk = MemoryDisk::new(1);
    let mut world = start(&disk, Duration::ZERO, &Answers::empty());
    world.begin("c1");
    for _ in 0..100 {
        world.pass(Duration::from_millis(250));
    }
    let operations = disk.operations();
    for _ in 0..100 {
        world.pass(Duration::from_millis(250));
    }
    assert_eq!(disk.operations(), operations);
    // While there is something to do, writes are spread, however many transactions begin.
    for _ in 0..100 {
        for _ in 0..10 {
            world.begin("c1");
        }
        world.pass(Duration::from_millis(10));
    }
    let writes = disk.operations() - operations;
    assert!(writes < 30, "{writes} operations in a second");
}

#[test]
fn reserved_ranges_are_renewed_before_they_are_used_up() {
    let disk = MemoryDisk::new(1);
    let mut world = start(&disk, Duration::ZERO, &Answers::empty());
    for _ in 0..30 {
        world.pass(Duration::from_secs(1));
        // No event of the disk is needed between the request and its answer.
        let peer_gets = world.begin("c1");
        assert!(peer_gets > Ttid::ZERO);
    }
    // A sleep longer than the range: the request waits for the log, and is answered.
    world.now.monotonic += Duration::from_secs(100);
    world.now.unix += Duration::from_secs(100);
    let ttid = world.begin("c1");
    let present = Tid::at(model::UtcTime::from_unix(world.now.unix).unwrap());
    assert!(ttid.get() >= present.get());
}

#[test]
fn nothing_of_a_change_is_seen_before_it_is_durable() {
    let disk = MemoryDisk::new(1);
    let mut world = start(&disk, Duration::ZERO, &Answers::empty());
    world.join_storage("s2", None, 2002);
    world.skip("admin");
    world.skip("s2");
    // Handled without looking at the disk again.
    disk.schedule(disk.operations(), Fault::Crash);
    world.ask("admin", Message::SetNumReplicas { replicas: 1 });
    assert_eq!(world.names("admin"), [""; 0]);
    assert_eq!(world.names("s2"), [""; 0]);
    let failed = matches!(world.exit, Some(MasterExit::Failed(Error::Disk { .. })));
    assert!(failed, "a master that cannot remember ends: {:?}", world.exit);
}

#[test]
fn the_log_remembers_the_signature_of_a_pack_order() {
    let disk = MemoryDisk::new(1);
    let mut world = start(&disk, Duration::ZERO, &Answers::empty());
    let (tid, pack_id) = order_pack(&mut world, None);
    drop(world);

    let options = MasterOptions { autostart: Some(1), ..options() };
    let mut world = World::open(options, Some(&disk), Duration::from_secs(5)).unwrap();
    world.join_storage("s1", Some(storage(1)), 2001);
    let state = net::PackState { approved: None, partial: false, oids: None, tid };
    let orders = vec![net::PackOrder { id: pack_id, state }];
    let table = Answers::with_table(1, 0, rows(&["1U", "1U", "1U", "1U"]));
    let answers = Answers { last_tid: Some(pack_id), ..table };
    for _ in 0..20 {
        let asked = world.peer("s1").came.iter().find_map(|came| match came {
            Came::Request(id, Message::AskPackOrders { .. }) => Some(*id),
            _ => None,
        });
        if let Some(id) = asked {
            world.skip("s1");
            world.answer("s1", id, Message::AnswerPackOrders { orders: orders.clone() });
            break;
        }
        let Some(came) = world.peer("s1").came.pop_front() else { break };
        let is_last = matches!(came, Came::Request(_, Message::AskPackOrders { .. }));
        assert!(!is_last);
        world.peer("s1").came.push_front(came);
        world.serve_one("s1", &answers);
    }
    world.until("s1", "StartOperation");
    world.send("s1", Message::NotifyReady {});
    let (_, message) = world.until("s1", "NotifyPackSigned");
    let (approved, rejected) = (vec![pack_id], vec![]);
    assert_eq!(message, Message::NotifyPackSigned { approved, rejected });
}

#[test]
fn a_master_told_to_end_lets_commits_end_and_nobody_else_stop() {
    let disk = MemoryDisk::new(1);
    let mut world = start(&disk, Duration::ZERO, &Answers::empty());
    let ttid = world.begin("c1");
    world.skip("s1");
    world.finish("c1", ttid, &[1]);
    world.master.handle(world.now, Event::Signal(Signal::Terminate));
    world.pump();
    assert!(world.exit.is_none());
    let tid = world.lock("s1");
    assert_eq!(world.finished("c1"), tid);
    assert!(matches!(world.exit, Some(MasterExit::Terminated)));
    assert_eq!(world.names("s1"), ["NotifyUnlockInformation"]);
}

#[test]
fn a_master_told_to_end_does_not_wait_for_ever() {
    let mut world = running(options(), &["s1"]);
    world.join_client("c1");
    let ttid = world.begin("c1");
    world.finish("c1", ttid, &[1]);
    world.master.handle(world.now, Event::Signal(Signal::Terminate));
    world.pump();
    assert!(world.exit.is_none());
    world.pass(Duration::from_secs(5));
    assert!(matches!(world.exit, Some(MasterExit::Terminated)));
}

#[test]
fn a_stop_does_not_wait_for_ever_for_a_client_that_hangs() {
    let mut world = running(options(), &["s1"]);
    world.join_client("c1");
    world.begin("c1");
    world.ask("admin", Message::SetClusterState { state: ClusterState::Stopping });
    assert!(world.exit.is_none());
    world.pass(Duration::from_secs(60));
    assert!(matches!(world.exit, Some(MasterExit::Stopped)));
}
