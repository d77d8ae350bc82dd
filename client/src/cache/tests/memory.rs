//! The budget.

use bytes::{Bytes, BytesMut};
use model::Random;

use super::{connected, fill, oid, tid};
use crate::cache::Cache;
use crate::payload::Payload;
use crate::request::{Object, Revision};

fn object(number: u64, bytes: impl Into<Bytes>) -> Object {
    let data = Some(Payload::plain(bytes));
    Object { oid: oid(number), serial: tid(10), next_serial: None, data, data_serial: None }
}

#[test]
fn the_budget_is_kept_and_used() {
    for (bytes_max, length_max) in [(1 << 20, 500), (1 << 20, 20_000), (10 << 20, 5_000)] {
        let cache = Cache::new(bytes_max);
        cache.connected(tid(100));
        let mut random = Random::from_seed(bytes_max);
        for number in 0..20_000 {
            fill(&cache, &object(number, vec![0; random.index(length_max)]));
            assert!(number % 100 > 0 || cache.bytes() <= bytes_max);
        }
        assert!(cache.bytes() > bytes_max / 10 * 8, "{} of {bytes_max}", cache.bytes());
    }
}

#[test]
fn what_is_asked_for_again_stays_while_much_is_read_once() {
    let cache = connected();
    let is_kept = |number| cache.load(oid(number), Revision::Newest).is_some();
    for round in 0..3 {
        for number in 0..200 {
            if !is_kept(number) {
                fill(&cache, &object(number, vec![1; 1000]));
            }
        }
        for number in 0..10_000 {
            fill(&cache, &object(1_000_000 * (round + 1) + number, vec![0; 1000]));
        }
    }
    let kept = (0..200).filter(|number| is_kept(*number)).count();
    assert!(kept > 190, "{kept}");
}

#[test]
fn one_long_object_does_not_take_the_place_of_many() {
    let cache = connected();
    for number in 0..100 {
        fill(&cache, &object(number, vec![0; 1000]));
    }
    fill(&cache, &object(1000, vec![0; 500_000]));
    assert!(cache.load(oid(1000), Revision::Newest).is_none());
    assert!((0..100).all(|number| cache.load(oid(number), Revision::Newest).is_some()));
}

#[test]
fn data_that_is_inflated_twice_is_kept_plain_and_counted() {
    let cache = connected();
    let plain = Bytes::from(vec![b'a'; 10_000]);
    let mut compressed = object(1, Bytes::new());
    compressed.data = Some(Payload::compressed(plain.clone()));
    fill(&cache, &compressed);
    let before = cache.bytes();
    let is_again = || {
        let (object, is_again) = cache.load_to_inflate(oid(1), Revision::Newest).unwrap();
        assert_eq!(object, compressed);
        is_again
    };
    assert!(!is_again(), "it may be the only time");
    assert!(cache.load(oid(1), Revision::Newest).is_some());
    assert!(is_again());
    cache.inflate(oid(1), tid(11), &plain);
    assert_eq!(cache.bytes(), before, "another revision");
    cache.inflate(oid(1), tid(10), &plain);
    assert!(cache.bytes() > before + 9_000);
    let found = cache.load_to_inflate(oid(1), Revision::Newest);
    let found = found.map(|(object, is_again)| (object.data, is_again));
    assert_eq!(found, Some((Some(Payload::plain(plain.clone())), false)));
    cache.inflate(oid(2), tid(10), &plain);
    assert!(cache.load(oid(2), Revision::Newest).is_none());
}

#[test]
fn short_data_does_not_keep_what_it_was_received_with() {
    let cache = connected();
    let received = BytesMut::zeroed(1 << 16).freeze();
    fill(&cache, &object(1, received.slice(100..200)));
    assert!(received.is_unique());
    // Who loads gets it without a copy.
    let load = || cache.load(oid(1), Revision::Newest).and_then(|object| object.data);
    let pointers = [load(), load()].map(|data| data.expect("it is kept").data.bytes.as_ptr());
    assert_eq!(pointers[0], pointers[1]);
}
