//! Digests of what a partition has, for whoever compares replicas.
//!
//! A digest is the SHA-1 of decimal numbers, joined by commas.

use engine::{ObjectsLookup, TidsLookup};
use model::{Oid, PartitionId, Tid};
use net::{Checksum, ErrorCode, LinkId, Message};
use sha1::{Digest as _, Sha1};

use crate::locks::RangeWait;
use crate::machine::Storage;
use crate::reads::{AnyLookup, Found, Task, Turn};

/// Items of one lookup.
const PAGE: usize = 512;

impl Storage {
    pub(crate) fn ask_check_tids(
        &mut self,
        link: LinkId,
        id: u32,
        partition: PartitionId,
        length: u32,
        (tid_min, tid_max): (Tid, Tid),
    ) {
        let (digest, last) = (Digest::default(), Tid::ZERO);
        let next = Some(tid_min);
        let wait = RangeWait::default();
        let task = CheckTids { link, id, partition, length, next, tid_max, wait, digest, last };
        self.start_task(Some(link), task);
    }

    pub(crate) fn ask_check_serials(&mut self, link: LinkId, id: u32, message: Message) {
        let Message::AskCheckSerialRange { partition, length, tid_min, tid_max, oid_min } = message
        else {
            unreachable!("only checks of objects come here")
        };
        self.start_task(
            Some(link),
            CheckSerials {
                link,
                id,
                partition,
                length,
                next: Some((tid_min, oid_min)),
                tid_max,
                wait: RangeWait::default(),
                serials: Digest::default(),
                oids: Digest::default(),
                last: (Tid::ZERO, Oid::ZERO),
            },
        );
    }
}

/// A digest that grows.
#[derive(Default)]
struct Digest {
    count: u32,
    hash: Sha1,
}

impl Digest {
    fn add(&mut self, number: u64) {
        if self.count > 0 {
            self.hash.update(b",");
        }
        self.hash.update(number.to_string());
        self.count += 1;
    }

    fn finish(&mut self) -> Checksum {
        match self.count {
            0 => Checksum::ZERO,
            _ => Checksum(std::mem::take(&mut self.hash).finalize().into()),
        }
    }

    /// How many are to be looked up next.
    fn page(&self, length: u32) -> usize {
        usize::try_from(length - self.count).unwrap_or(usize::MAX).min(PAGE)
    }
}

struct CheckTids {
    link: LinkId,
    id: u32,
    partition: PartitionId,
    length: u32,
    /// Where to go on; nowhere at the end.
    next: Option<Tid>,
    tid_max: Tid,
    wait: RangeWait,
    digest: Digest,
    last: Tid,
}

impl Task for CheckTids {
    fn go_on(&mut self, node: &mut Storage, found: Option<Found>) -> Turn {
        if !node.is_comparable(self.partition) {
            node.refuse_source(self.link, self.id, self.partition, ErrorCode::CheckingError);
            return Turn::Done;
        }
        if let Some(Found::Tids(tids)) = found {
            let is_end = tids.len() < self.digest.page(self.length);
            for tid in tids {
                self.digest.add(tid.get());
                self.last = tid;
            }
            let following = self.last.get().checked_add(1).map(Tid::new);
            self.next = following.filter(|_| !is_end);
        }
        if let Some(next) = self.next
            && self.digest.count < self.length
        {
            if let Some(locked) = node.read_locks.within_then(&mut self.wait, next, self.tid_max) {
                return Turn::WaitFor(locked);
            }
            let (snapshot, page) = (node.engine.snapshot(), self.digest.page(self.length));
            let (partition, tid_max) = (self.partition, self.tid_max);
            let lookup = TidsLookup::ascending(snapshot, partition, next, tid_max, page);
            return Turn::LookUp(AnyLookup::Tids(lookup));
        }
        let (count, last_tid) = (self.digest.count, self.last);
        let checksum = self.digest.finish();
        let answer = Message::AnswerCheckTIDRange { count, checksum, last_tid };
        node.links.answer(self.link, self.id, &answer);
        Turn::Done
    }
}

struct CheckSerials {
    link: LinkId,
    id: u32,
    partition: PartitionId,
    length: u32,
    /// Where to go on; nowhere at the end.
    next: Option<(Tid, Oid)>,
    tid_max: Tid,
    wait: RangeWait,
    serials: Digest,
    oids: Digest,
    last: (Tid, Oid),
}

impl Task for CheckSerials {
    fn go_on(&mut self, node: &mut Storage, found: Option<Found>) -> Turn {
        if !node.is_comparable(self.partition) {
            node.refuse_source(self.link, self.id, self.partition, ErrorCode::CheckingError);
            return Turn::Done;
        }
        if let Some(Found::Objects(page)) = found {
            for (tid, oid) in page.objects {
                self.serials.add(tid.get());
                self.oids.add(oid.get());
                self.last = (tid, oid);
            }
            self.next = page.next;
        }
        if let Some(next) = self.next
            && self.serials.count < self.length
        {
            if let Some(locked) = node.read_locks.within_then(&mut self.wait, next.0, self.tid_max)
            {
                return Turn::WaitFor(locked);
            }
            let (snapshot, page) = (node.engine.snapshot(), self.serials.page(self.length));
            let lookup = ObjectsLookup::new(snapshot, self.partition, next, self.tid_max, page);
            return Turn::LookUp(AnyLookup::Objects(lookup));
        }
        let (last_serial, last_oid) = self.last;
        let answer = Message::AnswerCheckSerialRange {
            count: self.serials.count,
            serials_checksum: self.serials.finish(),
            last_serial,
            oids_checksum: self.oids.finish(),
            last_oid,
        };
        node.links.answer(self.link, self.id, &answer);
        Turn::Done
    }
}
