//! Power cuts, killed processes, errors and full disks at each I/O of the log's life, the turns of
//! its files included, with a table longer than a sector.

use std::time::Duration;

use engine::disk::{Fault, MemoryDisk};
use model::{Nid, NodeType, Oid, PartitionCount, PartitionTable, Random};

use super::super::command::Command;
use super::super::ledger::Ledger;
use super::open;
use crate::error::Error;

/// Changes of one life: enough for the files to take turns.
const CHANGES: u64 = 30;

/// What was proposed and what was settled, over all lives.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    settled: u64,
    proposed: u64,
}

impl Known {
    /// Opens the log and checks what is in it.
    fn open(&mut self, disk: &MemoryDisk, what: &str) -> Result<Ledger, Error> {
        let ledger = open(disk)?;
        let found = ledger.remembered().reserved_oid.get();
        assert!((self.settled..=self.proposed).contains(&found), "{what}: {found}, {self:?}");
        let table = &ledger.remembered().table;
        assert!(found == 0 || *table == Some(self::table()), "{what}");
        *self = Self { settled: found, proposed: found };
        Ok(ledger)
    }

    /// Proposes and settles changes, until something fails.
    fn go_on(&mut self, ledger: &mut Ledger) -> Result<(), Error> {
        let mut now = Duration::ZERO;
        for _ in 0..CHANGES {
            self.proposed += 1;
            ledger.propose(Command::Table(table()));
            ledger.propose(Command::Oids(Oid::new(self.proposed)));
            while !ledger.is_settled() {
                now += Duration::from_millis(100);
                assert!(now < Duration::from_secs(1000), "it waits for ever");
                ledger.poll(now)?;
            }
            self.settled = self.proposed;
        }
        Ok(())
    }

    /// Opens the log and goes on.
    fn live(&mut self, disk: &MemoryDisk, what: &str) -> Result<(), Error> {
        let mut ledger = self.open(disk, what)?;
        let result = self.go_on(&mut ledger);
        if let Err(error) = &result {
            // Nothing that comes afterwards is acknowledged, and nothing is written any more.
            let operations = disk.operations();
            for _ in 0..3 {
                ledger.propose(Command::Oids(Oid::new(self.proposed)));
                let again = ledger.poll(Duration::from_secs(2000)).unwrap_err();
                assert_eq!(again.to_string(), error.to_string(), "{what}");
                assert!(!ledger.is_settled(), "{what}");
            }
            assert_eq!(disk.operations(), operations, "{what}");
        }
        result
    }
}

fn table() -> PartitionTable {
    let nid = Nid::of(NodeType::Storage, 1);
    PartitionTable::of_one_storage(PartitionCount::new(300).unwrap(), nid)
}

/// How many operations a life has.
fn operations(disk: &MemoryDisk, known: Known) -> u64 {
    let (copy, mut known) = (disk.snapshot(), known);
    known.live(&copy, "whole").unwrap();
    copy.operations()
}

/// An empty disk, and one with a log.
fn beginnings() -> [(MemoryDisk, Known); 2] {
    let mut known = Known::default();
    let disk = MemoryDisk::new(1);
    known.live(&disk, "first").unwrap();
    [(MemoryDisk::new(1), Known::default()), (disk.snapshot(), known)]
}

#[test]
fn a_power_cut_at_each_operation() {
    for (disk, known) in beginnings() {
        for at in 0..operations(&disk, known) {
            let (copy, mut known) = (disk.snapshot(), known);
            copy.schedule(at, Fault::Crash);
            // The last one only testifies: nobody waits for it.
            let _ = known.live(&copy, "cut");
            assert!(copy.is_crashed(), "{at}");
            for seed in 0..3 {
                let what = format!("cut at {at}, image {seed}");
                let (image, mut known) = (copy.crash_image(seed), known);
                known.open(&image, &what).unwrap_or_else(|error| panic!("{what}: {error}"));
            }
        }
    }
}

/// A process that is killed leaves what is in the page cache only. The next one must not rely on
/// it.
#[test]
fn a_killed_process_and_then_a_power_cut() {
    let mut random = Random::from_seed(5);
    for (disk, known) in beginnings() {
        for at in 0..operations(&disk, known) {
            let (copy, mut known) = (disk.snapshot(), known);
            copy.schedule(at, Fault::Crash);
            let _ = known.live(&copy, "killed");
            for _ in 0..3 {
                let then = random.below(12);
                let what = format!("killed at {at}, then cut at {then}");
                let (copy, mut known) = (copy.keep_all(), known);
                copy.schedule(then, Fault::Crash);
                let _ = known.live(&copy, &what);
                let image = copy.crash_image(random.next_u64());
                known.open(&image, &what).unwrap_or_else(|error| panic!("{what}: {error}"));
            }
        }
    }
}

