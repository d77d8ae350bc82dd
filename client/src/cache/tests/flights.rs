//! Loads that are going on while something is invalidated (R22).

use super::{before, connected, oid, revision, tid};
use crate::request::{Object, Revision};

#[test]
fn r22_what_was_invalidated_while_it_was_loaded_is_not_kept_as_current() {
    let cache = connected();
    let ticket = cache.begin(oid(1));
    cache.invalidate(tid(105), &[oid(1)]);
    cache.invalidate(tid(106), &[oid(1)]);
    cache.answered(ticket, &revision(10, None));
    assert_eq!(before(&cache, 105), Some((10, Some(105))));
    assert_eq!(before(&cache, 106), None);
    assert_eq!(cache.load(oid(1), Revision::Newest), None);
    assert_eq!(cache.flights(), 0);
}

#[test]
fn r22_only_invalidations_of_the_object_and_since_the_question_count() {
    let cache = connected();
    let early = cache.begin(oid(1));
    cache.invalidate(tid(105), &[oid(2)]);
    cache.invalidate(tid(106), &[oid(1)]);
    let late = cache.begin(oid(1));
    cache.invalidate(tid(107), &[oid(2)]);
    cache.answered(late, &revision(106, None));
    assert_eq!(before(&cache, 108), Some((106, None)));
    cache.answered(early, &revision(10, None));
    assert_eq!(before(&cache, 106), Some((10, Some(106))));
    assert_eq!(before(&cache, 108), Some((106, None)));
}

#[test]
fn r22_an_answer_as_new_as_the_last_invalidation_is_current() {
    let cache = connected();
    let ticket = cache.begin(oid(1));
    cache.invalidate(tid(105), &[oid(1)]);
    cache.answered(ticket, &revision(105, None));
    assert_eq!(before(&cache, 106), Some((105, None)));

    let cache = connected();
    let (ticket, other) = (cache.begin(oid(1)), cache.begin(oid(1)));
    cache.invalidate(tid(105), &[oid(1)]);
    cache.invalidate(tid(107), &[oid(1)]);
    // Whether something is between it and the last one is not remembered.
    cache.answered(ticket, &revision(105, None));
    assert_eq!(before(&cache, 106), None);
    cache.answered(other, &revision(107, None));
    assert_eq!(before(&cache, 108), Some((107, None)));
}

#[test]
fn a_load_that_began_before_a_reconnection_is_not_kept() {
    for last_tid in [50, 100, 150] {
        let cache = connected();
        let ticket = cache.begin(oid(1));
        cache.connected(tid(last_tid));
        cache.answered(ticket, &revision(10, Some(20)));
        assert_eq!(before(&cache, 11), None);
        assert_eq!(cache.flights(), 0);
    }
}

#[test]
fn answers_that_cannot_be_are_not_kept() {
    let cache = connected();
    let ticket = cache.begin(oid(1));
    cache.answered(ticket, &revision(10, Some(10)));
    let ticket = cache.begin(oid(1));
    cache.answered(ticket, &Object { oid: oid(2), ..revision(10, None) });
    let ticket = cache.begin(oid(1));
    cache.give_up(ticket);
    assert_eq!(before(&cache, 11), None);
    assert_eq!(cache.load(oid(2), Revision::Newest), None);
    assert_eq!((cache.bytes(), cache.flights()), (0, 0));
}
