//! The work that every engine is given: the same records, the same lookups, from one seed.

use clap::Args;
use model::{Oid, Tid};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result};

/// Bytes of a record's key: oid and tid.
pub(crate) const KEY_BYTES: u64 = 16;
const VALUE_BYTES_MIN: u64 = 200;
const VALUE_BYTES_MAX: u64 = 1024;
/// Values are windows into one pool, so that making them costs nothing between two batches. It is
/// large enough that two windows of one compressed block practically never overlap.
const POOL_BYTES: usize = 64 << 20;
/// Length of each run of random bytes in the pool; the fragments between them are about as long.
const NOISE_BYTES: usize = 16;
/// One lookup in so many asks for the time before its object existed, another for the exact time of
/// its first revision.
const LOOKUPS_AN_EDGE: u64 = 64;
/// 2026 or so, in the units of ZODB.
const TID_FIRST: u64 = 0x0400_0000_0000_0000;
/// Gap between the tids of successive batches, so that lookups fall between them.
const TID_STEP: u64 = 1 << 16;
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

/// Size of the work.
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Parameters {
    /// Records to insert
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub(crate) records: u64,
    /// Records a batch: one transaction with one tid, synced before the next begins
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) batch: u64,
    /// Objects that the records are revisions of [default: a quarter of the records]
    #[arg(long, value_name = "N")]
    pub(crate) oids: Option<u64>,
    /// Lookups [default: as many as records]
    #[arg(long, value_name = "N")]
    pub(crate) lookups: Option<u64>,
    /// Memory that each engine may use as its own block or page cache, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    pub(crate) cache_mib: usize,
    /// Seed of records and lookups
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}

impl Parameters {
    /// Refuses what cannot be run.
    pub(crate) fn check(&self) -> Result<()> {
        if self.batch == 0 || self.records < self.batch {
            return Err(Error::NoWholeBatch { records: self.records, batch: self.batch });
        }
        if self.oids() < self.batch {
            return Err(Error::TooFewOids { oids: self.oids(), batch: self.batch });
        }
        Ok(())
    }

    /// Number of objects.
    pub(crate) fn oids(&self) -> u64 {
        self.oids.unwrap_or(self.records / 4)
    }

    /// Number of lookups.
    pub(crate) fn lookups(&self) -> u64 {
        self.lookups.unwrap_or(self.records)
    }

    /// Number of batches: what does not fill one is left out.
    pub(crate) fn batches(&self) -> u64 {
        self.records / self.batch
    }

    /// Size of each engine's own cache, in bytes.
    pub(crate) fn cache_bytes(&self) -> usize {
        self.cache_mib << 20
    }

    /// The same parameters as arguments for a child process.
    pub(crate) fn arguments(&self) -> Vec<String> {
        [
            ("--records", self.records),
            ("--batch", self.batch),
            ("--oids", self.oids()),
            ("--lookups", self.lookups()),
            ("--cache-mib", self.cache_mib as u64),
            ("--seed", self.seed),
        ]
        .map(|(name, value)| format!("{name}={value}"))
        .into()
    }
}

/// One revision of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) oid: Oid,
    pub(crate) tid: Tid,
    pub(crate) value: &'a [u8],
}

/// A question: which revision of `oid` has the greatest tid that is at most `tid`?
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lookup {
    pub(crate) oid: Oid,
    pub(crate) tid: Tid,
}

/// What the lookups of a run found, in a form that two engines can be compared by.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answers {
    /// Lookups that found a revision.
    pub(crate) hits: u64,
    /// Lookups that found none.
    pub(crate) misses: u64,
    /// Checksum over all bytes of all values, in order.
    pub(crate) checksum: u64,
}

