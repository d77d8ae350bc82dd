//! Disks of storages that are lost, damaged, or of another time.
//!
//! A cluster goes on where others have what such a storage had, and cannot know better where they
//! have not. So this is done to storages only that nobody counts on: after they have ended, when
//! all others know, durably, that their cells are out of date; or in runs in which nothing else
//! goes wrong, so that another one has everything.

use std::collections::{BTreeMap, BTreeSet};

use engine::MetadataKey;
use engine::disk::{Disk, MemoryDisk};
use master::Master;
use model::{ClusterState, Nid, PartitionTable, Random};
use storaged::Storage;

use super::nodes::Nodes;
use crate::database::open_database;
use crate::world::{ProcessId, World};

/// Most bits that flip at once.
const FLIPS_MAX: u64 = 20;

/// How the disk of a storage changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// It is empty.
    Gone,
    /// It is as it was when this copy was made.
    Older(usize),
    /// Some bits are others.
    Flipped,
}

/// Disks that are to change, and those that have.
pub(super) struct Disks {
    nodes: Nodes,
    random: Random,
    /// Storages that were ended, to come back with another disk, and their ids.
    away: BTreeMap<ProcessId, Nid>,
    /// Copies of disks, by what they are for.
    copies: BTreeMap<usize, MemoryDisk>,
    /// Storages whose databases are not what they committed.
    spoiled: BTreeSet<ProcessId>,
    /// Storages that never come back.
    lost: BTreeSet<ProcessId>,
}

impl Disks {
    pub(super) fn new(nodes: &Nodes, random: Random) -> Self {
        Self {
            nodes: nodes.clone(),
            random,
            away: BTreeMap::new(),
            copies: BTreeMap::new(),
            spoiled: BTreeSet::new(),
            lost: BTreeSet::new(),
        }
    }

    /// Storages whose databases are damaged, of another time, or lost.
    pub(super) fn spoiled(&self) -> &BTreeSet<ProcessId> {
        &self.spoiled
    }

    /// Copies a disk as a system finds it that was cut off from power.
    pub(super) fn copy(&mut self, world: &World, copy: usize, process: ProcessId) {
        self.copies.insert(copy, world.disk(process).crash_image(self.random.next_u64()));
    }

    /// Whether a cluster has use for what is on the disk of a storage.
    pub(super) fn is_of_use(&self, world: &mut World, process: ProcessId) -> bool {
        let nid = world.machine::<Storage>(process).and_then(|storage| storage.nid());
        let table = table_of_master(world, self.nodes.master);
        let (Some(nid), Some(table)) = (nid, table) else { return false };
        !self.spoiled.contains(&process) && has_readable(&table, nid)
    }

    /// Ends a storage, to change its disk, if others have everything that it has.
    pub(super) fn take_away(&mut self, world: &mut World, process: ProcessId) -> bool {
        let Some(nid) = world.machine::<Storage>(process).and_then(|storage| storage.nid()) else {
            return false;
        };
        if !self.is_spare(world, process) {
            return false;
        }
        world.kill(process);
        self.away.insert(process, nid);
        true
    }

    /// Starts the storage again, with another disk if nobody counts on the one it had. Whether it
    /// has another one.
    pub(super) fn bring_back(
        &mut self,
        world: &mut World,
        process: ProcessId,
        change: Change,
    ) -> bool {
        let Some(nid) = self.away.remove(&process) else { return false };
        let is_done = !world.is_running(process)
            && self.is_given_up(world, process, nid)
            && self.change(world, process, change);
        world.start_now(process);
        is_done
    }

    /// Forgets a storage that was taken away, if nobody counts on it any more: it is lost.
    pub(super) fn lose(&mut self, world: &mut World, process: ProcessId) -> bool {
        let Some(nid) = self.away.get(&process).copied() else { return false };
        let is_lost = self.is_given_up(world, process, nid);
        if is_lost {
            self.away.remove(&process);
            world.set_disk(process, MemoryDisk::new(self.random.next_u64()));
            self.spoiled.insert(process);
            self.lost.insert(process);
        }
        is_lost
    }

    /// Whether a storage never comes back.
    pub(super) fn is_lost(&self, process: ProcessId) -> bool {
        self.lost.contains(&process)
    }

    /// Starts a storage again that was taken away and that somebody counts on.
    pub(super) fn leave(&mut self, world: &mut World, process: ProcessId) {
        self.away.remove(&process);
        world.start_now(process);
    }

