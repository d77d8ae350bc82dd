//! What the writer writes, and what it refuses.

use std::fs;
use std::path::Path;

use model::{Oid, Tid};
use tempfile::TempDir;

use super::super::{Error, Metadata, Reader, Writer};
use super::{Plan, databases, listing, metadata, summarize, write};
use crate::dump::replay;

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_copy_has_the_same_dump() {
    for database in databases() {
        let directory = directory();
        let path = directory.path().join("copy.fs");
        let mut reader = Reader::open(&database.path).unwrap();
        let mut writer = Writer::create(&path).unwrap();
        replay(&mut reader, &mut writer).unwrap();
        let length = writer.finish().unwrap();
        assert_eq!(length.get(), fs::metadata(&path).unwrap().len());
        let (original, _) = summarize(&database.path).unwrap();
        assert_eq!(summarize(&path).unwrap(), (original, None), "{}", database.name);
    }
}

#[test]
fn a_copy_of_what_zodb_wrote_is_the_same_file() {
    // All that differs is the magic of Python 2 and the torn end.
    for database in databases() {
        let directory = directory();
        let path = directory.path().join("copy.fs");
        let mut reader = Reader::open(&database.path).unwrap();
        let mut writer = Writer::create(&path).unwrap();
        replay(&mut reader, &mut writer).unwrap();
        writer.finish().unwrap();
        let mut original = fs::read(&database.path).unwrap();
        original[..4].copy_from_slice(b"FS30");
        if let Some(torn) = reader.torn_tail() {
            original.truncate(usize::try_from(torn.position.get()).unwrap());
        }
        assert!(fs::read(&path).unwrap() == original, "{}", database.name);
    }
}

