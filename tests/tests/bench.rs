//! `neolith bench` and `neolith demo` as processes.

#![expect(
    clippy::disallowed_methods,
    reason = "tests look at files and at the clock, and start processes"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tests::binary;

/// Longer than anything that a test waits for takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A place in the target directory, which is on a disk, where the one for temporary files often is
/// not.
fn place() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn neolith(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    neolith(arguments).output().unwrap()
}

/// Standard output of a run that ends well.
fn text(arguments: &[&str]) -> String {
    let output = run(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {}: {errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&text(arguments)).unwrap()
}

/// The one line on standard error of a run that could not do its work.
fn refusal(arguments: &[&str], code: i32) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(errors.lines().count(), 1, "{errors}");
    errors
}

fn path(place: &TempDir, name: &str) -> String {
    place.path().join(name).to_str().unwrap().to_owned()
}

fn number(value: &Value, pointer: &str) -> f64 {
    let found = value.pointer(pointer).and_then(Value::as_f64);
    found.unwrap_or_else(|| panic!("{pointer} in {value}"))
}

/// Quantiles, rows and counts that belong together.
fn check_latency(latency: &Value) {
    let names = ["/p50_ns", "/p90_ns", "/p99_ns", "/p99_9_ns"];
    let quantiles = names.map(|name| number(latency, name));
    assert!(quantiles.is_sorted() && quantiles[0] > 0.0, "{latency}");
    let rows = latency["histogram"].as_array().unwrap();
    let count: f64 = rows.iter().map(|row| number(row, "/count")).sum();
    assert!((count - number(latency, "/count")).abs() < 0.5, "{latency}");
}

#[test]
fn what_fill_writes_is_loaded_in_every_way() {
    let place = place();
    let db = path(&place, "db");
    let filled = json(&[
        "bench",
        "fill",
        &db,
        "--records",
        "5000",
        "--oids",
        "1000",
        "--batch",
        "50",
        "--json",
        "--partitions",
        "5",
    ]);
    assert_eq!((filled["records"].as_u64(), filled["batches"].as_u64()), (Some(5000), Some(100)));
    assert!((number(&filled, "/flushes_per_batch") - 1.0).abs() < 0.05, "{filled}");
    let written = number(&filled, "/bytes_written_per_byte");
    assert!((1.0..1.3).contains(&written), "{filled}");
    check_latency(&filled["batch_latency"]);

    let ways: [&[&str]; 5] =
        [&[], &["--calls"], &["--queue", "8"], &["--threads", "3"], &["--mapped"]];
    for way in ways {
        for (kind, population) in [(&[][..], 1000), (&["--old"][..], 5000)] {
            let fixed = ["bench", "load", &db, "--seconds", "0.1", "--json"];
            let loaded = json(&[&fixed, way, kind].concat());
            assert_eq!(loaded["population"].as_u64(), Some(population), "{loaded}");
            assert_eq!(loaded["sample"].as_u64(), Some(population), "{loaded}");
            assert_eq!(loaded["missing"].as_u64(), Some(0), "{loaded}");
            assert!(number(&loaded, "/loads") > 0.0, "{loaded}");
            // Data has from 200 to 1,024 bytes.
            let size = number(&loaded, "/data_bytes") / number(&loaded, "/loads");
            assert!((400.0..800.0).contains(&size), "{loaded}");
            let memory = number(&loaded, "/memory/anonymous_bytes");
            let memory_max = number(&loaded, "/memory/anonymous_bytes_max");
            assert!(0.0 < memory && memory <= memory_max, "{loaded}");
            check_latency(&loaded["latency"]);
        }
    }
    let sampled = json(&["bench", "load", &db, "--seconds", "0.1", "--json", "--sample", "10"]);
    assert_eq!(sampled["sample"].as_u64(), Some(10));
    assert!(text(&["bench", "load", &db, "--seconds", "0.1"]).contains("p99.9"));
}

#[test]
fn a_cold_load_proves_that_it_is_cold() {
    let place = place();
    let db = path(&place, "db");
    text(&["bench", "fill", &db, "--records", "20000"]);
    for way in ["--mapped", "--calls"] {
        let arguments = ["bench", "load", &db, "--cold", "--seconds", "1", "--json", way];
        let output = run(&arguments);
        if output.status.code() == Some(2) {
            let errors = String::from_utf8(output.stderr).unwrap();
            assert!(errors.contains("stay in the system's cache"), "{errors}");
            continue;
        }
        let loaded: Value = serde_json::from_slice(&output.stdout).unwrap();
        let cold = &loaded["cold"];
        let pages = number(cold, "/cache/pages");
        assert!(pages * 4096.0 > number(&loaded, "/data_bytes"), "{loaded}");
        assert!(number(cold, "/cache/cached_pages_after") <= 16.0, "{loaded}");
        assert_eq!(loaded["missing"].as_u64(), Some(0));
        // Each at most once.
        assert!(number(&loaded, "/loads") <= number(&loaded, "/population"), "{loaded}");
        check_latency(&cold["raw_reads"]["latency"]);
        if !cold["from_disk_share"].is_null() {
            assert!(number(cold, "/from_disk_share") > 0.0, "{loaded}");
            assert!(number(cold, "/disk_bytes_per_load") > 0.0, "{loaded}");
        }
    }
}

