//! Clients and masters that are lost, in each phase of a commit.

use model::{Cell, CellState, NodeState, NodeType};
use net::{ErrorCode, Message, OrderedMap};

use super::world::{PeerId, World, load, lock, oid, own, rows, store, stored, tid, ttid, vote};

fn gone(world: &mut World, number: u32) {
    let nid = model::Nid::of(NodeType::Client, number);
    let timestamp = world.tick();
    let node = world.information(NodeType::Client, nid, NodeState::Unknown, timestamp);
    world.tell_nodes(vec![node]);
}

/// A storage with a transaction 200 of a first client, and a second client.
fn world() -> (World, PeerId, PeerId) {
    let mut world = World::operating();
    let (first, second) = (world.client(), world.client());
    assert_eq!(world.ask(first, &store(ttid(200), oid(1), tid(0), "1")), stored(None));
    (world, first, second)
}

#[test]
fn r2_a_client_that_dies_before_its_vote_leaves_nothing() {
    let (mut world, first, second) = world();
    let waiting = world.post(second, &store(ttid(300), oid(1), tid(0), "2"));
    world.cut(first);
    assert_eq!(world.answer(second, waiting), Some(stored(None)));
}

#[test]
fn r2_a_voted_transaction_lives_until_the_master_says_that_the_client_is_gone() {
    let (mut world, first, second) = world();
    world.ask(first, &vote(ttid(200), &[oid(1)]));
    world.cut(first);
    let waiting = world.post(second, &store(ttid(300), oid(1), tid(0), "2"));
    assert_eq!(world.answer(second, waiting), None, "it may still be committed");
    gone(&mut world, 1);
    assert_eq!(world.answer(second, waiting), Some(stored(None)));
}

#[test]
fn r2_a_locked_transaction_only_goes_forward() {
    let (mut world, first, second) = world();
    world.ask(first, &vote(ttid(200), &[oid(1)]));
    world.lock_one(200, 204);
    world.cut(first);
    gone(&mut world, 1);
    world.tell(&Message::AbortTransaction { ttid: ttid(200), nids: Vec::new() });
    let waiting = world.post(second, &load(oid(1)));
    assert_eq!(world.answer(second, waiting), None);
    world.unlock_one(200);
    let answer = world.answer(second, waiting);
    assert!(matches!(answer, Some(Message::AnswerObject { serial, .. }) if serial == tid(204)));
}

#[test]
fn r7_a_transaction_belongs_to_one_connection() {
    let (mut world, first, _) = world();
    let nid = model::Nid::of(NodeType::Client, 1);
    world.cut(first);
    let timestamp = world.tick();
    let node = world.information(NodeType::Client, nid, NodeState::Running, timestamp);
    world.tell_nodes(vec![node]);
    let again = world.connect();
    let who = super::world::introduction(NodeType::Client, Some(nid), Some(timestamp));
    world.ask(again, &who);
    let more = store(ttid(200), oid(2), tid(0), "half");
    assert_eq!(world.refused(again, &more), ErrorCode::ProtocolError);
}

#[test]
fn a_dead_client_cancels_what_it_waited_for() {
    let (mut world, first, second) = world();
    world.post(second, &store(ttid(300), oid(1), tid(0), "2"));
    world.post(second, &store(ttid(300), oid(2), tid(0), "2"));
    world.cut(second);
    world.notify(first, &Message::AbortTransaction { ttid: ttid(200), nids: Vec::new() });
    for number in [1, 2] {
        let answer = world.ask(first, &store(ttid(400), oid(number), tid(0), "3"));
        assert_eq!(answer, stored(None), "R10: no lock is left");
    }
}

