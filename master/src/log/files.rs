//! Writing the log: two files that take turns.
//!
//! Records are appended to one of them. When that is long, a snapshot of all that was agreed on is
//! written to the beginning of the other one, with the next generation; once that is durable the
//! head of the first is marked as superseded, and only then is anything appended to the other. So
//! names never change, and at any moment one file is whole. One write is on its way at a time; what
//! comes meanwhile goes out together.
//!
//! **Space.** Both files are allocated, with zeros, up to where they take turns and further. A turn
//! that finds no space is tried again later, and the file before goes on; records that find none
//! wait. **Errors.** After any other error nothing is written any more: it is returned for ever.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use engine::disk::{Access, Completion, Disk, Done, File, Queue, Request, Sync, Wait};

use super::consensus::{Position, Record};
use super::format::{Body, HEADER_LENGTH, Header, NAMES, Role};
use super::remembered::Remembered;
use crate::error::Error;

/// Length from which on the files take turns, in bytes, unless the snapshot alone is long.
const LENGTH_MAX: u64 = 64 << 10;
/// How many times longer than its snapshot a file gets at least.
const GROWTH_MIN: u64 = 4;
/// What is allocated beyond that, for records that come before the turn is over.
const ROOM: u64 = 32 << 10;
/// How long records that found no space wait before they are written again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// A write that is on its way.
#[derive(Debug)]
struct Write {
    file: usize,
    offset: u64,
    rest: Bytes,
    sync: Sync,
    then: Then,
}

/// What a write is for.
#[derive(Debug)]
enum Then {
    /// Records up to this number of the consensus; they begin at this offset.
    Records { number: u64, records: Vec<Record>, begin: u64 },
    /// A record behind them that testifies that they are durable. It need not be durable itself.
    Witness { begin: u64 },
    /// The snapshot in the other file, which begins with this header; it ends at this offset.
    Snapshot(Header, u64),
    /// Zeros behind it, so that records will find space.
    Room(Header, u64),
    /// The mark in the head of the file before.
    Mark(Header, u64),
}

/// The files, and what waits to be written.
pub(super) struct Files {
    /// Its lock has to last as long as anything is written.
    disk: Arc<dyn Disk>,
    files: [Arc<dyn File>; 2],
    queue: Box<dyn Queue>,
    /// Of the present file.
    header: Header,
    /// The greatest generation that was begun.
    generation: u64,
    /// Where the next record goes.
    offset: u64,
    /// Up to where the present file is durable.
    durable: u64,
    snapshot_length: u64,
    /// Bytes of each file that need no more space to be written.
    allocated: [u64; 2],
    /// No turn before the present file is so long: the last one found no space.
    next_turn: u64,
    /// Whether a record says of all that is durable that it is.
    is_attested: bool,
    write: Option<Write>,
    pending: Vec<Record>,
    pending_number: u64,
    blocked: Blocked,
    failed: Option<Failed>,
}

/// Whether records wait for space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Blocked {
    No,
    /// They were just refused.
    Now,
    /// They are tried again then.
    Until(Duration),
}

/// The first error, as it is returned from then on.
#[derive(Clone, Debug)]
struct Failed {
    file: String,
    kind: io::ErrorKind,
    text: String,
}

/// What writes that completed mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Saved {
    /// Records up to this number are durable.
    Records(u64),
    /// The files have taken turns.
    Compacted,
}

/// Opens both files, or creates them.
pub(super) fn open(disk: &Arc<dyn Disk>) -> Result<[Arc<dyn File>; 2], Error> {
    let names = disk.list().map_err(disk_error(disk.path("."), "listing"))?;
    let open = |name: &str| {
        let access = match names.iter().any(|other| other == name) {
            true => Access::ReadWrite,
            false => Access::CreateNew,
        };
        disk.open(name, access).map_err(disk_error(disk.path(name), "opening"))
    };
    let files = [open(NAMES[0])?, open(NAMES[1])?];
    disk.sync_directory().map_err(disk_error(disk.path("."), "syncing"))?;
    Ok(files)
}

