//! Which programs a run has.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use model::Random;

use super::actor::ProgramHost;
use super::kind::Kind;
use crate::sim::History;
use crate::world::Host;

/// Programs that write, at least: fewer have no conflicts.
const WRITERS_MIN: usize = 4;

/// The programs of a run, as data: the same plan gives the same programs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Each with a seed of its own.
    programs: Vec<(Kind, u64)>,
}

impl Plan {
    /// Some programs: a few kinds, most of them more than once, so that they are in each other's
    /// way.
    pub fn choose(random: &mut Random) -> Self {
        let mut kinds: Vec<Kind> = Kind::EVERY.into_iter().filter(|kind| kind.writes()).collect();
        random.shuffle(&mut kinds);
        kinds.truncate(1 + random.index(3));
        let writers = WRITERS_MIN + random.index(4);
        let mut programs: Vec<Kind> = kinds.iter().copied().cycle().take(writers).collect();
        programs.push(Kind::Reader);
        programs.push(Kind::Walker);
        Self { programs: programs.into_iter().map(|kind| (kind, random.next_u64())).collect() }
    }

    /// Adds a program that makes huge transactions.
    pub fn add_huge(&mut self, random: &mut Random) {
        self.programs.push((Kind::Huge, random.next_u64()));
    }

    /// How many programs.
    pub fn count(&self) -> usize {
        self.programs.len()
    }

    /// Which of them loads and does nothing else.
    pub fn reader(&self) -> usize {
        let is_reader = |(kind, _): &(Kind, u64)| *kind == Kind::Reader;
        self.programs.iter().position(is_reader).expect("every plan begins with one")
    }

    /// The same without one of them.
    #[must_use]
    pub fn without(&self, index: usize) -> Self {
        let mut plan = self.clone();
        plan.programs.remove(index);
        plan
    }

    /// A process for each program.
    pub fn hosts(&self, history: &Rc<RefCell<History>>) -> Vec<Box<dyn Host>> {
        let host = |(number, (kind, seed)): (usize, &(Kind, u64))| -> Box<dyn Host> {
            let (history, random) = (Rc::clone(history), Random::from_seed(*seed));
            Box::new(ProgramHost { kind: *kind, number: number + 1, lives: 0, history, random })
        };
        self.programs.iter().enumerate().map(host).collect()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<String> = self.programs.iter().map(|(kind, _)| kind.to_string()).collect();
        write!(f, "programs {}", kinds.join(", "))
    }
}