#[test]
fn a_storage_that_lost_its_master_serves_nobody_and_comes_back() {
    for phase in 0..4 {
        let (mut world, first, _) = world();
        if phase >= 1 {
            world.ask(first, &vote(ttid(200), &[oid(1)]));
        }
        if phase >= 2 {
            world.lock_one(200, 204);
        }
        if phase >= 3 {
            world.unlock_one(200);
        }
        let master = world.master();
        world.cut(master);
        assert!(!world.is_open(first));
        world.join();
        world.send_table(1, rows(model::CellState::UpToDate));
        let in_doubt = match phase {
            1 => vec![(ttid(200), None)],
            2 => vec![(ttid(200), Some(tid(204)))],
            _ => Vec::new(),
        };
        let expected = Message::AnswerLockedTransactions { transactions: OrderedMap(in_doubt) };
        let answer = world.ask_master(&Message::AskLockedTransactions {});
        assert_eq!(answer, expected, "phase {phase}");
        if phase == 2 {
            world.tell(&Message::ValidateTransaction { ttid: ttid(200), tid: tid(204) });
        }
        world.start();
        let client = world.client();
        let found = world.newest(client, 1).map(|(serial, _)| serial);
        assert_eq!(found, (phase >= 2).then_some(204), "phase {phase}");
        let serial = if phase >= 2 { 204 } else { 0 };
        world.commit(client, 300, 1, serial);
    }
}

/// A slow disk, a master that connects again, and a process that is killed.
#[test]
fn r01_what_is_told_to_be_locked_is_durable() {
    let (mut world, first, _) = world();
    world.ask(first, &vote(ttid(200), &[oid(1)]));
    world.hold_disk(true);
    let master = world.master();
    let token = world.post(master, &lock(ttid(200), tid(204)));
    assert_eq!(world.answer(master, token), None);
    world.cut(master);
    world.join();
    world.send_table(1, rows(model::CellState::UpToDate));
    let master = world.master();
    let token = world.post(master, &Message::AskLockedTransactions {});
    assert_eq!(world.answer(master, token), None, "a commit may follow");
    world.hold_disk(false);
    let in_doubt = OrderedMap(vec![(ttid(200), Some(tid(204)))]);
    let expected = Message::AnswerLockedTransactions { transactions: in_doubt };
    assert_eq!(world.answer(master, token), Some(expected));
    // On a storage that had voted only, the commit is durable before clients can learn of it.
    world.hold_disk(true);
    world.tell(&Message::ValidateTransaction { ttid: ttid(200), tid: tid(204) });
    let token = world.post(master, &Message::AskLastIDs {});
    assert_eq!(world.answer(master, token), None, "operation may follow");
    world.hold_disk(false);
    assert!(world.answer(master, token).is_some());
}

#[test]
fn the_end_of_operation_closes_all_but_the_master() {
    let (mut world, first, second) = world();
    let master = world.master();
    world.tell(&Message::StopOperation {});
    assert!(!world.is_open(first) && !world.is_open(second) && world.is_open(master));
    world.start();
    let client = world.client();
    assert_eq!(world.ask(client, &store(ttid(300), oid(1), tid(0), "3")), stored(None));
}

#[test]
fn r19_what_the_master_asked_for_is_answered_though_operation_stops() {
    let mut world = World::new();
    world.join();
    // So many that others have a turn before all are looked at.
    let mine = Cell { nid: own(), state: CellState::UpToDate };
    world.send_table(1, vec![vec![mine]; 40]);
    let master = world.master();
    let token = world.post_only(master, &Message::AskLastIDs {});
    world.tell_only(&Message::StopOperation {});
    world.settle();
    assert!(world.answer(master, token).is_some(), "recovery waits for all that was asked");
}

#[test]
fn a_signal_ends_it_in_good_order() {
    let (mut world, first, _) = world();
    world.ask(first, &vote(ttid(200), &[oid(1)]));
    world.handle(net::Event::Signal(net::Signal::Terminate));
    assert!(matches!(world.exit, Some(crate::StorageExit::Stopped)));
    let mut world = World::reopen(world.close());
    world.join();
    let in_doubt = OrderedMap(vec![(ttid(200), None)]);
    let expected = Message::AnswerLockedTransactions { transactions: in_doubt };
    assert_eq!(world.ask_master(&Message::AskLockedTransactions {}), expected);
}

