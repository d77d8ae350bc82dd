//! Imports on a disk that is cut off power at any moment.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::disk::{Fault, MemoryDisk};
use engine::{Engine, Error, OpenMode, Options};
use model::{PartitionCount, Random};

use super::{ImportArgs, Imported, import_to};
use crate::database::{BackendArg, Database, DiskArgs};
use crate::dump::{Hashes, ReplayError, Summary, replay};
use crate::failure::Failure;
use crate::filestorage::Reader;
use crate::interrupt::Interrupt;
use crate::records;

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/sample/sample.fs")
}

fn import(disk: &MemoryDisk, partitions: PartitionCount) -> Result<Imported, Failure> {
    let args = ImportArgs {
        source: sample(),
        directory: PathBuf::from("memory"),
        storages: 1,
        replicas: 0,
        partitions: Some(partitions),
        name: None,
        json: false,
        disk: DiskArgs { disk_backend: BackendArg::Auto, disk_delay_us: 0 },
    };
    let reader = Reader::open(&args.source)?;
    import_to(Arc::new(disk.clone()), &args, None, reader, &Interrupt::default())
}

fn hashes(disk: &MemoryDisk) -> Summary {
    let disk = Arc::new(disk.clone());
    let engine = Engine::open(disk, Options::default(), OpenMode::ReadOnly).expect("it is sound");
    let database = Database::new(engine, Path::new("memory")).expect("it is whole");
    let mut hashes = Hashes::new();
    records::replay(&database, &mut hashes, |_| Ok(()), Failure::output).expect("it is whole");
    hashes.finish()
}

fn expected() -> Summary {
    let mut reader = Reader::open(sample()).expect("the sample is there");
    let mut hashes = Hashes::new();
    let replayed: Result<(), ReplayError<_>> = replay(&mut reader, &mut hashes);
    replayed.expect("the sample is sound");
    hashes.finish()
}

/// Operations of the disk for an import that nothing happens to.
fn operations(partitions: PartitionCount) -> u64 {
    let disk = MemoryDisk::new(0);
    import(&disk, partitions).expect("nothing happens");
    disk.operations()
}

#[test]
fn an_import_goes_on_after_every_power_cut() {
    let expected = expected();
    let mut resumed = 0;
    for seed in 0..50 {
        let mut random = Random::from_seed(seed);
        let counts = [1, 12, 100].map(|count| PartitionCount::new(count).expect("it is legal"));
        let partitions = *random.choose(&counts).expect("there are some");
        let mut disk = MemoryDisk::new(seed);
        let moments = operations(partitions);
        loop {
            disk.schedule(random.below(moments + 1), Fault::Crash);
            let imported = import(&disk, partitions);
            if !disk.is_crashed() {
                resumed +=
                    u64::from(imported.expect("nothing has happened").resumed_after.is_some());
                break;
            }
            disk = match random.below(3) {
                0 => disk.lose_all_unsynced(),
                _ => disk.crash_image(random.next_u64()),
            };
            if is_complete(&disk) {
                break;
            }
        }
        assert_eq!(hashes(&disk), expected, "seed {seed}");
    }
    assert!(resumed > 10, "only {resumed} imports had something to go on after");
}

/// Whether an import had come to its end, but for the last steps.
fn is_complete(disk: &MemoryDisk) -> bool {
    let disk = Arc::new(disk.clone());
    match Engine::open(disk, Options::default(), OpenMode::ReadOnly) {
        Ok(engine) => engine.metadata().get(engine::MetadataKey::Import).is_none(),
        Err(Error::NoDatabase { .. }) => false,
        Err(error) => panic!("a power cut is no damage: {error}"),
    }
}
