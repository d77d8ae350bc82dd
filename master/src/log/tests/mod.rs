//! The log on a disk that loses power, fails and flips bits.

mod damage;
mod faults;
mod golden;

use std::sync::Arc;

use engine::disk::{Directory, DirectoryOptions, Disk, MemoryDisk, OpenMode};
use model::{
    CellChange, CellState, ClusterState, Nid, NodeType, Oid, PartitionCount, PartitionId,
    PartitionTable, Random, Tid,
};
use net::Address;

use super::codec;
use super::command::Command;
use super::ledger::Ledger;
use super::remembered::Remembered;
use crate::error::Error;

fn open(disk: &MemoryDisk) -> Result<Ledger, Error> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Ledger::open(Some(disk), &mut Random::from_seed(7))
}

fn commands() -> Vec<Command> {
    let nid = Nid::of(NodeType::Storage, 1);
    let table = PartitionTable::of_one_storage(PartitionCount::new(3).unwrap(), nid);
    let other = Nid::of(NodeType::Storage, 2);
    let partition = PartitionId::new(2);
    let state = CellState::OutOfDate;
    let changes = vec![CellChange { partition, nid: other, state }];
    let address = Some(Address { host: "::1".to_owned(), port: 10 });
    vec![
        Command::Cluster { name: "caf\u{e9}".to_owned(), id: [9; 16] },
        Command::Table(table.clone()),
        Command::TableChange { id: table.id().next(), replicas: 1, changes },
        Command::Storage { nid, address },
        Command::Storage { nid: other, address: None },
        Command::Forget { nid: other },
        Command::Oids(Oid::MAX),
        Command::Tids(Tid::MAX),
        Command::Released { oid: Oid::new(500), tid: Tid::new(700) },
        Command::PackSigned { id: Tid::new(5), approved: true },
        Command::PackSigned { id: Tid::new(6), approved: false },
        Command::PackCompleted { id: Tid::new(5) },
        Command::Truncate(Some(Tid::new(77))),
        Command::Truncate(None),
        Command::State(ClusterState::Stopping),
        Command::LateTruncation { nid, tid: Some(Tid::new(78)) },
        Command::LateTruncation { nid: other, tid: Some(Tid::new(79)) },
        Command::LateTruncation { nid: other, tid: None },
        Command::Foreign,
        Command::KeptNid(Nid::of(NodeType::Storage, 7)),
    ]
}

fn all() -> Remembered {
    let mut remembered = Remembered::default();
    for command in commands() {
        remembered.apply(&command).unwrap();
    }
    remembered
}

#[test]
fn commands_keep_their_bytes_and_nothing_else_is_one() {
    for command in commands() {
        let bytes = codec::encode(&command);
        assert_eq!(codec::decode(&bytes), Some(command.clone()));
        for length in 0..bytes.len() {
            assert_ne!(codec::decode(&bytes[..length]), Some(command.clone()));
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(codec::decode(&longer), None);
    }
    let mut random = Random::from_seed(3);
    for _ in 0..20_000 {
        let length = random.index(60);
        codec::decode(&random.bytes(length));
    }
}

#[test]
fn a_snapshot_is_what_all_commands_come_to() {
    let mut copy = Remembered::default();
    for command in all().commands() {
        copy.apply(&command).unwrap();
    }
    assert_eq!(copy, all());
}

#[test]
fn what_was_proposed_is_there_after_a_restart() {
    let disk = MemoryDisk::new(1);
    let mut ledger = open(&disk).unwrap();
    for command in commands() {
        ledger.propose(command);
    }
    assert!(!ledger.is_settled());
    assert_eq!(*ledger.remembered(), Remembered::default(), "nothing is durable yet");
    ledger.wait().unwrap();
    assert_eq!(*ledger.remembered(), all());
    drop(ledger);
    for _ in 0..4 {
        let mut ledger = open(&disk.lose_all_unsynced()).unwrap();
        assert_eq!(*ledger.remembered(), all());
        ledger.propose(Command::State(ClusterState::Stopping));
        ledger.wait().unwrap();
        drop(open(&disk).unwrap());
    }
}

#[test]
fn files_take_turns_when_one_is_long() {
    let disk = MemoryDisk::new(1);
    let mut ledger = open(&disk).unwrap();
    for round in 0..60_000 {
        ledger.propose(Command::Oids(Oid::new(round)));
        if round % 97 == 0 {
            ledger.wait().unwrap();
        }
    }
    ledger.wait().unwrap();
    assert!(disk.total_bytes() < 300 << 10, "{}", disk.total_bytes());
    drop(ledger);
    let ledger = open(&disk.lose_all_unsynced()).unwrap();
    assert_eq!(ledger.remembered().reserved_oid, Oid::new(59_999));
}

/// A power cut at any operation: what was settled is there, and of the rest a beginning.
#[test]
fn a_power_cut_loses_nothing_that_was_settled() {
    for seed in 0..400 {
        let mut random = Random::from_seed(seed);
        let mut disk = MemoryDisk::new(seed);
        let (mut settled, mut proposed) = (0, 0);
        for _ in 0..4 {
            let at = disk.operations() + random.below(40);
            disk.schedule(at, engine::disk::Fault::Crash);
            if let Ok(mut ledger) = open(&disk) {
                let found = ledger.remembered().reserved_oid.get();
                assert!((settled..=proposed).contains(&found), "seed {seed}: {found}");
                settled = found;
                proposed = found;
                for _ in 0..random.below(30) {
                    proposed += 1;
                    ledger.propose(Command::Oids(Oid::new(proposed)));
                    if random.chance(1, 3) {
                        if ledger.wait().is_err() {
                            break;
                        }
                        settled = proposed;
                    }
                }
            }
            disk = disk.crash_image(random.next_u64());
        }
        let ledger = open(&disk).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let found = ledger.remembered().reserved_oid.get();
        assert!((settled..=proposed).contains(&found), "seed {seed}: {found}");
    }
}

/// A directory has one master: the lock lasts as long as the log is open.
#[test]
fn a_directory_is_opened_once() {
    let directory = tempfile::tempdir().unwrap();
    let lock = || {
        let options = DirectoryOptions::default();
        Directory::open(directory.path(), OpenMode::ReadWrite, options)
    };
    let disk: Arc<dyn Disk> = Arc::new(lock().unwrap());
    let mut ledger = Ledger::open(Some(disk), &mut Random::from_seed(7)).unwrap();
    let refused = lock().unwrap_err().to_string();
    assert!(refused.ends_with("is open in another process"), "{refused}");
    ledger.propose(Command::Oids(Oid::new(5)));
    ledger.wait().unwrap();
    drop(ledger);
    let disk: Arc<dyn Disk> = Arc::new(lock().unwrap());
    let ledger = Ledger::open(Some(disk), &mut Random::from_seed(7)).unwrap();
    assert_eq!(ledger.remembered().reserved_oid, Oid::new(5));
}
