//! How nodes of each kind are started.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use client::{Client, ClientOptions};
use engine::disk::{Disk, MemoryDisk};
use master::{Master, MasterOptions};
use model::{Now, PartitionCount, Random};
use net::Address;
use storaged::{Storage, StorageOptions};

use super::machines::{Beside, Machines};
use super::process::Host;
use crate::database::open_database;
use crate::node::Node;

/// Name of the cluster.
pub(super) const NAME: &str = "world";
/// Nodes try again soon, as tests do not like to wait.
const RECONNECT_DELAY: Duration = Duration::from_millis(100);

/// Where the master is.
pub(crate) fn master_address() -> Address {
    address(1000)
}

/// Where a storage is; they are counted from 1.
pub(crate) fn storage_address(number: u32) -> Address {
    address(2000 + number)
}

/// Where a client is; they are counted from 1.
pub(crate) fn client_address(number: u32) -> Address {
    address(3000 + number)
}

/// Where an operator is.
pub(crate) fn operator_address() -> Address {
    address(4000)
}

fn address(port: u32) -> Address {
    Address { host: String::from("10.0.0.1"), port: u16::try_from(port).expect("a port") }
}

/// Starts a master.
pub(crate) struct MasterHost {
    /// Partitions of the new database.
    pub(crate) partitions: u32,
    /// Replicas of the new database.
    pub(crate) replicas: u32,
    /// Storages that make the new database.
    pub(crate) storages: u32,
    /// Of what is random.
    pub(crate) seed: u64,
}

impl Host for MasterHost {
    fn open(&mut self, disk: &MemoryDisk, now: Now) -> Result<Box<dyn Node>, String> {
        // Another log has another id.
        self.seed = self.seed.wrapping_add(1);
        let options = MasterOptions {
            cluster: Some(NAME.to_owned()),
            address: master_address(),
            masters: vec![master_address()],
            partitions: PartitionCount::new(self.partitions).expect("a number of them"),
            replicas: self.replicas,
            autostart: Some(self.storages),
            nid: None,
            reconnect_delay: RECONNECT_DELAY,
            seed: self.seed,
        };
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let master = Master::open(options, Some(disk), now).map_err(|error| error.to_string())?;
        Ok(Box::new(master))
    }
}

/// Starts a storage.
pub(crate) struct StorageHost {
    /// Which one.
    pub(crate) number: u32,
    /// What its machine is like.
    pub(crate) machines: Machines,
    /// Of how fast that is.
    pub(crate) random: Random,
}

impl Host for StorageHost {
    fn open(&mut self, disk: &MemoryDisk, now: Now) -> Result<Box<dyn Node>, String> {
        let options = StorageOptions {
            cluster: NAME.to_owned(),
            address: storage_address(self.number),
            masters: vec![master_address()],
            nid: None,
            device_path: Vec::new(),
            new_nid: false,
            disable_pack: true,
            disable_drop_partitions: false,
            reconnect_delay: RECONNECT_DELAY,
        };
        let disk = disk.clone().with_faults(self.machines.reading(&mut self.random));
        let engine = open_database(&disk).map_err(|error| error.to_string())?;
        let storage = Storage::open(options, engine, now);
        let mut storage = storage.map_err(|error| error.to_string())?;
        if self.machines.works_beside {
            storage.set_background(Box::new(Beside::new(self.random.split())));
        }
        Ok(Box::new(storage))
    }

    fn close(&mut self, node: Box<dyn Node>, exit: &str) -> Result<(), String> {
        let node: Box<dyn Any> = node;
        let storage = node.downcast::<Storage>().expect("it is a storage");
        match exit.starts_with("Failed") {
            true => Ok(()),
            false => storage.close().map_err(|error| error.to_string()),
        }
    }
}

/// How long half of all clients avoid a storage that failed: they soon ask it again.
const AVOID_DELAY: Duration = Duration::from_millis(50);
/// What half of the clients keep: so little that something is evicted.
const CACHE_BYTES: u64 = 64 << 10;

/// A client for a program.
pub(crate) fn client(seed: u64, now: Now) -> Client {
    let options = ClientOptions::new(NAME, vec![master_address()]);
    let options = ClientOptions {
        reconnect_delay: RECONNECT_DELAY,
        cache_bytes: if seed.is_multiple_of(2) { CACHE_BYTES } else { 0 },
        avoid_delay: if seed & 2 == 0 { AVOID_DELAY } else { options.avoid_delay },
        seed,
        ..options
    };
    Client::new(options, now)
}
