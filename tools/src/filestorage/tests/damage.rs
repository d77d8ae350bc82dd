//! Every kind of damage, and what is torn and no damage.

use std::fs;
use std::path::Path;

use super::super::{Error, Reader};
use super::{Plan, summarize, write};

/// Three transactions: oid 1 "one" and oid 2 "two"; oid 1 with a back pointer to the first; oid 1
/// with a back pointer to that.
fn file() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("Data.fs");
    write(
        &path,
        &[
            Plan(100, &[(1, Some("one"), None), (2, Some("two"), None)]),
            Plan(200, &[(1, Some("one"), Some(100))]),
            Plan(300, &[(1, Some("one"), Some(200))]),
        ],
    );
    fs::read(&path).unwrap()
}

/// Where the transactions and the records are.
const T1: usize = 4;
const R11: usize = 31;
const R12: usize = 76;
const T2: usize = 129;
const R21: usize = 156;
const T3: usize = 214;
const R31: usize = 241;
const LENGTH: usize = 299;

#[test]
fn the_file_is_what_the_cases_below_assume() {
    let file = file();
    assert_eq!(file.len(), LENGTH);
    for (position, tid) in [(T1, 100), (T2, 200), (T3, 300)] {
        assert_eq!(file[position..position + 8], u64::to_be_bytes(tid));
    }
    for (position, oid) in [(R11, 1), (R12, 2), (R21, 1), (R31, 1)] {
        assert_eq!(file[position..position + 8], u64::to_be_bytes(oid));
    }
}

