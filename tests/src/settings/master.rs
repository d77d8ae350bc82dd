//! Scripts of masters.

use std::sync::Arc;
use std::time::Duration;

use engine::disk::{Disk, MemoryDisk};
use master::{Master, MasterOptions};
use model::{Nid, Now, PartitionCount};

use super::words::Words;
use crate::node::Node;
use crate::script::Setting;

/// A master that listens on 127.0.0.1:2000.
///
/// Options: `cluster` (`test`), `masters` (itself), `partitions` (2), `replicas` (0), `autostart`,
/// `nid`, and `log`: `yes`, or `no` for one without a directory.
pub struct MasterSetting {
    disk: MemoryDisk,
}

impl Default for MasterSetting {
    fn default() -> Self {
        Self { disk: MemoryDisk::new(1) }
    }
}

impl Setting for MasterSetting {
    fn open(&mut self, options: &str, now: Now) -> Result<Box<dyn Node>, String> {
        let mut words = Words::parse(options)?;
        let partitions = words.take("partitions", 2)?;
        let has_log = words.take("log", String::from("yes"))? == "yes";
        let masters = words.take("masters", String::from("127.0.0.1:2000"))?;
        let masters = masters.split(',').map(|text| text.parse().map_err(|e| format!("{e}")));
        let options = MasterOptions {
            cluster: Some(words.take("cluster", String::from("test"))?),
            address: "127.0.0.1:2000".parse().expect("an address"),
            masters: masters.collect::<Result<_, String>>()?,
            partitions: PartitionCount::new(partitions).ok_or("partitions")?,
            replicas: words.take("replicas", 0)?,
            autostart: words.take_some("autostart")?,
            nid: words.take_some("nid")?.map(Nid::new),
            reconnect_delay: Duration::from_secs(1),
            seed: 1,
        };
        words.end()?;
        let disk = has_log.then(|| Arc::new(self.disk.clone()) as Arc<dyn Disk>);
        let master = Master::open(options, disk, now).map_err(|error| error.to_string())?;
        Ok(Box::new(master))
    }

    fn disk(&mut self) -> Option<&mut MemoryDisk> {
        Some(&mut self.disk)
    }

    fn operate(&mut self, _: &mut dyn Node, _: Now, words: &str) -> Result<(), String> {
        Err(format!("a master cannot be asked to {words}"))
    }

    fn reports(&mut self, _: &mut dyn Node) -> Vec<String> {
        Vec::new()
    }
}
