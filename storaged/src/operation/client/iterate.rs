//! Lists of tids and oids, looked up page by page.

use engine::{LiveOidsLookup, Snapshot, TidsLookup};
use model::{Oid, PartitionId, Tid};
use net::{ErrorCode, LinkId, Message};

use crate::locks::RangeWait;
use crate::machine::Storage;
use crate::reads::{AnyLookup, Found, Task, Turn};

/// Means all readable partitions.
const ALL_PARTITIONS: PartitionId = PartitionId::new(u32::MAX);
/// Items of one lookup.
const PAGE: usize = 512;
/// Items of one answer.
const ANSWER_MAX: usize = 1 << 20;

impl Storage {
    pub(crate) fn ask_tids(
        &mut self,
        link: LinkId,
        id: u32,
        first: u64,
        last: u64,
        partition: PartitionId,
    ) {
        if first >= last {
            let text = "a list without tids";
            return self.refuse_peer(link, id, ErrorCode::ProtocolError, text);
        }
        let last = usize::try_from(last).unwrap_or(usize::MAX).min(ANSWER_MAX);
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        self.start_task(
            Some(link),
            NewestTids {
                link,
                id,
                asked: partition,
                first,
                last,
                wait: RangeWait::default(),
                snapshot: None,
                partitions: Vec::new(),
                tids: Vec::new(),
                here: Vec::new(),
            },
        );
    }

    pub(crate) fn ask_tids_from(
        &mut self,
        link: LinkId,
        id: u32,
        (tid_min, tid_max): (Tid, Tid),
        length: u32,
        partition: PartitionId,
    ) {
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(ANSWER_MAX);
        let (wait, tids) = (RangeWait::default(), Vec::new());
        let task = TidsFrom { link, id, partition, tid_min, tid_max, length, wait, tids };
        self.start_task(Some(link), task);
    }

    pub(crate) fn ask_oids_from(
        &mut self,
        link: LinkId,
        id: u32,
        partition: PartitionId,
        length: u32,
        (oid_min, tid): (Oid, Tid),
    ) {
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(ANSWER_MAX);
        let (wait, next) = (RangeWait::default(), Some(oid_min));
        let (oids, examined) = (Vec::new(), 0);
        let task = OidsFrom { link, id, partition, tid, length, wait, next, oids, examined };
        self.start_task(Some(link), task);
    }
}

/// The newest tids, over some partitions.
struct NewestTids {
    link: LinkId,
    id: u32,
    asked: PartitionId,
    first: usize,
    last: usize,
    wait: RangeWait,
    /// From when it began: all partitions are seen at one moment.
    snapshot: Option<Snapshot>,
    /// Those that are left, from when it began.
    partitions: Vec<PartitionId>,
    /// The greatest of the partitions that are done, descending; at most `last`.
    tids: Vec<Tid>,
    /// Those of the partition that is at work.
    here: Vec<Tid>,
}

impl NewestTids {
    fn take(&mut self, page: &[Tid]) {
        self.here.extend_from_slice(page);
        if page.len() < PAGE || self.here.len() >= self.last {
            self.partitions.pop();
            self.tids.append(&mut self.here);
            self.tids.sort_unstable_by_key(|tid| std::cmp::Reverse(*tid));
            self.tids.truncate(self.last);
        }
    }

    /// Lower ones are not wanted.
    fn floor(&self) -> Tid {
        match self.tids.get(self.last - 1) {
            Some(tid) => *tid,
            None => Tid::ZERO,
        }
    }
}

impl Task for NewestTids {
    fn go_on(&mut self, node: &mut Storage, found: Option<Found>) -> Turn {
        let (link, id) = (self.link, self.id);
        let all = (Tid::ZERO, Tid::new(u64::MAX));
        if let Some(locked) = node.read_locks.within_then(&mut self.wait, all.0, all.1) {
            return Turn::WaitFor(locked);
        }
        if self.snapshot.is_none() {
            self.partitions = match self.asked {
                ALL_PARTITIONS => node.readable_partitions(),
                one if node.is_readable(one) => vec![one],
                _ => {
                    node.refuse_unreadable(link, id);
                    return Turn::Done;
                }
            };
        }
        let snapshot = self.snapshot.get_or_insert_with(|| node.engine.snapshot()).clone();
        if let Some(Found::Tids(page)) = found {
            self.take(&page);
        }
        let Some(&partition) = self.partitions.last() else {
            let tids = self.tids.get(self.first..).unwrap_or_default().to_vec();
            node.links.answer(link, id, &Message::AnswerTIDs { tids });
            return Turn::Done;
        };
        let tid_max = match self.here.last() {
            None => Tid::new(u64::MAX),
            Some(last) => Tid::new(last.get().saturating_sub(1)),
        };
        let lookup = TidsLookup::descending(snapshot, partition, self.floor(), tid_max, PAGE);
        Turn::LookUp(AnyLookup::Tids(lookup))
    }
}

