//! Reads of objects and of transactions' metadata. They wait while a locked transaction could
//! change their answer (R16), and only readable cells answer (R17).

use engine::{Compression, HistoryLookup, LoadLookup, LoadResult, TransactionLookup, When};
use model::{Oid, PartitionId, Tid, Ttid};
use net::{Checksum, Data, ErrorCode, LinkId, Message};

use crate::machine::Storage;
use crate::reads::{AnyLookup, Found, Task, Turn};

/// Revisions of a history that are looked up at once.
const HISTORY_PAGE: u64 = 512;
/// Revisions of one answer: clients page.
const HISTORY_MAX: u64 = 1 << 17;

impl Storage {
    pub(crate) fn ask_object(
        &mut self,
        link: LinkId,
        id: u32,
        oid: Oid,
        at: Option<Tid>,
        before: Option<Tid>,
    ) {
        let when = match (at, before) {
            (None, None) => When::Newest,
            (Some(tid), None) => When::At(tid),
            (None, Some(tid)) => When::Before(tid),
            (Some(_), Some(_)) => {
                let text = "a load at a tid or before one, not both";
                return self.refuse_peer(link, id, ErrorCode::ProtocolError, text);
            }
        };
        self.start_task(Some(link), Load { link, id, oid, when });
    }

    pub(crate) fn ask_history(&mut self, link: LinkId, id: u32, oid: Oid, first: u64, last: u64) {
        if first >= last {
            let text = "a history without revisions";
            return self.refuse_peer(link, id, ErrorCode::ProtocolError, text);
        }
        let last = last.min(first.saturating_add(HISTORY_MAX));
        let revisions = Vec::new();
        self.start_task(Some(link), History { link, id, oid, first, last, revisions });
    }

    pub(crate) fn ask_transaction_information(&mut self, link: LinkId, id: u32, tid: Tid) {
        self.start_task(Some(link), Information { link, id, tid });
    }

    /// The partition of an object, if this storage's cell of it is readable.
    pub(crate) fn readable_partition(&self, oid: Oid) -> Option<PartitionId> {
        let partition = self.table.as_ref()?.partition_of_oid(oid);
        self.is_readable(partition).then_some(partition)
    }
}

/// How data is coded, in the numbers of the wire.
pub(crate) const fn compression_number(compression: Compression) -> u8 {
    match compression {
        Compression::None => 0,
        Compression::Zlib => 1,
    }
}

/// A load of one revision.
struct Load {
    link: LinkId,
    id: u32,
    oid: Oid,
    when: When,
}

impl Load {
    /// What could still change what was found: the next transaction that wrote the object.
    fn waits_for(&self, node: &Storage, found: &LoadResult) -> Option<Ttid> {
        let locked = node.read_locks.of_oid(self.oid)?;
        let is_settled = match found {
            LoadResult::Revision(revision) => revision.next_tid.is_some(),
            LoadResult::Deleted { next_tid, .. } => next_tid.is_some(),
            LoadResult::NoRevision | LoadResult::NoSuchOid => false,
        };
        (!is_settled).then_some(locked)
    }
}

impl Task for Load {
    fn go_on(&mut self, node: &mut Storage, found: Option<Found>) -> Turn {
        let &mut Self { link, id, oid, when } = self;
        let Some(partition) = node.readable_partition(oid) else {
            node.refuse_unreadable(link, id);
            return Turn::Done;
        };
        let Some(Found::Load(found)) = found else {
            if when == When::Newest
                && let Some(locked) = node.read_locks.of_oid(oid)
            {
                return Turn::WaitFor(locked);
            }
            let lookup = LoadLookup::new(node.engine.snapshot(), partition, oid, when);
            return Turn::LookUp(AnyLookup::Load(lookup));
        };
        if let Some(locked) = self.waits_for(node, &found) {
            return Turn::WaitFor(locked);
        }
        match answer_object(oid, found) {
            Ok(answer) => node.links.answer(link, id, &answer),
            Err(code) => node.refuse_peer(link, id, code, oid.to_string()),
        }
        Turn::Done
    }
}

