//! A master, storages and clients that know each other.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use engine::disk::MemoryDisk;
use model::{Now, Random};

use super::audit::{Auditor, Findings};
use super::bank::{Ledger, Teller};
use super::hosts::{
    MasterHost, StorageHost, client, client_address, master_address, storage_address,
};
use super::machines::Machines;
use super::process::{Actor, Host, ProcessId};
use super::whole::World;
use crate::node::Node;

/// How large a cluster is.
#[derive(Clone, Copy, Debug)]
pub struct ClusterOptions {
    /// Storages.
    pub storages: u32,
    /// Copies of each partition besides the first.
    pub replicas: u32,
    /// Partitions.
    pub partitions: u32,
    /// Programs that move money.
    pub tellers: u32,
    /// Accounts that they move it between.
    pub accounts: u64,
    /// Transfers that they try.
    pub transfers: u64,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self { storages: 2, replicas: 1, partitions: 4, tellers: 2, accounts: 4, transfers: 20 }
    }
}

/// A cluster in a world of its own.
pub struct Cluster {
    /// The world.
    pub world: World,
    /// What tellers did.
    pub ledger: Rc<RefCell<Ledger>>,
    /// The master.
    pub master: ProcessId,
    /// The storages.
    pub storages: Vec<ProcessId>,
    /// The tellers.
    pub tellers: Vec<ProcessId>,
    options: ClusterOptions,
}

impl Cluster {
    /// Adds all processes to a new world, and starts none of them.
    pub fn new(seed: u64, options: ClusterOptions) -> Self {
        let mut world = World::new(seed);
        let mut random = Random::from_seed(seed).split();
        let ledger = Ledger::new(options.accounts, options.transfers);
        let ClusterOptions { storages, replicas, partitions, .. } = options;
        let master = MasterHost { partitions, replicas, storages, seed: random.next_u64() };
        let master = world.add("M1", master_address(), Box::new(master));
        let storages = (1..=options.storages).map(|number| {
            let (machines, random) = (Machines::default(), random.split());
            let host = Box::new(StorageHost { number, machines, random });
            world.add(&format!("S{number}"), storage_address(number), host)
        });
        let storages = storages.collect();
        let tellers = (1..=options.tellers).map(|number| {
            let (ledger, random) = (Rc::clone(&ledger), random.split());
            let host = TellerHost { number, lives: 0, ledger, random };
            world.add(&format!("C{number}"), client_address(number), Box::new(host))
        });
        let tellers = tellers.collect();
        Self { world, ledger, master, storages, tellers, options }
    }

    /// Starts all that do not run.
    pub fn start(&mut self) {
        let mut all = vec![self.master];
        all.extend(self.storages.iter().chain(&self.tellers));
        for process in all {
            if !self.world.is_running(process) {
                self.world.start(process);
            }
        }
    }

    /// Has everything be read, and compares it with what the tellers know. All processes have to
    /// run or start by themselves.
    ///
    /// # Panics
    /// If anything is not as it must be, or cannot be read within `limit`.
    pub fn audit(&mut self, limit: Duration) {
        let findings = Rc::new(RefCell::new(Findings::default()));
        let number =
            1000 + u32::try_from(self.world.elapsed().as_millis() % 10_000).expect("small");
        let accounts = self.options.accounts;
        let host = AuditorHost { findings: Rc::clone(&findings), accounts };
        let auditor = self.world.add("auditor", client_address(number), Box::new(host));
        self.world.start(auditor);
        let is_over = self.world.run_until(limit, |_| findings.borrow().is_over());
        assert!(is_over, "the database can be read; what happened last:\n{}", self.world.trace());
        self.world.kill(auditor);
        findings.borrow().check(&self.ledger.borrow());
    }
}

struct TellerHost {
    number: u32,
    lives: u32,
    ledger: Rc<RefCell<Ledger>>,
    random: Random,
}

impl Host for TellerHost {
    fn open(&mut self, _: &MemoryDisk, now: Now) -> Result<Box<dyn Node>, String> {
        Ok(Box::new(client(self.random.next_u64(), now)))
    }

    fn actor(&mut self) -> Option<Box<dyn Actor>> {
        self.lives += 1;
        let name = format!("teller {}/{}", self.number, self.lives);
        let teller = Teller::new(&name, Rc::clone(&self.ledger), self.random.split());
        Some(Box::new(teller))
    }
}

struct AuditorHost {
    findings: Rc<RefCell<Findings>>,
    accounts: u64,
}

impl Host for AuditorHost {
    fn open(&mut self, _: &MemoryDisk, now: Now) -> Result<Box<dyn Node>, String> {
        Ok(Box::new(client(1, now)))
    }

    fn actor(&mut self) -> Option<Box<dyn Actor>> {
        Some(Box::new(Auditor::new(self.accounts, Rc::clone(&self.findings))))
    }
}
