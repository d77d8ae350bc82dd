//! Which programs a run has.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use model::Random;

use super::teller::TellerHost;
use crate::sim::History;
use crate::world::Host;

/// The programs of a run, as data: the same plan gives the same programs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Seeds of tellers.
    tellers: Vec<u64>,
}

impl Plan {
    /// Some programs.
    pub fn choose(random: &mut Random) -> Self {
        let count = 2 + random.below(5);
        Self { tellers: (0..count).map(|_| random.next_u64()).collect() }
    }

    /// How many programs.
    pub fn count(&self) -> usize {
        self.tellers.len()
    }

    /// The same without one of them.
    #[must_use]
    pub fn without(&self, index: usize) -> Self {
        let mut plan = self.clone();
        plan.tellers.remove(index);
        plan
    }

    /// A process for each program.
    pub fn hosts(&self, history: &Rc<RefCell<History>>) -> Vec<Box<dyn Host>> {
        let host = |(index, seed): (usize, &u64)| -> Box<dyn Host> {
            let ledger = Rc::clone(history.borrow().ledger());
            Box::new(TellerHost {
                number: index,
                lives: 0,
                ledger,
                random: Random::from_seed(*seed),
            })
        };
        self.tellers.iter().enumerate().map(host).collect()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tellers", self.tellers.len())
    }
}
