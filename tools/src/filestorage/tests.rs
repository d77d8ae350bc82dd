//! Tests on the project's own sample, on the databases of `../shared/data/zodb` where that
//! directory is present, and on files made here.

mod damage;
mod mutation;
mod truncation;
mod truth;
mod writing;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use model::{Oid, Tid};
use serde_json::Value;
use tempfile::TempDir;

use super::{Error, Metadata, Reader, Status, TornTail, Writer};
use crate::dump::{Hashes, ReplayError, Summary, replay};

/// A database with what ZODB says about it.
struct Database {
    name: String,
    path: PathBuf,
    truth: Value,
    /// Holds the file if it had to be unpacked.
    _directory: Option<TempDir>,
}

impl Database {
    fn number(&self, key: &str) -> u64 {
        self.truth[key].as_u64().unwrap_or_else(|| panic!("{}: no number {key}", self.name))
    }

    fn text(&self, key: &str) -> &str {
        self.truth[key].as_str().unwrap_or_else(|| panic!("{}: no text {key}", self.name))
    }
}

/// The sample first, then all others that are there.
fn databases() -> Vec<Database> {
    let mut databases = vec![sample()];
    let Some(directory) = data_directory() else {
        eprintln!("no ../shared/data/zodb: only tests/sample is tested");
        return databases;
    };
    let mut paths: Vec<PathBuf> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(name) = file.strip_suffix(".truth.json.gz") else {
            continue;
        };
        databases.push(unpack(path.parent().unwrap(), name));
    }
    assert!(databases.len() > 1, "../shared/data/zodb has no truth files");
    databases
}

fn sample() -> Database {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/sample");
    let truth = fs::read(directory.join("sample.truth.json")).unwrap();
    Database {
        name: "sample".to_owned(),
        path: directory.join("sample.fs"),
        truth: serde_json::from_slice(&truth).unwrap(),
        _directory: None,
    }
}

fn data_directory() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/zodb");
    path.is_dir().then_some(path)
}

fn unpack(directory: &Path, name: &str) -> Database {
    let mut truth = Vec::new();
    let packed = fs::File::open(directory.join(format!("{name}.truth.json.gz"))).unwrap();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut truth).unwrap();
    let truth = serde_json::from_slice(&truth).unwrap();
    let name = name.to_owned();
    let path = directory.join(format!("{name}.fs"));
    if path.exists() {
        return Database { name, path, truth, _directory: None };
    }
    let packed = fs::File::open(directory.join(format!("{name}.fs.zst"))).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(format!("{name}.fs"));
    zstd::stream::copy_decode(packed, fs::File::create(&path).unwrap()).unwrap();
    Database { name, path, truth, _directory: Some(directory) }
}

/// All that a reader gives: the dump's hashes, and what was torn.
fn summarize(path: &Path) -> Result<(Summary, Option<TornTail>), Error> {
    let mut reader = Reader::open(path)?;
    let mut hashes = Hashes::new();
    match replay(&mut reader, &mut hashes) {
        Ok(()) => Ok((hashes.finish(), reader.torn_tail())),
        Err(ReplayError::Source(error)) => Err(error),
        Err(ReplayError::Target(error)) => panic!("hashing cannot fail: {error}"),
    }
}

/// A transaction of tid 100, 200, ..., and its records.
struct Plan(u64, &'static [Entry]);

/// Oid, data, data_tid.
type Entry = (u64, Option<&'static str>, Option<u64>);

/// Writes transactions with the user "user".
fn write(path: &Path, plans: &[Plan]) {
    let mut writer = Writer::create(path).unwrap();
    for Plan(tid, entries) in plans {
        writer.begin(&metadata(*tid)).unwrap();
        for (oid, data, data_tid) in *entries {
            let data_tid = data_tid.map(Tid::new);
            writer.record(Oid::new(*oid), data.map(str::as_bytes), data_tid).unwrap();
        }
        writer.end().unwrap();
    }
    writer.finish().unwrap();
}

fn metadata(tid: u64) -> Metadata<'static> {
    let tid = Tid::new(tid);
    Metadata { tid, status: Status::Committed, user: b"user", description: b"", extension: b"" }
}

/// The records of a file, one line each: `tid oid data data_tid previous`.
fn listing(path: &Path) -> Vec<String> {
    let mut reader = Reader::open(path).unwrap();
    let mut lines = Vec::new();
    while reader.next_transaction().unwrap().is_some() {
        while let Some(record) = reader.next_record().unwrap() {
            let data = record.data.map_or("-".to_owned(), |data| data.escape_ascii().to_string());
            let data_tid = record.data_tid.map_or("-".to_owned(), |tid| tid.get().to_string());
            let previous = record.previous.map_or("-".to_owned(), |at| at.to_string());
            let (tid, oid, position) = (record.tid.get(), record.oid.get(), record.position);
            lines.push(format!("{tid} oid {oid} at {position}: {data} {data_tid} {previous}"));
        }
    }
    lines
}
