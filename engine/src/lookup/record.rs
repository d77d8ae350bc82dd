//! The record of an object, verified.

use bytes::Bytes;

use crate::error::Result;
use crate::format::{Malformed, ObjectHead, Record};
use crate::version::Segment;

/// What the record of an object says, and its data, which is a slice of what was read.
#[derive(Clone, Debug)]
pub(crate) struct ObjectRecord {
    pub(crate) head: ObjectHead,
    pub(crate) data: Bytes,
}

/// Whether what was read for a lookup is kept in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Keep {
    /// It may be asked for again.
    Yes,
    /// It was read in passing, with much else.
    No,
}

impl ObjectRecord {
    /// Verifies the record that should be at `offset`, and be of an object.
    pub(crate) fn verify(segment: &Segment, bytes: &Bytes, offset: u64) -> Result<Self> {
        let raw = segment.record(bytes, offset)?;
        let Record::Object(head) = segment.sound(raw.decode(), offset)? else {
            let expected = "the object that the index names";
            return Err(segment.damaged(offset, Malformed { expected }));
        };
        let data = bytes.slice(raw.length() - raw.body_length()..raw.length());
        Ok(Self { head, data })
    }
}
