//! Reads of objects and of transactions' metadata. They wait while a locked transaction could
//! change their answer (R16), and only readable cells answer (R17).

use engine::{
    Compression, HistoryLookup, LoadLookup, LoadResult, RevisionTids, Snapshot, TidsOfLoadLookup,
    TransactionLookup, When,
};
use model::{Oid, PartitionId, Tid};
use net::{Checksum, Data, ErrorCode, LinkId, Message};

use crate::machine::Storage;
use crate::reads::{AnyLookup, Found, Task, Turn};

/// Revisions of a history that are looked up at once.
const HISTORY_PAGE: u64 = 512;
/// Says of data that is not there, as it cannot be read, that it is not what was stored: neither
/// the checksum of nothing nor that of a revision without data.
const UNREADABLE: Checksum = Checksum([0xff; 20]);
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
        self.start_task(
            Some(link),
            Load { link, id, oid, when, is_damaged: false, was_locked: false },
        );
    }

    pub(crate) fn ask_history(&mut self, link: LinkId, id: u32, oid: Oid, first: u64, last: u64) {
        if first >= last {
            let text = "a history without revisions";
            return self.refuse_peer(link, id, ErrorCode::ProtocolError, text);
        }
        let last = last.min(first.saturating_add(HISTORY_MAX));
        let (snapshot, revisions) = (None, Vec::new());
        self.start_task(Some(link), History { link, id, oid, first, last, snapshot, revisions });
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
    /// The revision cannot be read: only which one it is can be told.
    is_damaged: bool,
    /// A transaction was locked that it could have to wait for when it was looked up.
    was_locked: bool,
}

impl Load {
    /// Answers as NEO's clients expect it of damaged data: they try another storage, and say which
    /// revision it is if there is none.
    fn answer_damaged(&self, node: &mut Storage, tids: Option<RevisionTids>) {
        let tid = match self.when {
            When::At(tid) => tid,
            When::Newest | When::Before(_) => Tid::ZERO,
        };
        let RevisionTids { tid, next_tid } = tids.unwrap_or(RevisionTids { tid, next_tid: None });
        let answer = Message::AnswerObject {
            oid: self.oid,
            serial: tid,
            next_serial: next_tid,
            compression: Some(0),
            checksum: UNREADABLE,
            data_serial: None,
            data: Data::default(),
        };
        node.links.answer(self.link, self.id, &answer);
    }

    fn look_up(&mut self, node: &Storage, partition: PartitionId) -> Turn {
        self.is_damaged = false;
        let locked = node.locked_writer(self.oid);
        if self.when == When::Newest
            && let Some(locked) = locked
        {
            return Turn::WaitFor(locked);
        }
        self.was_locked = locked.is_some();
        let snapshot = node.engine.snapshot();
        let lookup = LoadLookup::new(snapshot, partition, self.oid, self.when).with_checksum();
        Turn::LookUp(AnyLookup::Load(match self.when {
            // Who goes through all revisions asks like this.
            When::At(_) => lookup.in_passing(),
            When::Newest | When::Before(_) => lookup,
        }))
    }

    /// What is to be done before an answer without next revision: the next transaction that wrote
    /// the object is waited for, or was shown since the snapshot.
    fn settle(&mut self, node: &Storage, partition: PartitionId) -> Option<Turn> {
        match node.locked_writer(self.oid) {
            Some(locked) => Some(Turn::WaitFor(locked)),
            None => self.was_locked.then(|| self.look_up(node, partition)),
        }
    }
}

/// Whether the next revision of an object is known.
fn is_settled(found: &LoadResult) -> bool {
    match found {
        LoadResult::Revision(revision) => revision.next_tid.is_some(),
        LoadResult::Deleted { next_tid, .. } => next_tid.is_some(),
        LoadResult::NoRevision | LoadResult::NoSuchOid => false,
    }
}

impl Task for Load {
    fn go_on(&mut self, node: &mut Storage, found: Option<Found>) -> Turn {
        let &mut Self { link, id, oid, .. } = self;
        let Some(partition) = node.readable_partition(oid) else {
            node.refuse_unreadable(link, id);
            return Turn::Done;
        };
        if let Some(Found::TidsOfLoad(tids)) = found {
            if tids.is_none_or(|tids| tids.next_tid.is_none())
                && let Some(turn) = self.settle(node, partition)
            {
                return turn;
            }
            self.answer_damaged(node, tids);
            return Turn::Done;
        }
        let Some(Found::Load(found)) = found else {
            return self.look_up(node, partition);
        };
        if !is_settled(&found)
            && let Some(turn) = self.settle(node, partition)
        {
            return turn;
        }
        match answer_object(oid, found) {
            Ok(answer) => node.links.answer(link, id, &answer),
            Err(code) => node.refuse_peer(link, id, code, oid.to_string()),
        }
        Turn::Done
    }

    fn failed(&mut self, node: &mut Storage, _: Option<LinkId>) -> Turn {
        let partition = node.readable_partition(self.oid).filter(|_| !self.is_damaged);
        let Some(partition) = partition else {
            // Not even which revision it is can be read.
            self.answer_damaged(node, None);
            return Turn::Done;
        };
        self.is_damaged = true;
        let snapshot = node.engine.snapshot();
        let lookup = TidsOfLoadLookup::new(snapshot, partition, self.oid, self.when);
        Turn::LookUp(AnyLookup::TidsOfLoad(lookup))
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
    /// From when it began: revisions are counted from the newest one.
    snapshot: Option<Snapshot>,
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
        if self.snapshot.is_none()
            && let Some(locked) = node.locked_writer(self.oid)
        {
            return Turn::WaitFor(locked);
        }
        let snapshot = self.snapshot.get_or_insert_with(|| node.engine.snapshot()).clone();
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
                    oids: transaction.oids.into(),
                };
                node.links.answer(link, id, &answer);
            }
        }
        Turn::Done
    }
}
