//! One request to a ring: the entries that carry it out, and what their results mean.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;

use bytes::Bytes;
use io_uring::opcode;
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{Fd, FsyncFlags, Timespec};

use crate::disk::real::system;
use crate::disk::real::unsynced::{Unsynced, syncs_with_write};
use crate::disk::real::vectors::{CALL_LENGTH_MAX, Vectors};
use crate::disk::{Done, File, Request, Sync, SyncFailed};
use crate::error::is_full;

/// Entries of one operation at most: write, sync, delay.
pub(super) const CHAIN_LENGTH_MAX: usize = 3;

/// Bytes of a write that the kernel hands to a thread of its own: it copies them to its cache, and
/// who submits more would have to wait for milliseconds.
const ELSEWHERE_LENGTH_MIN: usize = 128 << 10;

/// Which entry of an operation: its place in the user data, so that results find their way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// The write or read itself.
    Transfer,
    /// The sync, alone or behind a write.
    Sync,
    /// The time that the sync is made to take longer.
    Delay,
}

impl Stage {
    pub(super) fn number(self) -> u64 {
        match self {
            Stage::Transfer => 0,
            Stage::Sync => 1,
            Stage::Delay => 2,
        }
    }

    pub(super) fn from_number(number: u64) -> Self {
        match number {
            0 => Stage::Transfer,
            1 => Stage::Sync,
            2 => Stage::Delay,
            _ => unreachable!("entries carry the number of a stage"),
        }
    }
}

/// What to do with an operation when all its entries have completed.
pub(super) enum Outcome {
    /// Start it again: it was interrupted, or a read has not reached the end.
    Again,
    /// It is over.
    Over(io::Result<Done>),
}

/// A request on its way, with all memory that the kernel reads or writes for it.
///
/// A write with a sync is one entry (`RWF_DSYNC`) if nothing else of the file waits for a sync, and
/// the file system obeys: a thread of the kernel does both without coming back in between, which
/// saves two changes of threads. It syncs no more than it writes.
///
/// Otherwise its entries are linked: the kernel begins the sync when the write has succeeded in
/// full, and cancels it where the write failed or was short. All entries complete, cancelled or
/// not.
pub(super) struct Operation {
    /// The token of the request.
    pub(super) token: u64,
    /// Entries started that have not completed.
    pub(super) pending: usize,
    work: Work,
    /// Keeps the descriptor open.
    file: Arc<dyn File>,
    descriptor: RawFd,
    means: Means,
    /// What a sync of the whole file covers.
    covered: u64,
    transferred: i32,
    synced: i32,
}

/// How a write is synced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Means {
    /// To be chosen.
    Any,
    /// With the write, in one entry.
    OneEntry,
    /// In an entry of its own, for good: there was more to sync, or as one it failed in a way that
    /// does not tell what was wrong.
    TwoEntries,
}

enum Work {
    Write {
        vectors: Vectors,
        offset: u64,
        sync: Sync,
    },
    Sync,
    /// The length of `buffer` is what was read so far, its capacity at least `length`.
    Read {
        buffer: Vec<u8>,
        length: usize,
        offset: u64,
    },
}

impl Operation {
    /// Makes ready; an error where there is no memory for what is to be read, or the offset is
    /// none.
    pub(super) fn new(token: u64, request: Request) -> io::Result<Self> {
        let (file, work) = match request {
            Request::Write { file, offset, data, sync } => {
                system::file_offset(offset)?;
                (file, Work::Write { vectors: Vectors::new(data), offset, sync })
            }
            Request::Sync { file } => (file, Work::Sync),
            Request::Read { file, offset, length } => {
                system::file_offset(offset)?;
                let mut buffer = Vec::new();
                buffer.try_reserve_exact(length).map_err(|_| io::ErrorKind::OutOfMemory)?;
                (file, Work::Read { buffer, length, offset })
            }
        };
        let descriptor = file.descriptor().expect("queues serve files of their own disk");
        let (means, covered) = (Means::Any, 0);
        let (pending, transferred, synced) = (0, 0, 0);
        Ok(Self { token, pending, work, file, descriptor, means, covered, transferred, synced })
    }

