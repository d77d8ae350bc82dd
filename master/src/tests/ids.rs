//! Oids and tids, whatever clients ask for.

use std::time::Duration;

use engine::disk::MemoryDisk;
use model::{Oid, Tid, Ttid};
use net::Message;

use super::cluster::*;
use super::world::*;
use crate::MasterOptions;
use crate::ids::Ids;

/// One request must not push all later tids into the far future, nor use up the oids.
#[test]
fn ids_that_clients_choose_leave_the_others_alone() {
    let disk = MemoryDisk::new(1);
    let options = MasterOptions { autostart: Some(1), ..options() };
    let mut world = World::open(options.clone(), Some(&disk), Duration::ZERO).unwrap();
    world.join_admin();
    world.join_storage("s1", Some(storage(1)), 2001);
    world.serve("s1", &Answers::empty());
    let day = 24 * 60 * (1 << 32);
    for far in [Tid::MAX, Tid::new(world.present().get() + day + (1 << 32))] {
        world.join_client("c1");
        world.ask("c1", Message::AskBeginTransaction { tid: Some(far) });
        let Message::Error { text, .. } = world.until_answer("c1") else { panic!() };
        assert!(String::from_utf8_lossy(&text).contains("far in the future"), "{text:?}");
    }
    // One that may be: it is begun and dropped, and nobody's afterwards.
    world.join_client("c1");
    let chosen = Tid::new(world.present().get() + day / 2);
    world.ask("c1", Message::AskBeginTransaction { tid: Some(chosen) });
    world.until_answer("c1");
    let ttid = Ttid::new(chosen.get());
    world.send("c1", Message::AbortTransaction { ttid, nids: vec![] });
    let minute = 1 << 32;
    let ttid = world.begin("c1");
    assert!(ttid.get() < world.present().get() + minute);
    // A commit of the greatest oid there is.
    world.skip("s1");
    world.finish("c1", ttid, &[u64::MAX]);
    world.lock("s1");
    world.finished("c1");
    let oids = |world: &mut World| {
        world.ask("c1", Message::AskNewOIDs { count: 2 });
        match world.until_answer("c1") {
            Message::AnswerNewOIDs { oids } => oids,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(oids(&mut world), [Oid::new(1), Oid::new(2)].into());
    drop(world);
    let mut world = World::open(options, Some(&disk.lose_all_unsynced()), Duration::ZERO).unwrap();
    world.join_admin();
    world.join_storage("s1", Some(storage(1)), 2001);
    let table = Answers::with_table(1, 0, rows(&["1U", "1U", "1U", "1U"]));
    world.serve("s1", &Answers { last_tid: Some(world.present()), ..table });
    world.join_client("c1");
    assert!(world.begin("c1").get() < world.present().get() + minute);
    assert!(oids(&mut world).get(0).unwrap() < Oid::new(200_000));
}

/// The log would never be done, if it were asked for more before it has what it was asked for.
#[test]
fn a_slow_log_is_asked_for_one_thing_after_the_other() {
    let mut ids = Ids::new(Tid::ZERO, Oid::ZERO);
    let seconds = Duration::from_secs;
    let first = ids.tids_to_reserve(seconds(1_000_000)).expect("nothing is reserved");
    assert_eq!(ids.tids_to_reserve(seconds(1_000_010)), None);
    ids.reserved(first, Oid::ZERO);
    assert!(ids.tids_to_reserve(seconds(1_000_010)) > Some(first));
}

/// The clock is behind the last commit: ids follow it one by one, also those of a client that still
/// asks for the outcome of what it had begun with the master before, whose log is lost.
#[test]
fn r25_masters_without_a_log_do_not_begin_with_the_same_ids() {
    let mut begun = Vec::new();
    for seed in [1, 2] {
        let (disk, options) = (MemoryDisk::new(seed), MasterOptions { seed, ..options() });
        let mut world = World::open(options, Some(&disk), Duration::ZERO).unwrap();
        world.join_admin();
        world.join_storage("s1", Some(storage(1)), 2001);
        let last = Tid::new(world.present().get() + (60 << 32));
        let table = Answers::with_table(1, 0, rows(&["1U", "1U", "1U", "1U"]));
        world.serve("s1", &Answers { last_tid: Some(last), ..table });
        world.join_client("c1");
        let ttid = world.begin("c1").get();
        let seconds = 5 << 32;
        assert!(ttid > last.get() && ttid < last.get() + seconds / 60, "{ttid:x}");
        begun.push(ttid);
    }
    assert_ne!(begun[0], begun[1]);
}