#[test]
fn back_pointers_are_written_where_the_data_is_the_same() {
    let directory = directory();
    let path = directory.path().join("Data.fs");
    write(
        &path,
        &[
            Plan(100, &[(1, Some("one"), None), (2, Some("two"), None)]),
            Plan(200, &[(1, Some("eins"), None), (2, None, None)]),
            // The data of 100; what never was; other data than 100 has; the future; itself.
            Plan(300, &[(1, Some("one"), Some(100)), (2, Some("two"), Some(150))]),
            Plan(400, &[(1, Some("uno"), Some(100)), (2, Some("two"), Some(900))]),
            Plan(500, &[(1, Some("one"), Some(300)), (2, Some("due"), Some(500))]),
            // Nothing, because that transaction had nothing, had something, never was.
            Plan(600, &[(1, None, Some(100)), (2, None, Some(200))]),
            Plan(700, &[(2, None, Some(600)), (3, Some("three"), Some(100))]),
        ],
    );
    let lines = listing(&path);
    let expected = [
        "100 oid 1 at 31: one - -",
        "100 oid 2 at 76: two - -",
        "200 oid 1 at 156: eins - 31",
        "200 oid 2 at 202: - - 76",
        "300 oid 1 at 287: one 100 156",
        "300 oid 2 at 337: two - 202",
        "400 oid 1 at 417: uno - 287",
        "400 oid 2 at 462: two - 337",
        "500 oid 1 at 542: one 300 417",
        "500 oid 2 at 592: due - 462",
        "600 oid 1 at 672: - - 542",
        "600 oid 2 at 722: - 200 592",
        "700 oid 2 at 807: - 600 722",
        "700 oid 3 at 857: three - -",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn an_oid_twice_in_a_transaction_is_kept() {
    let directory = directory();
    let path = directory.path().join("Data.fs");
    write(
        &path,
        &[
            Plan(100, &[(1, Some("a"), None), (1, Some("b"), None), (1, Some("c"), None)]),
            Plan(200, &[(1, Some("d"), None), (1, Some("a"), Some(100))]),
            Plan(300, &[(1, Some("b"), Some(100)), (1, Some("a"), Some(200))]),
            Plan(400, &[(1, Some("c"), Some(100)), (1, Some("d"), Some(200))]),
        ],
    );
    let expected = [
        "100 oid 1 at 31: a - -",
        "100 oid 1 at 74: b - -",
        "100 oid 1 at 117: c - -",
        "200 oid 1 at 195: d - 117",
        "200 oid 1 at 238: a 100 117",
        "300 oid 1 at 323: b 100 238",
        "300 oid 1 at 373: a 200 238",
        "400 oid 1 at 458: c 100 373",
        "400 oid 1 at 508: d 200 373",
    ];
    assert_eq!(listing(&path), expected);
}

#[test]
fn data_longer_than_every_buffer_is_written() {
    let directory = directory();
    let path = directory.path().join("Data.fs");
    let long: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_be_bytes()[3] ^ 21).collect();
    let mut writer = Writer::create(&path).unwrap();
    for tid in [100, 200, 300] {
        writer.begin(&metadata(tid)).unwrap();
        let data_tid = (tid == 300).then_some(Tid::new(100));
        writer.record(Oid::new(1), Some(&long), data_tid).unwrap();
        for oid in 2..60_000 {
            writer.record(Oid::new(oid), Some(b"short"), data_tid).unwrap();
        }
        writer.end().unwrap();
    }
    writer.finish().unwrap();
    let mut reader = Reader::open(&path).unwrap();
    for tid in [100, 200, 300] {
        assert_eq!(reader.next_transaction().unwrap().unwrap().tid.get(), tid);
        let record = reader.next_record().unwrap().unwrap();
        assert!(record.data.as_deref() == Some(&long), "{tid}");
        assert_eq!(record.data_tid, (tid == 300).then_some(Tid::new(100)));
        let mut count = 1;
        while let Some(record) = reader.next_record().unwrap() {
            assert_eq!(record.data.as_deref(), Some(&b"short"[..]));
            count += 1;
        }
        assert_eq!(count, 59_999);
    }
    assert_eq!(reader.next_transaction().unwrap(), None);
}

#[test]
fn nothing_half_made_has_the_target_s_name() {
    let directory = directory();
    let path = directory.path().join("Data.fs");
    let part = directory.path().join("Data.fs.part");
    let mut writer = Writer::create(&path).unwrap();
    writer.begin(&metadata(100)).unwrap();
    assert!(part.exists() && !path.exists());
    let error = Writer::create(&path).unwrap_err();
    assert!(matches!(error, Error::TargetBusy { .. }), "{error}");
    drop(writer);
    assert!(!part.exists() && !path.exists());

    fs::write(&part, "what a killed process left").unwrap();
    write(&path, &[Plan(100, &[(1, Some("one"), None)])]);
    assert!(!part.exists());
    assert_eq!(listing(&path), ["100 oid 1 at 31: one - -"]);
}

#[test]
fn an_empty_file_is_only_its_magic() {
    let directory = directory();
    let path = directory.path().join("Data.fs");
    write(&path, &[]);
    assert_eq!(fs::read(&path).unwrap(), b"FS30");
    assert_eq!(listing(&path), [""; 0]);
    assert_eq!(Reader::open(&path).unwrap().identity().first_tid, None);
}

#[test]
fn metadata_that_the_format_cannot_hold_is_refused() {
    let directory = directory();
    let path = directory.path().join("Data.fs");
    let mut writer = Writer::create(&path).unwrap();
    let (limit, long) = (&*vec![b'x'; 65_535], &*vec![b'x'; 65_536]);
    let some = metadata(100);
    let cases = [
        ("a user", Metadata { user: long, ..some }),
        ("a description", Metadata { description: long, ..some }),
        ("an extension", Metadata { extension: long, ..some }),
    ];
    for (field, metadata) in cases {
        let expected = format!(
            "{}: transaction 0000000000000064: expected {field} of at most 65535 bytes, all that \
             FileStorage has place for, found 65536 bytes",
            path.display()
        );
        assert_eq!(writer.begin(&metadata).unwrap_err().to_string(), expected);
    }
    let (user, description, extension) = (limit, limit, limit);
    writer.begin(&Metadata { user, description, extension, ..some }).unwrap();
    writer.end().unwrap();
    writer.finish().unwrap();
    let transaction = Reader::open(&path).unwrap().next_transaction().unwrap().unwrap();
    assert_eq!([transaction.user, transaction.description, transaction.extension], [limit; 3]);
}

#[test]
fn empty_data_and_old_transactions_are_refused() {
    let directory = directory();
    let path = directory.path().join("Data.fs");
    let mut writer = Writer::create(&path).unwrap();
    writer.begin(&metadata(100)).unwrap();
    let error = writer.record(Oid::new(7), Some(b""), None).unwrap_err().to_string();
    let expected = "transaction 0000000000000064: oid 0000000000000007: expected data of at \
                    least 1 byte, as FileStorage cannot hold less, found 0 bytes";
    assert_eq!(error, format!("{}: {expected}", path.display()));
    writer.end().unwrap();
    for tid in [99, 100] {
        let error = writer.begin(&metadata(tid)).unwrap_err().to_string();
        let expected = "expected a transaction after 0000000000000064, found";
        assert_eq!(error, format!("{}: {expected} {tid:016x}", path.display()));
    }
    writer.begin(&metadata(101)).unwrap();
}

#[test]
fn a_target_that_is_there_is_left_alone() {
    let directory = directory();
    let path = directory.path().join("Data.fs");
    fs::write(&path, "somebody else's").unwrap();
    let refused = |error: Error| {
        let text = format!("{}: expected no such file, found one", path.display());
        assert_eq!(error.to_string(), text);
    };
    refused(Writer::create(&path).unwrap_err());
    fs::remove_file(&path).unwrap();
    let writer = Writer::create(&path).unwrap();
    fs::write(&path, "somebody else's").unwrap();
    refused(writer.finish().unwrap_err());
    assert_eq!(fs::read(&path).unwrap(), b"somebody else's");

    let missing = Path::new("/nonexistent/Data.fs");
    let error = Writer::create(missing).unwrap_err().to_string();
    assert!(error.starts_with("/nonexistent/Data.fs.part: cannot create: "), "{error}");
}
