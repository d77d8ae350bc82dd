//! Reading a FileStorage file from its beginning to its end.

use std::path::Path;

use bytes::Bytes;
use model::{Oid, Tid};

use super::damage::{BackPointerDamage, Damage};
use super::error::Error;
use super::format::{
    DATA_LENGTH_MAX, Format, Length, Metadata, Position, RECORD_LENGTH_MIN, RECORD_POSITION_MIN,
    REDUNDANT_LENGTH, RecordHeader, STATUS_UNDONE, Status, TRANSACTIONS_START, TransactionHeader,
};
use super::tail::{self, Next, damaged};
use super::window::Window;

/// The most back pointers that are followed from one record to its data. Each undo of an undo
/// makes a chain longer by one, so real ones have a few. They cannot form a loop, as each points
/// to before its record; the limit bounds the work that a malicious file can ask for.
const BACK_POINTERS_MAX: usize = 65_536;

/// Goes through the transactions of a file, each with its records, in the order of the file.
///
/// [`Reader::next_transaction`] gives a transaction, [`Reader::next_record`] its records one by
/// one; records that are not asked for are skipped. What comes is what ZODB's iterator gives on a
/// file that ZODB opened for writing once: a torn end is ignored (see [`Reader::torn_tail`]),
/// transactions that were undone in place (status `u`) are left out, back pointers are followed.
/// An oid that occurs twice in a transaction comes twice; the last one counts.
///
/// Whatever ZODB refuses is an error, and more: a tid that does not grow, an unknown status, a
/// record that has another tid than its transaction, a previous record or a back pointer that
/// does not point to before its record, a back pointer that leads to another object. A call that
/// failed fails again.
///
/// Memory is one buffer of half a MiB, or one datum if it is longer; data shares the buffer, so
/// whoever keeps data keeps a buffer. The file must not be written meanwhile by anything but ZODB's
/// appending; what is appended after opening is not seen.
#[derive(Debug)]
pub struct Reader {
    window: Window,
    identity: Identity,
    /// Position of the next transaction.
    next: u64,
    /// Of the transaction before, whatever its status.
    last_tid: Tid,
    current: Option<Current>,
    torn_tail: Option<TornTail>,
}

/// The transaction whose records are being read.
#[derive(Clone, Copy, Debug)]
struct Current {
    tid: Tid,
    start: u64,
    /// Position of the next record.
    record: u64,
    /// Where the records end.
    end: u64,
}

/// What tells a file from another one, and stays as it is while the file grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The kind of file.
    pub format: Format,
    /// Of the first transaction, whatever its status; `None` without transactions.
    pub first_tid: Option<Tid>,
    /// Of the first transaction, in the file; 0 without transactions.
    pub first_length: Length,
}

/// A transaction at the end of a file that was never committed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TornTail {
    /// Where it begins: ZODB would cut the file here.
    pub position: Position,
    /// From there to the end of the file.
    pub length: Length,
}

/// A transaction without its records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transaction {
    /// Where it begins.
    pub position: Position,
    /// In the file, from its beginning to that of the next one.
    pub length: Length,
    /// Its id.
    pub tid: Tid,
    /// Whether it was packed.
    pub status: Status,
    /// Who, as stored: usually UTF-8.
    pub user: Bytes,
    /// What, as stored: usually UTF-8.
    pub description: Bytes,
    /// As stored: a pickled dictionary, or nothing.
    pub extension: Bytes,
}

impl Transaction {
    /// The same, borrowed.
    pub fn metadata(&self) -> Metadata<'_> {
        Metadata {
            tid: self.tid,
            status: self.status,
            user: &self.user,
            description: &self.description,
            extension: &self.extension,
        }
    }
}

/// A revision of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The object.
    pub oid: Oid,
    /// That of the transaction.
    pub tid: Tid,
    /// Where the record begins.
    pub position: Position,
    /// Where the record says that the object's previous one is.
    pub previous: Option<Position>,
    /// The data, found through back pointers if need be; never empty. `None` where the object does
    /// not exist from here on: its creation was undone, or it was deleted.
    pub data: Option<Bytes>,
    /// Where the record has a back pointer: tid of the record that it points to, which has the
    /// same data, or none, or a back pointer. ZODB calls it `data_txn`.
    pub data_tid: Option<Tid>,
}