/// Reads a file as a whole.
pub(super) fn read(file: &Arc<dyn File>, path: &str) -> Result<Vec<u8>, Error> {
    let doing = "reading";
    let length = file.length().map_err(disk_error(path.to_owned(), doing))?;
    let length = usize::try_from(length).expect("a log fits in memory");
    let mut bytes = vec![0; length];
    let count = file.read_at(&mut bytes, 0).map_err(disk_error(path.to_owned(), doing))?;
    bytes.truncate(count);
    Ok(bytes)
}

impl Files {
    /// Begins a new generation in the file that the header of the present one does not name, and
    /// marks that one. It blocks until all is durable. `other` is what was found in the file that
    /// is to be overwritten.
    pub(super) fn begin(
        disk: Arc<dyn Disk>,
        files: [Arc<dyn File>; 2],
        header: Header,
        other: Option<Header>,
        position: Position,
        remembered: &Remembered,
    ) -> Result<Self, Error> {
        let paths = NAMES.map(|name| disk.path(name));
        let queue = disk.queue().map_err(disk_error(paths[0].clone(), "opening"))?;
        let mut allocated = [0, 0];
        for ((file, path), allocated) in files.iter().zip(&paths).zip(&mut allocated) {
            *allocated = allocate(file, path)?;
        }
        if let Some(other) = other.filter(|other| other.role == Role::Superseded) {
            // It may be so in the page cache only. If that were lost while its records are being
            // overwritten, it would count again.
            let (file, path) = (&files[other.index()], &paths[other.index()]);
            write_all(file, path, &other.encode(), 0)?;
        }
        let mut this = Self {
            disk,
            files,
            queue,
            header,
            generation: other.map_or(0, |other| other.generation).max(header.generation),
            offset: 0,
            durable: 0,
            snapshot_length: 0,
            allocated,
            next_turn: 0,
            is_attested: true,
            write: None,
            pending: Vec::new(),
            pending_number: 0,
            blocked: Blocked::No,
            failed: None,
        };
        this.compact(position, remembered);
        while this.write.is_some() {
            this.poll(Wait::Yes, Duration::ZERO)?;
        }
        if this.header == header {
            let full = io::Error::from(io::ErrorKind::StorageFull);
            return Err(disk_error(this.path_of(1 - header.index()), "writing")(full));
        }
        Ok(this)
    }

    /// The path of the present file.
    pub(super) fn path(&self) -> String {
        self.path_of(self.header.index())
    }

    fn path_of(&self, file: usize) -> String {
        self.disk.path(NAMES[file])
    }

    pub(super) fn descriptor(&self) -> Option<RawFd> {
        self.queue.event_descriptor()
    }

    /// Has records written; `number` is reported when they are durable.
    pub(super) fn append(&mut self, number: u64, records: Vec<Record>) {
        self.pending.extend(records);
        self.pending_number = number;
        self.go_on();
    }

    pub(super) fn is_writing(&self) -> bool {
        self.write.is_some()
    }

    /// When records that found no space are written again.
    pub(super) fn deadline(&self) -> Option<Duration> {
        match self.blocked {
            Blocked::No => None,
            Blocked::Now => Some(Duration::ZERO),
            Blocked::Until(deadline) => Some(deadline),
        }
    }

    /// Whether nothing is on its way, and the files should take turns.
    pub(super) fn is_long(&self) -> bool {
        let is_free = self.write.is_none() && self.failed.is_none();
        is_free && self.offset > length_max(self.snapshot_length).max(self.next_turn)
    }

    /// Has the files take turns, with a snapshot of all that was agreed on. Nothing may be on its
    /// way.
    pub(super) fn compact(&mut self, position: Position, remembered: &Remembered) {
        assert!(self.write.is_none(), "one write at a time");
        self.generation += 1;
        let header = Header {
            number: 1 - self.header.number,
            role: Role::Current,
            generation: self.generation,
            ..self.header
        };
        let body = Body::Snapshot(position, Box::new(remembered.clone()));
        let mut bytes = header.encode().to_vec();
        let offset = u64::try_from(HEADER_LENGTH).expect("64");
        bytes.extend_from_slice(&header.encode_record(offset, 0, &body));
        let end = length(&bytes);
        let (file, then) = (header.index(), Then::Snapshot(header, end));
        self.write(Write { file, offset: 0, rest: bytes.into(), sync: Sync::Data, then });
    }

