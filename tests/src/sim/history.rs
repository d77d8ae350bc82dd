//! What programs saw.

use std::cell::RefCell;
use std::rc::Rc;

use crate::world::Ledger;

/// What all programs of a run did and saw.
#[derive(Debug)]
pub struct History {
    ledger: Rc<RefCell<Ledger>>,
}

impl History {
    /// An empty one.
    pub fn new() -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self { ledger: Ledger::new(4, u64::MAX) }))
    }

    /// Tells programs to begin nothing new.
    pub fn end(&mut self) {
        self.ledger.borrow_mut().transfers_left = 0;
    }

    /// How many commits programs know of.
    pub fn commits(&self) -> u64 {
        u64::try_from(self.ledger.borrow().committed()).expect("a small number")
    }

    /// Whether no program is in the middle of anything.
    pub fn is_at_rest(&self) -> bool {
        self.ledger.borrow().is_done()
    }

    pub(super) fn ledger(&self) -> &Rc<RefCell<Ledger>> {
        &self.ledger
    }
}
