//! Transactions in doubt: committed everywhere, or nowhere.

use model::{ClusterState, Oid, Tid, Ttid};
use net::Message;

use super::cluster::*;
use super::world::*;

/// Ttid and tid of partition 0, whose cells are on S1 and S2.
const TTID: Ttid = Ttid::new(400);
const TID: Tid = Tid::new(408);

fn table() -> Answers {
    let rows = rows(&["1U 2U", "1U 2U", "1U 2U", "1U 2U"]);
    let last_tid = Some(Tid::new(300));
    Answers { last_tid, ..Answers::with_table(3, 1, rows) }
}

/// Two storages join; names of what each was asked and told.
fn verify(first: &Answers, second: &Answers) -> (World, Vec<Message>, Vec<Message>) {
    let mut world = World::new(options());
    world.join_admin();
    world.join_storage("s1", Some(storage(1)), 2001);
    world.join_storage("s2", Some(storage(2)), 2002);
    let mut told = [Vec::new(), Vec::new()];
    for _ in 0..10 {
        for (index, (name, answers)) in [("s1", first), ("s2", second)].into_iter().enumerate() {
            while let Some(came) = world.peer(name).came.front() {
                if let Came::Request(_, message) = came {
                    told[index].push(message.clone());
                }
                world.serve_one(name, answers);
            }
        }
    }
    assert_eq!(world.state(), ClusterState::Running);
    let [one, two] = told;
    (world, one, two)
}

#[test]
fn r01_one_lock_found_anywhere_completes_the_commit() {
    let locked = Answers { locked: vec![(TTID, Some(TID))], ..table() };
    let voted = Answers { locked: vec![(TTID, None)], ..table() };
    let (_, one, two) = verify(&voted, &locked);
    let validate = Message::ValidateTransaction { ttid: TTID, tid: TID };
    assert!(one.contains(&validate) && two.contains(&validate));
    // They are told before they are asked for their ids.
    let place = |all: &[Message], name| all.iter().position(|one| one.name() == name).unwrap();
    assert!(place(&one, "ValidateTransaction") < place(&one, "AskLastIDs"));
}

#[test]
fn r01_a_commit_that_one_node_unlocked_already_is_completed_on_the_other() {
    let voted = Answers { locked: vec![(TTID, None)], ..table() };
    let unlocked = Answers { final_tid: Some(TID), last_tid: Some(TID), ..table() };
    let (mut world, one, two) = verify(&voted, &unlocked);
    assert!(one.contains(&Message::ValidateTransaction { ttid: TTID, tid: TID }));
    assert!(two.contains(&Message::AskFinalTID { ttid: TTID }));
    assert!(!two.iter().any(|message| message.name() == "ValidateTransaction"));
    assert_eq!(world.last_tid(), TID);
}

#[test]
fn r01_r18_commits_are_completed_first_where_they_can_be_asked_for_and_before_all_truncate() {
    // The metadata of one is on S1, which lost the tid in a crash, and its data on S2; of the other
    // one it is the other way round.
    let rows = rows(&["1U", "2U", "1U", "2U"]);
    let (ttid, tid) = (Ttid::new(401), Tid::new(409));
    let of = |locked| Answers { locked, ..Answers::with_table(3, 0, rows.clone()) };
    let first = of(vec![(TTID, None), (ttid, Some(tid))]);
    let second = of(vec![(TTID, Some(TID)), (ttid, None)]);
    let mut world = World::new(options());
    world.join_admin();
    world.join_storage("s1", Some(storage(1)), 2001);
    world.join_storage("s2", Some(storage(2)), 2002);
    let mut order = Vec::new();
    for _ in 0..10 {
        for (name, answers) in [("s2", &second), ("s1", &first)] {
            while let Some(came) = world.peer(name).came.front() {
                if let Came::Request(_, message) = came {
                    order.push((name, message.clone()));
                }
                world.serve_one(name, answers);
            }
        }
    }
    assert_eq!(world.state(), ClusterState::Running);
    let validate = |ttid, tid| Message::ValidateTransaction { ttid, tid };
    let place = |name, message: Message| {
        let place = order.iter().position(|one| *one == (name, message.clone()));
        place.unwrap_or_else(|| panic!("{name} is sent {message:?}"))
    };
    // Only who has answered again after it has it durably.
    let asked_again = |name| {
        let is_ask =
            |one: &(&str, Message)| one.0 == name && one.1.name() == "AskLockedTransactions";
        let all: Vec<_> = (0..order.len()).filter(|place| is_ask(&order[*place])).collect();
        assert_eq!(all.len(), 2, "{name}");
        all[1]
    };
    assert!(place("s1", validate(TTID, TID)) < asked_again("s1"));
    assert!(place("s2", validate(ttid, tid)) < asked_again("s2"));
    let elsewhere = [place("s2", validate(TTID, TID)), place("s1", validate(ttid, tid))];
    let both = asked_again("s1").max(asked_again("s2"));
    assert!(elsewhere.iter().all(|place| *place > both), "{order:?}");
    // A storage truncates when it is asked for its last ids: nothing may come behind that.
    for name in ["s1", "s2"] {
        let last_ids = place(name, Message::AskLastIDs {});
        assert!(elsewhere.iter().all(|place| order[*place].0 != name || *place < last_ids));
    }
}

