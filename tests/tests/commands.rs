//! The commands of the program on real databases: a FileStorage goes in, every revision is served
//! and comes out again. What they say of bad input is in `bad_input.rs`.

#![expect(
    clippy::disallowed_methods,
    reason = "tests read and write files that are not an engine's"
)]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tests::{Source, neolith, neolith_with_input, succeed};

#[test]
fn every_database_equals_the_truth_in_any_number_of_partitions() {
    for source in Source::all() {
        for partitions in ["1", "12", "100"] {
            let imported = Imported::new(&source, partitions);
            let what = format!("{} in {partitions} partitions", source.name);
            check_dump(&imported.directory, &source, &what);
            check_samples(&imported.directory, &source, &what);
            check_counts(&imported.directory, &source, &what);
            check_export(&imported, &source, &what);
        }
    }
}

/// A database in a directory that goes when this is dropped.
struct Imported {
    place: TempDir,
    directory: PathBuf,
}

impl Imported {
    fn new(source: &Source, partitions: &str) -> Self {
        let place = TempDir::new().expect("there is a place for temporary files");
        let directory = place.path().join("database");
        let ended = neolith(&[&"import", &"--partitions", &partitions, &source.path, &directory]);
        assert_eq!(ended.code, Some(0), "{}: {}", source.name, ended.errors);
        let is_torn = source.truth["opened_size"].is_u64()
            && source.truth["opened_size"] != source.truth["file_size"];
        let says_torn = ended.errors.contains("ignored an incomplete transaction at offset");
        assert_eq!(says_torn, is_torn, "{}: {}", source.name, ended.errors);
        Self { place, directory }
    }

