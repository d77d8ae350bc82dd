//! A database is truncated while nodes are killed and lose their power: all of it is, or nothing.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use master::Master;
use model::{ClusterState, Random, Tid};

use super::broken::Broken;
use super::check::{self, Databases, Truth};
use super::run::{RESTART_DELAY, Run};
use crate::world::{OperatorHost, Orders, World, operator_address};

/// Which rule that is.
const RULE: &str = "a truncation is of all or of nothing";
/// Transactions without which there is nothing to truncate.
const TRANSACTIONS_MIN: usize = 10;
/// Simulated time in which nodes end now and then.
const UNREST: Duration = Duration::from_secs(8);

impl Run<'_> {
    /// After everything was stopped: starts it again, and has an operator truncate it.
    pub(super) fn truncate(&mut self, truth: &Truth) -> Result<(), Broken> {
        let mut random = Random::from_seed(self.setting.seed).split();
        let tids: Vec<Tid> = truth.transactions.keys().copied().collect();
        if tids.len() < TRANSACTIONS_MIN {
            return Err(Broken::new(RULE, "there is nothing to truncate"));
        }
        let tid = tids[random.index(tids.len() - 1)];
        self.world.note(&format!("everything starts again, and is truncated to {tid}"));
        self.world.restart_ended(RESTART_DELAY);
        self.world.kill(self.nodes.master);
        self.start_nodes();
        let orders = Orders { truncate: tid, ..Orders::default() };
        let orders = Rc::new(RefCell::new(orders));
        let host = Box::new(OperatorHost(Rc::clone(&orders)));
        let operator = self.world.add("A1", operator_address(), host);
        self.world.start(operator);
        self.unrest(&mut random);
        self.start_nodes();
        self.wait("a truncation comes to its end", |run| {
            let is_running = run
                .world
                .machine::<Master>(run.nodes.master)
                .is_some_and(|master| master.state() == ClusterState::Running);
            is_running && orders.borrow().is_truncated
        })?;
        self.rest()?;
        self.world.kill(operator);
        let disks = self.stop()?;
        let (expected, found) = (truth.until(tid), check::sound(&Databases::open(&disks)?)?);
        match found == expected {
            true => Ok(()),
            false => {
                let last = |truth: &Truth| truth.transactions.keys().last().copied();
                let text = format!(
                    "to {tid}: {} transactions are there, up to {:?}, not {}, up to {:?}",
                    found.transactions.len(),
                    last(&found),
                    expected.transactions.len(),
                    last(&expected)
                );
                Err(Broken::new(RULE, text))
            }
        }
    }

    fn start_nodes(&mut self) {
        let mut nodes = vec![self.nodes.master];
        let storages = self.nodes.storages.iter();
        nodes.extend(storages.filter(|one| !self.breaker.spoiled().contains(one)));
        for process in nodes {
            self.world.start_now(process);
        }
    }

    fn unrest(&mut self, random: &mut Random) {
        let end = self.world.elapsed() + UNREST;
        let mut nodes = vec![self.nodes.master];
        let storages = self.nodes.storages.iter();
        nodes.extend(storages.filter(|one| !self.breaker.spoiled().contains(one)));
        while self.world.elapsed() < end {
            self.world.run(Duration::from_millis(random.below(1_500)));
            let node = nodes[random.index(nodes.len())];
            let stop = if random.chance(1, 2) { World::kill } else { World::crash };
            if self.world.is_running(node) {
                stop(&mut self.world, node);
            }
            self.world.start_after(node, Duration::from_millis(1 + random.below(1_000)));
        }
    }
}