#[test]
fn r19_what_nobody_locked_is_not_committed() {
    let voted = Answers { locked: vec![(TTID, None)], ..table() };
    let (mut world, one, two) = verify(&voted, &table());
    assert!(two.contains(&Message::AskFinalTID { ttid: TTID }));
    let all = one.iter().chain(&two);
    assert!(all.clone().all(|message| message.name() != "ValidateTransaction"));
    assert_eq!(world.last_tid(), Tid::new(300));
}

#[test]
fn the_last_ids_are_the_greatest_of_all() {
    let first = Answers { last_oid: Some(Oid::new(70)), ..table() };
    let second = Answers { last_tid: Some(Tid::new(500)), ..table() };
    let (mut world, ..) = verify(&first, &second);
    assert_eq!(world.last_tid(), Tid::new(500));
    world.join_client("c1");
    world.ask("c1", Message::AskNewOIDs { count: 2 });
    let oids = vec![Oid::new(71), Oid::new(72)];
    assert_eq!(world.until_answer("c1"), Message::AnswerNewOIDs { oids: oids.into() });
}

#[test]
fn a_storage_lost_in_verification_is_not_waited_for() {
    let mut world = World::new(options());
    world.join_admin();
    world.join_storage("s1", Some(storage(1)), 2001);
    world.join_storage("s2", Some(storage(2)), 2002);
    for name in ["s1", "s2"] {
        for _ in 0..2 {
            let (id, message) = world.request(name);
            if message.name() == "AskRecovery" {
                let table_id = Some(model::PartitionTableId::new(3));
                let (backup_tid, truncate_tid) = (None, None);
                let answer = Message::AnswerRecovery { table_id, backup_tid, truncate_tid };
                world.answer(name, id, answer);
            }
        }
        let (id, _) = world.until(name, "AskPartitionTable");
        let (_, replicas, rows) = table().table.unwrap();
        let table_id = model::PartitionTableId::new(3);
        world.answer(name, id, Message::AnswerPartitionTable { table_id, replicas, rows });
    }
    assert_eq!(world.state(), ClusterState::Verifying);
    world.lose("s2");
    world.serve("s1", &table());
    assert_eq!(world.state(), ClusterState::Running);
    assert_eq!(world.table(), (Some(4), vec!["1U 2O".to_owned(); 4]));
}

/// The log is lost and the clock is wrong, but the storages know what was begun.
#[test]
fn a_transaction_that_was_dropped_is_not_begun_again() {
    let later = Ttid::new(World::new(options()).present().get() + 1_000_000);
    let voted = Answers { locked: vec![(later, None)], ..table() };
    let (mut world, ..) = verify(&voted, &voted);
    world.join_client("c1");
    assert!(world.begin("c1") > later);
    // One that nobody can have been given counts for nothing.
    let far = Answers { locked: vec![(Ttid::new(Tid::MAX.get()), None)], ..table() };
    let (mut world, ..) = verify(&far, &far);
    world.join_client("c1");
    assert!(world.begin("c1").get() < world.present().get() + (1 << 32));
}

#[test]
fn the_last_readable_storage_lost_in_verification_brings_recovery_back() {
    let mut world = World::new(options());
    world.join_admin();
    let single = Answers::with_table(3, 0, rows(&["1U", "1U", "1U", "1U"]));
    world.join_storage("s1", Some(storage(1)), 2001);
    let (id, _) = world.until("s1", "AskRecovery");
    let table_id = Some(model::PartitionTableId::new(3));
    let (backup_tid, truncate_tid) = (None, None);
    world.answer("s1", id, Message::AnswerRecovery { table_id, backup_tid, truncate_tid });
    let (id, _) = world.until("s1", "AskPartitionTable");
    let (_, replicas, rows) = single.table.clone().unwrap();
    let table_id = model::PartitionTableId::new(3);
    world.answer("s1", id, Message::AnswerPartitionTable { table_id, replicas, rows });
    assert_eq!(world.state(), ClusterState::Verifying);
    world.lose("s1");
    assert_eq!(world.state(), ClusterState::Recovering);
    world.join_storage("s1", Some(storage(1)), 2001);
    world.serve("s1", &single);
    assert_eq!(world.state(), ClusterState::Running);
}
