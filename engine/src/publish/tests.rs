//! Every interleaving of a writer and readers, by shuttle.

use std::sync::Arc;

use shuttle::sync::Mutex;
use shuttle::sync::atomic::{AtomicU64, Ordering};

use super::{Counter, Floor, Publication, Slot};

/// Items are sequence numbers. Tables are shared between versions and grow; `hidden` are the
/// numbers that an intent hides from its own number on, and that a merge leaves out.
#[derive(Clone)]
struct TestVersion {
    tables: Vec<Arc<Mutex<Vec<u64>>>>,
    floor: u64,
}

impl Floor for TestVersion {
    fn seq_floor(&self) -> u64 {
        self.floor
    }
}

struct TestCounter(AtomicU64);

impl Counter for TestCounter {
    fn load(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn store(&self, value: u64) {
        self.0.store(value, Ordering::SeqCst);
    }
}

struct TestSlot(Mutex<Arc<TestVersion>>);

impl Slot<TestVersion> for TestSlot {
    fn load(&self) -> Arc<TestVersion> {
        Arc::clone(&self.0.lock().expect("no panics"))
    }

    fn store(&self, value: Arc<TestVersion>) {
        *self.0.lock().expect("no panics") = value;
    }
}

type Tested = Publication<TestCounter, TestSlot>;

fn table(items: &[u64]) -> Arc<Mutex<Vec<u64>>> {
    Arc::new(Mutex::new(items.to_vec()))
}

/// Number 3 hides number 1: before 3 counts a reader sees 1, afterwards it does not.
const HIDING: u64 = 3;
const HIDDEN: u64 = 1;

fn write(publication: &Tested) {
    let mut version = TestVersion { tables: vec![table(&[])], floor: 0 };
    for seq in 1..=5 {
        if seq == 3 {
            // The table is frozen and a new one begins.
            version.tables.push(table(&[]));
            publication.set_version(Arc::new(version.clone()));
        }
        if seq == 5 {
            // A merge replaces the frozen table and leaves out what is hidden at 4.
            let merged: Vec<u64> = {
                let items = version.tables[0].lock().expect("no panics");
                items.iter().copied().filter(|seq| *seq != HIDDEN).collect()
            };
            version.tables[0] = table(&merged);
            version.floor = 4;
            publication.set_version(Arc::new(version.clone()));
        }
        version.tables.last().expect("one").lock().expect("no panics").push(seq);
        if seq == 1 {
            publication.set_version(Arc::new(version.clone()));
        }
        publication.set_visible(seq);
    }
}

fn read(publication: &Tested) {
    let mut last = 0;
    for _ in 0..3 {
        let (version, seq) = publication.snapshot();
        assert!(seq >= last, "snapshots never go back");
        last = seq;
        let mut seen: Vec<u64> = Vec::new();
        for table in &version.tables {
            let items = table.lock().expect("no panics");
            seen.extend(items.iter().filter(|item| **item <= seq));
        }
        if seq >= HIDING {
            seen.retain(|item| *item != HIDDEN);
        }
        let expected: Vec<u64> = (1..=seq).filter(|item| seq < HIDING || *item != HIDDEN).collect();
        assert_eq!(seen, expected, "at {seq}");
    }
}

#[test]
fn snapshots_are_whole_under_every_interleaving() {
    let test = || {
        let first = TestVersion { tables: Vec::new(), floor: 0 };
        let publication = Arc::new(Tested::new(
            TestCounter(AtomicU64::new(0)),
            TestSlot(Mutex::new(Arc::new(first))),
        ));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let publication = Arc::clone(&publication);
                shuttle::thread::spawn(move || read(&publication))
            })
            .collect();
        write(&publication);
        for reader in readers {
            reader.join().expect("no panics");
        }
    };
    shuttle::check_random(test, 2_000);
    shuttle::check_pct(test, 2_000, 3);
}
