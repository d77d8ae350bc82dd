//! Databases of every version of the format stay readable, and this version still writes the same bytes.
//!
//! While the format is not released, `NEOLITH_GOLDEN=write cargo test -p neolith-engine --test golden`
//! writes the files anew; docs/format.md changes in the same commit.
#![expect(clippy::disallowed_methods, reason = "golden files are files")]

mod small;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use engine::disk::{Disk, MemoryDisk};
use engine::{Engine, Error, Fsck, OpenMode, ReadMode};
use small::{listing, make, options};

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

fn written() -> MemoryDisk {
    let disk = MemoryDisk::new(1);
    make(&disk);
    disk.snapshot()
}

fn golden() -> MemoryDisk {
    let disk = MemoryDisk::new(1);
    for entry in std::fs::read_dir(directory().join("database")).expect("golden files") {
        let path = entry.expect("a file").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a plain name");
        disk.write_file(name, &std::fs::read(&path).expect("a golden file"));
    }
    disk
}

#[test]
fn version_1_is_read_and_written_as_ever() {
    let written = written();
    if std::env::var_os("NEOLITH_GOLDEN").is_some() {
        write_anew(&written);
    }
    let golden = golden();
    let engine = Engine::open(Arc::new(golden.snapshot()), options(), OpenMode::ReadOnly)
        .expect("golden files");
    let expected =
        std::fs::read_to_string(directory().join("listing.txt")).expect("a golden file");
    assert_eq!(listing(&engine, ReadMode::Calls).expect("sound"), expected);
    let mut watch = |_| ControlFlow::Continue(());
    let report = Fsck::new(Arc::new(golden.snapshot())).run(&mut watch).expect("golden files");
    assert!(!report.is_damaged(), "{:?}", report.findings);
    assert_eq!(golden.list().expect("names"), written.list().expect("names"));
    for name in golden.list().expect("names") {
        assert_eq!(golden.read_file(&name), written.read_file(&name), "{name}");
    }
}

#[test]
fn a_newer_format_is_refused_in_every_file() {
    let disk = written();
    for name in disk.list().expect("names") {
        let mut bytes = disk.read_file(&name).expect("listed");
        bytes[12] = 2;
        let crc = crc32c::crc32c(&bytes[..60]).to_le_bytes();
        bytes[60..64].copy_from_slice(&crc);
        let newer = disk.snapshot();
        newer.write_file(&name, &bytes);
        for mode in [OpenMode::ReadOnly, OpenMode::ReadWrite] {
            let error = Engine::open(Arc::new(newer.snapshot()), options(), mode)
                .expect_err("a newer format");
            let Error::NewerFormat { file, found: 2, known: 1 } = &error else {
                panic!("{name}: {error}")
            };
            assert!(file.ends_with(&name), "{error}");
        }
    }
}

fn write_anew(disk: &MemoryDisk) {
    let database = directory().join("database");
    let _ = std::fs::remove_dir_all(&database);
    std::fs::create_dir_all(&database).expect("the source tree");
    for name in disk.list().expect("names") {
        let bytes = disk.read_file(&name).expect("listed");
        std::fs::write(database.join(&name), bytes).expect("the source tree");
    }
    let engine = Engine::open(Arc::new(disk.snapshot()), options(), OpenMode::ReadOnly)
        .expect("just written");
    let text = listing(&engine, ReadMode::Calls).expect("just written");
    std::fs::write(directory().join("listing.txt"), text).expect("the source tree");
}