/// After an error nothing is acknowledged; a process that begins anew, and loses power then, has
/// all that was.
#[test]
fn an_error_at_each_operation() {
    let faults = [Fault::WriteError, Fault::SyncError, Fault::SyncNoSpace];
    let mut random = Random::from_seed(6);
    for (disk, known) in beginnings() {
        for (at, fault) in
            (0..operations(&disk, known)).flat_map(|at| faults.map(|fault| (at, fault)))
        {
            let what = format!("{fault:?} at {at}");
            let (copy, mut known) = (disk.snapshot(), known);
            copy.schedule(at, fault);
            let _ = known.live(&copy, &what);
            let (again, mut known_again) = (copy.keep_all(), known);
            again.schedule(random.below(12), Fault::Crash);
            let _ = known_again.live(&again, &what);
            for (image, mut known) in
                [(copy.crash_image(1), known), (again.crash_image(random.next_u64()), known_again)]
            {
                known.open(&image, &what).unwrap_or_else(|error| panic!("{what}: {error}"));
            }
        }
    }
}

/// Short writes are continued; what finds no space once is written later.
#[test]
fn a_short_write_and_a_moment_without_space_at_each_operation() {
    for (disk, known) in beginnings() {
        for at in 0..operations(&disk, known) {
            for fault in [Fault::ShortWrite, Fault::NoSpace] {
                let what = format!("{fault:?} at {at}");
                let (copy, mut known) = (disk.snapshot(), known);
                copy.schedule(at, fault);
                match known.live(&copy, &what) {
                    Ok(()) => {}
                    // Only a process that has not begun yet refuses to.
                    Err(error) => {
                        assert!(
                            fault == Fault::NoSpace && known.proposed <= known.settled,
                            "{what}: {error}"
                        );
                    }
                }
                known.open(&copy.crash_image(1), &what).unwrap();
            }
        }
    }
}

/// What is allocated is enough: a disk that is full from any moment on does not matter.
#[test]
fn a_disk_that_is_full_from_each_operation_on() {
    let [_, (disk, known)] = beginnings();
    for at in 0..operations(&disk, known) {
        let what = format!("full from {at} on");
        let (copy, mut known) = (disk.snapshot(), known);
        copy.schedule(at, Fault::Full);
        known.live(&copy, &what).unwrap_or_else(|error| panic!("{what}: {error}"));
        known.live(&copy, &what).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
}

/// A table that grows when the disk is full waits, and is written when there is space.
#[test]
fn what_finds_no_space_waits_for_it() {
    let disk = MemoryDisk::new(1);
    let mut ledger = open(&disk).unwrap();
    let nid = Nid::of(NodeType::Storage, 1);
    let table = PartitionTable::of_one_storage(PartitionCount::new(20_000).unwrap(), nid);
    ledger.propose(Command::Oids(Oid::new(1)));
    ledger.wait().unwrap();
    disk.set_capacity(Some(disk.allocated_bytes()));
    ledger.propose(Command::Oids(Oid::new(2)));
    ledger.propose(Command::Table(table.clone()));
    let mut now = Duration::ZERO;
    for _ in 0..20 {
        now += Duration::from_secs(1);
        ledger.poll(now).unwrap();
    }
    assert!(!ledger.is_settled());
    assert_eq!(ledger.remembered().table, None);
    assert!(ledger.deadline().is_some_and(|deadline| deadline <= now + Duration::from_secs(1)));
    assert_eq!(open(&disk.lose_all_unsynced()).unwrap().remembered().reserved_oid, Oid::new(1));
    disk.set_capacity(None);
    for _ in 0..4 {
        now += Duration::from_secs(1);
        ledger.poll(now).unwrap();
    }
    assert!(ledger.is_settled() && ledger.deadline().is_none());
    drop(ledger);
    let ledger = open(&disk.lose_all_unsynced()).unwrap();
    assert_eq!(ledger.remembered().reserved_oid, Oid::new(2));
    assert_eq!(ledger.remembered().table, Some(table));
}
