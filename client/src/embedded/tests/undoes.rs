//! Undoing.

use bytes::Bytes;
use model::Tid;

use super::world::{commit, load, new, oid};
use crate::{Contention, Embedded, Error, Metadata, UndoFailure};

fn undo(embedded: &Embedded, tid: Tid) -> Result<Tid, Error> {
    let mut transaction = embedded.begin()?;
    transaction.undo(tid)?;
    transaction.commit(Metadata::default())
}

#[test]
fn what_was_before_comes_back_with_its_serial() {
    let embedded = new();
    let first = commit(&embedded, &[(1, Tid::ZERO, "a"), (2, Tid::ZERO, "b")]).unwrap();
    let second = commit(&embedded, &[(1, first, "c"), (3, Tid::ZERO, "d")]).unwrap();
    let mut transaction = embedded.begin().unwrap();
    assert_eq!(transaction.undo(second).unwrap(), [oid(1), oid(3)]);
    let third = transaction.commit(Metadata::default()).unwrap();
    let object = embedded.load(oid(1)).unwrap();
    assert_eq!((object.serial, object.data_serial), (third, Some(first)));
    assert_eq!(load(&embedded, 1), Some(Bytes::from("a")));
    let object = embedded.load(oid(3)).unwrap();
    assert_eq!((object.data, object.data_serial), (None, None), "its creation is undone");
    // Undoing the undo.
    let fourth = undo(&embedded, third).unwrap();
    assert_eq!(load(&embedded, 1), Some(Bytes::from("c")));
    assert_eq!(load(&embedded, 3), Some(Bytes::from("d")));
    assert_eq!(embedded.load(oid(1)).unwrap().data_serial, Some(second));
    // The data is again what the second one wrote, so that it can be undone once more.
    undo(&embedded, second).unwrap();
    assert_eq!(load(&embedded, 1), Some(Bytes::from("a")));
    assert!(embedded.last_tid() > fourth);
}

#[test]
fn several_are_undone_by_one() {
    let embedded = new();
    let first = commit(&embedded, &[(1, Tid::ZERO, "a")]).unwrap();
    let second = commit(&embedded, &[(1, first, "b")]).unwrap();
    let third = commit(&embedded, &[(1, second, "c"), (2, Tid::ZERO, "d")]).unwrap();
    let mut transaction = embedded.begin().unwrap();
    transaction.undo(third).unwrap();
    transaction.undo(second).unwrap();
    let tid = transaction.commit(Metadata::default()).unwrap();
    assert_eq!(load(&embedded, 1), Some(Bytes::from("a")));
    assert_eq!(load(&embedded, 2), None);
    assert_eq!(embedded.transaction(tid).unwrap().oids, [oid(1), oid(2)]);
}

#[test]
fn why_it_cannot_be_is_told() {
    let embedded = new();
    let first = commit(&embedded, &[(1, Tid::ZERO, "a")]).unwrap();
    let second = commit(&embedded, &[(1, first, "b")]).unwrap();
    let third = commit(&embedded, &[(1, second, "c")]).unwrap();
    let failure = |tid, oid, reason| Err(Error::Undo { tid, oid, reason });
    assert_eq!(undo(&embedded, second), failure(second, Some(oid(1)), UndoFailure::Changed));
    let none = Tid::new(7);
    assert_eq!(undo(&embedded, none), failure(none, None, UndoFailure::NoSuchTransaction));
    // Somebody changes it between the undo and the vote.
    let mut late = embedded.begin().unwrap();
    late.undo(third).unwrap();
    let fourth = commit(&embedded, &[(1, third, "d")]).unwrap();
    let conflict = Error::Conflict { oid: oid(1), serial: third, conflict_serial: fourth };
    assert_eq!(late.vote(Metadata::default()), Err(conflict));
    // After an undo only what was undone can be built upon.
    let mut other = embedded.begin().unwrap();
    other.undo(fourth).unwrap();
    let stored = other.store(oid(1), fourth, crate::Payload::plain("e"));
    assert!(matches!(stored, Err(Error::Conflict { .. })));
    let mut other = embedded.begin().unwrap();
    other.undo(fourth).unwrap();
    other.store(oid(1), third, crate::Payload::plain("e")).unwrap();
    other.commit(Metadata::default()).unwrap();
    assert_eq!(load(&embedded, 1), Some(Bytes::from("e")));
}

#[test]
fn an_undo_is_merged_with_what_came_later() {
    let embedded = new();
    let first = commit(&embedded, &[(1, Tid::ZERO, "a")]).unwrap();
    let second = commit(&embedded, &[(1, first, "ab")]).unwrap();
    let third = commit(&embedded, &[(1, second, "abc")]).unwrap();
    let mut transaction = embedded.begin().unwrap();
    transaction.set_resolver(move |contention: &Contention| {
        assert_eq!((contention.old_serial, contention.old.as_ref()), (second, &b"ab"[..]));
        assert_eq!(contention.new.as_ref(), b"a");
        assert_eq!(
            (contention.committed_serial, contention.committed.as_ref()),
            (third, &b"abc"[..])
        );
        Some(Bytes::from("ac"))
    });
    assert_eq!(transaction.undo(second).unwrap(), [oid(1)]);
    transaction.commit(Metadata::default()).unwrap();
    let object = embedded.load(oid(1)).unwrap();
    assert_eq!(object.data_serial, None);
    assert_eq!(load(&embedded, 1), Some(Bytes::from("ac")));
}