    /// Looks for writes that completed, and whether what found no space may be written again:
    /// [`Files::go_on`] does so.
    ///
    /// # Errors
    /// If the disk refuses something else than space: what was to be written may be lost. The same
    /// is returned for ever then.
    pub(super) fn poll(&mut self, wait: Wait, now: Duration) -> Result<Option<Saved>, Error> {
        self.check()?;
        match self.blocked {
            Blocked::Now => self.blocked = Blocked::Until(now + RETRY_DELAY),
            Blocked::Until(deadline) if now >= deadline => {
                self.blocked = Blocked::No;
                self.next_turn = 0;
            }
            Blocked::Until(_) | Blocked::No => {}
        }
        let mut completions = Vec::new();
        if let Err(error) = self.queue.poll(wait, &mut completions) {
            return Err(self.fail(self.header.index(), &error));
        }
        let mut saved = None;
        for Completion { result, .. } in completions {
            let Some(write) = self.write.take() else { continue };
            saved = self.completed(write, result)?;
        }
        Ok(saved)
    }

    fn completed(
        &mut self,
        mut write: Write,
        result: io::Result<Done>,
    ) -> Result<Option<Saved>, Error> {
        let count = match result {
            Ok(Done::Written(count)) if count > 0 => count,
            Ok(_) => {
                let error = io::Error::from(io::ErrorKind::WriteZero);
                return Err(self.fail(write.file, &error));
            }
            Err(error) if is_full(&error) => {
                self.found_no_space(write);
                return Ok(None);
            }
            Err(error) => return Err(self.fail(write.file, &error)),
        };
        let rest = write.rest.split_off(count);
        write.offset += u64::try_from(count).expect("a length in memory");
        self.allocated[write.file] = self.allocated[write.file].max(write.offset);
        if !rest.is_empty() {
            self.write(Write { rest, ..write });
            return Ok(None);
        }
        Ok(match write.then {
            Then::Records { number, .. } => {
                self.durable = write.offset;
                self.is_attested = false;
                Some(Saved::Records(number))
            }
            Then::Witness { .. } => None,
            Then::Snapshot(header, end) => {
                self.make_room(header, end);
                None
            }
            Then::Room(header, end) => {
                self.mark(header, end);
                None
            }
            Then::Mark(header, end) => {
                self.header = header;
                (self.offset, self.durable, self.snapshot_length) = (end, end, end);
                self.next_turn = 0;
                self.is_attested = false;
                Some(Saved::Compacted)
            }
        })
    }

    /// The file before goes on, or what was to be written waits. Whatever was written of it is
    /// behind the end of the file, and overwritten.
    fn found_no_space(&mut self, write: Write) {
        let path = self.path_of(write.file);
        match write.then {
            Then::Records { mut records, begin, .. } => {
                tracing::error!("{path}: no space left to write, what changes has to wait");
                records.append(&mut self.pending);
                self.pending = records;
                self.offset = begin;
                self.blocked = Blocked::Now;
            }
            Then::Witness { begin } => self.offset = begin,
            // It may find some when it needs it.
            Then::Room(header, end) => self.mark(header, end),
            Then::Snapshot(..) | Then::Mark(..) => {
                tracing::warn!("{path}: no space left for the next turn, the file before goes on");
                self.next_turn = self.offset + ROOM / 4;
            }
        }
    }

    /// Allocates the file that was just begun as far as it will be written.
    fn make_room(&mut self, header: Header, end: u64) {
        let file = header.index();
        let offset = self.allocated[file];
        let missing = (length_max(end) + ROOM).saturating_sub(offset);
        if missing == 0 {
            return self.mark(header, end);
        }
        let zeros = vec![0; usize::try_from(missing).expect("a length in memory")];
        let then = Then::Room(header, end);
        self.write(Write { file, offset, rest: zeros.into(), sync: Sync::Data, then });
    }