#[test]
fn a_seed_makes_the_same_database_however_it_is_written() {
    let place = place();
    let dump = |name: &str, more: &[&str]| {
        let db = path(&place, name);
        let fixed = ["bench", "fill", &db, "--records", "3000", "--batch", "70"];
        text(&[&fixed, more].concat());
        text(&["dump", "--sha256", &db])
    };
    let first = dump("a", &[]);
    assert_eq!(first, dump("b", &["--disk-backend", "threads", "--partitions", "7"]));
    assert_eq!(first, dump("c", &["--pipelined"]));
    assert_ne!(first, dump("d", &["--seed", "2"]));
}

#[test]
fn open_tells_a_clean_close_from_none() {
    let place = place();
    let db = path(&place, "db");
    text(&["bench", "fill", &db, "--records", "5000", "--no-close"]);
    let open = |more: &[&str]| json(&[&["bench", "open", &db, "--json"], more].concat());
    let found = |opened: &Value| opened["was_closed"].as_bool().unwrap();
    let opened = open(&["--no-close"]);
    assert!(!found(&opened) && opened["close_seconds"].is_null());
    let (read, all) = (number(&opened, "/bytes_read"), number(&opened, "/database_bytes"));
    assert!(read > all / 2.0, "the log was replayed: {opened}");
    assert!(!found(&open(&[])));
    let opened = open(&[]);
    assert!(found(&opened));
    assert!(number(&opened, "/bytes_read") < all / 2.0, "the log was not replayed: {opened}");
    let loaded = json(&["bench", "load", &db, "--old", "--seconds", "0.1", "--json"]);
    assert_eq!(loaded["population"].as_u64(), Some(5000));
}

/// Starts to fill a database without end, and waits until there is something in it.
fn start_fill(db: &str) -> Child {
    let arguments = ["bench", "fill", db, "--records", "1000000000", "--batch", "100", "--json"];
    let child = neolith(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while bytes_below(Path::new(db)) < 20 << 20 {
        assert!(start.elapsed() < PATIENCE, "nothing is written to {db}");
        std::thread::yield_now();
    }
    child
}

fn bytes_below(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else {
        return 0;
    };
    // A file may be gone before it is looked at.
    entries.filter_map(|entry| entry.ok()?.metadata().ok()).map(|file| file.len()).sum()
}

#[test]
fn what_was_filled_before_a_kill_is_there() {
    let place = place();
    let db = path(&place, "db");
    let mut child = start_fill(&db);
    child.kill().unwrap();
    child.wait().unwrap();
    let opened = json(&["bench", "open", &db, "--json"]);
    assert_eq!(opened["was_closed"].as_bool(), Some(false));
    let loaded = json(&["bench", "load", &db, "--old", "--seconds", "0.1", "--json"]);
    let revisions = number(&loaded, "/population");
    assert!(revisions > 0.0 && revisions % 100.0 == 0.0, "whole batches: {loaded}");
    assert_eq!(loaded["missing"].as_u64(), Some(0));
}

#[test]
fn an_interrupted_fill_closes_and_says_what_it_did() {
    let place = place();
    let db = path(&place, "db");
    let child = start_fill(&db);
    assert!(interrupt(&child).success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "neolith: interrupted\n");
    let filled: Value = serde_json::from_slice(&output.stdout).unwrap();
    let opened = json(&["bench", "open", &db, "--json"]);
    assert_eq!(opened["was_closed"].as_bool(), Some(true));
    let loaded = json(&["bench", "load", &db, "--old", "--seconds", "0.1", "--json"]);
    assert_eq!(loaded["population"], filled["records"]);
}

/// Does what ctrl-C does.
fn interrupt(child: &Child) -> ExitStatus {
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap()
}

#[test]
fn what_cannot_be_done_is_refused_in_one_line() {
    let place = place();
    let (db, none) = (path(&place, "db"), path(&place, "none"));
    text(&["bench", "fill", &db, "--records", "10"]);
    assert!(refusal(&["bench", "fill", &db], 2).contains("not empty"));
    assert!(refusal(&["bench", "fill", &path(&place, "none/db")], 2).contains("none/db"));
    for kind in ["load", "open"] {
        assert!(refusal(&["bench", kind, &none], 2).contains(&none));
    }
    let more = refusal(&["bench", "fill", &none, "--records", "2", "--oids", "3"], 2);
    assert!(more.contains("every object needs a record"), "{more}");
    assert!(!Path::new(&none).exists());
    let file = PathBuf::from(path(&place, "file"));
    fs::write(&file, "not a database").unwrap();
    assert!(refusal(&["bench", "load", file.to_str().unwrap()], 2).contains("file"));
}

#[test]
fn the_demo_leaves_nothing_behind() {
    let place = place();
    let output = neolith(&["demo"]).env("TMPDIR", place.path()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    let shown = String::from_utf8(output.stdout).unwrap();
    for command in ["import", "dump", "stat", "tail", "history", "load", "bench", "export", "fsck"]
    {
        assert!(shown.contains(&format!("$ neolith {command} ")), "{shown}");
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn the_demo_keeps_what_it_is_told_to_keep() {
    let place = place();
    let kept = path(&place, "demo");
    text(&["demo", "--keep", &kept]);
    let again = refusal(&["demo", "--keep", &kept], 2);
    assert!(again.contains("not empty"), "{again}");
    let opened = json(&["bench", "open", &format!("{kept}/site"), "--json"]);
    assert_eq!(opened["was_closed"].as_bool(), Some(true));
}
