//! Logs of every format version that was ever released stay readable, and the writer still writes
//! what it wrote.
//!
//! As long as version 1 is not released, `NEOLITH_GOLDEN=write cargo test -p neolith-master golden`
//! makes `golden/v1` anew; afterwards a change of the format gets a version and a directory of its
//! own, and these stay. Zeros at the end are left out there.
#![expect(clippy::disallowed_methods, reason = "golden files are part of the source")]

use std::fs;
use std::path::{Path, PathBuf};

use engine::disk::MemoryDisk;

use super::super::format::NAMES;
use super::{all, commands, open};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/log/tests/golden/v1").join(name)
}

/// A log that was opened twice, so that both files are in use.
fn written() -> MemoryDisk {
    let disk = MemoryDisk::new(1);
    drop(open(&disk).unwrap());
    let mut ledger = open(&disk).unwrap();
    for command in commands() {
        ledger.propose(command);
        ledger.wait().unwrap();
    }
    drop(ledger);
    disk
}

#[test]
fn golden_version_1_is_readable_and_written_like_that() {
    let (written, golden) = (written(), MemoryDisk::new(1));
    for name in NAMES {
        let mut bytes = written.read_file(name).unwrap();
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1);
        if std::env::var("NEOLITH_GOLDEN").is_ok_and(|value| value == "write") {
            fs::write(path(name), &bytes).unwrap();
        }
        let expected = fs::read(path(name)).unwrap();
        let difference = bytes.iter().zip(&expected).position(|(byte, expected)| byte != expected);
        assert_eq!(difference, None, "the first byte of {name} that is different");
        assert_eq!(bytes.len(), expected.len(), "the length of {name}");
        golden.write_file(name, &expected);
    }
    assert_eq!(*open(&golden).unwrap().remembered(), all());
}
