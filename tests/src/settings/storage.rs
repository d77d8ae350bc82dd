//! Scripts of storages.

use std::time::Duration;

use engine::disk::{Fault, MemoryDisk};
use model::{Nid, Now};
use storaged::{Storage, StorageOptions};

use super::words::Words;
use crate::database::open_database;
use crate::node::Node;
use crate::script::Setting;

/// A storage that listens on 127.0.0.1:2001 and knows a master at 127.0.0.1:2000.
///
/// Options: `cluster` (`test`), `nid`, `new_nid` (`false`). `do full` fills its disk, `do space`
/// gives it space again.
pub struct StorageSetting {
    disk: MemoryDisk,
}

impl Default for StorageSetting {
    fn default() -> Self {
        Self { disk: MemoryDisk::new(1) }
    }
}

impl Setting for StorageSetting {
    fn open(&mut self, options: &str, now: Now) -> Result<Box<dyn Node>, String> {
        let mut words = Words::parse(options)?;
        let options = StorageOptions {
            cluster: words.take("cluster", String::from("test"))?,
            address: "127.0.0.1:2001".parse().expect("an address"),
            masters: vec!["127.0.0.1:2000".parse().expect("an address")],
            nid: words.take_some("nid")?.map(Nid::new),
            device_path: Vec::new(),
            new_nid: words.take("new_nid", false)?,
            disable_pack: false,
            disable_drop_partitions: false,
            reconnect_delay: Duration::from_secs(1),
        };
        words.end()?;
        let engine = open_database(&self.disk).map_err(|error| error.to_string())?;
        let storage = Storage::open(options, engine, now).map_err(|error| error.to_string())?;
        Ok(Box::new(storage))
    }

    fn disk(&mut self) -> Option<&mut MemoryDisk> {
        Some(&mut self.disk)
    }

    fn operate(&mut self, _: &mut dyn Node, _: Now, words: &str) -> Result<(), String> {
        match words {
            "full" => self.disk.schedule(self.disk.operations(), Fault::Full),
            "space" => self.disk.set_capacity(None),
            _ => return Err(format!("a storage cannot be asked to {words}")),
        }
        Ok(())
    }

    fn reports(&mut self, _: &mut dyn Node) -> Vec<String> {
        Vec::new()
    }
}
