//! The log: segments of groups of records.

mod ahead;
mod flight;
mod group;
mod scan;
mod segment;
mod writer;

pub(crate) use group::Class;
pub(crate) use scan::{GroupRef, SegmentBytes};
pub(crate) use segment::{Prepared, open_segment, prepare_segment, segment_name, segment_number};
pub(crate) use writer::{LogEvent, LogWriter};

#[cfg(test)]
mod tests;
