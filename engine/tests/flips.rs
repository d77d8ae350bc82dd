//! Every byte of a cleanly closed database is covered: whatever is flipped, cut or removed, fsck finds
//! it, and nothing wrong is ever served as data.

mod small;

use std::ops::ControlFlow;
use std::sync::Arc;

use engine::disk::{Disk, MemoryDisk};
use engine::{Engine, Fsck, OpenMode, ReadMode};
use small::{listing, make, options};

#[test]
fn every_flipped_byte_is_found_and_never_served() {
    let disk = closed();
    let truth = read(&disk, ReadMode::Calls).expect("sound");
    assert_eq!(read(&disk, ReadMode::Mapped).expect("sound"), truth);
    assert!(!is_damaged(&disk), "sound");
    let mut flipped = 0;
    for name in disk.list().expect("no faults") {
        let bytes = disk.read_file(&name).expect("listed");
        for at in 0..bytes.len() {
            // One bit, another at each place; and now and then all of them.
            let mask = if at % 5 == 0 { 0xff } else { 1 << (at % 8) };
            let mut wrong = bytes.clone();
            wrong[at] ^= mask;
            let damaged = disk.snapshot();
            damaged.write_file(&name, &wrong);
            check(&damaged, &truth, &format!("{name}: byte {at} flipped by {mask:#x}"));
            flipped += 1;
        }
    }
    assert!(flipped > 10_000, "only {flipped} bytes");
}

#[test]
fn every_cut_and_every_missing_file_is_found() {
    let disk = closed();
    let truth = read(&disk, ReadMode::Calls).expect("sound");
    for name in disk.list().expect("no faults") {
        let bytes = disk.read_file(&name).expect("listed");
        for length in (0..bytes.len()).step_by(7) {
            let damaged = disk.snapshot();
            damaged.write_file(&name, &bytes[..length]);
            let what = format!("{name}: cut at {length}");
            // Zeros of a segment that was prepared and never written to hold nothing.
            match bytes[length..].iter().all(|byte| *byte == 0) {
                true => check_served(&damaged, &truth, &what),
                false => check(&damaged, &truth, &what),
            }
        }
        let damaged = disk.snapshot();
        damaged.remove_file(&name);
        let what = format!("{name}: missing");
        match name.as_str() {
            // Without it the database is as after a crash: nothing is missing, nothing wrong.
            "closed" => assert_eq!(read(&damaged, ReadMode::Calls).expect("sound"), truth),
            _ => check(&damaged, &truth, &what),
        }
    }
}

fn closed() -> MemoryDisk {
    let disk = MemoryDisk::new(1);
    make(&disk);
    disk.snapshot()
}

/// Reads everything, without changing anything.
fn read(disk: &MemoryDisk, mode: ReadMode) -> engine::Result<String> {
    let engine = Engine::open(Arc::new(disk.snapshot()), options(), OpenMode::ReadOnly)?;
    listing(&engine, mode)
}

fn is_damaged(disk: &MemoryDisk) -> bool {
    let mut watch = |_| ControlFlow::Continue(());
    match Fsck::new(Arc::new(disk.snapshot())).run(&mut watch) {
        Ok(report) => report.is_damaged(),
        Err(_) => true,
    }
}

fn check(damaged: &MemoryDisk, truth: &str, what: &str) {
    assert!(is_damaged(damaged), "{what}: fsck finds nothing");
    check_served(damaged, truth, what);
}

fn check_served(damaged: &MemoryDisk, truth: &str, what: &str) {
    if let Ok(found) = read(damaged, ReadMode::Calls) {
        assert_eq!(found, truth, "{what}: something else is served");
    }
}