    /// Marks the file before as superseded.
    fn mark(&mut self, header: Header, end: u64) {
        let before = Header { role: Role::Superseded, ..self.header };
        let rest = Bytes::copy_from_slice(&before.encode());
        let then = Then::Mark(header, end);
        self.write(Write { file: before.index(), offset: 0, rest, sync: Sync::Data, then });
    }

    /// Writes what waits, unless something is being written or finds no space. If nothing waits,
    /// what was written last gets a witness behind it.
    pub(super) fn go_on(&mut self) {
        if self.write.is_some() {
            return;
        }
        if !self.pending.is_empty() {
            if self.blocked == Blocked::No {
                self.write_records();
            }
        } else if !self.is_attested {
            self.is_attested = true;
            let begin = self.offset;
            let rest = self.header.encode_record(begin, self.durable, &Body::Witness);
            self.offset += length(&rest);
            let (file, then) = (self.header.index(), Then::Witness { begin });
            let rest = rest.into();
            self.write(Write { file, offset: begin, rest, sync: Sync::None, then });
        }
    }

    fn write_records(&mut self) {
        let records = std::mem::take(&mut self.pending);
        let begin = self.offset;
        let mut bytes = BytesMut::new();
        for record in &records {
            let offset = begin + length(&bytes);
            let body = Body::Consensus(record.clone());
            bytes.extend_from_slice(&self.header.encode_record(offset, self.durable, &body));
        }
        self.offset += length(&bytes);
        let then = Then::Records { number: self.pending_number, records, begin };
        let file = self.header.index();
        self.write(Write { file, offset: begin, rest: bytes.freeze(), sync: Sync::Data, then });
    }

    fn write(&mut self, write: Write) {
        if self.failed.is_some() {
            return;
        }
        let file = Arc::clone(&self.files[write.file]);
        let (offset, data, sync) = (write.offset, vec![write.rest.clone()], write.sync);
        self.write = Some(write);
        self.queue.submit(0, Request::Write { file, offset, data, sync });
    }

    fn check(&self) -> Result<(), Error> {
        let Some(Failed { file, kind, text }) = &self.failed else { return Ok(()) };
        Err(disk_error(file.clone(), "writing")(io::Error::new(*kind, text.clone())))
    }

    /// Keeps the first error.
    fn fail(&mut self, file: usize, error: &io::Error) -> Error {
        let file = self.path_of(file);
        let failed = Failed { file, kind: error.kind(), text: error.to_string() };
        self.failed = Some(failed);
        self.check().expect_err("it has just failed")
    }
}

/// From which length on a file with such a snapshot gives way to the other one.
fn length_max(snapshot_length: u64) -> u64 {
    LENGTH_MAX.max(snapshot_length * GROWTH_MIN)
}

/// Extends a file with zeros to what is always allocated; returns its length.
fn allocate(file: &Arc<dyn File>, path: &str) -> Result<u64, Error> {
    let present = file.length().map_err(disk_error(path.to_owned(), "measuring"))?;
    let missing = (LENGTH_MAX + ROOM).saturating_sub(present);
    if missing > 0 {
        let zeros = vec![0; usize::try_from(missing).expect("a length in memory")];
        write_all(file, path, &zeros, present)?;
    }
    Ok(present + missing)
}

fn write_all(file: &Arc<dyn File>, path: &str, bytes: &[u8], offset: u64) -> Result<(), Error> {
    let (mut rest, mut offset) = (bytes, offset);
    while !rest.is_empty() {
        let count = file.write_at(rest, offset).map_err(disk_error(path.to_owned(), "writing"))?;
        rest = &rest[count..];
        offset += u64::try_from(count).expect("a length in memory");
    }
    file.sync().map_err(disk_error(path.to_owned(), "syncing"))
}

/// Whether the system says that there is no space.
fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).expect("a length in memory")
}

fn disk_error(file: String, doing: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Disk { file, doing, source }
}
