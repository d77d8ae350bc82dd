use bytes::Bytes;
use model::{Oid, PartitionId, Ttid};

use super::{ENTRY_LENGTH, OBJECT_LENGTH_MAX, ReadCache};
use crate::format::{Compression, ObjectHead, ObjectId};
use crate::lookup::ObjectRecord;

const SEGMENT: u32 = 1;
const LENGTH: usize = 1000;
const COUNT_MAX: u64 = 200;

fn record(number: u64, length: usize) -> ObjectRecord {
    let head = ObjectHead {
        partition: PartitionId::new(0),
        oid: Oid::new(number),
        id: ObjectId::Pending(Ttid::new(1)),
        data_tid: None,
        checksum: None,
        compression: Compression::None,
        no_data: false,
    };
    ObjectRecord { head, data: Bytes::from(vec![0; length]) }
}

/// With space for so many records of equal length.
fn cache() -> ReadCache {
    ReadCache::new(COUNT_MAX * (LENGTH as u64 + ENTRY_LENGTH))
}

fn load(cache: &ReadCache, number: u64) -> bool {
    let found = cache.object(SEGMENT, number);
    if let Some(found) = &found {
        assert_eq!(found.head.oid, Oid::new(number), "what was put there");
    } else {
        cache.insert_object(SEGMENT, number, record(number, LENGTH));
    }
    found.is_some()
}

#[test]
fn the_budget_is_kept_whatever_comes() {
    let cache = cache();
    let mut random = model::Random::from_seed(1);
    for number in 0..20 * COUNT_MAX {
        let length = random.index(4 * LENGTH);
        cache.insert_object(SEGMENT, number, record(number, length));
        assert!(cache.bytes() <= COUNT_MAX * (LENGTH as u64 + ENTRY_LENGTH), "{cache:?}");
    }
    let kept = (0..20 * COUNT_MAX).filter(|number| cache.object(SEGMENT, *number).is_some());
    let kept = kept.count() as u64;
    assert!(kept > COUNT_MAX / 4, "only {kept} are left");
}

#[test]
fn what_is_asked_for_again_outlives_what_comes_once() {
    let cache = cache();
    let hot = COUNT_MAX / 4;
    for _ in 0..4 {
        for number in 0..hot {
            load(&cache, number);
        }
    }
    for number in hot..hot + 20 * COUNT_MAX {
        assert!(!load(&cache, number), "{number} comes once");
    }
    let kept = (0..hot).filter(|number| cache.object(SEGMENT, *number).is_some()).count() as u64;
    assert!(kept >= hot * 9 / 10, "{kept} of {hot} are left");
}

#[test]
fn long_data_is_not_kept() {
    let cache = ReadCache::new(64 << 20);
    for (number, length, expected) in
        [(1, 0, true), (2, OBJECT_LENGTH_MAX, true), (3, OBJECT_LENGTH_MAX + 1, false)]
    {
        cache.insert_object(SEGMENT, number, record(number, length));
        assert_eq!(cache.object(SEGMENT, number).is_some(), expected, "{length} bytes");
    }
}

#[test]
fn places_are_told_apart() {
    let cache = cache();
    cache.insert_object(SEGMENT, 7, record(7, LENGTH));
    assert!(cache.object(SEGMENT, 7).is_some());
    assert!(cache.object(SEGMENT + 1, 7).is_none(), "another segment");
    assert!(cache.object(SEGMENT, 8).is_none(), "another offset");
    assert!(cache.block(SEGMENT, 7).is_none(), "a run of that number");
    cache.clear();
    assert!(cache.object(SEGMENT, 7).is_none(), "forgotten");
    assert_eq!(cache.bytes(), 0);
}
