//! The cache against a model that remembers everything.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use model::{Oid, Random, Tid};

use super::{oid, tid};
use crate::cache::{Cache, Ticket};
use crate::payload::Payload;
use crate::request::{Object, Revision};

const OIDS: u64 = 40;
/// So few that most of what is put there is evicted.
const BYTES_MAX: u64 = 48 << 10;
const LENGTH_MAX: usize = 2000;

/// What became of an object with a transaction: nothing, if it was deleted.
type Data = Option<Bytes>;

/// A database, a client of it with a cache, and what is on its way between them.
struct World {
    random: Random,
    cache: Cache,
    revisions: BTreeMap<Oid, BTreeMap<Tid, Data>>,
    last_tid: Tid,
    /// The last transaction that the client was told of.
    told: Tid,
    /// What it is going to be told, and whether the transaction is its own.
    commits: VecDeque<(Tid, Vec<Oid>, bool)>,
    loads: Vec<Load>,
    hits: Hits,
}

/// A load that is going on: the storage has not looked yet, or its answer is on its way.
struct Load {
    ticket: Ticket,
    oid: Oid,
    revision: Revision,
    answer: Option<Option<Object>>,
}

/// That a run tests something.
#[derive(Default, Debug)]
struct Hits {
    open: u32,
    closed: u32,
    at: u32,
    misses: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            random: Random::from_seed(seed),
            cache: Cache::new(BYTES_MAX),
            revisions: BTreeMap::new(),
            last_tid: tid(0),
            told: tid(0),
            commits: VecDeque::new(),
            loads: Vec::new(),
            hits: Hits::default(),
        };
        world.connect();
        world
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..5 => self.commit(),
            5..11 => self.tell(),
            11..26 => self.begin(),
            26..46 => self.look_up(),
            46..66 => self.deliver(),
            66.. => self.check(),
        }
        match self.random.below(1000) {
            0 => self.truncate(),
            1 => self.connect(),
            _ => {}
        }
    }

    fn any_oid(&mut self) -> Oid {
        // The lower ones more often.
        let bound = 1 + self.random.below(OIDS);
        oid(self.random.below(bound))
    }

    fn commit(&mut self) {
        self.last_tid = tid(self.last_tid.get() + 1 + self.random.below(3));
        let mut oids: Vec<_> = (0..=self.random.below(3)).map(|_| self.any_oid()).collect();
        oids.sort_unstable();
        oids.dedup();
        for oid in &oids {
            let mut data = vec![0; self.random.index(LENGTH_MAX)];
            data.extend(self.random.next_u64().to_be_bytes());
            let data = Some(Bytes::from(data)).filter(|_| !self.random.chance(1, 10));
            self.revisions.entry(*oid).or_default().insert(self.last_tid, data);
        }
        let is_own = self.random.chance(1, 3);
        self.commits.push_back((self.last_tid, oids, is_own));
    }

    /// Tells the client of the next transaction.
    fn tell(&mut self) {
        let Some((tid, oids, is_own)) = self.commits.pop_front() else { return };
        self.cache.invalidate(tid, &oids);
        self.told = tid;
        for oid in oids.into_iter().filter(|_| is_own) {
            let data = self.revisions[&oid][&tid].clone().map(Payload::plain);
            let object = Object { oid, serial: tid, next_serial: None, data, data_serial: None };
            self.cache.committed(&object);
        }
    }

    /// Any question: mostly of what the client was told of, also of what it was not.
    fn question(&mut self) -> Revision {
        let last = self.last_tid.get() + 3;
        let any = tid(last - self.random.below(last.min(60)));
        match self.random.below(8) {
            0 => Revision::At(any),
            1 => Revision::Before(Tid::MAX),
            2 | 3 => Revision::Before(any),
            4 | 5 => Revision::Before(tid(self.told.get() + 1)),
            _ => Revision::Newest,
        }
    }

    fn begin(&mut self) {
        let (oid, revision) = (self.any_oid(), self.question());
        let ticket = self.cache.begin(oid);
        let revision = match revision {
            Revision::Newest => Revision::Before(tid(self.told.get() + 1)),
            revision => revision,
        };
        self.loads.push(Load { ticket, oid, revision, answer: None });
    }

    /// A storage looks, which knows of all that was committed.
    fn look_up(&mut self) {
        let index = self.random.index(self.loads.len().max(1));
        let Some(load) = self.loads.get(index).filter(|load| load.answer.is_none()) else { return };
        let answer = self.truth(load.oid, load.revision);
        self.loads[index].answer = Some(answer);
    }

    fn deliver(&mut self) {
        if self.loads.is_empty() {
            return;
        }
        let index = self.random.index(self.loads.len());
        let load = self.loads.swap_remove(index);
        match load.answer {
            Some(Some(object)) => self.answered(load.ticket, &object),
            Some(None) => self.cache.give_up(load.ticket),
            None if self.random.chance(1, 10) => self.cache.give_up(load.ticket),
            None => self.loads.push(load),
        }
    }

    fn answered(&mut self, ticket: Ticket, object: &Object) {
        let next_serial = self.cache.answered(ticket, object);
        assert!(object.next_serial.is_none_or(|_| next_serial == object.next_serial));
    }

    fn truth(&self, oid: Oid, revision: Revision) -> Option<Object> {
        let revisions = self.revisions.get(&oid)?;
        let (serial, data) = match revision {
            Revision::At(tid) => revisions.get_key_value(&tid)?,
            Revision::Before(tid) => revisions.range(..tid).next_back()?,
            Revision::Newest => revisions.range(..=self.told).next_back()?,
        };
        let next_serial = revisions.range(tid(serial.get() + 1)..).next().map(|(tid, _)| *tid);
        let data = data.clone().map(Payload::plain);
        Some(Object { oid, serial: *serial, next_serial, data, data_serial: None })
    }

    fn check(&mut self) {
        let (oid, revision) = (self.any_oid(), self.question());
        let Some(found) = self.cache.load(oid, revision) else {
            self.hits.misses += 1;
            return;
        };
        let truth = self.truth(oid, revision);
        let what = format!("{oid} {revision}, told {}", self.told);
        let truth = truth.unwrap_or_else(|| panic!("{what}: {found:?} does not exist"));
        match found.next_serial {
            Some(_) => self.hits.closed += 1,
            None => {
                let is_told = |tid: Tid| tid <= self.told;
                assert!(
                    !truth.next_serial.is_some_and(is_told),
                    "{what}: {found:?} is not current"
                );
                self.hits.open += 1;
            }
        }
        let next_serial = found.next_serial.or(truth.next_serial);
        assert_eq!(Object { next_serial, ..found }, truth, "{what}");
        self.hits.at += u32::from(matches!(revision, Revision::At(_)));
    }

    /// The primary master is found again, and nobody tells what was committed meanwhile.
    fn connect(&mut self) {
        self.commits.clear();
        self.told = self.last_tid;
        self.cache.connected(self.told);
    }

    /// Some of the last transactions are undone, and others may follow before the client is back.
    fn truncate(&mut self) {
        let end = match self.random.chance(1, 3) {
            // Just what the client was not told of.
            true => self.told,
            false => tid(self.last_tid.get().saturating_sub(self.random.below(20))),
        };
        for revisions in self.revisions.values_mut() {
            revisions.split_off(&tid(end.get() + 1));
        }
        // What is chosen later is later, whatever was removed.
        if self.random.chance(1, 2) {
            self.commit();
        } else {
            self.last_tid = end;
        }
        self.connect();
    }
}

#[test]
fn whatever_the_cache_says_is_true() {
    let mut total = Hits::default();
    for seed in 0..1000 {
        let mut world = World::new(seed);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..4000 {
                world.step();
            }
            assert!(world.cache.bytes() <= BYTES_MAX);
        }));
        if let Err(panic) = result {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
        total.open += world.hits.open;
        total.closed += world.hits.closed;
        total.at += world.hits.at;
        total.misses += world.hits.misses;
    }
    let Hits { open, closed, at, misses } = total;
    assert!(open > 1000 && closed > 1000 && at > 100 && misses > 1000, "{total:?}");
}
