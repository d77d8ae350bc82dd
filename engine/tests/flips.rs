//! Every damaged byte of a small, cleanly closed database is found, and none is served.
//!
//! For every byte of every file one bit is flipped, then all bits; every file is cut at every
//! length; every file is taken away. Each time fsck has to say so, and whoever opens the database
//! anyway and reads everything gets an error, or the truth.

#[path = "sample/mod.rs"]
mod sample;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use engine::disk::{Disk, MemoryDisk};
use engine::{Engine, Error, Fsck, OpenMode, Options, ReadMode, Report, Severity};

#[test]
fn every_flipped_byte_is_found_and_none_is_served() {
    let sound = Sound::new();
    let jobs: Vec<(usize, usize)> = sound
        .files
        .iter()
        .enumerate()
        .flat_map(|(file, (_, bytes))| (0..bytes.len()).map(move |at| (file, at)))
        .collect();
    sound.each(&jobs, |disk, &(file, at)| {
        let (name, bytes) = &sound.files[file];
        // One bit, chosen by position, and all bits.
        for mask in [1 << (at % 8), 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= mask;
            disk.write_file(name, &damaged);
            let what = format!("{name}: byte {at} with {mask:#04x}");
            let report = check(disk, &what);
            assert!(report.is_damaged(), "{what}: fsck says nothing");
            sound.is_never_served(disk, &what);
        }
        disk.write_file(name, bytes);
    });
}

#[test]
fn every_cut_is_found_and_nothing_else_is_served() {
    let sound = Sound::new();
    let jobs: Vec<(usize, usize)> = sound
        .files
        .iter()
        .enumerate()
        .flat_map(|(file, (_, bytes))| (0..bytes.len()).map(move |length| (file, length)))
        .collect();
    sound.each(&jobs, |disk, &(file, length)| {
        let (name, bytes) = &sound.files[file];
        disk.write_file(name, &bytes[..length]);
        let what = format!("{name} cut to {length} bytes");
        let report = check(disk, &what);
        // Segments that wait to be used end in zeros, of which any number will do.
        let only_zeros = name.starts_with("log-") && bytes[length..].iter().all(|b| *b == 0);
        assert!(report.is_damaged() || only_zeros && length >= 64, "{what}: fsck says nothing");
        sound.is_never_served(disk, &what);
        disk.write_file(name, bytes);
    });
}

#[test]
fn bytes_that_were_added_are_found() {
    let sound = Sound::new();
    let jobs: Vec<usize> = (0..sound.files.len()).collect();
    sound.each(&jobs, |disk, &file| {
        let (name, bytes) = &sound.files[file];
        let mut longer = bytes.clone();
        longer.push(1);
        disk.write_file(name, &longer);
        let what = format!("{name} with a byte more");
        assert!(check(disk, &what).is_damaged(), "{what}: fsck says nothing");
        sound.is_never_served(disk, &what);
        disk.write_file(name, bytes);
    });
}

#[test]
fn every_missing_file_is_found() {
    let sound = Sound::new();
    let jobs: Vec<usize> = (0..sound.files.len()).collect();
    sound.each(&jobs, |disk, &file| {
        let (name, bytes) = &sound.files[file];
        disk.remove_file(name);
        let what = format!("without {name}");
        let report = check(disk, &what);
        match name.as_str() {
            // It looks as if it had not been closed, which is no damage.
            "closed" => assert_eq!(report.count(Severity::Note), 1, "{what}: {report:?}"),
            _ => assert!(report.is_damaged(), "{what}: fsck says nothing"),
        }
        sound.is_never_served(disk, &what);
        disk.write_file(name, bytes);
    });
}

#[test]
fn a_file_in_the_place_of_another_is_found() {
    let sound = Sound::new();
    let names: Vec<usize> = (0..sound.files.len()).collect();
    let jobs: Vec<(usize, usize)> = names
        .iter()
        .flat_map(|place| names.iter().map(move |file| (*place, *file)))
        .filter(|(place, file)| place != file)
        .collect();
    sound.each(&jobs, |disk, &(place, file)| {
        let (name, bytes) = &sound.files[place];
        let (other_name, other) = &sound.files[file];
        disk.write_file(name, other);
        let what = format!("{other_name} in the place of {name}");
        assert!(check(disk, &what).is_damaged(), "{what}: fsck says nothing");
        sound.is_never_served(disk, &what);
        disk.write_file(name, bytes);
    });
}

#[test]
fn damage_names_who_is_hit() {
    let sound = Sound::new();
    let disk = sound.disk.snapshot();
    // The data of an object.
    let (name, bytes) = sound.files.iter().find(|(name, _)| name == "log-00000002").expect("it is");
    let at = bytes.windows(6).position(|window| window == b"hhhhhh").expect("its data");
    disk.flip(name, at as u64, 3);
    let report = check(&disk, "data flipped");
    let [finding] = &report.findings[..] else { panic!("one finding: {report:#?}") };
    assert_eq!(finding.file, format!("memory:{name}"));
    assert_eq!(
        finding.to_string().split_once("expected ").map(|(_, expected)| expected),
        Some(
            "the checksum of a record's body; \
             hit: oid 0000000000000003 of tid 00000000000002bf"
        )
    );
}

/// A database without damage.
struct Sound {
    disk: MemoryDisk,
    files: Vec<(String, Vec<u8>)>,
    listing: String,
}

impl Sound {
    fn new() -> Self {
        let disk = sample::make();
        let report = check(&disk, "nothing is damaged");
        assert!(report.findings.is_empty(), "{report:#?}");
        let engine = open(&disk).expect("it is sound");
        let listing = sample::listing(&engine, ReadMode::Calls).expect("it is sound");
        let files = sample::files(&disk);
        Self { disk, files, listing }
    }

    /// Does all jobs, on as many threads as there are processors, each with a disk of its own.
    fn each<T: Sync>(&self, jobs: &[T], act: impl Fn(&MemoryDisk, &T) + Sync) {
        let next = AtomicUsize::new(0);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let disk = self.disk.snapshot();
                    while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        act(&disk, job);
                    }
                });
            }
        });
    }

    /// Opens and reads everything: an error that says that files are damaged, or the truth.
    fn is_never_served(&self, disk: &MemoryDisk, what: &str) {
        for mode in [ReadMode::Calls, ReadMode::Mapped] {
            match open(disk).and_then(|engine| sample::listing(&engine, mode)) {
                Ok(listing) => assert!(listing == self.listing, "{what}: other data"),
                Err(Error::NoDatabase { .. }) => {}
                Err(error) => assert!(error.is_damage(), "{what}: {error}"),
            }
        }
    }
}

fn open(disk: &MemoryDisk) -> engine::Result<Engine> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    // Little is pinned, so that blocks are read when they are needed.
    let options = Options { pinned_bytes_max: 100, ..Options::default() };
    Engine::open(disk, options, OpenMode::ReadOnly)
}

fn check(disk: &MemoryDisk, what: &str) -> Report {
    let fsck = Fsck::new(Arc::new(disk.clone()));
    let report = fsck.run(&mut |_| ControlFlow::Continue(()));
    let report = report.unwrap_or_else(|error| panic!("{what}: fsck could not run: {error}"));
    assert!(report.is_complete);
    report
}
