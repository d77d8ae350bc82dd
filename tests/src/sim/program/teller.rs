//! A bank.

use std::cell::RefCell;
use std::rc::Rc;

use engine::disk::MemoryDisk;
use model::{Now, Random};

use crate::node::Node;
use crate::world::{Actor, Host, Ledger, Teller, client};

/// Starts programs that move money.
pub(super) struct TellerHost {
    pub(super) number: usize,
    pub(super) lives: u32,
    pub(super) ledger: Rc<RefCell<Ledger>>,
    pub(super) random: Random,
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
