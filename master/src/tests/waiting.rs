//! Requests that wait: bounded for each client (R25).

use net::Message;

use super::cluster::*;
use super::world::*;
use crate::MasterOptions;

/// A cluster in which nothing begins: S2 came back and does not say that it is ready.
fn starting() -> World {
    let mut world = running(MasterOptions { replicas: 1, ..options() }, &["s1", "s2"]);
    world.lose("s2");
    world.join_storage("s2", Some(storage(2)), 2002);
    world.until("s2", "StartOperation");
    world.join_client("c1");
    world.join_client("c2");
    world
}

#[test]
fn r25_a_client_whose_requests_wait_is_not_read_from() {
    let mut world = starting();
    let requests = 1000;
    for _ in 0..requests {
        world.ask("c1", Message::AskBeginTransaction { tid: None });
    }
    assert!(world.skip("c1").is_empty());
    assert!(world.peer("c1").is_paused);
    // Others do not notice.
    world.ask("c2", Message::AskNewOIDs { count: 1 });
    assert_eq!(world.names("c2"), ["AnswerNewOIDs"]);
    assert!(!world.peer("c2").is_paused);
    // Nothing is lost.
    world.send("s2", Message::NotifyReady {});
    assert_eq!(world.names("c1"), vec!["AnswerBeginTransaction"; requests]);
    assert!(!world.peer("c1").is_paused);
}

#[test]
fn r25_a_client_that_is_gone_leaves_nothing_that_waits() {
    let mut world = starting();
    for _ in 0..1000 {
        world.ask("c1", Message::AskBeginTransaction { tid: None });
    }
    world.lose("c1");
    world.ask("c2", Message::AskBeginTransaction { tid: None });
    world.send("s2", Message::NotifyReady {});
    assert_eq!(world.names("c2"), ["AnswerBeginTransaction"]);
}

#[test]
fn r25_only_so_many_wait_for_packs_and_their_end_is_noticed() {
    let mut world = running(options(), &["s1"]);
    world.join_client("c1");
    let (_, pack_id) = order_pack(&mut world, None);
    for _ in 0..256 {
        world.ask("c1", Message::WaitForPack { pack_id });
    }
    assert!(world.skip("c1").is_empty());
    // It may take hours, in which a client that ends must be noticed.
    assert!(!world.peer("c1").is_paused);
    world.ask("c1", Message::WaitForPack { pack_id });
    assert!(world.is_closed("c1"));
}

#[test]
fn a_transaction_has_one_failed_vote_that_waits() {
    let mut world = running(MasterOptions { replicas: 1, ..options() }, &["s1", "s2"]);
    world.join_client("c1");
    world.join_client("c2");
    let first = world.begin("c1");
    let second = world.begin("c2");
    world.ask("c1", Message::FailedVote { ttid: first, nids: vec![storage(1)] });
    assert_eq!(world.names("c1"), ["Error"]);
    let vote = Message::FailedVote { ttid: second, nids: vec![storage(2)] };
    world.ask("c2", vote.clone());
    assert!(world.skip("c2").is_empty());
    world.ask("c2", vote);
    assert!(world.is_closed("c2"));
}
