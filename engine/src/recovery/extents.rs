//! Reads again what a vote refers to.

use std::sync::Arc;

use model::Ttid;

use super::SegmentMap;
use crate::error::{Error, Result};
use crate::format::{Extent, ItemFlags, ObjectId, Position, Record, Vote};
use crate::log::SegmentBytes;
use crate::memtable::ObjectEntry;

/// Objects of a voted transaction in groups before `until`, or all, in the order of the log.
pub(crate) fn objects_of(
    segments: &SegmentMap,
    vote: &Vote,
    ttid: Ttid,
    until: Option<Position>,
) -> Result<Vec<ObjectEntry>> {
    let mut objects = Vec::new();
    for extent in &vote.extents {
        let start = Position { segment: extent.segment, offset: extent.start };
        if until.is_some_and(|until| start >= until) {
            continue;
        }
        let Some(segment) = segments.get(&extent.segment) else {
            let file = crate::log::segment_name(extent.segment);
            return Err(Error::MissingFile { file });
        };
        let mut bytes = SegmentBytes::new(Arc::clone(segment))?;
        read_extent(&mut bytes, extent, ttid, until, &mut objects)?;
    }
    Ok(objects)
}

fn read_extent(
    bytes: &mut SegmentBytes,
    extent: &Extent,
    ttid: Ttid,
    until: Option<Position>,
    objects: &mut Vec<ObjectEntry>,
) -> Result<()> {
    let mut offset = extent.start;
    while offset < extent.end {
        let here = Position { segment: extent.segment, offset };
        if until.is_some_and(|until| here >= until) {
            break;
        }
        let group = bytes.group(offset)?;
        let segment = Arc::clone(&bytes.segment);
        let group = segment.sound(group, offset)?;
        let read = group.each(|location, raw| {
            if let Record::Object(head) = raw.decode()?
                && head.id == ObjectId::Pending(ttid)
            {
                objects.push(ObjectEntry {
                    partition: head.partition,
                    oid: head.oid,
                    flags: if head.no_data { ItemFlags::NO_DATA } else { ItemFlags::NONE },
                    data_tid: head.data_tid,
                    location: Some(location),
                });
            }
            Ok(())
        });
        segment.sound(read, offset)?;
        offset = group.end;
    }
    Ok(())
}
