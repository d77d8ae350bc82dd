//! Reading the log's files: which one counts, where its end is, and what is damage.

use std::collections::BTreeMap;

use super::consensus::{Position, Record, Sequence};
use super::format::{ALIGNMENT, BadHeader, Body, Frame, HEADER_LENGTH, Header, Role};
use super::remembered::Remembered;
use crate::error::Error;

/// What the files hold.
#[derive(Debug)]
pub(super) struct Found {
    /// Of the file that counts.
    pub(super) header: Header,
    /// Of the other one, if it can be read.
    pub(super) other: Option<Header>,
    pub(super) position: Position,
    pub(super) remembered: Remembered,
    /// What follows the snapshot.
    pub(super) records: Vec<Record>,
    /// Where the last entry of each index is.
    pub(super) places: BTreeMap<u64, u64>,
}

/// Reads both files, of these paths; `None` if they hold no log, or one that was never finished.
///
/// # Errors
/// If something is damaged that was durable, or of a later version.
pub(super) fn scan(paths: &[String; 2], files: &[Vec<u8>; 2]) -> Result<Option<Found>, Error> {
    let headers = [header(&paths[0], &files[0], 0)?, header(&paths[1], &files[1], 1)?];
    let damaged = |index: usize, offset, what| {
        Err(Error::Damaged { file: paths[index].clone(), offset, what })
    };
    if let [Some(first), Some(second)] = headers
        && (first.id, first.voter) != (second.id, second.voter)
    {
        return damaged(1, 16, "the files are of different logs");
    }
    // Nothing of a first file was ever acknowledged before the second has a head too.
    let is_unfinished = headers[1].is_none() && is_blank(&files[1]);
    let current: Vec<Header> = {
        let headers = headers.iter().flatten().copied();
        let mut current: Vec<Header> =
            headers.filter(|header| header.role == Role::Current).collect();
        // Where both are current, nothing that was acknowledged is in the newer one: its snapshot
        // may be in the page cache only, or a part of it.
        current.sort_by_key(|header| header.generation);
        current
    };
    let superseded = headers.iter().flatten().find(|header| header.role == Role::Superseded);
    if let Some(superseded) = superseded
        && current.first().is_none_or(|current| current.generation <= superseded.generation)
    {
        let index = 1 - superseded.index();
        return damaged(index, 0, "the other file was superseded by this one");
    }
    for header in &current {
        let index = header.index();
        if let Some(found) = read(*header, &paths[index], &files[index])? {
            return Ok(Some(Found { other: headers[1 - index], ..found }));
        }
    }
    match current.first() {
        None if is_unfinished && is_blank(files[0].get(..HEADER_LENGTH).unwrap_or(&files[0])) => {
            Ok(None)
        }
        None => damaged(0, 0, "no head of a log"),
        Some(first) if is_unfinished && first.generation == 1 => Ok(None),
        Some(first) => damaged(first.index(), HEADER_OFFSET, "no snapshot"),
    }
}

const HEADER_OFFSET: u64 = HEADER_LENGTH as u64;

/// The head of a file; `None` if there is none.
fn header(path: &str, file: &[u8], number: u32) -> Result<Option<Header>, Error> {
    match Header::decode(file) {
        Ok(found) if found.number == number => Ok(Some(found)),
        Ok(_) => {
            let what = "the head of the other file: were they exchanged?";
            Err(Error::Damaged { file: path.to_owned(), offset: 32, what })
        }
        Err(BadHeader::Newer(version)) => Err(Error::Newer { file: path.to_owned(), version }),
        Err(BadHeader::Invalid) => Ok(None),
    }
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// Reads one file; `None` if there is no snapshot at its beginning.
fn read(header: Header, path: &str, file: &[u8]) -> Result<Option<Found>, Error> {
    let damaged = |offset: usize, what| {
        let offset = u64::try_from(offset).expect("a length in memory");
        Error::Damaged { file: path.to_owned(), offset, what }
    };
    let decode = |frame: Frame<'_>, offset| frame.decode().map_err(|what| damaged(offset, what));
    let mut offset = HEADER_LENGTH;
    let Some(frame) = header.frame(file, offset) else { return Ok(None) };
    let Body::Snapshot(position, remembered) = decode(frame, offset)? else {
        return Err(damaged(offset, "a file that begins with something else than a snapshot"));
    };
    if position.voters != [header.voter] {
        return Err(damaged(offset, "other voters than this one, which come with a later version"));
    }
    let mut durable = frame.durable_up_to;
    offset = frame.end;
    let mut records = Vec::new();
    let mut places = BTreeMap::new();
    let mut sequence = Sequence::of(&position);
    while let Some(frame) = header.frame(file, offset) {
        match decode(frame, offset)? {
            Body::Snapshot(..) => return Err(damaged(offset, "a snapshot in the middle")),
            Body::Witness => {}
            Body::Consensus(record) => {
                sequence.follow(&record).map_err(|what| damaged(offset, what))?;
                if let Record::Entry { index, .. } = &record {
                    places.insert(*index, u64::try_from(offset).expect("a length in memory"));
                }
                records.push(record);
            }
        }
        durable = durable.max(frame.durable_up_to);
        offset = frame.end;
    }
    // What breaks below a position that was known to be durable is damage; above, it was never
    // acknowledged. Records behind the break may know of such a position.
    let rest = (offset + ALIGNMENT..file.len()).step_by(ALIGNMENT);
    let rest = rest.filter(|place| may_begin(file, *place));
    let later = rest.filter_map(|place| header.frame(file, place));
    let durable = later.map(|frame| frame.durable_up_to).max().max(Some(durable));
    if durable.is_some_and(|durable| usize::try_from(durable).is_ok_and(|end| end > offset)) {
        return Err(damaged(offset, "a record that was durable is not valid"));
    }
    let remembered = *remembered;
    Ok(Some(Found { header, other: None, position, remembered, records, places }))
}

/// Whether a record may begin at an offset, before its checksum is computed: what is left of
/// earlier generations would take long otherwise.
fn may_begin(file: &[u8], offset: usize) -> bool {
    let kind = file.get(offset + 8..offset + 16);
    kind.is_some_and(|bytes| bytes[0] != 0 && bytes[1..].iter().all(|byte| *byte == 0))
}