/// A name, what is put where, and what is said of it.
type Case = (&'static str, usize, &'static [u8], &'static str);

const CASES: &[Case] = &[
    (
        "a tid that does not grow",
        T2,
        &u64::to_be_bytes(100),
        "offset 129: expected a transaction after 0000000000000064, found 0000000000000064",
    ),
    (
        "a first tid of zero",
        T1,
        &u64::to_be_bytes(0),
        "offset 4: expected a transaction after 0000000000000000, found 0000000000000000",
    ),
    (
        "a status",
        T2 + 16,
        b"x",
        "offset 129: expected a transaction status ' ', 'p', 'u' or 'c', found 'x'",
    ),
    (
        "status c in the middle",
        T2 + 16,
        b"c",
        "offset 129: expected a committed transaction, as whole ones follow (the last at \
             offset 214), found status 'c'",
    ),
    (
        "a length beyond the end",
        T2 + 8,
        &u64::to_be_bytes(1000),
        "offset 129: expected a transaction length of at most 162, as whole transactions \
             follow (the last at offset 214), found 1000",
    ),
    (
        "the greatest length",
        T2 + 8,
        &u64::to_be_bytes(u64::MAX),
        "offset 129: expected a transaction length of at most 162, as whole transactions \
             follow (the last at offset 214), found 18446744073709551615",
    ),
    (
        "a length below the header",
        T2 + 8,
        &u64::to_be_bytes(26),
        "offset 129: expected a transaction length of at least 27 (its header), found 26",
    ),
    (
        "a length that ends elsewhere",
        T2 + 8,
        &u64::to_be_bytes(27),
        "offset 156: expected the transaction length 27 once more, found 1",
    ),
    (
        "another length behind",
        T3 - 8,
        &u64::to_be_bytes(78),
        "offset 206: expected the transaction length 77 once more, found 78",
    ),
    (
        "a longer user",
        T2 + 17,
        &[0, 12],
        "offset 164: expected a data record of at least 43 bytes, found 42 bytes left in the \
             transaction",
    ),
    (
        "data beyond the transaction",
        R12 + 34,
        &u64::to_be_bytes(4),
        "offset 76: expected a data length of at most 3, found 4",
    ),
    (
        "data of the greatest length",
        R12 + 34,
        &u64::to_be_bytes(u64::MAX),
        "offset 76: expected a data length of at most 3, found 18446744073709551615",
    ),
    (
        "shorter data",
        R11 + 34,
        &u64::to_be_bytes(2),
        "offset 75: expected a data record of the transaction at offset 4, found 0",
    ),
    ("a version", R11 + 32, &[1, 0], "offset 31: expected a version length of 0, found 256"),
    (
        "another transaction",
        R21 + 24,
        &u64::to_be_bytes(4),
        "offset 156: expected a data record of the transaction at offset 129, found 4",
    ),
    (
        "another tid",
        R21 + 8,
        &u64::to_be_bytes(201),
        "offset 156: expected a data record of tid 00000000000000c8, found 00000000000000c9",
    ),
    (
        "a previous record that comes later",
        R21 + 16,
        &u64::to_be_bytes(156),
        "offset 156: expected the previous record at an offset before this one, found 156",
    ),
    (
        "a back pointer forward",
        R21 + 42,
        &u64::to_be_bytes(156),
        "offset 156: expected a back pointer to an offset before this one, found 156",
    ),
    (
        "a back pointer into the magic",
        R21 + 42,
        &u64::to_be_bytes(3),
        "offset 156: expected a back pointer to an offset before this one, found 3",
    ),
    (
        "a back pointer to another object",
        R21 + 42,
        &u64::to_be_bytes(76),
        "offset 156: expected a back pointer to a record of oid 0000000000000001, found \
             0000000000000002 at offset 76",
    ),
];

#[test]
fn damage_is_an_error_that_says_what_and_where() {
    for (name, offset, bytes, expected) in CASES {
        let error = read_changed(*offset, bytes).err().unwrap_or_else(|| panic!("{name}: read"));
        assert_eq!(error.split_once(": ").unwrap().1, *expected, "{name}");
    }
}

#[test]
fn a_back_pointer_to_what_only_looks_like_a_record_is_damage() {
    // Data that has the bytes of a record of its own oid, in no transaction.
    let mut fake = u64::to_be_bytes(1).to_vec();
    fake.extend(u64::to_be_bytes(100));
    fake.extend([0; 8]);
    fake.extend(u64::to_be_bytes(50));
    fake.extend([0; 10]);
    fake.extend([0; 8]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("Data.fs");
    let fake = String::from_utf8(fake).unwrap().leak();
    let entries: &'static [super::Entry] = vec![(1, Some(&*fake), None)].leak();
    write(&path, &[Plan(100, entries), Plan(200, &[(1, None, Some(100))])]);
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - 16..end - 8].copy_from_slice(&u64::to_be_bytes(31 + 42));
    fs::write(&path, &bytes).unwrap();
    let error = summarize(&path).unwrap_err().to_string();
    let expected = "offset 158: expected a back pointer to a record in a transaction, found none \
                    at offset 50, where the record at offset 73 has it";
    assert_eq!(error.split_once(": ").unwrap().1, expected);
}

#[test]
fn too_many_back_pointers_are_damage() {
    // A transaction in which every record points to the one before, and one that points to its
    // last.
    const COUNT: u64 = 65_537;
    let record = |tid: u64, transaction: u64, target: u64| {
        let mut bytes = [0; 50];
        bytes[..8].copy_from_slice(&u64::to_be_bytes(1));
        bytes[8..16].copy_from_slice(&tid.to_be_bytes());
        bytes[24..32].copy_from_slice(&transaction.to_be_bytes());
        bytes[42..].copy_from_slice(&target.to_be_bytes());
        bytes
    };
    let mut file = b"FS30".to_vec();
    let mut targets = vec![0];
    targets.extend((0..COUNT - 1).map(|number| 27 + 50 * number));
    for (tid, targets) in [(100, targets), (200, vec![27 + 50 * (COUNT - 1)])] {
        let start = file.len() as u64;
        let length = u64::to_be_bytes(23 + 50 * targets.len() as u64);
        file.extend(u64::to_be_bytes(tid));
        file.extend(length);
        file.extend(b" \0\0\0\0\0\0");
        file.extend(targets.iter().flat_map(|target| record(tid, start, *target)));
        file.extend(length);
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("Data.fs");
    fs::write(&path, &file).unwrap();
    let mut reader = Reader::open(&path).unwrap();
    reader.next_transaction().unwrap();
    reader.next_transaction().unwrap();
    assert_eq!(
        reader.next_record().unwrap_err().to_string().split_once(": ").unwrap().1,
        "offset 77: expected at most 65536 back pointers one after the other, found more"
    );
}

#[test]
fn data_of_more_than_a_gibibyte_is_refused_before_it_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("Data.fs");
    let mut start = changed(R11 + 34, &u64::to_be_bytes((1 << 30) + 1));
    let length = 1 << 31;
    start[T1 + 8..T1 + 16].copy_from_slice(&u64::to_be_bytes(length - 12));
    start.truncate(R12);
    fs::write(&path, start).unwrap();
    // The rest is a hole.
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
    let error = summarize(&path).unwrap_err().to_string();
    assert_eq!(
        error.split_once(": ").unwrap().1,
        "offset 31: expected a data length of at most 1073741824 (1 GiB), found 1073741825"
    );
}

#[test]
fn the_end_is_torn_where_zodb_would_cut_it() {
    let whole = file();
    let torn = |name: &str, bytes: &[u8], position: usize| {
        let found = read(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let length = bytes.len() - position;
        let expected = (length > 0).then_some((position as u64, length as u64));
        assert_eq!(found.1, expected, "{name}");
        assert_eq!(found.0, whole_transactions(position), "{name}");
    };
    torn("nothing", &whole, LENGTH);
    torn("status c", &changed(T3 + 16, b"c"), T3);
    torn("a length beyond the end", &changed(T3 + 8, &u64::to_be_bytes(78)), T3);
    torn("status c, and something behind it", &[&changed(T3 + 16, b"c")[..], b"some"].concat(), T3);
    for length in [1, 22, 23, 24, 5000] {
        torn("zeros behind", &[&whole[..], &vec![0; length]].concat(), LENGTH);
    }
    torn("letters behind", &[&whole[..], &[b'x'; 5000]].concat(), LENGTH);
    torn("only a magic", &whole[..4], 4);
    // ZODB takes the last 8 bytes for a length that can be, and refuses the file.
    let mut odd = [&whole[..], &[0; 100]].concat();
    odd[LENGTH + 99] = 50;
    assert_eq!(
        read(&odd).unwrap_err().split_once(": ").unwrap().1,
        "offset 299: expected a transaction length of at least 23 (its header), found 0"
    );
}

#[test]
fn transactions_undone_in_place_are_left_out() {
    let found = read(&changed(T3 + 16, b"u")).unwrap();
    assert_eq!(found, (2, None));
    let found = read(&changed(T1 + 16, b"u")).unwrap();
    assert_eq!(found, (2, None), "its records are still there to be pointed to");
    let mut bytes = changed(T3 + 16, b"u");
    bytes[LENGTH - 1] += 1;
    assert_eq!(
        read(&bytes).unwrap_err().split_once(": ").unwrap().1,
        "offset 291: expected the transaction length 77 once more, found 78"
    );
}

#[test]
fn an_error_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("Data.fs");
    fs::write(&path, changed(R12 + 34, &u64::to_be_bytes(4))).unwrap();
    let mut reader = Reader::open(&path).unwrap();
    reader.next_transaction().unwrap();
    reader.next_record().unwrap();
    let first = reader.next_record().unwrap_err().to_string();
    assert_eq!(reader.next_record().unwrap_err().to_string(), first);
    // What was not read cannot be found damaged.
    assert_eq!(reader.next_transaction().unwrap().unwrap().tid.get(), 200);
}

#[test]
fn what_is_no_filestorage_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("Data.fs");
    let refused = |expected: &str| {
        let error = Reader::open(&path).unwrap_err().to_string();
        assert_eq!(error.split_once(": ").unwrap().1, expected);
    };
    for (bytes, found) in [
        (&b""[..], "an empty file"),
        (b"FS3", "\"FS3\""),
        (b"FS40....", "\"FS40\""),
        (b"\x7fELF\x02\x01\x01", "\"\\x7fELF\""),
    ] {
        fs::write(&path, bytes).unwrap();
        let expected = "not a FileStorage: offset 0: expected FS21 or FS30, found ";
        refused(&format!("{expected}{found}"));
    }
    fs::remove_file(&path).unwrap();
    refused("cannot open: No such file or directory (os error 2)");
    fs::create_dir(&path).unwrap();
    refused("expected a file, found something else");
}

