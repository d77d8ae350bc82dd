//! Databases of every format version that was ever released stay readable, and the writer still
//! writes what it wrote.
//!
//! `golden/v1/database` was made by `sample::make`, and `golden/v1/golden.txt` is all that can be
//! read of it. As long as version 1 is not released, `NEOLITH_GOLDEN=write cargo test -p
//! neolith-engine --test golden` makes both anew; afterwards a change of the format gets a
//! version and a directory of its own, and these stay.
#![expect(clippy::disallowed_methods, reason = "golden files are part of the source")]

#[path = "sample/mod.rs"]
mod sample;

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::disk::{self, Directory, DirectoryOptions, Disk, MemoryDisk};
use engine::{Engine, Error, Fsck, OpenMode, Options, ReadMode, Report};

#[test]
fn version_1_is_readable() {
    write_if_asked();
    let directory = Directory::open(
        golden().join("database"),
        disk::OpenMode::ReadOnly,
        DirectoryOptions::default(),
    );
    let directory: Arc<dyn Disk> = Arc::new(directory.expect("it can be read"));
    let report = fsck(&directory).expect("it can be checked");
    assert!(report.findings.is_empty(), "{report:#?}");
    let text = fs::read_to_string(golden().join("golden.txt")).expect("it can be read");
    for mode in [ReadMode::Calls, ReadMode::Mapped] {
        let engine = open(&directory).expect("it can be opened");
        let listing = sample::listing(&engine, mode).expect("it is sound");
        for (number, (found, expected)) in listing.lines().zip(text.lines()).enumerate() {
            assert_eq!(found, expected, "line {} of golden.txt", number + 1);
        }
        assert_eq!(listing, text);
    }
}

#[test]
fn the_writer_writes_the_same_bytes() {
    write_if_asked();
    let written = sample::files(&sample::make());
    let names: Vec<&str> = written.iter().map(|(name, _)| name.as_str()).collect();
    let golden = golden_files();
    let golden_names: Vec<&str> = golden.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, golden_names);
    for ((name, bytes), (_, expected)) in written.iter().zip(&golden) {
        let difference = bytes.iter().zip(expected).position(|(byte, expected)| byte != expected);
        assert_eq!(difference, None, "the first byte of {name} that is different");
        assert_eq!(bytes.len(), expected.len(), "the length of {name}");
    }
}

#[test]
fn newer_formats_are_refused() {
    for name in ["manifest", "closed", "log-00000001", "run-0000000a"] {
        let disk = MemoryDisk::new(1);
        for (other, mut bytes) in golden_files() {
            if other == name {
                bytes[12] = 2;
                let crc = crc32c::crc32c(&bytes[..60]);
                bytes[60..64].copy_from_slice(&crc.to_le_bytes());
            }
            disk.write_file(&other, &bytes);
        }
        let disk: Arc<dyn Disk> = Arc::new(disk);
        let path = disk.path(name);
        for mode in [OpenMode::ReadOnly, OpenMode::ReadWrite] {
            match Engine::open(Arc::clone(&disk), Options::default(), mode) {
                Err(Error::NewerFormat { file, found: 2, known: 1 }) => assert_eq!(file, path),
                other => panic!("{name}: {:?}", other.map(|_| "opened")),
            }
        }
        match fsck(&disk) {
            Err(Error::NewerFormat { file, .. }) => assert_eq!((name, &file), ("manifest", &path)),
            Err(error) => panic!("{name}: {error}"),
            Ok(report) => {
                let told = report
                    .findings
                    .iter()
                    .any(|finding| finding.file == path && finding.text.contains("not format 2"));
                assert!(told, "{name}: {report:#?}");
            }
        }
    }
}

fn open(disk: &Arc<dyn Disk>) -> engine::Result<Engine> {
    Engine::open(Arc::clone(disk), Options::default(), OpenMode::ReadOnly)
}

fn fsck(disk: &Arc<dyn Disk>) -> engine::Result<Report> {
    Fsck::new(Arc::clone(disk)).run(&mut |_| ControlFlow::Continue(()))
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

/// All files of the golden database, in order of name.
fn golden_files() -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(golden().join("database")).expect("it can be listed");
    let mut files: Vec<(String, Vec<u8>)> = entries
        .map(|entry| {
            let path = entry.expect("it can be listed").path();
            let name = path.file_name().expect("files have names").to_string_lossy();
            (name.into_owned(), fs::read(&path).expect("it can be read"))
        })
        .collect();
    files.sort_unstable();
    files
}

/// Makes the golden files anew, once, if the environment says so.
fn write_if_asked() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    if std::env::var_os("NEOLITH_GOLDEN").is_none_or(|value| value != "write") {
        return;
    }
    ONCE.call_once(|| {
        let disk = sample::make();
        let directory = golden().join("database");
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("it can be made");
        for (name, bytes) in sample::files(&disk) {
            fs::write(directory.join(name), bytes).expect("it can be written");
        }
        let disk: Arc<dyn Disk> = Arc::new(disk);
        let engine = open(&disk).expect("just made");
        let listing = sample::listing(&engine, ReadMode::Calls).expect("just made");
        fs::write(golden().join("golden.txt"), listing).expect("it can be written");
    });
}
