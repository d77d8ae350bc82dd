//! Reading the log's files: which one counts, where its end is, and what is damage.

use super::consensus::{Position, Record};
use super::format::{ALIGNMENT, BadHeader, Body, HEADER_LENGTH, Header, Role};
use super::remembered::Remembered;
use crate::error::Error;

/// What the files hold.
#[derive(Debug)]
pub(super) struct Found {
    /// Of the file that counts.
    pub(super) header: Header,
    pub(super) position: Position,
    pub(super) remembered: Remembered,
    /// What follows the snapshot.
    pub(super) records: Vec<Record>,
}

/// Reads both files, of these paths; `None` if they hold no log, or one that was never finished.
///
/// # Errors
/// If something is damaged that was durable, or of a later version.
pub(super) fn scan(paths: &[String; 2], files: &[Vec<u8>; 2]) -> Result<Option<Found>, Error> {
    let mut headers = [None, None];
    for ((header, path), (number, file)) in headers.iter_mut().zip(paths).zip((0..).zip(files)) {
        match Header::decode(file) {
            Ok(found) if found.number == number => *header = Some(found),
            Err(BadHeader::Newer(version)) => {
                return Err(Error::Newer { file: path.clone(), version });
            }
            _ => {}
        }
    }
    let damaged = |index: usize, offset: u64, what| {
        Err(Error::Damaged { file: paths[index].clone(), offset, what })
    };
    let index = match headers {
        [None, None] if files[1].is_empty() => return Ok(None),
        // The first file is durable before anything is written to the second.
        [None, None] => return damaged(0, 0, "no head of a log"),
        [Some(first), Some(second)] if first.id != second.id => {
            return damaged(1, 16, "the files are of different logs");
        }
        [Some(first), Some(second)] => usize::from(first.generation < second.generation),
        [Some(_), None] => 0,
        [None, Some(_)] => 1,
    };
    let header = headers[index].expect("it was just chosen");
    if header.role == Role::Superseded {
        return damaged(1 - index, 0, "the other file was superseded by this one");
    }
    let other = headers[1 - index];
    match read(header, &paths[index], &files[index])? {
        Some(found) => Ok(Some(found)),
        // It was being written when the process ended: the other one still counts.
        None => match other.filter(|other| other.role == Role::Current) {
            Some(other) => match read(other, &paths[1 - index], &files[1 - index])? {
                None => damaged(1 - index, HEADER_OFFSET, "no snapshot"),
                found => Ok(found),
            },
            None if files[1].is_empty() => Ok(None),
            None => damaged(index, HEADER_OFFSET, "no snapshot"),
        },
    }
}

const HEADER_OFFSET: u64 = HEADER_LENGTH as u64;

/// Reads one file; `None` if there is no snapshot at its beginning.
fn read(header: Header, path: &str, file: &[u8]) -> Result<Option<Found>, Error> {
    let Some((Body::Snapshot(position, remembered), mut durable, mut offset)) =
        header.decode_record(file, HEADER_LENGTH)
    else {
        return Ok(None);
    };
    let mut records = Vec::new();
    while let Some((body, durable_up_to, end)) = header.decode_record(file, offset) {
        let Body::Consensus(record) = body else { break };
        records.push(record);
        durable = durable.max(durable_up_to);
        offset = end;
    }
    // What breaks below a position that was known to be durable is damage; above, it was never
    // acknowledged. Records behind the break may know of such a position.
    let rest = (offset + ALIGNMENT..file.len()).step_by(ALIGNMENT);
    let later = rest.filter_map(|place| header.decode_record(file, place));
    let durable = later.map(|(_, durable_up_to, _)| durable_up_to).max().max(Some(durable));
    let end = u64::try_from(offset).expect("a length in memory");
    if durable.is_some_and(|durable| durable > end) {
        let what = "a record that was durable is not valid";
        return Err(Error::Damaged { file: path.to_owned(), offset: end, what });
    }
    Ok(Some(Found { header, position, remembered: *remembered, records }))
}
