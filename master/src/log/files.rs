//! Writing the log: two files that take turns.
//!
//! Records are appended to one of them. When that is long, a snapshot of all that was agreed on is
//! written to the beginning of the other one, with the next generation; once that is durable the
//! head of the first is marked as superseded, and only then is anything appended to the other. So
//! names never change, and at any moment one file is whole. One write is on its way at a time; what
//! comes meanwhile goes out together.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use engine::disk::{Access, Completion, Disk, Done, File, Queue, Request, Sync, Wait};

use super::consensus::{Position, Record};
use super::format::{Body, HEADER_LENGTH, Header, NAMES, Role};
use super::remembered::Remembered;
use crate::error::Error;

/// Length from which on the files take turns, in bytes, unless the snapshot alone is long.
const LENGTH_MAX: u64 = 1 << 20;
/// How many times longer than its snapshot a file gets at least.
const GROWTH_MIN: u64 = 4;

/// A write that is on its way.
#[derive(Debug)]
struct Write {
    file: usize,
    offset: u64,
    rest: Bytes,
    then: Then,
}

/// What a write is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Then {
    /// Records up to this number of the consensus.
    Records(u64),
    /// The snapshot in the other file.
    Snapshot,
    /// The mark in the head of the file before.
    Mark,
}

/// The files, and what waits to be written.
pub(super) struct Files {
    files: [Arc<dyn File>; 2],
    paths: [String; 2],
    queue: Box<dyn Queue>,
    /// Of the present file.
    header: Header,
    /// Where the next record goes.
    offset: u64,
    /// Up to where the present file is durable.
    durable: u64,
    snapshot_length: u64,
    write: Option<Write>,
    pending: BytesMut,
    pending_number: u64,
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
    /// Begins a new generation in the file that `header` names, and marks the other one. It blocks
    /// until that is durable.
    pub(super) fn begin(
        disk: &Arc<dyn Disk>,
        files: [Arc<dyn File>; 2],
        header: Header,
        position: Position,
        remembered: &Remembered,
    ) -> Result<Self, Error> {
        let paths = NAMES.map(|name| disk.path(name));
        let queue = disk.queue().map_err(disk_error(paths[0].clone(), "opening"))?;
        let mut this = Self {
            files,
            paths,
            queue,
            // The one before, which is to be marked.
            header: Header {
                number: 1 - header.number,
                generation: header.generation - 1,
                ..header
            },
            offset: 0,
            durable: 0,
            snapshot_length: 0,
            write: None,
            pending: BytesMut::new(),
            pending_number: 0,
        };
        this.compact(position, remembered);
        while this.write.is_some() {
            this.poll(Wait::Yes)?;
        }
        Ok(this)
    }

    /// The path of the present file.
    pub(super) fn path(&self) -> &str {
        &self.paths[index(self.header.number)]
    }

    pub(super) fn descriptor(&self) -> Option<RawFd> {
        self.queue.event_descriptor()
    }

    /// Has records written; `number` is reported when they are durable.
    pub(super) fn append(&mut self, number: u64, records: Vec<Record>) {
        for record in records {
            let length = u64::try_from(self.pending.len()).expect("a length in memory");
            let offset = self.offset + length;
            let body = Body::Consensus(record);
            let bytes = self.header.encode_record(offset, self.durable, &body);
            self.pending.extend_from_slice(&bytes);
        }
        self.pending_number = number;
        self.start();
    }

    pub(super) fn is_writing(&self) -> bool {
        self.write.is_some()
    }

    /// Whether nothing is on its way, and the files should take turns.
    pub(super) fn is_long(&self) -> bool {
        let long = LENGTH_MAX.max(self.snapshot_length * GROWTH_MIN);
        self.write.is_none() && self.pending.is_empty() && self.offset > long
    }

    /// Has the files take turns, with a snapshot of all that was agreed on. Nothing may be on its
    /// way.
    pub(super) fn compact(&mut self, position: Position, remembered: &Remembered) {
        assert!(self.write.is_none() && self.pending.is_empty(), "records belong to one file");
        let header = Header {
            number: 1 - self.header.number,
            role: Role::Current,
            generation: self.header.generation + 1,
            ..self.header
        };
        let body = Body::Snapshot(position, Box::new(remembered.clone()));
        let mut bytes = BytesMut::from(&header.encode()[..]);
        let offset = u64::try_from(HEADER_LENGTH).expect("64");
        bytes.extend_from_slice(&header.encode_record(offset, 0, &body));
        self.header = header;
        self.offset = u64::try_from(bytes.len()).expect("a length in memory");
        self.snapshot_length = self.offset;
        self.durable = 0;
        self.write(index(header.number), 0, bytes.freeze(), Then::Snapshot);
    }

    /// Looks for writes that completed.
    pub(super) fn poll(&mut self, wait: Wait) -> Result<Option<Saved>, Error> {
        let mut completions = Vec::new();
        let polled = self.queue.poll(wait, &mut completions);
        polled.map_err(disk_error(self.path().to_owned(), "writing"))?;
        let mut saved = None;
        for Completion { result, .. } in completions {
            let Some(mut write) = self.write.take() else { continue };
            let path = self.paths[write.file].clone();
            let count = match result.map_err(disk_error(path.clone(), "writing"))? {
                Done::Written(count) if count > 0 => count,
                _ => {
                    let error = io::Error::from(io::ErrorKind::WriteZero);
                    return Err(disk_error(path, "writing")(error));
                }
            };
            let rest = write.rest.split_off(count);
            write.offset += u64::try_from(count).expect("a length in memory");
            if !rest.is_empty() {
                self.write(write.file, write.offset, rest, write.then);
                continue;
            }
            match write.then {
                Then::Records(number) => {
                    self.durable = write.offset;
                    saved = Some(Saved::Records(number));
                }
                Then::Snapshot => {
                    self.durable = write.offset;
                    self.mark();
                }
                Then::Mark => saved = Some(Saved::Compacted),
            }
            self.start();
        }
        Ok(saved)
    }

    /// Marks the other file as superseded.
    fn mark(&mut self) {
        let header = Header {
            number: 1 - self.header.number,
            role: Role::Superseded,
            generation: self.header.generation - 1,
            ..self.header
        };
        let bytes = Bytes::copy_from_slice(&header.encode());
        self.write(index(header.number), 0, bytes, Then::Mark);
    }

    fn start(&mut self) {
        if self.write.is_none() && !self.pending.is_empty() {
            let bytes = self.pending.split().freeze();
            let offset = self.offset;
            self.offset += u64::try_from(bytes.len()).expect("a length in memory");
            let then = Then::Records(self.pending_number);
            self.write(index(self.header.number), offset, bytes, then);
        }
    }

    fn write(&mut self, file: usize, offset: u64, rest: Bytes, then: Then) {
        let data = vec![rest.clone()];
        let request =
            Request::Write { file: Arc::clone(&self.files[file]), offset, data, sync: Sync::Data };
        self.write = Some(Write { file, offset, rest, then });
        self.queue.submit(0, request);
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).expect("0 or 1")
}

fn disk_error(file: String, doing: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Disk { file, doing, source }
}
