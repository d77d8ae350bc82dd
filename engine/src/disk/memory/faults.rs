//! Which operation fails, and how.

use std::fmt;
use std::io;

use model::Random;

/// What can happen to one operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Any operation: it has happened or not, and fails with [`CrashedError`], as does everything
    /// afterwards. What is found then is an image's business.
    Crash,
    /// A write, change of length, creation, rename or removal: not done, EIO.
    WriteError,
    /// A write of two bytes or more: only its beginning is written.
    ShortWrite,
    /// A sync of a file or of the directory: EIO. A part of the file's unsynced data is dropped.
    SyncError,
    /// The same, but with ENOSPC, as file systems that allocate late do.
    SyncNoSpace,
    /// A write, change of length, creation or rename: not done, ENOSPC.
    NoSpace,
    /// From this operation on there is no space but what is allocated already.
    Full,
    /// A read: EIO.
    ReadError,
}

/// How many of a thousand operations fail in which way. None by default.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Faults {
    /// Writes of which only the beginning is written.
    pub short_write_permille: u32,
    /// Writes and other changes that are not done: EIO.
    pub write_error_permille: u32,
    /// Syncs that fail: EIO.
    pub sync_error_permille: u32,
    /// Reads that fail: EIO.
    pub read_error_permille: u32,
    /// Calls of [`File::read_resident`](crate::disk::File::read_resident) that answer `None`.
    pub miss_permille: u32,
    /// Requests of a queue that are not done in this poll. Where this is not 0, requests are done
    /// in random order.
    pub slow_permille: u32,
}

/// The disk has crashed: what went wrong is a simulated power cut and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CrashedError;

impl CrashedError {
    /// Whether an error says that the disk has crashed.
    pub fn is_in(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Self>())
    }
}

impl fmt::Display for CrashedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the simulated disk has crashed")
    }
}

impl std::error::Error for CrashedError {}

impl From<CrashedError> for io::Error {
    fn from(error: CrashedError) -> Self {
        io::Error::other(error)
    }
}

/// What is about to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operation {
    Write { length: usize },
    SetLength,
    Sync,
    Create,
    Rename,
    Remove,
    SyncDirectory,
}

impl Fault {
    /// Whether it can happen to an operation.
    fn fits(self, operation: Operation) -> bool {
        use Operation::{Remove, Sync, SyncDirectory, Write};
        match self {
            Fault::Crash | Fault::Full => true,
            Fault::WriteError => !matches!(operation, Sync | SyncDirectory),
            Fault::ShortWrite => matches!(operation, Write { length: 2.. }),
            Fault::SyncError | Fault::SyncNoSpace => {
                matches!(operation, Sync | SyncDirectory)
            }
            Fault::NoSpace => !matches!(operation, Sync | SyncDirectory | Remove),
            Fault::ReadError => false,
        }
    }
}

/// Faults to come, and what they are counted by.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) random: Random,
    pub(super) faults: Faults,
    /// Operations so far.
    pub(super) operations: u64,
    /// Reads so far.
    pub(super) reads: u64,
    /// Whether requests of queues wait, unless somebody waits for them.
    pub(super) holds_requests: bool,
    /// What happens once, and from which operation or read on.
    scheduled: Vec<(u64, Fault)>,
}

impl Plan {
    pub(super) fn new(random: Random) -> Self {
        Self {
            random,
            faults: Faults::default(),
            operations: 0,
            reads: 0,
            holds_requests: false,
            scheduled: Vec::new(),
        }
    }

    pub(super) fn clear_schedule(&mut self) {
        self.scheduled.clear();
    }

    pub(super) fn schedule(&mut self, at: u64, fault: Fault) {
        self.scheduled.push((at, fault));
    }

    pub(super) fn is_scheduled(&self, at: u64, fault: Fault) -> bool {
        self.scheduled.contains(&(at, fault))
    }

    /// Counts an operation and says what happens to it.
    pub(super) fn operation(&mut self, operation: Operation) -> Option<Fault> {
        let number = self.operations;
        self.operations += 1;
        let scheduled = self.take(number, |fault| fault.fits(operation));
        scheduled.or_else(|| {
            let faults = [
                (Fault::ShortWrite, self.faults.short_write_permille),
                (Fault::WriteError, self.faults.write_error_permille),
                (Fault::SyncError, self.faults.sync_error_permille),
            ];
            let mut fitting = faults.into_iter().filter(|(fault, _)| fault.fits(operation));
            fitting
                .find(|(_, permille)| happens(&mut self.random, *permille))
                .map(|(fault, _)| fault)
        })
    }

    /// Counts a read and says whether it fails.
    pub(super) fn read_fails(&mut self) -> bool {
        let number = self.reads;
        self.reads += 1;
        self.take(number, |fault| fault == Fault::ReadError).is_some()
            || happens(&mut self.random, self.faults.read_error_permille)
    }

    /// Says whether data is not resident.
    pub(super) fn misses(&mut self) -> bool {
        happens(&mut self.random, self.faults.miss_permille)
    }

    /// Says whether a request of a queue takes longer.
    pub(super) fn is_slow(&mut self) -> bool {
        happens(&mut self.random, self.faults.slow_permille)
    }

    /// The earliest scheduled fault that is due, which is due no more.
    fn take(&mut self, number: u64, fits: impl Fn(Fault) -> bool) -> Option<Fault> {
        let due = self.scheduled.iter().enumerate();
        let due = due.filter(|(_, (at, fault))| *at <= number && fits(*fault));
        let (index, _) = due.min_by_key(|(_, (at, _))| *at)?;
        Some(self.scheduled.remove(index).1)
    }
}

/// True so many times of a thousand. Draws nothing where it cannot happen.
fn happens(random: &mut Random, permille: u32) -> bool {
    permille > 0 && random.chance(u64::from(permille), 1000)
}
