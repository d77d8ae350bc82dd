//! Ranges of revisions.

use model::Tid;

use super::{before, connected, fill, oid, revision, tid};
use crate::request::{Object, Revision};

#[test]
fn a_revision_is_the_answer_from_behind_its_serial_up_to_the_next_one() {
    let cache = connected();
    fill(&cache, &revision(10, Some(20)));
    assert_eq!(before(&cache, 10), None);
    assert_eq!(before(&cache, 11), Some((10, Some(20))));
    assert_eq!(before(&cache, 20), Some((10, Some(20))));
    assert_eq!(before(&cache, 21), None);
    assert_eq!(cache.load(oid(1), Revision::Newest), None);
    assert_eq!(cache.load(oid(1), Revision::At(tid(10))), Some(revision(10, Some(20))));
    assert_eq!(cache.load(oid(1), Revision::At(tid(11))), None);
    assert_eq!(cache.load(oid(2), Revision::At(tid(10))), None);
}

#[test]
fn a_current_revision_is_the_answer_up_to_what_was_told() {
    let cache = connected();
    fill(&cache, &revision(10, None));
    assert_eq!(before(&cache, 101), Some((10, None)));
    assert_eq!(before(&cache, 102), None);
    assert_eq!(cache.load(oid(1), Revision::Newest), Some(revision(10, None)));
    cache.invalidate(tid(105), &[oid(2)]);
    assert_eq!(before(&cache, 106), Some((10, None)));
    assert_eq!(before(&cache, 107), None);
}

#[test]
fn an_invalidation_ends_what_is_current_and_nothing_else() {
    let cache = connected();
    fill(&cache, &revision(10, None));
    fill(&cache, &revision(5, Some(7)));
    cache.invalidate(tid(105), &[oid(1), oid(2)]);
    cache.invalidate(tid(106), &[oid(1)]);
    assert_eq!(before(&cache, 105), Some((10, Some(105))));
    assert_eq!(before(&cache, 106), None);
    assert_eq!(before(&cache, 7), Some((5, Some(7))));
    assert_eq!(before(&cache, 8), None);
    assert_eq!(cache.load(oid(1), Revision::Newest), None);
}

#[test]
fn revisions_without_data_and_of_undos_are_kept_as_they_are() {
    let cache = connected();
    let deleted = Object { data: None, ..revision(10, None) };
    fill(&cache, &deleted);
    assert_eq!(cache.load(oid(1), Revision::Newest), Some(deleted));
    let undone = Object { oid: oid(2), data_serial: Some(tid(3)), ..revision(10, None) };
    fill(&cache, &undone);
    assert_eq!(cache.load(oid(2), Revision::Newest), Some(undone));
}

#[test]
fn what_is_said_of_a_revision_twice_is_true_both_times() {
    let cache = connected();
    fill(&cache, &revision(10, None));
    // Another storage knows already what is not told yet.
    fill(&cache, &revision(10, Some(105)));
    fill(&cache, &revision(10, None));
    assert_eq!(before(&cache, 105), Some((10, Some(105))));
    cache.invalidate(tid(105), &[oid(1)]);
    assert_eq!(before(&cache, 105), Some((10, Some(105))));
    assert_eq!(cache.load(oid(1), Revision::Newest), None);
}

#[test]
fn a_revision_that_is_not_told_yet_does_not_hide_those_before_it() {
    let cache = connected();
    fill(&cache, &revision(10, None));
    fill(&cache, &revision(120, None));
    assert_eq!(before(&cache, 101), Some((10, None)));
    assert_eq!(before(&cache, 120), None);
    cache.invalidate(tid(110), &[oid(1)]);
    assert_eq!(before(&cache, 110), Some((10, Some(110))));
    assert_eq!(before(&cache, 111), None);
    cache.invalidate(tid(120), &[oid(1)]);
    assert_eq!(before(&cache, 121), Some((120, None)));
}

#[test]
fn a_newer_revision_that_nobody_told_of_ends_the_older_one() {
    let cache = connected();
    fill(&cache, &revision(10, None));
    let deleted = Object { data: None, ..revision(90, None) };
    fill(&cache, &deleted);
    assert_eq!(before(&cache, 90), Some((10, Some(90))));
    assert_eq!(cache.load(oid(1), Revision::Newest), Some(deleted));
}

#[test]
fn only_some_revisions_of_an_object_are_kept() {
    let cache = connected();
    for serial in 1..=90 {
        fill(&cache, &revision(serial, (serial < 90).then_some(serial + 1)));
    }
    let kept = |cache: &_| (2..=91).filter(|tid| before(cache, *tid).is_some()).collect::<Vec<_>>();
    assert_eq!(kept(&cache), [90, 91]);
    // Somebody sees the database as it was long ago.
    fill(&cache, &revision(3, Some(4)));
    assert_eq!(before(&cache, 4), Some((3, Some(4))));
    assert_eq!(kept(&cache), [4, 91]);
}

#[test]
fn a_commit_of_ones_own_is_kept() {
    let cache = connected();
    fill(&cache, &revision(10, None));
    cache.invalidate(tid(105), &[oid(1)]);
    cache.committed(&revision(105, None));
    assert_eq!(before(&cache, 105), Some((10, Some(105))));
    assert_eq!(before(&cache, 106), Some((105, None)));
}

#[test]
fn another_last_tid_after_a_reconnection_drops_everything() {
    for last_tid in [99, 101, 0, u64::MAX] {
        let cache = connected();
        fill(&cache, &revision(10, None));
        fill(&cache, &revision(5, Some(7)));
        cache.connected(tid(last_tid));
        assert_eq!(before(&cache, 11), None, "{last_tid}");
        assert_eq!(before(&cache, 6), None, "{last_tid}");
        assert_eq!(cache.bytes(), 0);
    }
    let cache = connected();
    fill(&cache, &revision(10, None));
    cache.connected(tid(100));
    assert_eq!(before(&cache, 101), Some((10, None)));
    // Transaction 101 was there, and is not any more.
    for beyond in [revision(20, Some(101)), revision(101, None)] {
        fill(&cache, &beyond);
        cache.connected(tid(100));
        assert_eq!(cache.bytes(), 0);
    }
}

#[test]
fn nothing_is_current_before_it_is_told_up_to_where() {
    let cache = connected();
    cache.clear();
    fill(&cache, &revision(10, None));
    assert_eq!(cache.load(oid(1), Revision::Newest), None);
    assert_eq!(before(&cache, 11), None);
    assert_eq!(cache.load(oid(1), Revision::Before(Tid::MAX)), None);
}
