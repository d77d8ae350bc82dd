//! What a seed decides before a run.

use std::fmt;
use std::time::Duration;

use model::Random;

use super::fault::{self, Fault, Target, Targets};
use super::profile::Profile;
use super::program::Plan;
use crate::world::Machines;

/// Sets what is random about machines apart from what else a seed decides.
const MACHINES: u64 = 0x6d61_6368_696e_6573;

/// How many faults are chosen at least. Some cannot happen when their time comes.
const CHOSEN_MIN: u64 = 30;

/// When a storage is lost for good: while others have what it has, which gets rare. What is out of
/// date once stays so.
const LOST_MIN_MS: u64 = 1_000;
const LOST_MAX_MS: u64 = 15_000;

/// How many faults happen at least.
const FAULTS_MIN: u64 = 20;

/// Everything that a run depends on, as data: the same setting gives the same run.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Of what is left to chance during the run.
    pub seed: u64,
    /// What kinds of faults there are.
    pub profile: Profile,
    /// Storages.
    pub storages: u32,
    /// Copies of each partition besides the first.
    pub replicas: u32,
    /// Partitions.
    pub partitions: u32,
    /// Programs.
    pub plan: Plan,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// How long programs and faults go on, at least, of simulated time.
    pub duration: Duration,
    /// How many commits there are to be, at least.
    pub commits_min: u64,
    /// How many faults are to happen, at least.
    pub faults_min: u64,
    /// What machines are like.
    pub machines: Machines,
    /// The only storage with which anything is wrong, in some runs.
    pub damaged: Option<Target>,
    /// When a storage is lost for good, if others have everything that it has.
    pub loses_storage_at: Option<Duration>,
    /// What is tried in the end.
    pub ending: Ending,
}

/// What is tried when everything has come to rest and was checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Nothing.
    Rest,
    /// To run without a storage that has readable cells.
    Refusal,
    /// To truncate the database, while nodes end now and then.
    Truncation,
}

impl Setting {
    /// What a seed decides.
    pub fn choose(seed: u64, profile: Profile) -> Self {
        let mut random = Random::from_seed(seed ^ MACHINES).split();
        let mut setting = Self::choose_alike(seed, profile);
        setting.machines = Machines::choose(&mut random);
        let targets = setting.targets();
        setting.faults.extend(fault::choose_early(&mut random, profile, targets));
        if setting.ending == Ending::Rest && random.chance(1, 4) {
            setting.ending = Ending::Truncation;
        }
        if matches!(profile, Profile::Disk | Profile::All) && random.chance(1, 16) {
            setting.damage(&mut random);
        }
        setting.faults.sort_by_key(|fault| fault.at);
        let is_lost = random.chance(1, 8);
        let at = Duration::from_millis(LOST_MIN_MS + random.below(LOST_MAX_MS - LOST_MIN_MS));
        if is_lost && profile == Profile::All && setting.damaged.is_none() {
            setting.loses_storage_at = Some(at);
        }
        if random.chance(1, 64) {
            setting.plan.add_huge(&mut random);
        }
        setting
    }

    /// Nothing goes wrong but that what one storage has is damaged again and again, and that it is
    /// killed now and then. Others have everything, too.
    fn damage(&mut self, random: &mut Random) {
        self.storages = self.storages.max(2);
        self.replicas = self.replicas.max(1);
        let target = Target::Storage(number(random, 0, self.storages - 1));
        self.damaged = Some(target);
        self.faults = fault::choose_damages(random, target, self.duration);
        self.ending = Ending::Rest;
    }

    /// What faults may concern.
    pub(super) fn targets(&self) -> Targets {
        let small = |number: usize| u32::try_from(number).expect("a small number");
        let (programs, reader) = (small(self.plan.count()), small(self.plan.reader()));
        Targets { storages: self.storages, programs, reader }
    }

    /// What a seed decides, with machines that are all alike, and nothing wrong before a cluster
    /// operates: as settings were once.
    pub fn choose_alike(seed: u64, profile: Profile) -> Self {
        let mut random = Random::from_seed(seed);
        let storages = number(&mut random, 1, 4);
        let replicas = number(&mut random, 0, 2).min(storages - 1);
        let partitions = number(&mut random, 1, 8);
        let plan = Plan::choose(&mut random.split());
        let duration = Duration::from_secs(60);
        let small = |number: usize| u32::try_from(number).expect("a small number");
        let (programs, reader) = (small(plan.count()), small(plan.reader()));
        let targets = Targets { storages, programs, reader };
        let count = CHOSEN_MIN + random.below(40);
        let mut faults = fault::choose(&mut random.split(), profile, targets, duration, count);
        let refuses = random.chance(1, 4);
        faults.extend(fault::choose_failing(&mut random, profile, targets, duration));
        faults.sort_by_key(|fault| fault.at);
        Self {
            seed,
            profile,
            storages,
            replicas,
            partitions,
            plan,
            faults,
            duration,
            commits_min: 500,
            faults_min: if profile == Profile::Quiet { 0 } else { FAULTS_MIN },
            machines: Machines::default(),
            damaged: None,
            loses_storage_at: None,
            ending: if refuses { Ending::Refusal } else { Ending::Rest },
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, profile, storages, replicas, partitions, plan, faults, .. } = self;
        let Machines { reads_wait, works_beside, goes_dark } = self.machines;
        let ways = [
            (reads_wait, "reads wait, "),
            (works_beside, "work is done beside, "),
            (goes_dark, "who has no power is silent, "),
        ];
        let ways: String = ways.iter().filter(|(is_so, _)| *is_so).map(|(_, text)| *text).collect();
        let duration = self.duration;
        write!(f, "seed {seed}, profile {profile}: {storages} storages, {replicas} replicas, ")?;
        write!(f, "{partitions} partitions, {plan}, {ways}")?;
        if let Some(at) = self.loses_storage_at {
            write!(f, "a storage is lost after {:.1} s, ", at.as_secs_f64())?;
        }
        write!(f, "{} faults, {} s", faults.len(), duration.as_secs())
    }
}

fn number(random: &mut Random, first: u32, last: u32) -> u32 {
    let count = u64::from(last - first + 1);
    first + u32::try_from(random.below(count)).expect("a small number")
}
