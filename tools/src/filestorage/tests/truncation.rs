//! A file cut anywhere gives the transactions that are whole, and tells what is torn.

use std::fs::{self, OpenOptions};
use std::path::Path;

use super::super::{Error, Reader};
use super::{data_directory, sample};
use crate::dump::Counts;

#[test]
fn the_sample_cut_at_many_lengths_gives_a_prefix() {
    cut(&sample().path, 97);
}

#[test]
fn a_small_database_cut_at_every_length_gives_a_prefix() {
    match data_directory() {
        Some(directory) => {
            cut(&directory.join("tiny.fs"), 1);
            cut(&directory.join("tiny-packed.fs"), 1);
            cut(&directory.join("tiny-py2-torn.fs"), 13);
        }
        // The beginning of the sample stands in.
        None => {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("beginning.fs");
            fs::write(&path, &fs::read(sample().path).unwrap()[..60_000]).unwrap();
            cut(&path, 1);
        }
    }
}

/// Cuts a copy of a file shorter and shorter, by `step` bytes, and reads what is left.
fn cut(path: &Path, step: usize) {
    let whole = transactions(path).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("cut.fs");
    fs::copy(path, &copy).unwrap();
    // What the data directory has is read-only, and so would be its copy.
    fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let file = OpenOptions::new().write(true).open(&copy).unwrap();
    let length = file.metadata().unwrap().len();
    for length in (0..=length).rev().step_by(step) {
        file.set_len(length).unwrap();
        if length < 4 {
            let error = transactions(&copy).unwrap_err();
            assert!(matches!(error, Error::NotFileStorage { .. }), "{length}: {error}");
            continue;
        }
        let count = whole.ends.partition_point(|end| *end <= length);
        let found = transactions(&copy).unwrap_or_else(|error| panic!("{length}: {error}"));
        assert_eq!(found.ends, whole.ends[..count], "{length}");
        assert_eq!(found.counts, whole.counts[..count], "{length}");
        let end = found.ends.last().copied().unwrap_or(4);
        let torn = (end < length).then_some((end, length - end));
        assert_eq!(found.torn, torn, "{length}");
    }
}

#[derive(Debug)]
struct Transactions {
    ends: Vec<u64>,
    counts: Vec<Counts>,
    torn: Option<(u64, u64)>,
}

fn transactions(path: &Path) -> Result<Transactions, Error> {
    let mut reader = Reader::open(path)?;
    let mut transactions = Transactions { ends: Vec::new(), counts: Vec::new(), torn: None };
    while let Some(transaction) = reader.next_transaction()? {
        let mut counts = Counts { transactions: 1, ..Counts::default() };
        while let Some(record) = reader.next_record()? {
            counts.records += 1;
            counts.data_bytes += record.data.map_or(0, |data| data.len() as u64);
        }
        transactions.ends.push(transaction.position.get() + transaction.length.get());
        transactions.counts.push(counts);
    }
    transactions.torn = reader.torn_tail().map(|torn| (torn.position.get(), torn.length.get()));
    Ok(transactions)
}
