//! What single operations of the engine take, on a directory in the system's place for temporary
//! files and on the disk in memory, which shows the engine's own share.
//!
//! `cargo bench -p neolith-benches -- load` runs those with "load" in their names. Set `TMPDIR` to
//! measure another disk.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use engine::disk::{Directory, DirectoryOptions, Disk, MemoryDisk};
use engine::{
    Engine, HistoryLookup, LoadLookup, ObjectData, ObjectsLookup, OpenMode, Options, ReadMode,
    Reader, Transaction, When,
};
use model::{Oid, PartitionId, Random, Tid, Ttid};
use tempfile::TempDir;

const PARTITION: PartitionId = PartitionId::new(0);
const DATA_LENGTH: usize = 600;
/// Objects to load from. Each has two revisions.
const OBJECTS: u64 = 50_000;
const OBJECTS_A_TRANSACTION: u64 = 1000;
/// Revisions of the object that has a history.
const REVISIONS: u64 = 100;
/// An oid that no other object has.
const OID_WITH_HISTORY: Oid = Oid::new(1 << 40);

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    commit(&mut criterion);
    load(&mut criterion);
    page(&mut criterion);
    run(&mut criterion);
    recovery(&mut criterion);
    checksum(&mut criterion);
    criterion.final_summary();
}

/// Where a database is, and what has to live as long.
struct Place {
    name: &'static str,
    disk: Arc<dyn Disk>,
    _directory: Option<TempDir>,
}

impl Place {
    fn memory() -> Self {
        let disk = Arc::new(MemoryDisk::new(1));
        Self { name: "memory", disk, _directory: None }
    }

    fn directory() -> Self {
        let directory = TempDir::new().expect("a place for temporary files");
        let (mode, options) = (engine::disk::OpenMode::ReadWrite, DirectoryOptions::default());
        let disk = Directory::open(directory.path(), mode, options).expect("just made");
        Self { name: "directory", disk: Arc::new(disk), _directory: Some(directory) }
    }

    fn both() -> [Self; 2] {
        [Self::memory(), Self::directory()]
    }
}

/// A database that is being written.
struct Writer {
    engine: Engine,
    data: Bytes,
    tid: u64,
}

impl Writer {
    fn create(place: &Place, options: Options) -> Self {
        let disk = Arc::clone(&place.disk);
        let engine = Engine::create(disk, options, [1; 16], Vec::new()).expect("an empty place");
        let data = Random::from_seed(1).bytes(DATA_LENGTH).into();
        Self { engine, data, tid: 0 }
    }

    /// Stores objects and waits until they are committed.
    fn commit(&mut self, oids: impl Iterator<Item = Oid>) {
        self.tid += 1;
        let (ttid, tid) = (Ttid::new(self.tid), Tid::new(self.tid));
        let object = ObjectData { data: Some(self.data.clone()), ..ObjectData::default() };
        for oid in oids {
            self.engine.store(ttid, PARTITION, oid, &object).expect("there is space");
        }
        let transaction = Some(Transaction { ttid, ..Transaction::default() });
        self.engine.commit(self.tid, ttid, tid, PARTITION, transaction).expect("it is open");
        self.engine.wait_for(self.tid).expect("there is space");
    }

    /// All objects, in random order, several times.
    fn fill(&mut self, revisions: u64) {
        let mut oids: Vec<Oid> = (0..OBJECTS).map(Oid::new).collect();
        let mut random = Random::from_seed(2);
        for _ in 0..revisions {
            random.shuffle(&mut oids);
            let length = usize::try_from(OBJECTS_A_TRANSACTION).expect("it is small");
            for oids in oids.chunks(length) {
                self.commit(oids.iter().copied());
            }
        }
    }
}

/// Tables that hold everything, and are never written as runs.
fn all_in_tables() -> Options {
    Options { table_items_max: u64::MAX, table_log_max: u64::MAX, ..Options::default() }
}

fn commit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("commit");
    group.sample_size(20).measurement_time(Duration::from_secs(2));
    for place in Place::both() {
        for objects in [1, OBJECTS_A_TRANSACTION] {
            let mut writer = Writer::create(&place, Options::default());
            let mut next = 0;
            group.throughput(Throughput::Elements(objects));
            group.bench_function(BenchmarkId::new(place.name, objects), |bencher| {
                bencher.iter(|| {
                    writer.commit((next..next + objects).map(Oid::new));
                    next += objects;
                    if writer.engine.is_congested() {
                        writer.engine.work().expect("there is space");
                    }
                });
            });
            remove_all(writer, &place);
        }
    }
    group.finish();
}

/// Leaves an empty place.
fn remove_all(writer: Writer, place: &Place) {
    drop(writer);
    for name in place.disk.list().expect("it is there") {
        place.disk.remove(&name).expect("it was listed");
    }
}

fn load(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("load");
    group.measurement_time(Duration::from_secs(3));
    let place = Place::directory();
    let mut writer = Writer::create(&place, all_in_tables());
    writer.fill(2);
    let reader = writer.engine.reader(ReadMode::Calls);
    load_both(&mut group, "table, calls", &reader, writer.tid);
    writer.engine.close().expect("there is space");

    let disk = Arc::clone(&place.disk);
    let engine = Engine::open(disk, Options::default(), OpenMode::ReadOnly).expect("it was closed");
    for (name, mode) in [("runs, calls", ReadMode::Calls), ("runs, mapped", ReadMode::Mapped)] {
        load_both(&mut group, name, &engine.reader(mode), writer.tid);
    }
    group.finish();
}

