//! Objects that nobody has made: valid pickles of random content, always the same for one seed.

use bytes::{BufMut, Bytes, BytesMut};
use model::{Oid, Random};

/// Content is taken from one pool, so that making it costs little beside storing it. It is large
/// enough that two pieces within reach of a compressor practically never overlap.
const POOL_LENGTH: usize = 16 << 20;
/// Length of each run of random bytes in the pool; the fragments between are about as long.
const NOISE_LENGTH: usize = 16;
const FRAGMENTS: [&[u8]; 8] = [
    b"\x8c\x08__name__\x94\x8c",
    b"\x8c\x12persistent.mapping\x94",
    b"}\x94(\x8c\x02id\x94K",
    b"\x8c\x11modification_date\x94",
    b"\x94\x8c\x08datetime\x94\x93\x94C\x0a",
    b"BTrees.OOBTree\x94\x8c\x08OOBucket\x94",
    b"\x85\x94Q\x8c\x0a__parent__",
    b"\x94\x8c\x0dportal_type\x94",
];

/// Pickles of the class and the state of a mapping with one value, `bytes` whose length follows.
const PICKLE_START: &[u8] = b"\x80\x03cpersistent.mapping\nPersistentMapping\nq\x00.\
    \x80\x03}q\x01X\x04\x00\x00\x00dataq\x02}q\x03X\x07\x00\x00\x00contentq\x04B";
const PICKLE_END: &[u8] = b"ss.";

/// The shortest record, and the longest.
pub(super) const LENGTH_MIN: u32 = 128;
pub(super) const LENGTH_MAX: u32 = 1 << 20;

/// One object of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct SyntheticObject {
    pub(super) oid: Oid,
    pub(super) data: Bytes,
}

/// Makes records: some are new objects, with oids from 0 on, the others are new revisions of any
/// object that is there. After the last record all objects are there.
#[derive(Debug)]
pub(super) struct Records {
    pool: Bytes,
    random: Random,
    lengths: (u32, u32),
    records_left: u64,
    oids: u64,
    oids_used: u64,
}

impl Records {
    /// So many records of so many objects, of so many bytes each.
    pub(super) fn new(seed: u64, records: u64, oids: u64, lengths: (u32, u32)) -> Self {
        assert!((1..=records).contains(&oids), "every object has a revision");
        assert!(LENGTH_MIN <= lengths.0 && lengths.0 <= lengths.1 && lengths.1 <= LENGTH_MAX);
        let mut random = Random::from_seed(seed);
        let pool = make_pool(&mut random);
        Self { pool, random, lengths, records_left: records, oids, oids_used: 0 }
    }

    /// How many are still to be made.
    pub(super) fn left(&self) -> u64 {
        self.records_left
    }

    /// Records of a transaction: the next ones, at most `length`, of which none is of the same
    /// object. Empty after the last.
    pub(super) fn next_batch(&mut self, length: u64) -> Vec<SyntheticObject> {
        let mut oids = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        while self.records_left > 0 && (oids.len() as u64) < length {
            let all_are_in = oids.len() as u64 == self.oids_used;
            if all_are_in && self.oids_used == self.oids {
                break;
            }
            let oid = if all_are_in { self.oids_used } else { self.draw_oid() };
            if seen.insert(oid) {
                self.oids_used = self.oids_used.max(oid + 1);
                self.records_left -= 1;
                oids.push(Oid::new(oid));
            }
        }
        oids.into_iter().map(|oid| SyntheticObject { oid, data: self.draw_data() }).collect()
    }

    fn draw_oid(&mut self) -> u64 {
        let oids_left = self.oids - self.oids_used;
        match self.random.chance(oids_left, self.records_left) {
            true => self.oids_used,
            false => self.random.below(self.oids_used),
        }
    }

    fn draw_data(&mut self) -> Bytes {
        let (min, max) = self.lengths;
        let length = u64::from(min) + self.random.below(u64::from(max - min) + 1);
        let length = usize::try_from(length).expect("at most LENGTH_MAX");
        let content_length = length - (PICKLE_START.len() + 4 + PICKLE_END.len());
        let start = self.random.index(POOL_LENGTH - content_length);
        let mut data = BytesMut::with_capacity(length);
        data.put_slice(PICKLE_START);
        data.put_u32_le(u32::try_from(content_length).expect("at most LENGTH_MAX"));
        data.put_slice(&self.pool[start..start + content_length]);
        data.put_slice(PICKLE_END);
        data.freeze()
    }
}

fn make_pool(random: &mut Random) -> Bytes {
    let mut pool = Vec::with_capacity(POOL_LENGTH + 64);
    while pool.len() < POOL_LENGTH {
        pool.extend_from_slice(&random.bytes(NOISE_LENGTH));
        pool.extend_from_slice(FRAGMENTS[random.index(FRAGMENTS.len())]);
    }
    pool.into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn all(seed: u64, records: u64, oids: u64, batch: u64) -> Vec<Vec<SyntheticObject>> {
        let mut made = Records::new(seed, records, oids, (200, 1024));
        let mut batches = Vec::new();
        loop {
            let batch = made.next_batch(batch);
            if batch.is_empty() {
                return batches;
            }
            batches.push(batch);
        }
    }

    #[test]
    fn there_are_as_many_records_and_objects_as_asked_for() {
        for (records, oids, batch) in
            [(1, 1, 1), (1000, 1, 10), (1000, 1000, 7), (5000, 1250, 100), (300, 2, 1000)]
        {
            let batches = all(1, records, oids, batch);
            let flat: Vec<_> = batches.iter().flatten().collect();
            assert_eq!(flat.len() as u64, records);
            let seen: BTreeSet<u64> = flat.iter().map(|object| object.oid.get()).collect();
            assert_eq!(seen, (0..oids).collect());
            for objects in &batches {
                let distinct: BTreeSet<_> = objects.iter().map(|object| object.oid).collect();
                assert_eq!(distinct.len(), objects.len());
            }
            assert!(flat.iter().all(|object| (200..=1024).contains(&object.data.len())));
        }
    }

    #[test]
    fn the_same_seed_makes_the_same() {
        assert_eq!(all(7, 500, 100, 50), all(7, 500, 100, 50));
        assert_ne!(all(7, 500, 100, 50), all(8, 500, 100, 50));
    }
}
