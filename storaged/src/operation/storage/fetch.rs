//! The source's side of replication: what a partition has, in chunks.

use std::collections::{BTreeMap, BTreeSet};

use engine::{LoadLookup, LoadResult, ObjectsLookup, TidsLookup, TransactionLookup, When};
use model::{Oid, PartitionId, Tid};
use net::{Checksum, Data, ErrorCode, LinkId, Message, OrderedMap};

use crate::locks::RangeWait;
use crate::machine::Storage;
use crate::operation::client::compression_number;
use crate::reads::{AnyLookup, Found, QUEUED_MAX, Task, Turn};

/// Items of one chunk, whatever is asked for.
const LENGTH_MAX: usize = 10_000;

impl Storage {
    pub(crate) fn ask_fetch_transactions(&mut self, link: LinkId, id: u32, message: Message) {
        let Message::AskFetchTransactions {
            partition,
            length,
            tid_min,
            tid_max,
            tids,
            want_pack_id,
        } = message
        else {
            unreachable!("only fetches of transactions come here")
        };
        self.start_task(
            Some(link),
            FetchTransactions {
                link,
                id,
                partition,
                length: chunk_length(length),
                bounds: (tid_min, tid_max),
                known: tids.into_iter().collect(),
                // None is carried out: nothing is packed.
                pack_id: want_pack_id.then_some(Tid::ZERO),
                wait: RangeWait::default(),
                chunk: None,
            },
        );
    }

    pub(crate) fn ask_fetch_objects(&mut self, link: LinkId, id: u32, message: Message) {
        let Message::AskFetchObjects { partition, length, tid_min, tid_max, oid_min, objects } =
            message
        else {
            unreachable!("only fetches of objects come here")
        };
        let mut known = BTreeMap::new();
        for (tid, oids) in objects.0 {
            known.entry(tid).or_insert_with(BTreeSet::new).extend(oids);
        }
        self.start_task(
            Some(link),
            FetchObjects {
                link,
                id,
                partition,
                length: chunk_length(length),
                from: (tid_min, oid_min),
                tid_max,
                known,
                wait: RangeWait::default(),
                chunk: None,
            },
        );
    }

    /// Whether more is to be sent to a peer than it has taken.
    fn is_behind(&self, link: LinkId) -> bool {
        self.links.queued(link) > QUEUED_MAX
    }
}

fn chunk_length(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX).min(LENGTH_MAX)
}

/// Sends transactions of a partition.
struct FetchTransactions {
    link: LinkId,
    id: u32,
    partition: PartitionId,
    length: usize,
    bounds: (Tid, Tid),
    /// What the peer has. What is left in the end it has to delete.
    known: BTreeSet<Tid>,
    pack_id: Option<Tid>,
    wait: RangeWait,
    /// Tids that are left to be sent, the next one last; and the first that is not of this chunk.
    chunk: Option<(Vec<Tid>, Option<Tid>)>,
}

impl FetchTransactions {
    fn take_tids(&mut self, mut tids: Vec<Tid>) {
        let next = if tids.len() > self.length { tids.pop() } else { None };
        tids.retain(|tid| !self.known.remove(tid));
        tids.reverse();
        self.chunk = Some((tids, next));
    }

    fn send(&self, node: &mut Storage, tid: Tid, transaction: engine::Transaction) {
        let pack = transaction.pack_order.map(|order| node.pack_state(tid, order));
        let message = Message::AddTransaction {
            tid,
            user: transaction.user,
            description: transaction.description,
            extension: transaction.extension,
            packed: transaction.packed,
            ttid: transaction.ttid,
            oids: transaction.oids.into(),
            pack,
        };
        node.links.answer(self.link, self.id, &message);
    }
}

impl Task for FetchTransactions {
    fn go_on(&mut self, node: &mut Storage, found: Option<Found>) -> Turn {
        let (link, id, partition) = (self.link, self.id, self.partition);
        if !node.is_readable(partition) {
            node.refuse_source(link, id, partition, ErrorCode::ReplicationError);
            return Turn::Done;
        }
        match found {
            Some(Found::Tids(tids)) => self.take_tids(tids),
            Some(Found::Transaction(transaction)) => {
                let tid = self.chunk.as_mut().and_then(|(tids, _)| tids.pop());
                let (Some(tid), Some(transaction)) = (tid, transaction) else {
                    node.refuse_source(link, id, partition, ErrorCode::ReplicationError);
                    return Turn::Done;
                };
                self.send(node, tid, transaction);
            }
            _ => {}
        }
        let snapshot = node.engine.snapshot();
        match &self.chunk {
            None => {
                let (tid_min, tid_max) = self.bounds;
                if let Some(locked) = node.read_locks.within_then(&mut self.wait, tid_min, tid_max)
                {
                    return Turn::WaitFor(locked);
                }
                let length = self.length + 1;
                let lookup = TidsLookup::ascending(snapshot, partition, tid_min, tid_max, length);
                Turn::LookUp(AnyLookup::Tids(lookup))
            }
            Some((tids, _)) if !tids.is_empty() && node.is_behind(link) => Turn::Drain,
            Some((tids, next_tid)) => match tids.last() {
                Some(tid) => {
                    let lookup = TransactionLookup::new(snapshot, partition, *tid);
                    Turn::LookUp(AnyLookup::Transaction(lookup))
                }
                None => {
                    let deleted = std::mem::take(&mut self.known).into_iter().collect();
                    let (next_tid, pack_id) = (*next_tid, self.pack_id);
                    let answer = Message::AnswerFetchTransactions { next_tid, deleted, pack_id };
                    node.links.answer(link, id, &answer);
                    Turn::Done
                }
            },
        }
    }
}

