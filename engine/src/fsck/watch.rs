//! How far a check is.

use std::ops::ControlFlow;

/// Bytes between two looks of whoever watches.
const STEP: u64 = 1 << 20;

/// What is being checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Stage {
    /// Index runs by themselves.
    #[default]
    Indexes,
    /// The log by itself, and against the indexes.
    Log,
    /// Who is hit by what was found.
    Hits,
    /// What is visible by oid, by tid, and as transactions.
    Visible,
}

/// How far a check is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// What it does now.
    pub stage: Stage,
    /// Bytes read so far.
    pub bytes_done: u64,
    /// Bytes to read, as far as it is known.
    pub bytes_total: u64,
}

/// Somebody has stopped the check.
#[derive(Debug)]
pub(super) struct Stopped;

/// Whether the check goes on.
pub(super) type Going<T = ()> = Result<T, Stopped>;

/// Tells whoever watches.
pub(super) struct Watch<'a> {
    tell: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    progress: Progress,
    told: u64,
}

impl<'a> Watch<'a> {
    pub(super) fn new(tell: &'a mut dyn FnMut(Progress) -> ControlFlow<()>) -> Self {
        Self { tell, progress: Progress::default(), told: 0 }
    }

    /// So many more bytes will have to be read.
    pub(super) fn expect(&mut self, bytes: u64) {
        self.progress.bytes_total += bytes;
    }

    pub(super) fn begin(&mut self, stage: Stage) -> Going {
        self.progress.stage = stage;
        self.say()
    }

    /// So many bytes were read.
    pub(super) fn advance(&mut self, bytes: u64) -> Going {
        self.progress.bytes_done += bytes;
        match self.progress.bytes_done >= self.told + STEP {
            true => self.say(),
            false => Ok(()),
        }
    }

    pub(super) fn bytes_done(&self) -> u64 {
        self.progress.bytes_done
    }

    fn say(&mut self) -> Going {
        self.told = self.progress.bytes_done;
        match (self.tell)(self.progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Stopped),
        }
    }
}
