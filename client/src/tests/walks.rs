//! Iteration.

use bytes::Bytes;
use model::{Oid, PartitionId, Tid};
use net::{ErrorCode, Message};

use super::world::{World, oid, tid};
use crate::{
    Answer, Completion, Metadata, OidCursor, Request, TransactionCursor, TransactionInformation,
};

fn reply_information(world: &mut World, storage: u32) {
    let asked = world.take(storage, "AskTransactionInformation");
    let Message::AskTransactionInformation { tid } = asked.message else { panic!() };
    let answer = Message::AnswerTransactionInformation {
        tid,
        user: Bytes::new(),
        description: Bytes::from(tid.to_string()),
        extension: Bytes::new(),
        packed: false,
        oids: vec![].into(),
    };
    world.answer(storage, asked.id, answer);
}

fn information(number: u64) -> TransactionInformation {
    let description = Bytes::from(tid(number).to_string());
    let metadata = Metadata { description, ..Metadata::default() };
    TransactionInformation { tid: tid(number), metadata, packed: false, oids: vec![] }
}

fn tids(numbers: &[u64]) -> Message {
    Message::AnswerTIDsFrom { tids: numbers.iter().map(|number| tid(*number)).collect() }
}

#[test]
fn transactions_of_all_partitions_come_in_order() {
    let mut world = World::readable(&[&[1], &[2]]);
    // What is later than the last tid was not told yet.
    let cursor = TransactionCursor::new(tid(3), Some(tid(2000)));
    let token = world.submit(Request::Transactions { cursor, count_max: 3 });
    let asked = world.reply(1, "AskTIDsFrom", tids(&[4, 10]));
    let Message::AskTIDsFrom { tid_min, tid_max, partition, .. } = asked else { panic!() };
    assert_eq!((tid_min, tid_max, partition), (tid(3), tid(1000), PartitionId::new(0)));
    world.reply(2, "AskTIDsFrom", tids(&[5, 7, 11]));
    reply_information(&mut world, 1);
    // It was truncated just now.
    world.refuse(2, "AskTransactionInformation", ErrorCode::TidNotFound);
    reply_information(&mut world, 2);
    let Completion::Done { token: done, result: Ok(Answer::Transactions(found, Some(cursor))) } =
        world.completion()
    else {
        panic!("there is more")
    };
    assert_eq!((done, found), (token, vec![information(4), information(7)]));

    // Of partition 0, only what follows 10 can be known when 10 is taken.
    let token = world.submit(Request::Transactions { cursor, count_max: 3 });
    reply_information(&mut world, 1);
    let Completion::Done { token: done, result: Ok(Answer::Transactions(found, Some(cursor))) } =
        world.completion()
    else {
        panic!("there is more")
    };
    assert_eq!((done, found), (token, vec![information(10)]));
    let token = world.submit(Request::Transactions { cursor, count_max: 3 });
    let asked = world.reply(1, "AskTIDsFrom", tids(&[]));
    assert!(matches!(asked, Message::AskTIDsFrom { tid_min, .. } if tid_min == tid(11)));
    reply_information(&mut world, 2);
    let Completion::Done { result: Ok(Answer::Transactions(found, Some(cursor))), .. } =
        world.completion()
    else {
        panic!("{token:?}: there may be more")
    };
    assert_eq!(found, [information(11)]);
    let token = world.submit(Request::Transactions { cursor, count_max: 3 });
    world.reply(2, "AskTIDsFrom", tids(&[]));
    world.assert_done(token, Ok(Answer::Transactions(vec![], None)));
}

#[test]
fn oids_of_all_partitions_come_in_order() {
    let mut world = World::readable(&[&[1], &[2]]);
    let cursor = OidCursor::new(Oid::ZERO, Some(tid(9)));
    let token = world.submit(Request::Oids { cursor, count_max: 10 });
    let asked = world.reply(
        1,
        "AskOIDsFrom",
        Message::AnswerOIDsFrom { next: None, oids: vec![oid(0), oid(8)].into() },
    );
    let Message::AskOIDsFrom { oid_min, tid: at, partition, .. } = asked else { panic!() };
    assert_eq!((oid_min, at, partition), (Oid::ZERO, tid(9), PartitionId::new(0)));
    let next = Some(oid(5));
    world.reply(2, "AskOIDsFrom", Message::AnswerOIDsFrom { next, oids: vec![oid(3)].into() });
    let Completion::Done { token: done, result: Ok(Answer::Oids(oids, Some(cursor))) } =
        world.completion()
    else {
        panic!("there is more")
    };
    assert_eq!((done, oids), (token, vec![oid(0), oid(3)]));
    let token = world.submit(Request::Oids { cursor, count_max: 10 });
    // All of these are deleted.
    let next = Some(oid(7));
    world.reply(2, "AskOIDsFrom", Message::AnswerOIDsFrom { next, oids: vec![].into() });
    world.reply(
        2,
        "AskOIDsFrom",
        Message::AnswerOIDsFrom { next: None, oids: vec![oid(7)].into() },
    );
    world.assert_done(token, Ok(Answer::Oids(vec![oid(7), oid(8)], None)));
}