/// Sends revisions of a partition.
struct FetchObjects {
    link: LinkId,
    id: u32,
    partition: PartitionId,
    length: usize,
    from: (Tid, Oid),
    tid_max: Tid,
    /// What the peer has. What is left in the end it has to delete.
    known: BTreeMap<Tid, BTreeSet<Oid>>,
    wait: RangeWait,
    /// Revisions that are left to be sent, the next one last; and the first not of this chunk.
    chunk: Option<Chunk>,
}

struct Chunk {
    objects: Vec<(Tid, Oid)>,
    next: Option<(Tid, Oid)>,
}

impl FetchObjects {
    fn take_page(&mut self, page: engine::ObjectPage) {
        let engine::ObjectPage { mut objects, next } = page;
        objects.retain(|(tid, oid)| {
            let Some(oids) = self.known.get_mut(tid) else { return true };
            let is_known = oids.remove(oid);
            if oids.is_empty() {
                self.known.remove(tid);
            }
            !is_known
        });
        objects.reverse();
        self.chunk = Some(Chunk { objects, next });
    }

    /// False if the revision is not there any more.
    fn send(&mut self, node: &mut Storage, found: LoadResult) -> bool {
        let Some((serial, oid)) = self.chunk.as_mut().and_then(|chunk| chunk.objects.pop()) else {
            return false;
        };
        let message = match found {
            LoadResult::Revision(revision) => Message::AddObject {
                oid,
                serial,
                compression: compression_number(revision.compression),
                checksum: Checksum(revision.checksum()),
                data_serial: revision.data_tid,
                data: Data::new(revision.data),
            },
            LoadResult::Deleted { data_tid, .. } => Message::AddObject {
                oid,
                serial,
                compression: 0,
                checksum: Checksum::ZERO,
                data: Data::default(),
                data_serial: data_tid,
            },
            LoadResult::NoRevision | LoadResult::NoSuchOid => return false,
        };
        node.links.answer(self.link, self.id, &message);
        true
    }

    fn answer(&mut self, node: &mut Storage, next: Option<(Tid, Oid)>) -> Turn {
        let known = std::mem::take(&mut self.known);
        let deleted = known.into_iter().map(|(tid, oids)| (tid, oids.into_iter().collect()));
        let answer = Message::AnswerFetchObjects {
            next_tid: next.map(|(tid, _)| tid),
            next_oid: next.map(|(_, oid)| oid),
            deleted: OrderedMap(deleted.collect()),
        };
        node.links.answer(self.link, self.id, &answer);
        Turn::Done
    }
}

impl Task for FetchObjects {
    fn go_on(&mut self, node: &mut Storage, found: Option<Found>) -> Turn {
        let (link, id, partition) = (self.link, self.id, self.partition);
        let is_sound = match found {
            Some(Found::Objects(page)) => {
                self.take_page(page);
                true
            }
            Some(Found::Load(found)) => self.send(node, found),
            _ => true,
        };
        if !is_sound || !node.is_readable(partition) {
            node.refuse_source(link, id, partition, ErrorCode::ReplicationError);
            return Turn::Done;
        }
        let snapshot = node.engine.snapshot();
        match &self.chunk {
            None => {
                if let Some(locked) =
                    node.read_locks.within_then(&mut self.wait, self.from.0, self.tid_max)
                {
                    return Turn::WaitFor(locked);
                }
                let (from, tid_max, length) = (self.from, self.tid_max, self.length);
                let lookup = ObjectsLookup::new(snapshot, partition, from, tid_max, length);
                Turn::LookUp(AnyLookup::Objects(lookup))
            }
            Some(Chunk { objects, next }) => match objects.last() {
                Some(_) if node.is_behind(link) => Turn::Drain,
                Some((tid, oid)) => {
                    let lookup = LoadLookup::new(snapshot, partition, *oid, When::At(*tid));
                    let lookup = lookup.with_checksum().in_passing();
                    Turn::LookUp(AnyLookup::Load(lookup))
                }
                None => {
                    let next = *next;
                    self.answer(node, next)
                }
            },
        }
    }
}