/// Tids of a partition within bounds, ascending.
struct TidsFrom {
    link: LinkId,
    id: u32,
    partition: PartitionId,
    tid_min: Tid,
    tid_max: Tid,
    length: usize,
    wait: RangeWait,
    tids: Vec<Tid>,
}

impl Task for TidsFrom {
    fn go_on(&mut self, node: &mut Storage, found: Option<Found>) -> Turn {
        let (link, id) = (self.link, self.id);
        if !node.is_readable(self.partition) {
            node.refuse_unreadable(link, id);
            return Turn::Done;
        }
        let locks = &node.read_locks;
        if let Some(locked) = locks.within_then(&mut self.wait, self.tid_min, self.tid_max) {
            return Turn::WaitFor(locked);
        }
        let mut is_end = false;
        if let Some(Found::Tids(page)) = found {
            is_end = page.len() < PAGE;
            self.tids.extend(page);
        }
        let from = match self.tids.last() {
            None => Some(self.tid_min),
            Some(last) => last.get().checked_add(1).map(Tid::new),
        };
        match from {
            Some(from) if !is_end && self.tids.len() < self.length => {
                let snapshot = node.engine.snapshot();
                let (partition, tid_max) = (self.partition, self.tid_max);
                let lookup = TidsLookup::ascending(snapshot, partition, from, tid_max, PAGE);
                Turn::LookUp(AnyLookup::Tids(lookup))
            }
            _ => {
                let mut tids = std::mem::take(&mut self.tids);
                tids.truncate(self.length);
                node.links.answer(link, id, &Message::AnswerTIDsFrom { tids });
                Turn::Done
            }
        }
    }
}

/// Oids of a partition that have data at a tid.
struct OidsFrom {
    link: LinkId,
    id: u32,
    partition: PartitionId,
    tid: Tid,
    length: usize,
    wait: RangeWait,
    /// Where to go on; nowhere if all were examined.
    next: Option<Oid>,
    oids: Vec<Oid>,
    examined: usize,
}

impl OidsFrom {
    fn take(&mut self, node: &Storage, page: &engine::LiveOids, wanted: usize) {
        self.oids.extend_from_slice(&page.oids);
        self.examined += page.examined;
        let partitions = node.table.as_ref().map_or(1, |table| table.partitions().get());
        let following = page.last.and_then(|last| last.get().checked_add(partitions.into()));
        self.next = match page.examined < wanted {
            true => None,
            false => following.map(Oid::new),
        };
    }
}

impl Task for OidsFrom {
    fn go_on(&mut self, node: &mut Storage, found: Option<Found>) -> Turn {
        let (link, id) = (self.link, self.id);
        if !node.is_readable(self.partition) {
            node.refuse_unreadable(link, id);
            return Turn::Done;
        }
        if let Some(locked) = node.read_locks.within_then(&mut self.wait, Tid::ZERO, self.tid) {
            return Turn::WaitFor(locked);
        }
        if let Some(Found::LiveOids(page)) = found {
            let wanted = PAGE.min(self.length - self.examined);
            self.take(node, &page, wanted);
        }
        match self.next {
            Some(from) if self.examined < self.length => {
                let count = PAGE.min(self.length - self.examined);
                let (snapshot, partition) = (node.engine.snapshot(), self.partition);
                let lookup = LiveOidsLookup::new(snapshot, partition, from, self.tid, count);
                Turn::LookUp(AnyLookup::LiveOids(lookup))
            }
            next => {
                let oids = std::mem::take(&mut self.oids);
                node.links.answer(link, id, &Message::AnswerOIDsFrom { next, oids: oids.into() });
                Turn::Done
            }
        }
    }
}
