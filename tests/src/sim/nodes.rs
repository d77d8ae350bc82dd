//! The processes of a run.

use std::cell::RefCell;
use std::rc::Rc;

use model::Random;

use super::history::History;
use super::setting::Setting;
use crate::world::{
    MasterHost, ProcessId, StorageHost, World, client_address, master_address, storage_address,
};

/// The processes of a run, by what they are.
#[derive(Clone, Debug)]
pub struct Nodes {
    /// The master.
    pub master: ProcessId,
    /// The storages.
    pub storages: Vec<ProcessId>,
    /// The programs, each with its client.
    pub programs: Vec<ProcessId>,
}

impl Nodes {
    /// Adds all processes to a world, and starts none of them.
    pub(super) fn add(
        world: &mut World,
        setting: &Setting,
        history: &Rc<RefCell<History>>,
    ) -> Self {
        let mut random = Random::from_seed(setting.seed).split();
        let Setting { storages, replicas, partitions, machines, .. } = *setting;
        let mut beside = Random::from_seed(!setting.seed).split();
        world.set_dark(machines.goes_dark);
        let master = MasterHost { partitions, replicas, storages, seed: random.next_u64() };
        let master = world.add("M1", master_address(), Box::new(master));
        let storages = (1..=storages).map(|number| {
            let random = beside.split();
            let host = Box::new(StorageHost { number, machines, random });
            world.add(&format!("S{number}"), storage_address(number), host)
        });
        let storages = storages.collect();
        let hosts = setting.plan.hosts(history).into_iter().zip(1..);
        let programs = hosts
            .map(|(host, number)| world.add(&format!("C{number}"), client_address(number), host));
        Self { master, storages, programs: programs.collect() }
    }

    /// All of them.
    pub fn all(&self) -> Vec<ProcessId> {
        let mut all = vec![self.master];
        all.extend(self.storages.iter().chain(&self.programs));
        all
    }
}