    fn sample() -> Self {
        Self::new(&Source::sample(), "12")
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hashes(directory: &Path) -> Value {
    succeed(&[&"dump", &"--sha256", &"--json", &directory]).json_lines().remove(0)
}

fn check_dump(directory: &Path, source: &Source, what: &str) {
    let found = hashes(directory);
    for key in ["dump_sha256", "dump_without_data_txn_sha256", "transactions", "records"] {
        assert_eq!(found[key], source.truth[key], "{what}: {key}");
    }
    assert_eq!(found["data_bytes"], source.truth["pickle_bytes"], "{what}");
}

/// What ZODB's loadBefore said, misses included.
fn check_samples(directory: &Path, source: &Source, what: &str) {
    let samples = source.truth["loadBefore"].as_array().expect("a list");
    assert!(samples.len() >= 100, "{what}");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let questions: String = samples
        .iter()
        .map(|sample| format!("{} {}\n", text(&sample[0]), text(&sample[1])))
        .collect();
    let ended = neolith_with_input(&[&"load", &directory, &"--batch"], questions.as_bytes());
    assert_eq!((ended.code, ended.errors.as_str()), (Some(0), ""), "{what}");
    let answers = ended.json_lines();
    assert_eq!(answers.len(), samples.len(), "{what}");
    for (sample, answer) in samples.iter().zip(&answers) {
        let error = answer["error"].as_str();
        let agrees = match sample[2].as_str() {
            Some("none") => error == Some("no revision then"),
            Some("POSKeyError") => matches!(error, Some("no such oid" | "deleted")),
            Some(_) => false,
            None => {
                let expected = json!({
                    "oid": sample[0],
                    "sha256": sample[2][0],
                    "size": sample[2][1],
                    "tid": sample[2][2],
                    "next_tid": sample[2][3],
                });
                *answer == expected
            }
        };
        assert!(agrees, "{what}: {sample}: {answer}");
    }
}

fn check_counts(directory: &Path, source: &Source, what: &str) {
    let found = succeed(&[&"stat", &"--json", &directory]).json_lines().remove(0);
    let keys = [
        ("transactions", "transactions"),
        ("oids", "oids"),
        ("first_tid", "first_tid"),
        ("last_tid", "last_tid"),
        ("live_oids", "live_oids"),
    ];
    for (key, key_of_truth) in keys {
        let truth = &source.truth[key_of_truth];
        assert!(truth.is_null() || found[key] == *truth, "{what}: {key}: {found}");
    }
    assert_eq!((&found["nid"], &found["name"]), (&json!("S1"), &json!("neolith")));
    assert_eq!(found["partition_table_id"], 1);
    assert_eq!(found["in_doubt"], json!([]));
    let files = fs::read_dir(directory).expect("the directory is there");
    let sizes =
        files.map(|entry| entry.expect("it is there").metadata().expect("it is there").len());
    let kinds = ["log", "runs", "manifest", "other"].map(|kind| &found["files"][kind]["bytes"]);
    let sum: u64 = kinds.iter().map(|bytes| bytes.as_u64().expect("a number")).sum();
    assert_eq!(sum, sizes.sum::<u64>(), "{what}: {found}");
    succeed(&[&"stat", &directory]);
}

/// What is exported and imported again is the same.
fn check_export(imported: &Imported, source: &Source, what: &str) {
    let target = imported.place.path().join("target.fs");
    let again = imported.place.path().join("again");
    let summary = succeed(&[&"export", &"--json", &imported.directory, &target]);
    let summary = summary.json_lines().remove(0);
    assert_eq!(summary["records"], source.truth["records"], "{what}");
    let file_bytes = fs::metadata(&target).expect("it was made").len();
    assert_eq!(summary["file_bytes"], file_bytes, "{what}");
    let keeps_bytes = source.name == "sample" || source.name == "site-a";
    if keeps_bytes {
        assert_eq!(json!(file_bytes), source.truth["file_size"], "{what}");
    }
    succeed(&[&"import", &target, &again]);
    check_dump(&again, source, what);
}

#[test]
fn the_dump_has_the_hash_that_is_told() {
    let imported = Imported::sample();
    let dump = succeed(&[&"dump", &imported.directory]).output;
    let sample = Source::sample();
    let found = sha256(&dump);
    assert_eq!(found, sample.text("dump_sha256"));
    let told = succeed(&[&"dump", &"--sha256", &imported.directory]);
    let lines: Vec<_> = told.text().lines().collect();
    let without = sample.text("dump_without_data_txn_sha256");
    assert_eq!(lines, [format!("{found}  dump"), format!("{without}  without data_tids")]);
}

#[test]
fn one_revision_is_found_in_each_way_to_ask() {
    let sample = Source::sample();
    let imported = Imported::sample();
    let load = |arguments: &[&str]| {
        let mut all: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"load", &imported.directory];
        all.extend(arguments.iter().map(|argument| argument as &dyn AsRef<std::ffi::OsStr>));
        neolith(&all)
    };
    let samples = sample.truth["loadBefore"].as_array().expect("a list");
    let with_next = samples.iter().find(|sample| sample[2][3].is_string());
    let [oid, before, found] =
        with_next.expect("there is one").as_array().expect("a list").as_slice()
    else {
        panic!("a sample has three parts")
    };
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let (oid, before) = (text(oid), text(before));
    let (hash, tid, next) = (text(&found[0]), text(&found[2]), text(&found[3]));
    let next_number = u64::from_str_radix(&next, 16).expect("a tid");
    let last = format!("0x{:x}", next_number - 1);
    for when in [
        ["--before", &before],
        ["--serial", &tid],
        ["--as-of", &tid],
        ["--as-of", &last],
        ["--before", &next],
        ["--before", &next_number.to_string()],
    ] {
        let ended = load(&[&oid, when[0], when[1], "--json"]);
        assert_eq!(ended.code, Some(0), "{when:?}: {}", ended.errors);
        let answer = ended.json_lines().remove(0);
        assert_eq!(answer["tid"], json!(tid), "{when:?}");
        assert_eq!(answer["next_tid"], json!(next), "{when:?}");
    }
    let raw = load(&[&oid, "--serial", &tid, "--raw"]).output;
    assert_eq!(sha256(&raw), hash);
    let shown = load(&[&oid, "--serial", &tid]);
    assert!(shown.text().contains(&format!("sha256    {hash}")), "{}", shown.text());
    assert!(shown.text().contains(" UTC)"), "{}", shown.text());
    let time = load(&["0", "--as-of", "2023-03-01 08:00:01.5"]);
    assert_eq!(time.code, Some(0), "{}", time.errors);

    let misses: [(&[&str], &str); 4] = [
        (&["0x7777777", "--json"], "no such oid"),
        (&["0", "--before", "1"], "no revision then"),
        (&["0", "--serial", "1"], "no revision then"),
        (&["0x7777777", "--raw"], "no such oid"),
    ];
    for (arguments, reason) in misses {
        let ended = load(arguments);
        assert_eq!(ended.code, Some(1), "{arguments:?}");
        let said = format!("{}{}", ended.text(), ended.errors);
        assert!(said.contains(reason), "{arguments:?}: {said}");
    }
}

#[test]
fn a_batch_answers_every_line() {
    let imported = Imported::sample();
    let lines = b"0 0xffffffffffffffff\n\nzero 1\n0 1\n0 2023-03-02 10:00\n9999999999 5";
    let ended = neolith_with_input(&[&"load", &"--batch", &imported.directory], lines);
    assert_eq!((ended.code, ended.errors.as_str()), (Some(2), ""));
    let answers = ended.json_lines();
    assert_eq!(answers.len(), 6);
    assert_eq!(answers[0]["next_tid"], Value::Null);
    assert_eq!(answers[0]["tid"], answers[4]["tid"]);
    for (index, number) in [(1, 2), (2, 3)] {
        let error = answers[index]["error"].as_str().expect("an error");
        assert!(error.starts_with(&format!("line {number}: ")), "{error}");
        assert_eq!(answers[index]["oid"], Value::Null);
    }
    assert_eq!(answers[3], json!({ "oid": "0000000000000000", "error": "no revision then" }));
    assert_eq!(answers[5]["error"], "no such oid");
}

#[test]
fn tail_and_history_tell_what_zodb_tells() {
    for source in Source::all() {
        let imported = Imported::new(&source, "12");
        let count = source.truth["transactions"].as_u64().expect("a number").to_string();
        let tail = succeed(&[&"tail", &"--json", &"-n", &count, &imported.directory]).json_lines();
        let tids = source.truth["per_transaction"].as_array().expect("a list").iter();
        let told = tail.iter().rev().map(|line| (&line["tid"], &line["oids"]));
        assert!(told.eq(tids.map(|entry| (&entry[0], &entry[1]))), "{}", source.name);
        check_undo_log(&tail, &source);
        for entry in source.truth["history"].as_array().unwrap_or(&Vec::new()) {
            check_history(&imported.directory, entry, &source);
        }
        let ten = succeed(&[&"tail", &imported.directory]);
        assert_eq!(ten.text().matches(": tid=").count(), 10, "{}", source.name);
    }
}

/// The newest transactions have the users and descriptions of ZODB's undoLog.
fn check_undo_log(tail: &[Value], source: &Source) {
    let none = Vec::new();
    let mut lines = tail.iter();
    for undo in source.truth["undoLog"].as_array().unwrap_or(&none) {
        let found = lines.find(|line| {
            let user = line["user"].as_str().expect("a text");
            undo["description"] == line["description"] && undo["user_name"] == user
        });
        assert!(found.is_some(), "{}: {undo}", source.name);
    }
}

fn check_history(directory: &Path, entry: &Value, source: &Source) {
    let oid = entry[0].as_str().expect("an oid");
    let ended = neolith(&[&"history", &"-n", &"10", &"--json", &directory, &oid]);
    let Some(expected) = entry[1].as_array() else {
        let is_gone = ended.code == Some(1) || ended.json_lines()[0]["size"].is_null();
        assert!(is_gone, "{}: {entry}", source.name);
        return;
    };
    let found = ended.json_lines();
    assert_eq!(found.len(), expected.len(), "{}: {oid}", source.name);
    for (line, revision) in found.iter().zip(expected) {
        assert_eq!(line["tid"], revision["tid"], "{}: {oid}", source.name);
        assert_eq!(line["description"], revision["description"], "{}: {oid}", source.name);
        // FileStorage says 0 where the data is that of an earlier revision.
        if revision["size"] != 0 {
            assert_eq!(line["size"], revision["size"], "{}: {oid}", source.name);
        }
    }
}

#[test]
fn every_command_explains_itself() {
    let all = succeed(&[&"--help"]);
    assert!(all.text().contains("Exit codes: 0 done"), "{}", all.text());
    for name in ["import", "export", "stat", "load", "tail", "history", "dump"] {
        assert!(all.text().contains(&format!("\n  {name} ")), "{name}");
        let help = succeed(&[&name, &"--help"]);
        for part in ["Exit codes: 0 done", "Example", "DIR"] {
            assert!(help.text().contains(part), "{name}: no {part}: {}", help.text());
        }
    }
}
