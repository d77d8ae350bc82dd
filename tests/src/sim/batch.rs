//! Many runs, one after the other on each processor.
#![expect(clippy::disallowed_methods, reason = "how long it may run is in minutes")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::broken::Broken;
use super::coverage::Coverage;
use super::profile::Profile;
use super::run::{self, Figures, Tracing};
use super::setting::Setting;
use super::shrink::shrink;

/// So many runs of all kinds of faults have to reach whatever can be reached.
const COVERING_RUNS: u64 = 1000;
/// Seeds that are run unless told otherwise.
const SEEDS: u64 = 10;
/// How long a smaller setting is looked for.
const SHRINK_TIME: Duration = Duration::from_secs(60);

/// Which seeds are run, and how.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The first seed.
    pub first: u64,
    /// How many at most.
    pub seeds: u64,
    /// No seed is begun later.
    pub time: Option<Duration>,
    /// What kinds of faults there are.
    pub profile: Profile,
    /// What is told of each run.
    pub tracing: Tracing,
    /// Whether a setting that breaks a rule is made smaller, and told whole.
    pub explains: bool,
}

/// What many runs came to.
#[derive(Debug, Default)]
struct Sum {
    /// Runs.
    runs: u64,
    /// All figures together.
    figures: Figures,
}

impl Batch {
    /// As the arguments of a program say.
    ///
    /// # Errors
    /// If one of them is not known, or not what it must be.
    pub fn from_arguments(given: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut first, mut seeds, mut time) = (1, None, None);
        let (mut profile, mut tracing) = (Profile::All, Tracing::Hash);
        let (mut explains, mut rest) = (true, Vec::new());
        for name in given {
            match name.as_str() {
                "--trace" => tracing = Tracing::Print,
                "--brief" => explains = false,
                _ => rest.push(name),
            }
        }
        let mut given = rest.into_iter();
        while let Some(name) = given.next() {
            let value = given.next().ok_or_else(|| format!("{name}: no value"))?;
            let number =
                || value.parse::<u64>().map_err(|error| format!("{name} {value}: {error}"));
            match name.as_str() {
                "--seed" => first = number()?,
                "--seeds" => seeds = Some(number()?),
                "--minutes" => time = Some(Duration::from_secs(60 * number()?)),
                "--profile" => profile = value.parse()?,
                _ => return Err(format!("{name}: no such option")),
            }
        }
        let seeds = seeds.unwrap_or(if time.is_some() { u64::MAX } else { SEEDS });
        Ok(Self { first, seeds, time, profile, tracing, explains })
    }

    /// Runs seeds, prints what came of them, and stops at the first that breaks a rule. Whether
    /// none did.
    pub fn run(&self) -> bool {
        run_all(self)
    }
}

impl Sum {
    fn add(&mut self, figures: &Figures) {
        self.runs += 1;
        let all = &mut self.figures;
        all.elapsed += figures.elapsed;
        all.events += figures.events;
        all.commits += figures.commits;
        for (kind, count) in &figures.faults {
            *all.faults.entry(kind).or_default() += count;
        }
        for (text, count) in &figures.ends {
            *all.ends.entry(text.clone()).or_default() += count;
        }
    }

    fn print(&self, time: Duration) {
        let Figures { elapsed, events, commits, faults, ends } = &self.figures;
        let seconds = time.as_secs_f64().max(0.001);
        let hours = elapsed.as_secs_f64() / 3600.0;
        let rate = |count: u64| per_second(count, seconds);
        println!(
            "{} seeds in {seconds:.1} s: {hours:.2} simulated hours, {:.0} in an hour; \
             {events} events, \
             {:.0} a second; {commits} commits, {:.0} a second",
            self.runs,
            hours / seconds * 3600.0,
            rate(*events),
            rate(*commits),
        );
        let total = faults.values().sum::<u64>();
        println!("faults: {total}, {:.1} a second", rate(total));
        for (kind, count) in faults {
            println!("  {kind}: {count}, {:.2} a second", rate(*count));
        }
        println!(
            "processes ended by themselves, or would not start: {}",
            ends.values().sum::<u64>()
        );
        for (text, count) in ends {
            println!("  {text}: {count}");
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure to read")]
fn per_second(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}

fn run_all(batch: &Batch) -> bool {
    let begin = Instant::now();
    let work = Work { batch, begin, next: AtomicU64::new(batch.first), shared: Mutex::default() };
    let threads = match batch.tracing {
        Tracing::Print => 1,
        _ => thread::available_parallelism().map_or(1, usize::from),
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work.go_on());
        }
    });
    let shared = work.shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    shared.sum.print(begin.elapsed());
    let Some((setting, broken)) = shared.failed else {
        let is_enough = shared.sum.runs >= COVERING_RUNS && batch.profile == Profile::All;
        return !is_enough || is_covered(&shared.coverage, &shared.unexpected);
    };
    println!("seed {} broken: {broken}\n  {setting}", setting.seed);
    if batch.explains {
        explain(&setting, &broken);
    }
    false
}

/// What the threads of a batch share.
struct Work<'a> {
    batch: &'a Batch,
    begin: Instant,
    next: AtomicU64,
    shared: Mutex<Shared>,
}

#[derive(Default)]
struct Shared {
    sum: Sum,
    coverage: Coverage,
    /// The first seed that reached what cannot be reached, by what it is.
    unexpected: BTreeMap<String, u64>,
    /// The first setting that broke a rule, by its seed.
    failed: Option<(Setting, Broken)>,
}

impl Work<'_> {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_seed(&self) -> Option<u64> {
        let is_late = self.batch.time.is_some_and(|time| self.begin.elapsed() >= time);
        if is_late || self.lock().failed.is_some() {
            return None;
        }
        let seed = self.next.fetch_add(1, Ordering::Relaxed);
        (seed - self.batch.first < self.batch.seeds).then_some(seed)
    }

    fn go_on(&self) {
        while let Some(seed) = self.next_seed() {
            let setting = Setting::choose(seed, self.batch.profile);
            let outcome = run::run(&setting, self.batch.tracing);
            let mut shared = self.lock();
            shared.sum.add(&outcome.figures);
            for point in outcome.coverage.unexpected() {
                let first = shared.unexpected.entry(point).or_insert(seed);
                *first = seed.min(*first);
            }
            shared.coverage.add(outcome.coverage);
            if let Some(broken) = outcome.broken
                && shared.failed.as_ref().is_none_or(|(before, _)| before.seed > seed)
            {
                shared.failed = Some((setting, broken));
            }
        }
    }
}

/// Prints what no run has reached, and what could not be reached and was. Whether there is nothing
/// of the kind.
fn is_covered(coverage: &Coverage, unexpected: &BTreeMap<String, u64>) -> bool {
    let missing = coverage.missing();
    for point in &missing {
        println!("not reached: {point}");
    }
    for (point, seed) in unexpected {
        println!("reached by seed {seed}, although it is said that it cannot be: {point}");
    }
    missing.is_empty() && unexpected.is_empty()
}

/// Prints the smallest setting that breaks the same rule, and what happens in it.
fn explain(setting: &Setting, broken: &Broken) {
    let small = shrink(setting, &broken.rule, SHRINK_TIME);
    println!("\nshrunk: {small}");
    for fault in &small.faults {
        println!("  {fault}");
    }
    let outcome = run::run(&small, Tracing::Keep);
    println!("\n{}", outcome.trace);
    if let Some(broken) = &outcome.broken {
        println!("\nseed {} broken: {broken}", small.seed);
    }
}