impl Answers {
    /// Takes in the answer to one lookup.
    pub(crate) fn add(&mut self, value: Option<&[u8]>) {
        let hash = match value {
            Some(value) => {
                self.hits += 1;
                xxh3_64(value)
            }
            None => {
                self.misses += 1;
                0
            }
        };
        self.checksum = (self.checksum.rotate_left(5) ^ hash).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// Generator of records and lookups.
///
/// Every batch is one transaction: one tid, `batch` distinct oids drawn at random, in random order.
/// So with four times as many records as oids an object has four revisions on average (Poisson),
/// far apart in time. A value has 200 to 1,024 bytes: random bytes alternate with fragments as
/// pickles of ZODB have them, so that LZ4 takes off about a third. Revisions of an object have
/// nothing else in common: deltas between them would gain nothing.
///
/// A lookup takes any object that was written and any time between its first revision and the end;
/// one in 64 takes the very tid of the first revision instead, and one in 64 the moment before it,
/// and must find none.
pub(crate) struct Workload {
    parameters: Parameters,
    pool: Vec<u8>,
}

impl Workload {
    /// Makes the pool of value bytes; the rest is made when asked for.
    pub(crate) fn new(parameters: &Parameters) -> Self {
        let mut random = Random::new(parameters.seed);
        let mut pool = Vec::with_capacity(POOL_BYTES + 64);
        while pool.len() < POOL_BYTES {
            for _ in 0..NOISE_BYTES / 8 {
                pool.extend_from_slice(&random.next().to_le_bytes());
            }
            let index = usize::try_from(random.below(FRAGMENTS.len() as u64));
            pool.extend_from_slice(FRAGMENTS[index.expect("the index of an array")]);
        }
        Self { parameters: parameters.clone(), pool }
    }

    /// The batches, in order of tid.
    pub(crate) fn batches(&self) -> Batches<'_> {
        let oids = usize::try_from(self.parameters.oids()).expect("oids fit into memory");
        Batches {
            workload: self,
            random: Random::new(self.parameters.seed ^ 1),
            index: 0,
            last_batch: vec![u64::MAX; oids],
        }
    }

    /// The lookups, in random order.
    pub(crate) fn lookups(&self) -> Vec<Lookup> {
        let first_tids = self.first_tids();
        let tid_end = TID_FIRST + self.parameters.batches() * TID_STEP;
        let mut random = Random::new(self.parameters.seed ^ 2);
        let mut lookup = || {
            let index = usize::try_from(random.below(first_tids.len() as u64));
            let (oid, first) = first_tids[index.expect("the index of a vector")];
            let tid = match random.below(LOOKUPS_AN_EDGE) {
                0 => first.get() - 1,
                1 => first.get(),
                _ => first.get() + random.below(tid_end - first.get()),
            };
            Lookup { oid, tid: Tid::new(tid) }
        };
        (0..self.parameters.lookups()).map(|_| lookup()).collect()
    }

    /// One lookup of the newest revision of each object, in order of oid: reads all there is once.
    pub(crate) fn warm_up(&self) -> Vec<Lookup> {
        let newest = |(oid, _)| Lookup { oid, tid: Tid::MAX };
        self.first_tids().into_iter().map(newest).collect()
    }

    /// What the lookups must find.
    pub(crate) fn answers(&self) -> Answers {
        let mut revisions = std::collections::HashMap::<Oid, Vec<(Tid, &[u8])>>::new();
        for record in self.batches().flatten() {
            revisions.entry(record.oid).or_default().push((record.tid, record.value));
        }
        let mut answers = Answers::default();
        for lookup in self.lookups() {
            let revisions = &revisions[&lookup.oid];
            let newer = revisions.partition_point(|(tid, _)| *tid <= lookup.tid);
            answers.add(newer.checked_sub(1).map(|index| revisions[index].1));
        }
        answers
    }

    /// Bytes of all keys and values.
    pub(crate) fn raw_bytes(&self) -> u64 {
        let bytes = |record: Record<'_>| KEY_BYTES + record.value.len() as u64;
        self.batches().flatten().map(bytes).sum()
    }

    /// The objects that have a revision, with the tid of their first, in order of oid.
    fn first_tids(&self) -> Vec<(Oid, Tid)> {
        let mut first_tids = std::collections::BTreeMap::new();
        for record in self.batches().flatten() {
            first_tids.entry(record.oid).or_insert(record.tid);
        }
        first_tids.into_iter().collect()
    }
}

/// See [`Workload::batches`].
pub(crate) struct Batches<'a> {
    workload: &'a Workload,
    random: Random,
    index: u64,
    /// By oid: the index of the last batch that has a revision of it.
    last_batch: Vec<u64>,
}

impl<'a> Iterator for Batches<'a> {
    type Item = Vec<Record<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let parameters = &self.workload.parameters;
        if self.index == parameters.batches() {
            return None;
        }
        let tid = Tid::new(TID_FIRST + self.index * TID_STEP);
        let records = (0..parameters.batch)
            .map(|_| Record { oid: self.draw_oid(), tid, value: self.draw_value() })
            .collect();
        self.index += 1;
        Some(records)
    }
}

impl<'a> Batches<'a> {
    fn draw_oid(&mut self) -> Oid {
        loop {
            let oid = self.random.below(self.last_batch.len() as u64);
            let index = usize::try_from(oid).expect("the index of a vector");
            if self.last_batch[index] != self.index {
                self.last_batch[index] = self.index;
                return Oid::new(oid);
            }
        }
    }

    fn draw_value(&mut self) -> &'a [u8] {
        let span = VALUE_BYTES_MAX - VALUE_BYTES_MIN + 1;
        let length = VALUE_BYTES_MIN + self.random.below(span);
        let offset = self.random.below(self.workload.pool.len() as u64 - length);
        let range = offset..offset + length;
        let index = |at| usize::try_from(at).expect("the index of a vector");
        &self.workload.pool[index(range.start)..index(range.end)]
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to below `end`, all as likely.
    fn below(&mut self, end: u64) -> u64 {
        let product = u128::from(self.next()) * u128::from(end);
        u64::try_from(product >> 64).expect("the upper half of 128 bits")
    }
}
