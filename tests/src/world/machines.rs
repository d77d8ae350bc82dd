//! What machines are like, and work that is done beside a storage.

use engine::disk::Faults;
use engine::{Engine, Job, JobState};
use model::Random;
use storaged::Background;

/// What machines are like, besides what goes wrong with them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Machines {
    /// Much of what storages read is not in the cache, and disks do nothing in order.
    pub reads_wait: bool,
    /// Background work of storages takes its time beside them, as on a thread of its own. Without,
    /// it is done at once.
    pub works_beside: bool,
    /// A machine without power says nothing: its peers learn of it when it is back, or never.
    pub goes_dark: bool,
}

impl Machines {
    /// Some, each equally often.
    pub fn choose(random: &mut Random) -> Self {
        let mut is_so = || random.chance(1, 2);
        Self { reads_wait: is_so(), works_beside: is_so(), goes_dark: is_so() }
    }

    /// How the disk of a storage reads.
    pub(super) fn reading(self, random: &mut Random) -> Faults {
        let part = |random: &mut Random, most| match self.reads_wait {
            true => u32::try_from(1 + random.below(most)).expect("a small number"),
            false => 0,
        };
        Faults {
            miss_permille: part(random, 600),
            slow_permille: part(random, 300),
            ..Faults::default()
        }
    }
}

/// Most jobs under way, as one thread has them: one that is urgent and one that is patient.
const UNDER_WAY_MAX: usize = 2;
/// Most times that somebody looks for what came of a job, before it is there.
const LOOKS_MAX: u64 = 12;
/// Most items that a job handles between two looks.
const STEP_ITEMS_MAX: usize = 2000;

/// Does background work beside its storage: what is begun ends some events later.
pub(super) struct Beside {
    random: Random,
    under_way: Vec<UnderWay>,
}

struct UnderWay {
    job: Job,
    result: Option<engine::Result<()>>,
    looks: u64,
}

impl Beside {
    pub(super) fn new(random: Random) -> Self {
        Self { random, under_way: Vec::new() }
    }
}

impl UnderWay {
    fn go_on(&mut self, items: usize) {
        self.looks = self.looks.saturating_sub(1);
        if self.result.is_none() {
            self.result = match self.job.step(items) {
                Ok(JobState::More) => None,
                Ok(JobState::Done) => Some(Ok(())),
                Err(error) => Some(Err(error)),
            };
        }
    }

    fn is_told(&self) -> bool {
        self.result.is_some() && self.looks == 0
    }
}

impl Background for Beside {
    fn exchange(&mut self, engine: &mut Engine) -> engine::Result<()> {
        for one in &mut self.under_way {
            one.go_on(1 + self.random.index(STEP_ITEMS_MAX));
        }
        while let Some(index) = self.under_way.iter().position(UnderWay::is_told) {
            let UnderWay { job, result, .. } = self.under_way.remove(index);
            engine.finish_job(job, result.expect("it is there"))?;
        }
        while self.under_way.len() < UNDER_WAY_MAX
            && let Some(job) = engine.take_job()
        {
            let looks = self.random.below(LOOKS_MAX);
            self.under_way.push(UnderWay { job, result: None, looks });
        }
        Ok(())
    }

    fn is_busy(&self) -> bool {
        !self.under_way.is_empty()
    }

    fn stop(self: Box<Self>, engine: &mut Engine) -> engine::Result<()> {
        for UnderWay { mut job, result, .. } in self.under_way {
            let result = result.unwrap_or_else(|| job.run());
            engine.finish_job(job, result)?;
        }
        Ok(())
    }
}
