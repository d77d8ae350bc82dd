//! The tids of all partitions in one order.

use std::collections::BinaryHeap;

use engine::TidsLookup;
use model::{PartitionId, Tid};

use crate::database::Database;
use crate::failure::Failure;

/// Tids that are asked of a partition at first: of many partitions, a few tids each are enough
/// for the tail of a database.
const PAGE_LENGTH_MIN: usize = 16;
/// Tids that are asked of a partition at once.
const PAGE_LENGTH_MAX: usize = 1024;

/// From which end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

/// The tids of all transactions of a database, merged over its partitions. Ends with the first
/// error.
#[derive(Debug)]
pub(crate) struct Tids<'a> {
    database: &'a Database,
    direction: Direction,
    partitions: Vec<Partition>,
    /// The next tid of each partition that has one; the greatest rank comes first.
    heads: BinaryHeap<(u64, usize)>,
    /// Partitions up to here have been asked.
    asked: usize,
    failed: bool,
}

/// What is left of a page of tids, in reverse order, and where the next page begins.
#[derive(Debug)]
struct Partition {
    id: PartitionId,
    page: Vec<Tid>,
    page_length: usize,
    last: Option<Tid>,
}

impl<'a> Tids<'a> {
    /// Of a whole database.
    pub(crate) fn new(database: &'a Database, direction: Direction) -> Self {
        let partition =
            |id| Partition { id, page: Vec::new(), page_length: PAGE_LENGTH_MIN, last: None };
        Self {
            database,
            direction,
            partitions: database.partitions.iter().map(partition).collect(),
            heads: BinaryHeap::new(),
            asked: 0,
            failed: false,
        }
    }

    fn advance(&mut self) -> Result<Option<Tid>, Failure> {
        while self.asked < self.partitions.len() {
            self.ask(self.asked)?;
            self.asked += 1;
        }
        let Some((rank, index)) = self.heads.pop() else {
            return Ok(None);
        };
        self.ask(index)?;
        Ok(Some(self.tid(rank)))
    }

    /// Puts the next tid of a partition among the heads.
    fn ask(&mut self, index: usize) -> Result<(), Failure> {
        let partition = &mut self.partitions[index];
        if partition.page.is_empty() {
            partition.fill(self.database, self.direction)?;
        }
        if let Some(tid) = partition.page.pop() {
            let rank = self.rank(tid);
            self.heads.push((rank, index));
        }
        Ok(())
    }

    fn rank(&self, tid: Tid) -> u64 {
        match self.direction {
            Direction::Ascending => !tid.get(),
            Direction::Descending => tid.get(),
        }
    }

    fn tid(&self, rank: u64) -> Tid {
        match self.direction {
            Direction::Ascending => Tid::new(!rank),
            Direction::Descending => Tid::new(rank),
        }
    }
}

impl Iterator for Tids<'_> {
    type Item = Result<Tid, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.advance();
        self.failed = next.is_err();
        next.transpose()
    }
}

impl Partition {
    fn fill(&mut self, database: &Database, direction: Direction) -> Result<(), Failure> {
        let greatest = Tid::new(u64::MAX);
        let (snapshot, length) = (database.snapshot.clone(), self.page_length);
        let lookup = match direction {
            Direction::Ascending => {
                let next = self.last.map_or(Some(0), |last| last.get().checked_add(1));
                let Some(next) = next else { return Ok(()) };
                TidsLookup::ascending(snapshot, self.id, Tid::new(next), greatest, length)
            }
            Direction::Descending => {
                let next = self.last.map_or(Some(u64::MAX), |last| last.get().checked_sub(1));
                let Some(next) = next else { return Ok(()) };
                TidsLookup::descending(snapshot, self.id, Tid::ZERO, Tid::new(next), length)
            }
        };
        self.page = database.look_up(lookup)?;
        self.last = self.page.last().copied().or(self.last);
        self.page.reverse();
        self.page_length = (self.page_length * 2).min(PAGE_LENGTH_MAX);
        Ok(())
    }
}
