//! What is damaged, of a later version, exchanged or missing.

use engine::disk::MemoryDisk;
use model::{Oid, Random};

use super::super::codec;
use super::super::command::Command;
use super::super::consensus::{EntryKind, Record};
use super::super::format::{Body, HEADER_LENGTH, Header, NAMES};
use super::super::ledger::Ledger;
use super::{commands, open};
use crate::error::Error;

/// A log with all commands, the name of its present file, and what is in that.
fn written() -> (MemoryDisk, &'static str, Vec<u8>) {
    let disk = MemoryDisk::new(1);
    let mut ledger = open(&disk).unwrap();
    for command in commands() {
        ledger.propose(command);
        ledger.wait().unwrap();
    }
    let path = ledger.path();
    drop(ledger);
    let name = NAMES[usize::from(path.ends_with('1'))];
    let bytes = disk.read_file(name).unwrap();
    (disk, name, bytes)
}

/// The other file.
fn other(name: &str) -> &'static str {
    NAMES[usize::from(name == NAMES[0])]
}

/// Where the last record, which testifies of all before it, begins.
fn witness(bytes: &[u8]) -> usize {
    let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    (last + 1).next_multiple_of(8) - 24
}

fn refused(disk: &MemoryDisk) -> String {
    match open(disk) {
        Err(error @ (Error::Damaged { .. } | Error::Newer { .. })) => error.to_string(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was opened"),
    }
}

/// Whatever bit flips of what was acknowledged, also last: it is refused, with file and offset.
#[test]
fn damage_is_refused() {
    let (disk, name, bytes) = written();
    for offset in 0..witness(&bytes) {
        let copy = disk.snapshot();
        copy.flip(name, offset as u64, 3);
        match open(&copy) {
            Err(Error::Damaged { .. } | Error::Newer { .. }) => {}
            Err(other) => panic!("offset {offset}: {other}"),
            Ok(_) => panic!("offset {offset}: the damage was not seen"),
        }
    }
    let disk = MemoryDisk::new(1);
    disk.write_file("master-0", b"something else");
    disk.write_file("master-1", b"something else");
    let refused = refused(&disk);
    assert!(refused.contains("master-0 is damaged at offset 0"), "{refused}");
}

/// Replaces the witness by a record of one's own.
fn with_record(body: &Body, kind: Option<u32>) -> (MemoryDisk, usize) {
    let (disk, name, mut bytes) = written();
    let header = Header::decode(&bytes).unwrap();
    let begin = witness(&bytes);
    let mut record = header.encode_record(begin as u64, 0, body);
    if let Some(kind) = kind {
        record[8..12].copy_from_slice(&kind.to_le_bytes());
        let seed = crc32c::crc32c(&header.id);
        let seed = crc32c::crc32c_append(seed, &header.generation.to_le_bytes());
        let seed = crc32c::crc32c_append(seed, &(begin as u64).to_le_bytes());
        let checksum = crc32c::crc32c_append(seed, &record[4..]);
        record[..4].copy_from_slice(&checksum.to_le_bytes());
    }
    bytes[begin..begin + record.len()].copy_from_slice(&record);
    disk.write_file(name, &bytes);
    (disk, begin)
}

#[test]
fn what_was_written_and_is_not_understood_is_no_torn_end() {
    let entry = |index, term, data: &[u8]| {
        let data = bytes::Bytes::copy_from_slice(data);
        Body::Consensus(Record::Entry { index, term, kind: EntryKind::Normal, data })
    };
    let command = codec::encode(&Command::Oids(Oid::new(1)));
    // The entry of the new leader is the first of each life.
    let next = commands().len() as u64 + 2;
    let cases = [
        (Body::Witness, Some(9), "not understood"),
        (entry(next, 1, b"\xff"), None, "an entry that is no command"),
        (entry(next + 1, 1, &command), None, "does not follow the one before"),
        (entry(0, 1, &command), None, "does not follow the one before"),
        (entry(next, 1 << 50, &command), None, "an entry of another term"),
        (Body::Consensus(Record::Vote { term: 0, vote: 1 }), None, "a vote of an earlier term"),
        (Body::Consensus(Record::Vote { term: u64::MAX, vote: 1 }), None, "not understood"),
    ];
    for (body, kind, expected) in cases {
        let (disk, begin) = with_record(&body, kind);
        let refused = refused(&disk);
        assert!(refused.contains(expected), "{body:?}: {refused}");
        assert!(refused.contains(&format!("damaged at offset {begin}:")), "{body:?}: {refused}");
    }
    // One that fits is taken.
    let (disk, _) = with_record(&entry(next, 1, &command), None);
    open(&disk).unwrap();
}

#[test]
fn a_log_of_a_later_version_is_refused() {
    let (disk, name, mut bytes) = written();
    bytes[12] = 2;
    let checksum = crc32c::crc32c(&bytes[..HEADER_LENGTH - 4]);
    bytes[HEADER_LENGTH - 4..HEADER_LENGTH].copy_from_slice(&checksum.to_le_bytes());
    disk.write_file(name, &bytes);
    let refused = refused(&disk);
    assert!(refused.ends_with("was written by a newer version (format 2)"), "{refused}");
}

#[test]
fn files_that_are_exchanged_missing_or_of_another_log_are_refused() {
    let (disk, name, bytes) = written();
    let old = disk.read_file(other(name)).unwrap();
    let exchanged = disk.snapshot();
    exchanged.write_file(name, &old);
    exchanged.write_file(other(name), &bytes);
    assert!(refused(&exchanged).contains("were they exchanged?"));

    // Without the present one: what the other file says is over.
    let missing = disk.snapshot();
    missing.remove_file(name);
    assert!(refused(&missing).contains("the other file was superseded by this one"));
    // A copy of the present file from before it took over.
    let stale = disk.snapshot();
    let mut header = Header::decode(&bytes).unwrap();
    header.generation = 0;
    let mut copy = bytes.clone();
    copy[..HEADER_LENGTH].copy_from_slice(&header.encode());
    stale.write_file(name, &copy);
    assert!(refused(&stale).contains("the other file was superseded by this one"));
    // Without the other one nothing is lost.
    let missing = disk.snapshot();
    missing.remove_file(other(name));
    let ledger = open(&missing).unwrap();
    assert_eq!(*ledger.remembered(), super::all());

    let stranger = MemoryDisk::new(1);
    let random = &mut Random::from_seed(8);
    drop(Ledger::open(Some(std::sync::Arc::new(stranger.clone())), random).unwrap());
    let mixed = disk.snapshot();
    mixed.write_file(other(name), &stranger.read_file(other(name)).unwrap());
    assert!(refused(&mixed).contains("the files are of different logs"));
}
