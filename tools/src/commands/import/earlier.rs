//! Records that a later record of the same oid and transaction supersedes.

use std::path::{Path, PathBuf};

use engine::{Compression, Superseded};
use model::{Oid, Tid};

use crate::failure::Failure;
use crate::filestorage::{self, Reader};

/// Finds superseded records, with a reader of its own that follows far behind: only when a
/// transaction is at its end is it known which of its records were superseded, and it may be
/// larger than memory.
#[derive(Debug)]
pub(super) struct EarlierRecords {
    source: PathBuf,
    reader: Option<Reader>,
}

impl EarlierRecords {
    pub(super) fn new(source: &Path) -> Self {
        Self { source: source.to_owned(), reader: None }
    }

    /// Those of a transaction with these oids, in order. Transactions have to be asked for in the
    /// order of the file.
    pub(super) fn of(&mut self, tid: Tid, oids: &[Oid]) -> Result<Vec<Superseded>, Failure> {
        let positions = superseded_positions(oids);
        if positions.is_empty() {
            return Ok(Vec::new());
        }
        let reader = match &mut self.reader {
            Some(reader) => reader,
            None => self.reader.insert(Reader::open(&self.source)?),
        };
        Ok(read(reader, tid, &positions)?)
    }
}

/// Indexes of the oids that occur again behind them.
fn superseded_positions(oids: &[Oid]) -> Vec<usize> {
    let mut sorted: Vec<(Oid, usize)> =
        oids.iter().enumerate().map(|(position, oid)| (*oid, position)).collect();
    sorted.sort_unstable();
    let again = sorted.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    let mut positions: Vec<usize> = again.map(|pair| pair[0].1).collect();
    positions.sort_unstable();
    positions
}

fn read(
    reader: &mut Reader,
    tid: Tid,
    positions: &[usize],
) -> Result<Vec<Superseded>, filestorage::Error> {
    let mut found = Vec::with_capacity(positions.len());
    while let Some(transaction) = reader.next_transaction()? {
        if transaction.tid < tid {
            continue;
        }
        let mut position = 0;
        while let Some(record) = reader.next_record()? {
            if positions.get(found.len()) == Some(&position) {
                found.push(Superseded {
                    position: u32::try_from(position).expect("oids of a transaction are limited"),
                    data_tid: record.data_tid,
                    compression: Compression::None,
                    data: record.data,
                });
            }
            position += 1;
        }
        break;
    }
    assert_eq!(found.len(), positions.len(), "the file was read up to here before");
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_of_oids_that_occur_again() {
        let cases: [(&[u64], &[usize]); 5] = [
            (&[], &[]),
            (&[1, 2, 3], &[]),
            (&[1, 1], &[0]),
            (&[3, 1, 3, 2, 3, 1], &[0, 1, 2]),
            (&[u64::MAX, 0, u64::MAX], &[0]),
        ];
        for (oids, expected) in cases {
            let oids: Vec<Oid> = oids.iter().copied().map(Oid::new).collect();
            assert_eq!(superseded_positions(&oids), expected, "{oids:?}");
        }
    }
}
