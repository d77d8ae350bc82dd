//! A cluster without a storage that it needs refuses to run, and says whom it waits for.

use std::time::Duration;

use engine::MetadataKey;
use engine::disk::MemoryDisk;
use master::Master;
use model::{ClusterState, Nid, PartitionTable};

use super::broken::Broken;
use super::run::Run;
use crate::database::open_database;
use crate::world::ProcessId;

/// Which rule that is.
const RULE: &str = "a cluster does not run without what it needs";
/// Simulated time in which it does not start.
const REFUSAL: Duration = Duration::from_secs(10);

impl Run<'_> {
    /// After everything was stopped: starts all but one storage that has readable cells, then that
    /// one with an empty disk, and then as it was.
    pub(super) fn refuse(&mut self) -> Result<(), Broken> {
        let Some((process, nid)) = self.needed() else { return Ok(()) };
        self.world.note(&format!("everything starts again, without {nid}"));
        self.world.kill(self.nodes.master);
        for other in self.nodes.storages.clone() {
            if other != process && !self.breaker.spoiled().contains(&other) {
                self.world.start(other);
            }
        }
        self.world.start(self.nodes.master);
        self.world.run(REFUSAL);
        self.is_waiting_for(nid)?;
        let disk = self.world.disk(process).clone();
        self.world.set_disk(process, MemoryDisk::new(self.setting.seed));
        self.world.start(process);
        self.world.run(REFUSAL);
        self.is_waiting_for(nid)?;
        self.world.kill(process);
        self.world.set_disk(process, disk);
        self.world.start(process);
        self.wait("a cluster runs with what it needs", |run| {
            run.master().is_some_and(|master| master.state() == ClusterState::Running)
        })
    }

    fn master(&mut self) -> Option<&mut Master> {
        self.world.machine(self.nodes.master)
    }

    fn is_waiting_for(&mut self, nid: Nid) -> Result<(), Broken> {
        let Some(master) = self.master() else {
            return Err(Broken::new(RULE, "the master does not run"));
        };
        let (state, obstacle) = (master.state(), master.obstacle().unwrap_or_default());
        if state != ClusterState::Recovering {
            return Err(Broken::new(RULE, format!("it is {state} without {nid}")));
        }
        match obstacle.contains(&nid.to_string()) {
            true => Ok(()),
            false => Err(Broken::new(RULE, format!("{nid} is missing, and it says: {obstacle}"))),
        }
    }

    /// A storage that has readable cells by the newest table, and its id.
    fn needed(&self) -> Option<(ProcessId, Nid)> {
        let storages = self.nodes.storages.iter().copied();
        let storages = storages.filter(|process| !self.breaker.spoiled().contains(process));
        let known = |process: ProcessId| {
            let engine = open_database(&self.world.disk(process).snapshot()).ok()?;
            let nid = engine.metadata().get_u32(MetadataKey::Nid)?;
            let table = engine.metadata().get(MetadataKey::PartitionTable)?;
            let table = PartitionTable::from_bytes(table).ok()?;
            Some((process, Nid::new(nid.cast_signed()), table))
        };
        let all: Vec<_> = storages.filter_map(known).collect();
        let newest = all.iter().map(|(_, _, table)| table).max_by_key(|table| table.id())?;
        let has_readable = |nid: Nid| {
            let mut partitions = newest.partitions().iter();
            partitions.any(|partition| newest.readable(partition).any(|readable| readable == nid))
        };
        let needed = all.iter().find(|(_, nid, _)| has_readable(*nid));
        needed.map(|(process, nid, _)| (*process, *nid))
    }
}