#[test]
fn a_file_that_becomes_shorter_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("Data.fs");
    let sample = fs::read(super::sample().path).unwrap();
    fs::write(&path, &sample).unwrap();
    let mut reader = Reader::open(&path).unwrap();
    fs::write(&path, &sample[..1_000_000]).unwrap();
    let error = loop {
        match reader.next_transaction().and_then(|_| reader.next_record()) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Shrunk { .. }), "{error}");
    let expected = format!(
        "offset 1000000: expected {} bytes as when the file was opened, found its end",
        sample.len()
    );
    assert_eq!(error.to_string().split_once(": ").unwrap().1, expected);
}

fn whole_transactions(end: usize) -> u64 {
    [T2, T3, LENGTH].iter().filter(|position| **position <= end).count() as u64
}

fn changed(offset: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = file();
    file[offset..offset + bytes.len()].copy_from_slice(bytes);
    file
}

fn read_changed(offset: usize, bytes: &[u8]) -> Result<(u64, Option<(u64, u64)>), String> {
    read(&changed(offset, bytes))
}

/// How many transactions there are, and what is torn.
fn read(bytes: &[u8]) -> Result<(u64, Option<(u64, u64)>), String> {
    let directory = tempfile::tempdir().unwrap();
    let path: &Path = &directory.path().join("Data.fs");
    fs::write(path, bytes).unwrap();
    let (summary, torn) = summarize(path).map_err(|error| error.to_string())?;
    let torn = torn.map(|torn| (torn.position.get(), torn.length.get()));
    Ok((summary.counts.transactions, torn))
}
