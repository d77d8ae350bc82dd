//! Pack orders: kept, signed, answered; completion is tracked (N8).

use model::{Oid, Tid};
use net::{Message, OrderedMap, PackOrder, PackState};

use super::cluster::*;
use super::world::*;
use crate::MasterOptions;

fn list(world: &mut World, name: &'static str, first_id: Tid) -> Vec<Tid> {
    world.ask(name, Message::AskPackOrders { first_id });
    match world.until_answer(name) {
        Message::AnswerPackOrders { orders } => orders.iter().map(|order| order.id).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn n8_orders_are_signed_listed_and_waited_for() {
    let mut world = running(options(), &["s1"]);
    world.join_client("c1");
    world.join_client("c2");
    let (tid, first) = order_pack(&mut world, None);
    let (_, second) = order_pack(&mut world, Some(vec![Oid::new(1)]));
    assert_eq!(list(&mut world, "c1", Tid::ZERO), [first, second]);
    assert_eq!(list(&mut world, "c1", second), [second]);
    assert_eq!(list(&mut world, "s1", Tid::ZERO), [first], "storages take one after the other");
    world.ask("s1", Message::AskPackOrders { first_id: first });
    let Message::AnswerPackOrders { orders } = world.until_answer("s1") else { panic!() };
    let state = PackState { approved: Some(true), partial: false, oids: None, tid };
    assert_eq!(orders, [PackOrder { id: first, state }]);

    world.skip("c2");
    world.ask("c2", Message::WaitForPack { pack_id: first });
    assert_eq!(world.names("c2"), [""; 0]);
    world.send("s1", Message::NotifyPackCompleted { pack_id: first });
    assert_eq!(world.names("c2"), ["WaitedForPack"]);
    world.ask("c2", Message::WaitForPack { pack_id: first });
    assert_eq!(world.names("c2"), ["WaitedForPack"], "at once: it is unknown by now");
    assert_eq!(list(&mut world, "c1", second), [second]);
    // A truncation before an approved order is refused.
    world.ask("admin", Message::Truncate { tid });
    let answer = world.until_answer("admin");
    assert!(matches!(answer, Message::Error { code: net::ErrorCode::Denied, .. }), "{answer:?}");
}

#[test]
fn orders_that_are_completed_are_asked_of_the_storages() {
    let mut world = running(options(), &["s1", "s2"]);
    world.join_client("c1");
    let request = |world: &mut World| {
        world.ask("c1", Message::AskPackOrders { first_id: Tid::ZERO });
    };
    let state = PackState { approved: Some(true), partial: false, oids: None, tid: Tid::new(3) };
    // All storages have carried out an order that the master knew.
    let answers = vec![PackOrder { id: Tid::new(8), state: state.clone() }];
    drop(world);
    let mut world = World::new(options());
    world.join_admin();
    let table = Answers::with_table(1, 0, rows(&["1U", "2U", "1U", "2U"]));
    world.join_storage("s1", Some(storage(1)), 2001);
    world.join_storage("s2", Some(storage(2)), 2002);
    for _ in 0..20 {
        for name in ["s1", "s2"] {
            let asked = world.peer(name).came.iter().find_map(|came| match came {
                Came::Request(id, Message::AskPackOrders { .. }) => Some(*id),
                _ => None,
            });
            if let Some(id) = asked {
                world.skip(name);
                world.answer(name, id, Message::AnswerPackOrders { orders: answers.clone() });
            }
            world.serve(name, &table);
        }
    }
    world.join_client("c1");
    world.send("s1", Message::NotifyPackCompleted { pack_id: Tid::new(8) });
    world.send("s2", Message::NotifyPackCompleted { pack_id: Tid::new(8) });
    request(&mut world);
    assert_eq!(world.names("c1"), [""; 0]);
    for name in ["s1", "s2"] {
        let (id, message) = world.until(name, "AskPackOrders");
        assert_eq!(message, Message::AskPackOrders { first_id: Tid::ZERO });
        world.answer(name, id, Message::AnswerPackOrders { orders: answers.clone() });
    }
    let Message::AnswerPackOrders { orders } = world.until_answer("c1") else { panic!() };
    assert_eq!(orders, answers);
}

#[test]
fn backup_clients_learn_partitions_and_signatures() {
    let mut world = running(MasterOptions { replicas: 0, ..options() }, &["s1"]);
    world.join_client("c1");
    let name = net::Value::Bytes(bytes::Bytes::from_static(b"down"));
    let extra = OrderedMap(vec![(bytes::Bytes::from_static(b"backup"), name)]);
    world.identify("b1", model::NodeType::Client, None, None, extra);
    world.accepted_nid("b1");
    world.skip("b1");
    order_pack(&mut world, None);
    let expected = ["InvalidatePartitions", "InvalidatePartitions", "NotifyPackSigned"];
    assert_eq!(world.names("b1"), expected);
    world.ask("b1", Message::AskBeginTransaction { tid: None });
    let answer = world.until_answer("b1");
    let read_only = net::ErrorCode::ReadOnlyAccess;
    assert!(matches!(answer, Message::Error { code, .. } if code == read_only), "{answer:?}");
}