    fn change(&mut self, world: &mut World, process: ProcessId, change: Change) -> bool {
        match change {
            Change::Gone => {
                world.set_disk(process, MemoryDisk::new(self.random.next_u64()));
                self.spoiled.remove(&process);
            }
            Change::Older(copy) => {
                let Some(disk) = self.copies.remove(&copy) else { return false };
                world.set_disk(process, disk);
                self.spoiled.insert(process);
            }
            Change::Flipped => {
                self.damage(world, process);
            }
        }
        true
    }

    /// Whether each storage that a cluster counts on knows its own id, durably. In a first start
    /// that is interrupted only the log of the master has it, and without that an operator has to
    /// start the cluster without that storage, or anew.
    pub(super) fn ids_are_known(&self, world: &mut World) -> bool {
        let mut known = BTreeSet::new();
        let mut tables = Vec::new();
        tables.extend(
            world.machine::<Master>(self.nodes.master).and_then(|one| one.table().cloned()),
        );
        for process in &self.nodes.storages {
            let disk = world.disk(*process);
            let (all, durable) = (disk.keep_all(), disk.lose_all_unsynced());
            for image in [&all, &durable] {
                image.set_capacity(None);
            }
            // On damaged ones nobody counts.
            tables.extend(table_on(&all).unwrap_or_default());
            known.extend(nid_on(&durable).unwrap_or_default());
        }
        let newest = tables.iter().max_by_key(|table| table.id());
        newest.is_none_or(|table| {
            let mut partitions = table.partitions().iter();
            partitions.all(|partition| table.readable(partition).all(|nid| known.contains(&nid)))
        })
    }

    /// Flips bits of a storage's disk.
    pub(super) fn damage(&mut self, world: &World, process: ProcessId) {
        let disk = world.disk(process).clone();
        for _ in 0..=self.random.below(FLIPS_MAX) {
            self.flip(&disk);
        }
        self.spoiled.insert(process);
    }

    fn flip(&mut self, disk: &MemoryDisk) {
        let names = disk.list().expect("it is in memory");
        let Some(name) = self.random.choose(&names) else { return };
        let length = disk.read_file(name).map_or(0, |data| data.len());
        if length > 0 {
            let offset = self.random.below(u64::try_from(length).expect("a length fits 64 bits"));
            let bit = u32::try_from(self.random.below(8)).expect("a small number");
            disk.flip(name, offset, bit);
        }
    }

    fn others(&self, process: ProcessId) -> impl Iterator<Item = ProcessId> {
        self.nodes.storages.iter().copied().filter(move |other| *other != process)
    }

    /// Whether each partition is readable on another storage that runs.
    fn is_spare(&self, world: &mut World, process: ProcessId) -> bool {
        let storages = self.others(process);
        let nid = |other| world.machine::<Storage>(other).and_then(|storage| storage.nid());
        let others: BTreeSet<Nid> = storages.filter_map(nid).collect();
        let Some(table) = table_of_master(world, self.nodes.master) else { return false };
        let mut partitions = table.partitions().iter();
        partitions.all(|partition| table.readable(partition).any(|nid| others.contains(&nid)))
    }

    /// Whether all others know, durably, that a storage has no readable cell.
    fn is_given_up(&self, world: &mut World, process: ProcessId, nid: Nid) -> bool {
        let is_readable = |table: &PartitionTable| has_readable(table, nid);
        let master = table_of_master(world, self.nodes.master);
        let mut others = self.others(process);
        master.is_some_and(|table| !is_readable(&table))
            && others.all(|other| match table_on(&world.disk(other).lose_all_unsynced()) {
                Ok(table) => table.is_none_or(|table| !is_readable(&table)),
                Err(_) => false,
            })
    }
}

/// The table of a master that serves, if all that it has is durable.
fn table_of_master(world: &mut World, process: ProcessId) -> Option<PartitionTable> {
    let master = world.machine::<Master>(process)?;
    let is_settled = master.state() == ClusterState::Running && !master.is_writing();
    master.table().filter(|_| is_settled).cloned()
}

fn has_readable(table: &PartitionTable, nid: Nid) -> bool {
    let mut partitions = table.partitions().iter();
    partitions.any(|partition| table.readable(partition).any(|readable| readable == nid))
}

/// The table on a disk.
fn table_on(disk: &MemoryDisk) -> Result<Option<PartitionTable>, engine::Error> {
    let engine = open_database(disk)?;
    let bytes = engine.metadata().get(MetadataKey::PartitionTable);
    Ok(bytes.and_then(|bytes| PartitionTable::from_bytes(bytes).ok()))
}

/// The id of the storage whose disk it is.
fn nid_on(disk: &MemoryDisk) -> Result<Option<Nid>, engine::Error> {
    let nid = open_database(disk)?.metadata().get_u32(MetadataKey::Nid);
    Ok(nid.map(|nid| Nid::new(nid.cast_signed())))
}
