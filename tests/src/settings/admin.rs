//! Scripts of admins.

use std::time::Duration;

use engine::disk::MemoryDisk;
use model::Now;
use neolith_tools::admin::{Admin, AdminOptions};

use super::words::Words;
use crate::node::Node;
use crate::script::Setting;

/// An admin that listens on 127.0.0.1:9999 and knows a master at 127.0.0.1:2000.
///
/// Options: `cluster` (`test`).
pub struct AdminSetting;

impl Setting for AdminSetting {
    fn open(&mut self, options: &str, now: Now) -> Result<Box<dyn Node>, String> {
        let mut words = Words::parse(options)?;
        let options = AdminOptions {
            cluster: words.take("cluster", String::from("test"))?,
            address: "127.0.0.1:9999".parse().expect("an address"),
            masters: vec!["127.0.0.1:2000".parse().expect("an address")],
            nid: None,
            reconnect_delay: Duration::from_secs(1),
        };
        words.end()?;
        Ok(Box::new(Admin::new(options, now)))
    }

    fn disk(&mut self) -> Option<&mut MemoryDisk> {
        None
    }

    fn operate(&mut self, _: &mut dyn Node, _: Now, words: &str) -> Result<(), String> {
        Err(format!("an admin cannot be asked to {words}"))
    }

    fn reports(&mut self, _: &mut dyn Node) -> Vec<String> {
        Vec::new()
    }
}
