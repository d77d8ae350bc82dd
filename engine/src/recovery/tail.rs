//! Finds the end of the log, and whether it is where writing stopped or where something broke.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::format::{Checkpoint, Closed, GROUP_HEADER_LENGTH, HEADER_LENGTH, Malformed, Position};
use crate::log::{GroupRef, SegmentBytes};
use crate::manifest::{MANIFEST, ManifestContents};
use crate::version::Segment;

/// The segments that the manifest names.
pub(crate) type SegmentMap = BTreeMap<u32, Arc<Segment>>;

/// Where the log ends.
#[derive(Debug)]
pub(crate) struct LogEnd {
    pub(crate) position: Position,
    pub(crate) next_sequence: u64,
    /// The greatest position that groups read so far prove to have been synced.
    pub(crate) durable: Position,
    pub(crate) manifest_sequence: u64,
    /// What was expected where the log ends.
    pub(crate) malformed: Malformed,
    pub(crate) visited: BTreeMap<u32, u64>,
}

/// Follows the groups from the checkpoint on. A group that begins a later segment and names the
/// place where the log stands comes before what is at that place: there, a write had failed.
pub(crate) fn find_end(
    segments: &SegmentMap,
    checkpoint: &Checkpoint,
    mut visit: impl FnMut(&GroupRef) -> Result<()>,
) -> Result<LogEnd> {
    let successors = find_successors(segments, checkpoint)?;
    let mut end = LogEnd {
        position: checkpoint.replay,
        next_sequence: checkpoint.group_sequence,
        durable: checkpoint.durable,
        manifest_sequence: 0,
        malformed: Malformed { expected: "a group" },
        visited: BTreeMap::new(),
    };
    if segments.contains_key(&checkpoint.replay.segment) {
        end.visited.insert(checkpoint.replay.segment, checkpoint.replay.offset);
    }
    let mut bytes: Option<SegmentBytes> = None;
    loop {
        // What an earlier life left in a segment that waits to be used again does not count.
        let epoch = segments.get(&end.position.segment).map_or(0, |segment| segment.epoch);
        let successor = successors
            .get(&(end.position, end.next_sequence))
            .copied()
            .filter(|number| segments[number].epoch >= epoch);
        let (segment, offset) = match successor {
            Some(segment) => (segment, HEADER_LENGTH as u64),
            None => (end.position.segment, end.position.offset),
        };
        let Some(file) = segments.get(&segment) else { return Ok(end) };
        if bytes.as_ref().is_none_or(|bytes| bytes.segment.number != segment) {
            bytes = Some(SegmentBytes::new(Arc::clone(file))?);
        }
        let Some(bytes) = &mut bytes else { unreachable!("just set") };
        let group = match bytes.group(offset)? {
            Ok(group) => group,
            Err(malformed) => {
                end.malformed = malformed;
                return Ok(end);
            }
        };
        let follows =
            group.header.sequence == end.next_sequence && group.header.previous == end.position;
        if !follows {
            end.malformed = Malformed { expected: "the next group" };
            return Ok(end);
        }
        visit(&group)?;
        end.visited.insert(segment, group.end);
        end.position = Position { segment, offset: group.end };
        end.next_sequence += 1;
        end.durable = end.durable.max(group.header.durable);
        end.manifest_sequence = end.manifest_sequence.max(group.header.manifest_sequence);
    }
}

/// First groups of segments, by the place and the sequence number that they follow. Of several the
/// one of the latest life counts, and in it the one in the greatest segment: it was written last.
fn find_successors(
    segments: &SegmentMap,
    checkpoint: &Checkpoint,
) -> Result<BTreeMap<(Position, u64), u32>> {
    let mut successors = BTreeMap::new();
    let after = checkpoint.replay.segment.saturating_add(1);
    for (&number, segment) in segments.range(after..) {
        let mut bytes = SegmentBytes::new(Arc::clone(segment))?;
        if let Ok(group) = bytes.group(HEADER_LENGTH as u64)? {
            let header = group.header;
            let key = (header.previous, header.sequence);
            let before = successors.get(&key).and_then(|before| segments.get(before));
            if before.is_none_or(|before| before.epoch <= segment.epoch) {
                successors.insert(key, number);
            }
        }
    }
    Ok(successors)
}

impl LogEnd {
    /// Fails if anything proves that the log went on behind its end.
    pub(crate) fn check_no_damage(
        &self,
        disk: &dyn Disk,
        segments: &SegmentMap,
        manifest: &ManifestContents,
        closed: Option<&Closed>,
    ) -> Result<()> {
        let mut durable = self.durable;
        let mut manifest_sequence = self.manifest_sequence;
        for (&number, segment) in segments.range(self.position.segment..) {
            let mut bytes = SegmentBytes::new(Arc::clone(segment))?;
            let mut from = match number == self.position.segment {
                true => self.position.offset,
                false => HEADER_LENGTH as u64,
            };
            while let Some((at, header)) = bytes.find_header(from)? {
                if header.sequence >= self.next_sequence {
                    durable = durable.max(header.durable);
                    manifest_sequence = manifest_sequence.max(header.manifest_sequence);
                }
                let payload = header.payload_length.min(bytes.length);
                from = at + GROUP_HEADER_LENGTH as u64 + payload;
            }
        }
        if let Some(closed) = closed {
            let agrees =
                closed.log_end == self.position && closed.group_sequence == self.next_sequence;
            if !agrees {
                return Err(self.damage(disk));
            }
        }
        if durable > self.position {
            return Err(self.damage(disk));
        }
        if manifest_sequence > manifest.sequence {
            return Err(Error::Damaged {
                file: disk.path(MANIFEST),
                offset: manifest.edits_end,
                expected: "a later manifest edit, which the log knows",
            });
        }
        Ok(())
    }

    fn damage(&self, disk: &dyn Disk) -> Error {
        Error::Damaged {
            file: disk.path(&crate::log::segment_name(self.position.segment)),
            offset: self.position.offset,
            expected: self.malformed.expected,
        }
    }
}
