//! Counts transactions, oids and revisions.

use engine::{LiveOidsLookup, ObjectsLookup, TidsLookup};
use model::{Oid, PartitionId, Tid};
use serde::Serialize;

use crate::database::Database;
use crate::failure::Failure;

/// Entries that are asked for at once.
const PAGE_LENGTH: usize = 16 << 10;
/// The greatest number there is, also for ids.
const GREATEST_TID: Tid = Tid::new(u64::MAX);

/// How many there are of each.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) transactions: u64,
    pub(super) oids: u64,
    pub(super) live_oids: u64,
    pub(super) revisions: u64,
    pub(super) revisions_an_oid: Revisions,
}

/// Of all oids, the given share has at most so many revisions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Revisions {
    pub(super) p50: u64,
    pub(super) p90: u64,
    pub(super) p99: u64,
    pub(super) max: u64,
}

impl Counted {
    /// Takes memory for the oids of the revisions of one partition, and for the number of
    /// revisions of each oid.
    pub(super) fn of(database: &Database) -> Result<Self, Failure> {
        let mut counted = Self::default();
        let mut counts = Vec::new();
        for partition in database.partitions.iter() {
            counted.transactions += transactions(database, partition)?;
            counted.live_oids += live_oids(database, partition)?;
            let mut oids = revisions(database, partition)?;
            counted.revisions += oids.len() as u64;
            oids.sort_unstable();
            counts.extend(oids.chunk_by(|one, other| one == other).map(|same| same.len() as u64));
        }
        counted.oids = counts.len() as u64;
        counted.revisions_an_oid = Revisions::of(counts);
        Ok(counted)
    }
}

impl Revisions {
    fn of(mut counts: Vec<u64>) -> Self {
        counts.sort_unstable();
        let at = |percent: usize| {
            let rank = (counts.len() * percent).div_ceil(100);
            rank.checked_sub(1).map_or(0, |index| counts[index])
        };
        Self { p50: at(50), p90: at(90), p99: at(99), max: at(100) }
    }
}

fn transactions(database: &Database, partition: PartitionId) -> Result<u64, Failure> {
    let (mut count, mut next) = (0, Some(0));
    while let Some(first) = next {
        let (snapshot, first) = (database.snapshot.clone(), Tid::new(first));
        let lookup = TidsLookup::ascending(snapshot, partition, first, GREATEST_TID, PAGE_LENGTH);
        let tids = database.look_up(lookup)?;
        count += tids.len() as u64;
        next = tids.last().and_then(|tid| tid.get().checked_add(1));
    }
    Ok(count)
}

fn live_oids(database: &Database, partition: PartitionId) -> Result<u64, Failure> {
    let (mut count, mut next) = (0, Some(0));
    while let Some(first) = next {
        let (snapshot, first) = (database.snapshot.clone(), Oid::new(first));
        let lookup = LiveOidsLookup::new(snapshot, partition, first, GREATEST_TID, PAGE_LENGTH);
        let live = database.look_up(lookup)?;
        count += live.oids.len() as u64;
        next = live.last.and_then(|oid| oid.get().checked_add(1));
    }
    Ok(count)
}

/// The oid of each revision.
fn revisions(database: &Database, partition: PartitionId) -> Result<Vec<Oid>, Failure> {
    let (mut oids, mut next) = (Vec::new(), Some((Tid::ZERO, Oid::ZERO)));
    while let Some(first) = next {
        let snapshot = database.snapshot.clone();
        let lookup = ObjectsLookup::new(snapshot, partition, first, GREATEST_TID, PAGE_LENGTH);
        let page = database.look_up(lookup)?;
        oids.extend(page.objects.into_iter().map(|(_, oid)| oid));
        next = page.next;
    }
    Ok(oids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_oids() {
        let cases = [
            (vec![], [0, 0, 0, 0]),
            (vec![7], [7, 7, 7, 7]),
            (vec![3, 1], [1, 3, 3, 3]),
            ((1..=100).rev().collect(), [50, 90, 99, 100]),
            ((1..=1000).collect(), [500, 900, 990, 1000]),
        ];
        for (counts, [p50, p90, p99, max]) in cases {
            assert_eq!(Revisions::of(counts), Revisions { p50, p90, p99, max });
        }
    }
}