#[test]
fn what_a_lost_master_waited_for_blocks_nobody_when_it_finds_no_space() {
    let mut world = World::operating();
    let client = world.client();
    world.commit(client, 100, 1, 0);
    world.hold_disk(true);
    world.post(client, &store(ttid(200), oid(2), tid(0), &"y".repeat(300_000)));
    world.post(client, &vote(ttid(200), &[oid(2)]));
    // The answer has to wait for the vote before it, which has no place on the disk.
    let first = world.master();
    world.cut(first);
    world.join();
    world.send_table(1, rows(model::CellState::UpToDate));
    let second = world.master();
    world.post(second, &Message::AskLockedTransactions {});
    let disk = world.disk.clone();
    disk.set_capacity(Some(disk.allocated_bytes()));
    world.cut(second);
    disk.hold_requests(false);
    world.settle_until(|_| disk.outstanding() == 0);
    disk.set_capacity(None);
    world.hold_disk(false);
    world.join();
    world.send_table(1, rows(model::CellState::UpToDate));
    let none = Message::AnswerLockedTransactions { transactions: OrderedMap::default() };
    assert_eq!(world.ask_master(&Message::AskLockedTransactions {}), none);
}

/// The client has given up, and lost its connection to the storage, which does not know. What it
/// had sent before comes when the master has said already that the transactions are aborted.
#[test]
fn r07_nothing_is_left_of_a_vote_that_was_late() {
    let (mut world, first, second) = world();
    let abort = |number| Message::AbortTransaction { ttid: ttid(number), nids: Vec::new() };
    for (number, stored_oid) in [(200, 1), (300, 2)] {
        world.tell(&abort(number));
        world.ask(first, &store(ttid(number), oid(stored_oid), tid(0), "late"));
        world.ask(first, &vote(ttid(number), &[oid(stored_oid)]));
    }
    assert!(world.is_open(first), "it did nothing wrong");
    let waiting = world.post(second, &store(ttid(400), oid(1), tid(0), "2"));
    assert_eq!(world.answer(second, waiting), None);
    world.cut(first);
    assert_eq!(world.answer(second, waiting), Some(stored(None)));
    let nothing = Message::AnswerLockedTransactions { transactions: OrderedMap(Vec::new()) };
    world.tell(&Message::StopOperation {});
    assert_eq!(world.ask_master(&Message::AskLockedTransactions {}), nothing);
}

/// The master's word may come before what a client had sent: that is nobody's fault, and other
/// transactions of the connection go on.
#[test]
fn what_the_master_aborted_may_still_be_stored_until_the_client_says_the_same() {
    let (mut world, first, second) = world();
    let abort = Message::AbortTransaction { ttid: ttid(200), nids: Vec::new() };
    world.tell(&abort);
    assert_eq!(world.ask(first, &store(ttid(200), oid(1), tid(0), "late")), stored(None));
    world.notify(first, &abort);
    assert_eq!(world.ask(second, &store(ttid(300), oid(1), tid(0), "2")), stored(None));
    assert!(world.is_open(first));
}

/// A client that chose the id of its transaction may begin it again.
#[test]
fn r02_what_was_begun_again_after_an_abort_is_kept_for_the_master() {
    let (mut world, first, second) = world();
    let abort = Message::AbortTransaction { ttid: ttid(200), nids: Vec::new() };
    for is_master_first in [false, true] {
        if is_master_first {
            world.tell(&abort);
        }
        world.notify(first, &abort);
        if !is_master_first {
            world.tell(&abort);
        }
        world.ask(first, &store(ttid(200), oid(1), tid(0), "again"));
    }
    world.ask(first, &vote(ttid(200), &[oid(1)]));
    world.cut(first);
    world.lock_one(200, 204);
    world.unlock_one(200);
    assert_eq!(world.newest(second, 1), Some((204, "again".into())));
}

/// Also on another connection, of which the master's word was not.
#[test]
fn r02_what_was_begun_again_on_a_later_connection_is_kept_for_the_master() {
    let (mut world, first, second) = world();
    world.tell(&Message::AbortTransaction { ttid: ttid(200), nids: Vec::new() });
    world.cut(first);
    let again = world.client();
    world.ask(again, &store(ttid(200), oid(1), tid(0), "again"));
    world.ask(again, &vote(ttid(200), &[oid(1)]));
    world.cut(again);
    world.lock_one(200, 204);
    world.unlock_one(200);
    assert_eq!(world.newest(second, 1), Some((204, "again".into())));
}
