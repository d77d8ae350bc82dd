//! Where the transactions end: what of a file's end is a torn transaction, and what is damage.

use super::damage::Damage;
use super::error::Error;
use super::format::{
    Length, Position, RECORD_LENGTH_MIN, REDUNDANT_LENGTH, RecordHeader, STATUS_UNDONE,
    STATUS_UNFINISHED, Status, TransactionHeader,
};
use super::window::Window;

/// What is found behind a transaction.
#[derive(Debug)]
pub(super) enum Next {
    /// The end of the file.
    End,
    /// A transaction that was never committed, and nothing behind it.
    Torn,
    /// A transaction whose length is inside the file and holds its header. Its tid and its status
    /// are not checked.
    Transaction(TransactionHeader),
}

/// Tells what is at a position where a transaction can begin.
pub(super) fn next(window: &Window, position: u64) -> Result<Next, Error> {
    let rest = window.length() - position;
    if rest == 0 {
        return Ok(Next::End);
    }
    if rest < TransactionHeader::LENGTH {
        return Ok(Next::Torn);
    }
    let header = TransactionHeader::decode(&window.peek(position)?);
    let length_max = rest - REDUNDANT_LENGTH;
    let unfinished = header.status == STATUS_UNFINISHED;
    if unfinished || header.length > length_max {
        return match whole_transaction_behind(window, position)? {
            None => Ok(Next::Torn),
            Some(whole) => {
                let (whole, found) = (Position(whole), Length(header.length));
                let length_max = Length(length_max);
                let damage = match unfinished {
                    true => Damage::UnfinishedInTheMiddle { whole },
                    false => Damage::LengthInTheMiddle { length_max, found, whole },
                };
                Err(damaged(window, position, damage))
            }
        };
    }
    if header.length < header.records_offset() {
        // ZODB's rule: with a believable length at its end the file goes on behind this header.
        let last = u64::from_be_bytes(window.peek(window.length() - REDUNDANT_LENGTH)?);
        if !(TransactionHeader::LENGTH..=rest).contains(&last) {
            return Ok(Next::Torn);
        }
        let length_min = Length(header.records_offset());
        let damage = Damage::TransactionLength { length_min, found: Length(header.length) };
        return Err(damaged(window, position, damage));
    }
    Ok(Next::Transaction(header))
}

pub(super) fn damaged(window: &Window, position: u64, damage: Damage) -> Error {
    let path = window.path().to_owned();
    Error::Damaged { path, position: Position(position), damage }
}

/// The position of a whole transaction that ends with the file and begins after `position`. It is
/// whole if its two lengths agree, its status is known and its first record says that it is in
/// it, which nothing does by chance.
fn whole_transaction_behind(window: &Window, position: u64) -> Result<Option<u64>, Error> {
    let end = window.length() - REDUNDANT_LENGTH;
    let length = u64::from_be_bytes(window.peek(end)?);
    if length < TransactionHeader::LENGTH {
        return Ok(None);
    }
    let Some(start) = end.checked_sub(length).filter(|start| *start > position) else {
        return Ok(None);
    };
    let header = TransactionHeader::decode(&window.peek(start)?);
    let known = Status::from_byte(header.status).is_some()
        || [STATUS_UNFINISHED, STATUS_UNDONE].contains(&header.status);
    if header.length != length || !known || length < header.records_offset() {
        return Ok(None);
    }
    let records_length = length - header.records_offset();
    let whole = records_length == 0
        || records_length >= RECORD_LENGTH_MIN && {
            let record = window.peek(start + header.records_offset())?;
            RecordHeader::decode(&record).transaction == start
        };
    Ok(whole.then_some(start))
}
