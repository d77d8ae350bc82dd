//! Which storage a read goes to, and what is done when it fails.

use std::borrow::Cow;
use std::time::Duration;

use model::{Nid, PartitionId};
use net::{ErrorCode, Message};

use super::reads::{Place, Purpose, ReadId, ReadState};
use crate::error::Error;
use crate::machine::Client;
use crate::note::{Asked, MasterRequest};

/// Rounds in which all storages of a partition are tried. With the delays between them, about 6 s:
/// longer than it takes a primary master to notice that it cannot go on.
const ROUNDS_MAX: u32 = 10;
/// The delay before the third round; it doubles. There is none before the second, which has a new
/// table.
const DELAY_MIN: Duration = Duration::from_millis(25);
const DELAY_MAX: Duration = Duration::from_secs(1);

impl Client {
    /// Begins a read; [`Client::read_done`] gets its answer.
    pub(crate) fn read(&mut self, purpose: Purpose, place: Place, message: Message) {
        let id = self.reads.insert(purpose, place, message);
        self.try_read(id);
    }

    /// Asks the next storage.
    pub(super) fn try_read(&mut self, id: ReadId) {
        let Some(read) = self.reads.get(id) else { return };
        if !self.master.is_ready() {
            return self.set_read_state(id, ReadState::WaitsForMaster);
        }
        let Some(partition) = self.partition_of(read.place) else {
            return self.set_read_state(id, ReadState::WaitsForMaster);
        };
        while let Some(nid) = self.choose(id, partition) {
            let link = self.storage_link(nid);
            let Some(read) = self.reads.get_mut(id) else { return };
            let Some(link) = link else {
                read.tried.push(nid);
                continue;
            };
            read.state = ReadState::Asked(nid, link);
            let message = read.message.clone();
            return self.ask_storage(link, message, Asked::Read(id));
        }
        self.end_round(id, partition);
    }

    fn partition_of(&self, place: Place) -> Option<PartitionId> {
        let table = self.table.as_ref()?;
        Some(match place {
            Place::Oid(oid) => table.partition_of_oid(oid),
            Place::Tid(tid) => table.partition_of_tid(tid),
            Place::Partition(partition) => partition,
        })
    }

    /// Any storage that was not tried, preferably one that did not fail lately.
    fn choose(&mut self, id: ReadId, partition: PartitionId) -> Option<Nid> {
        let good = self.candidates(id, partition).filter(|nid| !self.is_avoided(*nid)).count();
        if good > 0 {
            let place = self.random.index(good);
            return self.candidates(id, partition).filter(|nid| !self.is_avoided(*nid)).nth(place);
        }
        let place = match self.candidates(id, partition).count() {
            0 => return None,
            count => self.random.index(count),
        };
        self.candidates(id, partition).nth(place)
    }

    fn candidates(&self, id: ReadId, partition: PartitionId) -> impl Iterator<Item = Nid> {
        let read = self.reads.get(id);
        let readable = self.table.iter().flat_map(move |table| table.readable(partition));
        readable.filter(|nid| self.nodes.is_running(*nid)).filter(move |nid| {
            read.is_some_and(|read| {
                let was_tried = read.tried.contains(nid) || read.damaged.contains(nid);
                !was_tried && !self.is_failed_for(&read.purpose, *nid)
            })
        })
    }

    fn is_avoided(&self, nid: Nid) -> bool {
        self.storages.is_avoided(nid, self.now.monotonic)
    }

    /// Whether a storage may lack what a transaction stored, which the read has to take into
    /// account.
    fn is_failed_for(&self, purpose: &Purpose, nid: Nid) -> bool {
        let Purpose::UndoSerials(undo) = purpose else { return false };
        self.transactions.get(&undo.ttid).is_some_and(|transaction| transaction.is_failed(nid))
    }

