//! Reading, as machines without I/O.
//!
//! A lookup is stepped with a [`Source`] that has blocks and records at hand, or not: then the
//! step returns [`Step::Need`], and is repeated when the source has what was needed. The same
//! lookups serve an event loop, threads that may wait, and offline tools.

mod find;
mod history;
mod load;
mod merge;
mod need;
mod objects;
mod record;
mod transactions;

use bytes::Bytes;

use crate::error::Result;
use crate::format::Location;
use crate::run::{Block, RunFile};
use crate::version::Segment;

pub(crate) use find::{Find, Scope};
pub use history::{HistoryEntry, HistoryLookup, UndoLookup, UndoResult};
pub use load::{
    LoadLookup, LoadResult, NewestTidLookup, Revision, RevisionTids, StoredLookup,
    TidsOfLoadLookup, When,
};
pub(crate) use merge::MergeCursor;
pub use need::Need;
pub(crate) use need::Needed;
pub use objects::{LiveOids, LiveOidsLookup, ObjectPage, ObjectsLookup};
pub(crate) use record::{Keep, ObjectRecord};
pub use transactions::{BoundsLookup, PartitionBounds, TidOfLookup, TidsLookup, TransactionLookup};

/// The outcome of one step.
#[derive(Debug)]
pub enum Step<T> {
    /// The lookup is done.
    Done(T),
    /// Bytes have to be read first.
    Need(Need),
    /// It worked for some time, and goes on when others had their turn.
    Pause,
}

/// Serves blocks of runs and records of the log.
pub(crate) trait Source {
    /// A verified block; `ordinal` is its place among the data blocks, where that is known.
    fn block(
        &mut self,
        run: &RunFile,
        offset: u64,
        length: u32,
        ordinal: Option<usize>,
    ) -> Result<Step<Block>>;
    /// Bytes of the log, not verified.
    fn record(&mut self, segment: &Segment, offset: u64, length: u32) -> Result<Step<Bytes>>;
    /// The record of an object, verified.
    fn object(
        &mut self,
        segment: &Segment,
        location: &Location,
        _keep: Keep,
    ) -> Result<Step<ObjectRecord>> {
        let bytes = ready!(self.record(segment, location.offset, location.length)?);
        ObjectRecord::verify(segment, &bytes, location.offset).map(Step::Done)
    }
}

/// Something that is looked up, step by step.
pub trait Lookup {
    /// What it finds.
    type Output;

    /// Goes on as far as the source allows.
    fn step(&mut self, blocks: &mut Blocks<'_>) -> Result<Step<Self::Output>>;
}

/// Where a lookup gets its bytes from. Only readers make one.
pub struct Blocks<'a>(pub(crate) &'a mut dyn Source);

/// The value of a step that is done; returns from the function with the need of one that is not.
macro_rules! ready {
    ($step:expr) => {
        match $step {
            $crate::lookup::Step::Done(value) => value,
            $crate::lookup::Step::Need(need) => return Ok($crate::lookup::Step::Need(need)),
            $crate::lookup::Step::Pause => return Ok($crate::lookup::Step::Pause),
        }
    };
}
pub(crate) use ready;