fn answer_object(oid: Oid, found: LoadResult) -> Result<Message, ErrorCode> {
    match found {
        LoadResult::Revision(revision) => Ok(Message::AnswerObject {
            oid,
            serial: revision.tid,
            next_serial: revision.next_tid,
            compression: Some(compression_number(revision.compression)),
            checksum: Checksum(revision.checksum()),
            data_serial: revision.data_tid,
            data: Data::new(revision.data),
        }),
        LoadResult::Deleted { tid, next_tid, data_tid } => Ok(Message::AnswerObject {
            oid,
            serial: tid,
            next_serial: next_tid,
            compression: None,
            checksum: Checksum::ZERO,
            data: Data::default(),
            data_serial: data_tid,
        }),
        LoadResult::NoRevision => Err(ErrorCode::OidNotFound),
        LoadResult::NoSuchOid => Err(ErrorCode::OidDoesNotExist),
    }
}

/// Revisions of an object, newest first.
struct History {
    link: LinkId,
    id: u32,
    oid: Oid,
    first: u64,
    last: u64,
    revisions: Vec<(Tid, u64)>,
}

impl History {
    fn answer(&mut self, node: &mut Storage) -> Turn {
        let &mut Self { link, id, oid, .. } = self;
        let revisions = std::mem::take(&mut self.revisions);
        match revisions.is_empty() {
            true => node.refuse_peer(link, id, ErrorCode::OidNotFound, oid.to_string()),
            false => {
                node.links.answer(link, id, &Message::AnswerObjectHistory { oid, revisions });
            }
        }
        Turn::Done
    }
}

impl Task for History {
    fn go_on(&mut self, node: &mut Storage, found: Option<Found>) -> Turn {
        let Some(partition) = node.readable_partition(self.oid) else {
            node.refuse_unreadable(self.link, self.id);
            return Turn::Done;
        };
        if let Some(locked) = node.read_locks.of_oid(self.oid) {
            self.revisions.clear();
            return Turn::WaitFor(locked);
        }
        if let Some(Found::History(entries)) = found {
            let is_end = (entries.len() as u64) < HISTORY_PAGE;
            let entries = entries.iter().map(|entry| (entry.tid, u64::from(entry.size)));
            self.revisions.extend(entries);
            if is_end || self.first + self.revisions.len() as u64 >= self.last {
                return self.answer(node);
            }
        }
        let first = self.first + self.revisions.len() as u64;
        let last = self.last.min(first.saturating_add(HISTORY_PAGE));
        let [first, last] = [first, last].map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        let snapshot = node.engine.snapshot();
        let lookup = HistoryLookup::new(snapshot, partition, self.oid, first, last);
        Turn::LookUp(AnyLookup::History(lookup))
    }
}

/// Metadata of a transaction.
struct Information {
    link: LinkId,
    id: u32,
    tid: Tid,
}

impl Task for Information {
    fn go_on(&mut self, node: &mut Storage, found: Option<Found>) -> Turn {
        let &mut Self { link, id, tid } = self;
        let partition = node.table.as_ref().map(|table| table.partition_of_tid(tid));
        let Some(partition) = partition.filter(|partition| node.is_readable(*partition)) else {
            node.refuse_unreadable(link, id);
            return Turn::Done;
        };
        if let Some(locked) = node.read_locks.within(tid, tid) {
            return Turn::WaitFor(locked);
        }
        let Some(Found::Transaction(found)) = found else {
            let lookup = TransactionLookup::new(node.engine.snapshot(), partition, tid);
            return Turn::LookUp(AnyLookup::Transaction(lookup));
        };
        match found {
            None => {
                let text = format!("{tid} does not exist");
                node.refuse_peer(link, id, ErrorCode::TidNotFound, text);
            }
            Some(transaction) => {
                let answer = Message::AnswerTransactionInformation {
                    tid,
                    user: transaction.user,
                    description: transaction.description,
                    extension: transaction.extension,
                    packed: transaction.packed,
                    oids: transaction.oids,
                };
                node.links.answer(link, id, &answer);
            }
        }
        Turn::Done
    }
}