    /// The entries to start, at most [`CHAIN_LENGTH_MAX`], each with its stage. They point into
    /// `self` and to `delay`, and are valid as long as both stay where they are.
    pub(super) fn entries(&mut self, delay: Option<&Timespec>) -> Vec<(Stage, Entry)> {
        let descriptor = Fd(self.descriptor);
        let mut chain = Vec::with_capacity(CHAIN_LENGTH_MAX);
        self.covered = Unsynced::of(&self.file).begin_sync();
        let syncs = match &mut self.work {
            Work::Write { vectors, offset, sync } => {
                let array = vectors.array();
                let count = u32::try_from(array.len()).expect("Vectors bounds the array");
                let write = opcode::Writev::new(descriptor, array.as_ptr(), count).offset(*offset);
                let syncs = *sync == Sync::Data && vectors.is_whole();
                if syncs && self.means != Means::TwoEntries && syncs_with_write(&self.file) {
                    self.means = Means::OneEntry;
                    let write = write.rw_flags(libc::RWF_DSYNC).build().flags(Flags::ASYNC);
                    chain.push((Stage::Transfer, write));
                } else {
                    self.means = Means::TwoEntries;
                    let write = match vectors.length() >= ELSEWHERE_LENGTH_MIN {
                        true => write.build().flags(Flags::ASYNC),
                        false => write.build(),
                    };
                    chain.push((Stage::Transfer, write));
                }
                syncs
            }
            Work::Sync => true,
            Work::Read { buffer, length, offset } => {
                let filled = buffer.len();
                let wanted = (*length - filled).min(CALL_LENGTH_MAX);
                let wanted = u32::try_from(wanted).expect("CALL_LENGTH_MAX fits");
                let rest = buffer.spare_capacity_mut().as_mut_ptr().cast();
                let read = opcode::Read::new(descriptor, rest, wanted);
                let position = *offset + u64::try_from(filled).expect("usize fits");
                chain.push((Stage::Transfer, read.offset(position).build()));
                false
            }
        };
        if syncs {
            if self.means != Means::OneEntry {
                let sync = opcode::Fsync::new(descriptor).flags(FsyncFlags::DATASYNC);
                chain.push((Stage::Sync, sync.build()));
            }
            if let Some(delay) = delay {
                chain.push((Stage::Delay, opcode::Timeout::new(delay).build()));
            }
        }
        let last = chain.len() - 1;
        for (_, entry) in &mut chain[..last] {
            *entry = entry.clone().flags(Flags::IO_LINK);
        }
        chain
    }

    /// Notes the result of an entry.
    pub(super) fn record(&mut self, stage: Stage, result: i32) {
        assert!(self.pending > 0, "an entry completes once");
        self.pending -= 1;
        match stage {
            Stage::Transfer => self.transferred = result,
            Stage::Sync => self.synced = result,
            // A delay ends with ETIME, or is cancelled with what it is laid over.
            Stage::Delay => {}
        }
    }

    /// What became of it, when nothing is pending.
    pub(super) fn outcome(&mut self) -> Outcome {
        assert!(self.pending == 0, "the kernel is still at it");
        let unsynced = Unsynced::of(&self.file);
        let transferred = match usize::try_from(self.transferred) {
            Ok(count) => count,
            Err(_) => {
                if matches!(self.work, Work::Write { .. }) {
                    unsynced.written();
                }
                let outcome = failure(self.transferred);
                let is_unclear = self.means == Means::OneEntry && is_unclear(&outcome);
                if is_unclear {
                    self.means = Means::TwoEntries;
                    return Outcome::Again;
                }
                return outcome;
            }
        };
        match &mut self.work {
            Work::Write { vectors, sync, .. } => {
                let is_whole = vectors.is_whole() && transferred == vectors.length();
                let is_synced = is_whole && *sync == Sync::Data && self.synced >= 0;
                match self.means {
                    Means::OneEntry => {}
                    _ if is_synced => unsynced.synced(self.covered),
                    _ => unsynced.written(),
                }
                if is_whole && *sync == Sync::Data && self.synced < 0 {
                    return match failure(self.synced) {
                        Outcome::Over(Err(error)) => Outcome::Over(Err(SyncFailed::wrap(error))),
                        other => other,
                    };
                }
                Outcome::Over(Ok(Done::Written(transferred)))
            }
            Work::Sync if self.synced < 0 => failure(self.synced),
            Work::Sync => {
                unsynced.synced(self.covered);
                Outcome::Over(Ok(Done::Synced))
            }
            Work::Read { buffer, length, .. } => {
                let filled = buffer.len() + transferred;
                assert!(filled <= *length, "more was read than was asked for");
                // SAFETY: the kernel wrote `transferred` bytes behind those that were there, into
                // the spare capacity that it was given.
                unsafe { buffer.set_len(filled) };
                if transferred > 0 && filled < *length {
                    return Outcome::Again;
                }
                Outcome::Over(Ok(Done::Read(Bytes::from(std::mem::take(buffer)))))
            }
        }
    }
}

/// Whether a write that was to sync may have failed in either, or may not be possible as one: the
/// bytes are written again, and then synced, which tells.
fn is_unclear(outcome: &Outcome) -> bool {
    let Outcome::Over(Err(error)) = outcome else { return false };
    let is_refused = matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EINVAL));
    is_refused || is_full(error)
}

/// What a negative result means.
fn failure(result: i32) -> Outcome {
    match -result {
        // Writing, syncing and reading the same again does no harm.
        libc::EINTR | libc::EAGAIN => Outcome::Again,
        code => Outcome::Over(Err(io::Error::from_raw_os_error(code))),
    }
}