impl Reader {
    /// Opens a file and looks at its first transaction.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let mut window = Window::open(path.as_ref())?;
        let format = read_magic(&mut window)?;
        let (first_tid, first_length) = match tail::next(&window, TRANSACTIONS_START)? {
            Next::Transaction(header) => (Some(header.tid), header.length + REDUNDANT_LENGTH),
            Next::End | Next::Torn => (None, 0),
        };
        let identity = Identity { format, first_tid, first_length: Length(first_length) };
        Ok(Self {
            window,
            identity,
            next: TRANSACTIONS_START,
            last_tid: Tid::ZERO,
            current: None,
            torn_tail: None,
        })
    }

    /// What tells this file from another one.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Length of the file when it was opened.
    pub fn file_length(&self) -> Length {
        Length(self.window.length())
    }

    /// The transaction that was never committed, if there is one at the end of the file. Known
    /// once [`Reader::next_transaction`] gave `None`.
    pub fn torn_tail(&self) -> Option<TornTail> {
        self.torn_tail
    }

    /// The next transaction; `None` when there is no more. What is left of the one before is
    /// skipped, its records unchecked.
    pub fn next_transaction(&mut self) -> Result<Option<Transaction>, Error> {
        loop {
            self.leave()?;
            let Some((header, counts)) = self.next_header()? else {
                return Ok(None);
            };
            self.enter(&header);
            if let Some(status) = counts {
                return self.transaction(&header, status).map(Some);
            }
        }
    }

    /// The next record of the transaction that was given last; `None` when there is no more, and
    /// then the whole transaction was checked.
    pub fn next_record(&mut self) -> Result<Option<Record>, Error> {
        let Some(current) = self.current else {
            return Ok(None);
        };
        let position = current.record;
        if position == current.end {
            self.leave()?;
            return Ok(None);
        }
        let (header, record_length) = self.record_header(&current)?;
        let payload = position + RecordHeader::LENGTH;
        let (data, data_tid) = if header.data_length == 0 {
            let target = u64::from_be_bytes(*self.window.view(payload)?);
            match target {
                0 => (None, None),
                _ => self.follow(header.oid, position, target)?,
            }
        } else {
            let length = self.data_length(position, &header)?;
            (Some(self.window.take(payload, length)?), None)
        };
        self.current = Some(Current { record: position + record_length, ..current });
        Ok(Some(Record {
            oid: header.oid,
            tid: header.tid,
            position: Position(position),
            previous: (header.previous != 0).then_some(Position(header.previous)),
            data,
            data_tid,
        }))
    }

    /// Goes on, from wherever it is, with the first transaction later than `tid`, reading only
    /// the headers of those before it. Returns the tid of the last one that was skipped: `tid`
    /// itself if the file has it.
    pub fn seek_after(&mut self, tid: Tid) -> Result<Option<Tid>, Error> {
        self.next = TRANSACTIONS_START;
        self.last_tid = Tid::ZERO;
        self.current = None;
        let mut skipped = None;
        while let Some((header, counts)) = self.next_header()?
            && header.tid <= tid
        {
            self.enter(&header);
            self.leave()?;
            skipped = counts.map(|_| header.tid).or(skipped);
        }
        Ok(skipped)
    }

    /// The header of the next transaction, checked, and its status if it counts.
    fn next_header(&mut self) -> Result<Option<(TransactionHeader, Option<Status>)>, Error> {
        let position = self.next;
        let header = match tail::next(&self.window, position)? {
            Next::End => return Ok(None),
            Next::Torn => {
                let length = Length(self.window.length() - position);
                self.torn_tail = Some(TornTail { position: Position(position), length });
                return Ok(None);
            }
            Next::Transaction(header) => header,
        };
        let counts = Status::from_byte(header.status);
        if counts.is_none() && header.status != STATUS_UNDONE {
            let damage = Damage::Status { found: header.status };
            return Err(damaged(&self.window, position, damage));
        }
        if header.tid <= self.last_tid {
            let damage = Damage::TidOrder { last: self.last_tid, found: header.tid };
            return Err(damaged(&self.window, position, damage));
        }
        Ok(Some((header, counts)))
    }

    fn enter(&mut self, header: &TransactionHeader) {
        self.current = Some(Current {
            tid: header.tid,
            start: self.next,
            record: self.next + header.records_offset(),
            end: self.next + header.length,
        });
    }

    /// Ends the current transaction, if there is one.
    fn leave(&mut self) -> Result<(), Error> {
        let Some(current) = self.current else {
            return Ok(());
        };
        let expected = Length(current.end - current.start);
        let found = Length(u64::from_be_bytes(self.window.peek(current.end)?));
        if found != expected {
            let damage = Damage::RedundantLength { expected, found };
            return Err(damaged(&self.window, current.end, damage));
        }
        self.next = current.end + REDUNDANT_LENGTH;
        self.last_tid = current.tid;
        self.current = None;
        Ok(())
    }

    fn transaction(
        &mut self,
        header: &TransactionHeader,
        status: Status,
    ) -> Result<Transaction, Error> {
        let start = self.next + TransactionHeader::LENGTH;
        let lengths = [header.user_length, header.description_length, header.extension_length];
        let [user, description, extension] = lengths.map(usize::from);
        let mut rest = self.window.take(start, user + description + extension)?;
        Ok(Transaction {
            position: Position(self.next),
            length: Length(header.length + REDUNDANT_LENGTH),
            tid: header.tid,
            status,
            user: rest.split_to(user),
            description: rest.split_to(description),
            extension: rest,
        })
    }

    /// The header of the next record, checked, and the length of the record.
    fn record_header(&mut self, current: &Current) -> Result<(RecordHeader, u64), Error> {
        let position = current.record;
        let rest = current.end - position;
        if rest < RECORD_LENGTH_MIN {
            let length_min = Length(RECORD_LENGTH_MIN);
            let damage = Damage::RecordSpace { length_min, found: Length(rest) };
            return Err(damaged(&self.window, position, damage));
        }
        let header = RecordHeader::decode(self.window.view(position)?);
        let fail = |damage| Err(damaged(&self.window, position, damage));
        if header.transaction != current.start {
            let (expected, found) = (Position(current.start), Position(header.transaction));
            return fail(Damage::RecordTransaction { expected, found });
        }
        if header.tid != current.tid {
            return fail(Damage::RecordTid { expected: current.tid, found: header.tid });
        }
        if header.previous != 0 && !(RECORD_POSITION_MIN..position).contains(&header.previous) {
            return fail(Damage::Previous { found: Position(header.previous) });
        }
        let record_length = self.record_length(position, &header, rest)?;
        Ok((header, record_length))
    }

    /// The length of a record that can have at most `length_max`.
    fn record_length(
        &self,
        position: u64,
        header: &RecordHeader,
        length_max: u64,
    ) -> Result<u64, Error> {
        let fail = |damage| Err(damaged(&self.window, position, damage));
        if header.version_length != 0 {
            return fail(Damage::VersionLength { found: header.version_length });
        }
        match header.record_length() {
            Some(length) if length <= length_max => Ok(length),
            _ => fail(Damage::RecordLength {
                length_max: Length(length_max - RecordHeader::LENGTH),
                found: Length(header.data_length),
            }),
        }
    }

    fn data_length(&self, position: u64, header: &RecordHeader) -> Result<usize, Error> {
        match usize::try_from(header.data_length) {
            Ok(length) if length <= DATA_LENGTH_MAX => Ok(length),
            _ => {
                let damage = Damage::DataLength { found: Length(header.data_length) };
                Err(damaged(&self.window, position, damage))
            }
        }
    }

    /// Follows the back pointer to `target` of the record at `position` to the data, if there is
    /// any, and tells the tid of the record that it points to first.
    fn follow(
        &self,
        oid: Oid,
        mut position: u64,
        mut target: u64,
    ) -> Result<(Option<Bytes>, Option<Tid>), Error> {
        let mut data_tid = None;
        for _ in 0..BACK_POINTERS_MAX {
            let header = self.back_record(oid, position, target)?;
            data_tid = data_tid.or(Some(header.tid));
            let payload = target + RecordHeader::LENGTH;
            if header.data_length != 0 {
                let length = self.data_length(target, &header)?;
                return Ok((Some(self.window.copy(payload, length)?), data_tid));
            }
            position = target;
            target = u64::from_be_bytes(self.window.peek::<8>(payload)?);
            if target == 0 {
                return Ok((None, data_tid));
            }
        }
        let length_max = BACK_POINTERS_MAX;
        let damage = Damage::BackPointer(BackPointerDamage::Endless { length_max });
        Err(damaged(&self.window, position, damage))
    }

    /// The header of the record at `target`, which the record at `position` points back to.
    fn back_record(&self, oid: Oid, position: u64, target: u64) -> Result<RecordHeader, Error> {
        let fail = |damage| {
            let damage = Damage::BackPointer(damage);
            Err(damaged(&self.window, position, damage))
        };
        let target_max = position.saturating_sub(RECORD_LENGTH_MIN);
        if !(RECORD_POSITION_MIN..=target_max).contains(&target) {
            return fail(BackPointerDamage::Forward { found: Position(target) });
        }
        let header = RecordHeader::decode(&self.window.peek(target)?);
        let found = Position(header.transaction);
        let target_position = Position(target);
        if header.oid != oid {
            let (expected, found) = (oid, header.oid);
            return fail(BackPointerDamage::Oid { target: target_position, expected, found });
        }
        let start_max = target - TransactionHeader::LENGTH;
        let inside = (TRANSACTIONS_START..=start_max).contains(&header.transaction)
            && Tid::from_be_bytes(self.window.peek(header.transaction)?) == header.tid;
        if !inside {
            return fail(BackPointerDamage::Transaction { target: target_position, found });
        }
        self.record_length(target, &header, position - target)?;
        Ok(header)
    }
}

fn read_magic(window: &mut Window) -> Result<Format, Error> {
    let length = usize::try_from(window.length().min(TRANSACTIONS_START)).unwrap_or(0);
    let found = window.take(0, length)?;
    Format::from_magic(&found).ok_or_else(|| Error::NotFileStorage {
        path: window.path().to_owned(),
        found: found.to_vec(),
    })
}