fn load_both(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, reader: &Reader, tid_last: u64) {
    let middle = Tid::new(tid_last / 2 + 1);
    for (what, when) in [("newest", When::Newest), ("old", When::Before(middle))] {
        let mut random = Random::from_seed(3);
        group.bench_function(format!("{what}, {name}"), |bencher| {
            bencher.iter(|| {
                let oid = Oid::new(random.below(OBJECTS));
                let lookup = LoadLookup::new(reader.snapshot(), PARTITION, oid, when);
                reader.run(black_box(lookup)).expect("it is sound")
            });
        });
    }
}

fn page(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("page");
    group.measurement_time(Duration::from_secs(2));
    let place = Place::memory();
    let mut writer = Writer::create(&place, Options::default());
    for _ in 0..REVISIONS {
        writer.commit(std::iter::once(OID_WITH_HISTORY));
    }
    writer.fill(1);
    writer.engine.close().expect("there is space");
    let disk = Arc::clone(&place.disk);
    let engine = Engine::open(disk, Options::default(), OpenMode::ReadOnly).expect("it was closed");
    let reader = engine.reader(ReadMode::Calls);

    group.throughput(Throughput::Elements(REVISIONS));
    group.bench_function(format!("history of {REVISIONS} revisions"), |bencher| {
        let last = usize::try_from(REVISIONS).expect("it is small");
        bencher.iter(|| {
            let snapshot = reader.snapshot();
            let lookup = HistoryLookup::new(snapshot, PARTITION, OID_WITH_HISTORY, 0, last);
            let entries = reader.run(black_box(lookup)).expect("it is sound");
            assert_eq!(entries.len(), last, "all revisions are there");
        });
    });
    let length = 1000;
    group.throughput(Throughput::Elements(length));
    group.bench_function(format!("{length} objects by tid"), |bencher| {
        let length = usize::try_from(length).expect("it is small");
        bencher.iter(|| {
            let from = (Tid::new(REVISIONS + 10), Oid::ZERO);
            let lookup = ObjectsLookup::new(reader.snapshot(), PARTITION, from, Tid::MAX, length);
            let page = reader.run(black_box(lookup)).expect("it is sound");
            assert_eq!(page.objects.len(), length, "the page is full");
        });
    });
    group.finish();
}

/// Tables are written as runs, and runs are read from one end to the other.
fn run(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("run");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    group.throughput(Throughput::Elements(OBJECTS));
    let place = Place::memory();
    group.bench_function(format!("write {OBJECTS} objects"), |bencher| {
        let filled = || {
            let place = Place::memory();
            let mut writer = Writer::create(&place, all_in_tables());
            writer.fill(1);
            writer
        };
        bencher.iter_batched(
            filled,
            |writer| writer.engine.close().expect("there is space"),
            BatchSize::PerIteration,
        );
    });
    let mut writer = Writer::create(&place, all_in_tables());
    writer.fill(1);
    writer.engine.close().expect("there is space");
    let disk = Arc::clone(&place.disk);
    let engine = Engine::open(disk, Options::default(), OpenMode::ReadOnly).expect("it was closed");
    for (name, mode) in [("calls", ReadMode::Calls), ("mapped", ReadMode::Mapped)] {
        let reader = engine.reader(mode);
        group.bench_function(format!("read {OBJECTS} objects by tid, {name}"), |bencher| {
            bencher.iter(|| {
                let from = (Tid::ZERO, Oid::ZERO);
                let lookup =
                    ObjectsLookup::new(reader.snapshot(), PARTITION, from, Tid::MAX, usize::MAX);
                reader.run(black_box(lookup)).expect("it is sound").objects.len()
            });
        });
    }
    group.finish();
}

/// Opening a database whose process was killed.
fn recovery(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("recovery");
    group.sample_size(10).measurement_time(Duration::from_secs(2));
    for groups in [100, 10_000] {
        let disk = MemoryDisk::new(1);
        let place = Place { name: "memory", disk: Arc::new(disk.clone()), _directory: None };
        let mut writer = Writer::create(&place, all_in_tables());
        for number in 0..groups {
            writer.commit(std::iter::once(Oid::new(number)));
        }
        let killed = disk.keep_all();
        drop(writer);
        group.throughput(Throughput::Elements(groups));
        group.bench_function(format!("{groups} groups of one object"), |bencher| {
            bencher.iter(|| {
                let disk = Arc::new(killed.clone());
                Engine::open(disk, Options::default(), OpenMode::ReadOnly).expect("it is sound")
            });
        });
    }
    group.finish();
}

/// What each record and each block is checked with, to compare with all above.
fn checksum(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("checksum");
    group.measurement_time(Duration::from_secs(1));
    for length in [DATA_LENGTH, 4096, 1 << 20] {
        let bytes = Random::from_seed(4).bytes(length);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(format!("crc32c of {length} bytes"), |bencher| {
            bencher.iter(|| crc32c::crc32c_append(7, black_box(&bytes)));
        });
    }
    group.finish();
}