#[test]
fn the_undo_log_merges_what_all_storages_have() {
    let mut world = World::readable(&[&[1], &[1, 2], &[2], &[3]]);
    let token = world.submit(Request::UndoLog { before: None, first: 1, last: 3 });
    let answer = |numbers: &[u64]| Message::AnswerTIDs {
        tids: numbers.iter().map(|number| tid(*number)).collect(),
    };
    let asked = world.reply(1, "AskTIDs", answer(&[8, 5, 4]));
    let partition = PartitionId::new(u32::MAX);
    assert_eq!(asked, Message::AskTIDs { first: 0, last: 3, partition });
    world.reply(2, "AskTIDs", answer(&[6, 5]));
    // The only storage of partition 3 is lost, and comes back.
    world.take(3, "AskTIDs");
    world.cut(3, true);
    world.advance(std::time::Duration::from_secs(1));
    let partition = PartitionId::new(3);
    let asked = world.reply(3, "AskTIDs", answer(&[7]));
    assert_eq!(asked, Message::AskTIDs { first: 0, last: 3, partition });
    reply_information(&mut world, 3);
    reply_information(&mut world, 2);
    world.assert_done(token, Ok(Answer::UndoLog(vec![information(7), information(6)])));
    assert_ne!(Tid::ZERO, tid(1));
}

#[test]
fn commits_meanwhile_do_not_shorten_the_undo_log() {
    let mut world = World::readable(&[&[1]]);
    let token = world.submit(Request::UndoLog { before: None, first: 0, last: 3 });
    let last_tid = world.client.last_tid().unwrap().get();
    let answer = |numbers: &[u64]| Message::AnswerTIDs {
        tids: numbers.iter().map(|number| tid(*number)).collect(),
    };
    // One that is not seen yet. Until the next page is asked for, there are three more.
    world.reply(1, "AskTIDs", answer(&[last_tid + 1, 8, 5]));
    let asked = world.reply(1, "AskTIDs", answer(&[last_tid + 1, 8, 5]));
    assert!(matches!(asked, Message::AskTIDs { first: 3, last: 6, .. }));
    let asked = world.reply(1, "AskTIDs", answer(&[4, 2]));
    assert!(matches!(asked, Message::AskTIDs { first: 6, last: 9, .. }));
    for _ in 0..3 {
        reply_information(&mut world, 1);
    }
    let expected = [8, 5, 4].map(information).to_vec();
    world.assert_done(token, Ok(Answer::UndoLog(expected)));
}

#[test]
fn a_history_has_nothing_that_the_caller_does_not_see() {
    let mut world = World::readable(&[&[1]]);
    let revisions = |numbers: &[u64]| Message::AnswerObjectHistory {
        oid: oid(2),
        revisions: numbers.iter().map(|number| (tid(*number), 3)).collect(),
    };
    let expected = |numbers: &[u64]| {
        let list = numbers.iter().map(|number| (tid(*number), 3));
        Ok(Answer::History(list.collect()))
    };
    // What is later than the last tid was not told yet.
    let last_tid = world.client.last_tid().unwrap().get();
    let (later, latest) = (last_tid + 5, last_tid + 7);
    let request = |before, first, last| Request::History { oid: oid(2), before, first, last };
    let token = world.submit(request(None, 0, 2));
    let asked = world.reply(1, "AskObjectHistory", revisions(&[latest, later]));
    assert_eq!(asked, Message::AskObjectHistory { oid: oid(2), first: 0, last: 2 });
    // A commit in between has one come again.
    let asked = world.reply(1, "AskObjectHistory", revisions(&[later, 8]));
    assert_eq!(asked, Message::AskObjectHistory { oid: oid(2), first: 2, last: 4 });
    let asked = world.reply(1, "AskObjectHistory", revisions(&[7]));
    assert_eq!(asked, Message::AskObjectHistory { oid: oid(2), first: 4, last: 5 });
    world.assert_done(token, expected(&[8, 7]));

    let token = world.submit(request(Some(tid(7)), 1, 3));
    world.reply(1, "AskObjectHistory", revisions(&[8, 7, 6]));
    world.refuse(1, "AskObjectHistory", ErrorCode::OidNotFound);
    world.assert_done(token, expected(&[]));

    let token = world.submit(request(Some(tid(7)), 0, 3));
    world.reply(1, "AskObjectHistory", revisions(&[8, 7]));
    world.assert_done(token, Err(crate::Error::NoSuchObject { oid: oid(2) }));
}

#[test]
fn the_undo_log_has_nothing_that_the_caller_does_not_see() {
    let mut world = World::readable(&[&[1], &[2]]);
    let before = Some(tid(7));
    let token = world.submit(Request::UndoLog { before, first: 0, last: 2 });
    let answer = |numbers: &[u64]| Message::AnswerTIDs {
        tids: numbers.iter().map(|number| tid(*number)).collect(),
    };
    let partition = PartitionId::new(u32::MAX);
    world.reply(1, "AskTIDs", answer(&[8, 6]));
    let asked = world.reply(1, "AskTIDs", answer(&[4, 2]));
    assert_eq!(asked, Message::AskTIDs { first: 2, last: 4, partition });
    world.reply(2, "AskTIDs", answer(&[9, 7]));
    // Of this storage, the rest is read from one partition.
    world.take(2, "AskTIDs");
    world.cut(2, true);
    world.advance(std::time::Duration::from_secs(1));
    let partition = PartitionId::new(1);
    world.reply(2, "AskTIDs", answer(&[9, 7]));
    let asked = world.reply(2, "AskTIDs", answer(&[5]));
    assert_eq!(asked, Message::AskTIDs { first: 2, last: 4, partition });
    reply_information(&mut world, 1);
    reply_information(&mut world, 2);
    world.assert_done(token, Ok(Answer::UndoLog(vec![information(6), information(5)])));
}
