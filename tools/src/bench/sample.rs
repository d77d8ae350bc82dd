//! Which objects are loaded: a sample of all there are, taken before anything is measured.

use engine::{LiveOidsLookup, ObjectsLookup, Reader, Snapshot};
use indicatif::ProgressBar;
use model::{Oid, PartitionCount, PartitionId, Random, Tid};

use crate::failure::Failure;
use crate::interrupt::Interrupt;

/// Objects asked for at once.
const PAGE_LENGTH: usize = 4096;
/// Greater than all tids.
const TID_LAST: Tid = Tid::new(u64::MAX);

/// What to sample.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Population {
    /// Objects that exist now: their newest revisions.
    Newest,
    /// All revisions of all objects.
    Revisions,
}

/// A revision; of a sample of the newest, `tid` says nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Key {
    pub(super) oid: Oid,
    pub(super) tid: Tid,
}

/// Keys in random order, each at most once, all equally likely.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) keys: Vec<Key>,
    /// How many there are to choose from.
    pub(super) population: u64,
}

impl Sample {
    /// Goes through the whole index once; memory is bounded by `length_max`.
    pub(super) fn collect(
        reader: &Reader,
        partitions: PartitionCount,
        population: Population,
        length_max: usize,
        seed: u64,
        stop: &Interrupt,
    ) -> Result<Self, Failure> {
        let progress = ProgressBar::new_spinner().with_message("choosing what to load");
        let mut reservoir = Reservoir::new(length_max, seed);
        let snapshot = reader.snapshot();
        for partition in partitions.iter() {
            let mut from = Some((Tid::ZERO, Oid::ZERO));
            while let Some(start) = from {
                stop.check()?;
                from = match population {
                    Population::Newest => {
                        live_page(reader, &snapshot, partition, start.1, &mut reservoir)?
                    }
                    Population::Revisions => {
                        revisions_page(reader, &snapshot, partition, start, &mut reservoir)?
                    }
                };
                progress.set_position(reservoir.seen);
            }
        }
        progress.finish_and_clear();
        Ok(reservoir.into_sample())
    }
}

fn live_page(
    reader: &Reader,
    snapshot: &Snapshot,
    partition: PartitionId,
    from: Oid,
    reservoir: &mut Reservoir,
) -> Result<Option<(Tid, Oid)>, Failure> {
    let lookup = LiveOidsLookup::new(snapshot.clone(), partition, from, TID_LAST, PAGE_LENGTH);
    let page = reader.run(lookup)?;
    for oid in page.oids {
        reservoir.offer(Key { oid, tid: Tid::ZERO });
    }
    let last = page.last.filter(|_| page.examined == PAGE_LENGTH);
    let next = last.and_then(|last| last.get().checked_add(1));
    Ok(next.map(|next| (Tid::ZERO, Oid::new(next))))
}

fn revisions_page(
    reader: &Reader,
    snapshot: &Snapshot,
    partition: PartitionId,
    from: (Tid, Oid),
    reservoir: &mut Reservoir,
) -> Result<Option<(Tid, Oid)>, Failure> {
    let lookup = ObjectsLookup::new(snapshot.clone(), partition, from, TID_LAST, PAGE_LENGTH);
    let page = reader.run(lookup)?;
    for (tid, oid) in page.objects {
        reservoir.offer(Key { oid, tid });
    }
    Ok(page.next)
}

/// A uniform sample of a stream of unknown length (algorithm R).
#[derive(Debug)]
struct Reservoir {
    keys: Vec<Key>,
    length_max: usize,
    seen: u64,
    random: Random,
}

impl Reservoir {
    fn new(length_max: usize, seed: u64) -> Self {
        Self { keys: Vec::new(), length_max, seen: 0, random: Random::from_seed(seed) }
    }

    fn offer(&mut self, key: Key) {
        self.seen += 1;
        if self.keys.len() < self.length_max {
            self.keys.push(key);
            return;
        }
        let place = usize::try_from(self.random.below(self.seen));
        if let Some(kept) = place.ok().and_then(|place| self.keys.get_mut(place)) {
            *kept = key;
        }
    }

    fn into_sample(mut self) -> Sample {
        self.random.shuffle(&mut self.keys);
        Sample { keys: self.keys, population: self.seen }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_as_likely() {
        let mut counts = [0; 10];
        for seed in 0..2_000 {
            let mut reservoir = Reservoir::new(3, seed);
            for oid in 0..10 {
                reservoir.offer(Key { oid: Oid::new(oid), tid: Tid::ZERO });
            }
            let sample = reservoir.into_sample();
            assert_eq!((sample.keys.len(), sample.population), (3, 10));
            for key in sample.keys {
                counts[usize::try_from(key.oid.get()).unwrap()] += 1;
            }
        }
        assert!(counts.iter().all(|count| (500..700).contains(count)), "{counts:?}");
    }

    #[test]
    fn few_keys_are_all_there() {
        let mut reservoir = Reservoir::new(100, 1);
        for oid in 0..10 {
            reservoir.offer(Key { oid: Oid::new(oid), tid: Tid::ZERO });
        }
        let mut oids: Vec<u64> =
            reservoir.into_sample().keys.iter().map(|key| key.oid.get()).collect();
        assert_ne!(oids, (0..10).collect::<Vec<_>>(), "in random order");
        oids.sort_unstable();
        assert_eq!(oids, (0..10).collect::<Vec<_>>());
    }
}
