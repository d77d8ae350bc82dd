//! Zeros written behind small groups.
//!
//! To sync a file that has grown, a file system commits its journal: as much again as the sync of
//! the data. So a small group that grows the segment brings zeros with it, and the groups behind it
//! replace them. They are part of the group's own write: nothing can follow it before it completes.

use bytes::Bytes;

use super::flight::InFlight;
use super::group::Group;
use super::writer::LogWriter;
use crate::disk::Sync;

/// How many zeros at most: what some hundred small commits fill, and one write more does not feel.
const LENGTH: usize = 256 << 10;
/// Groups from this length on bear the journal's commit themselves: to write twice costs as much.
const GROUP_LENGTH_MAX: u64 = 8 << 10;
/// Where allocation ends: at the end of a page.
const PAGE_LENGTH: u64 = 4096;

/// What a log has to write ahead.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Made when first wanted; groups share it.
    zeros: Bytes,
    /// There was no space for it.
    was_refused: bool,
}

impl Ahead {
    /// There may be space again: the segment is a new one, or the disk is no longer full.
    pub(super) fn try_again(&mut self) {
        self.was_refused = false;
    }

    fn zeros(&mut self, length: u64) -> Bytes {
        if self.zeros.is_empty() {
            self.zeros = Bytes::from(vec![0; LENGTH]);
        }
        let length = usize::try_from(length).map_or(LENGTH, |length| length.min(LENGTH));
        self.zeros.slice(..length)
    }
}

impl<Op> LogWriter<Op> {
    /// The zeros to write behind a group, if it should have any.
    pub(super) fn zeros_behind(&mut self, group: &Group<Op>) -> Option<Bytes> {
        let active = self.active.as_ref()?;
        let end = group.end();
        let is_small = group.sync == Sync::Data && end - group.start.offset < GROUP_LENGTH_MAX;
        let grows = active.segment.number == group.start.segment && end > active.allocated;
        let goes_on = end < self.segment_length && !self.full && !self.ahead.was_refused;
        if !(is_small && grows && goes_on) {
            return None;
        }
        let until = (end + LENGTH as u64).min(self.segment_length) / PAGE_LENGTH * PAGE_LENGTH;
        (until > end).then(|| self.ahead.zeros(until - end))
    }

    /// The zeros behind a group were written, and synced with it.
    pub(super) fn zeros_written(&mut self, flight: &mut InFlight<Op>) {
        let Some(length) = flight.zeros.take() else { return };
        flight.rest.pop();
        if let Some(active) = &mut self.active
            && active.segment.number == flight.group.start.segment
        {
            active.allocated = active.allocated.max(flight.group.end() + length);
        }
    }

    /// There was no space for a group and the zeros behind it: it is tried alone. False if there
    /// were none.
    pub(super) fn write_without_zeros(&mut self, flight: &mut InFlight<Op>) -> bool {
        if flight.zeros.take().is_none() {
            return false;
        }
        self.ahead.was_refused = true;
        flight.rest.pop();
        match flight.rest.is_empty() {
            true => self.submit_sync(flight),
            false => self.submit_write(flight),
        }
        true
    }
}