    /// Goes on after all storages were tried in vain: with the newest table, some time later.
    fn end_round(&mut self, id: ReadId, partition: PartitionId) {
        let Some(read) = self.reads.get_mut(id) else { return };
        read.round += 1;
        read.tried.clear();
        // One that is not reached now may have a sound copy.
        let is_damaged = |nid| read.damaged.contains(&nid);
        let table = self.table.as_ref();
        let is_lost = table.is_none_or(|table| table.readable(partition).all(is_damaged));
        if is_lost && read.failure.is_some() || read.round >= ROUNDS_MAX {
            let reason = std::mem::take(&mut read.reason).into_owned();
            let error = read.failure.take().unwrap_or(Error::NoStorage { partition, reason });
            return self.read_done(id, Err(error));
        }
        match read.round.checked_sub(2) {
            None => self.refresh_table(id),
            Some(exponent) => {
                let delay = DELAY_MIN.saturating_mul(1 << exponent).min(DELAY_MAX);
                let at = self.now.monotonic + delay;
                self.set_read_state(id, ReadState::WaitsUntil(at));
                self.reads.delayed.insert((at, id));
            }
        }
    }

    fn refresh_table(&mut self, id: ReadId) {
        self.set_read_state(id, ReadState::WaitsForTable);
        self.ask_master(MasterRequest::RefreshTable { read: id });
    }

    /// Tries all storages again, now that the table is new enough.
    pub(crate) fn begin_round(&mut self, id: ReadId) {
        let state = self.reads.get(id).map(|read| read.state);
        if state == Some(ReadState::WaitsForTable) {
            self.try_read(id);
        }
    }

    pub(crate) fn begin_waiting_reads(&mut self) {
        // Another primary master may tell other things of the same tids.
        self.reads.questions.clear();
        let waiting = self.reads.iter();
        let waiting = waiting.filter(|(_, read)| read.state == ReadState::WaitsForMaster);
        let ids: Vec<_> = waiting.map(|(id, _)| id).collect();
        for id in ids {
            self.bound_read(id);
            self.try_read(id);
        }
    }

    /// Goes on with reads whose moment has come.
    pub(crate) fn wake_reads(&mut self) {
        while let Some(&(at, id)) = self.reads.delayed.first() {
            if at > self.now.monotonic {
                return;
            }
            self.reads.delayed.pop_first();
            self.refresh_table(id);
        }
    }

    /// Takes note that a storage could not be read from, and tries another one.
    pub(crate) fn read_failed(&mut self, id: ReadId, reason: String) {
        let Some(read) = self.reads.get_mut(id) else { return };
        if let ReadState::Asked(nid, _) = read.state {
            read.reason = Cow::Owned(format!("{nid}: {reason}"));
            read.tried.push(nid);
        }
        self.try_read(id);
    }

    /// Handles the answer of a storage.
    pub(crate) fn read_answered(&mut self, id: ReadId, nid: Nid, message: Message) {
        let Some(read) = self.reads.get_mut(id) else { return };
        match message {
            // The table changed meanwhile, or will (R17).
            Message::Error { code: ErrorCode::NonReadableCell, .. } => {
                self.read_failed(id, "the cell is not readable".to_owned());
            }
            Message::AnswerObject { oid, serial, compression, checksum, ref data, .. }
                if !is_sound(compression, checksum, data) =>
            {
                tracing::error!(%nid, %oid, %serial, "wrong checksum");
                read.failure = Some(Error::WrongChecksum { oid, serial, nid });
                read.damaged.push(nid);
                self.read_failed(id, "wrong checksum".to_owned());
            }
            Message::Error { code, text } => {
                let error = self.refusal(id, nid, code, &text);
                self.read_done(id, Err(error));
            }
            message => self.read_done(id, Ok(message)),
        }
    }

    fn set_read_state(&mut self, id: ReadId, state: ReadState) {
        if let Some(read) = self.reads.get_mut(id) {
            read.state = state;
        }
    }
}

fn is_sound(compression: Option<u8>, checksum: net::Checksum, data: &net::Data) -> bool {
    match compression {
        _ if data.bytes.is_empty() && checksum == net::Checksum::ZERO => true,
        None => false,
        Some(_) => data.checksum() == checksum,
    }
}
