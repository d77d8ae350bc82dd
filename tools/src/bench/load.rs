//! `neolith bench load`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use engine::disk::Disk;
use engine::{OpenMode, ReadMode, Reader};
use indicatif::ProgressBar;
use model::PartitionCount;

use super::cold::{Dropped, Files};
use super::loaded::{Cold, Mode, Outcome};
use super::process::{Memory, disk_bytes_read};
use super::report::{Format, grouped, print, ratio};
use super::sample::{Population, Sample};
use super::workers::{Rounds, Style, Tally, Task};
use crate::database::{DiskArgs, partitions};
use crate::failure::Failure;
use crate::interrupt::Interrupt;

/// Measure how long loads take: random objects, one after the other on each thread
///
/// First the whole index is read once, to choose what will be loaded: at random, all objects (with
/// --old: all revisions) with the same probability. Then these are loaded in random order, over and
/// over, until the time is up. A load is everything from asking for the object to having its
/// verified bytes: the newest state is taken, the index is searched, the record is read, and both
/// checksums are computed. The times include about 0.04 us for the clock.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct LoadArgs {
    /// The directory that holds the database. Nothing in it is changed
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// How long to load, in seconds. Choosing what to load and warming up are not counted
    #[arg(long, value_name = "S", default_value_t = 5.0, value_parser = seconds)]
    seconds: f64,
    /// Load on so many threads at once
    #[arg(
        long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=1024)
    )]
    threads: u16,
    /// Load what is in no cache, each object at most once. The system's cache of all files of the
    /// database is emptied and that is checked (mincore), else nothing is measured. Before, random
    /// pages of 4 KiB are read in the same way, to compare with; then the cache is emptied again.
    /// The kernel tells of each load whether it made the disk read (read_bytes of the thread's file
    /// io in /proc); caches of the disk itself, or of a machine below this one, are not seen
    #[arg(long)]
    cold: bool,
    /// Load random revisions, as of just after each was written, instead of the newest ones
    #[arg(long)]
    old: bool,
    /// Read by system calls, with 64 MiB of cached index blocks, instead of mapping files
    #[arg(long)]
    calls: bool,
    /// Map files: the default
    #[arg(long, conflicts_with = "calls")]
    mapped: bool,
    /// Load as a storage daemon does, N loads at once on each thread: what is in memory or in the
    /// system's cache is answered at once, all else is read asynchronously (see --disk-backend)
    #[arg(
        long, value_name = "N", conflicts_with_all = ["calls", "mapped"],
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    queue: Option<u16>,
    /// Choose so many objects or revisions; each takes 16 bytes of memory [default: 1000000, but
    /// with --cold only one for 16 pages of all files: later ones would find theirs in the cache]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    sample: Option<u32>,
    /// Choose others, in another order
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print one JSON object: times in nanoseconds, sizes in bytes. `memory` has the anonymous
    /// memory of the process (RssAnon) at the end and the most seen while loading
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    disk: DiskArgs,
}

/// A database that does not fit the system's cache never gets warm.
const WARM_UP_TIME_MAX: Duration = Duration::from_secs(60);
/// Objects or revisions that are chosen unless --sample is given.
const SAMPLE_LENGTH: usize = 1_000_000;
/// One load for so many pages leaves nearly all of them cold.
const PAGES_PER_COLD_LOAD: u64 = 16;
/// As many cold loads as quantiles need, also from a small database.
const COLD_LOADS_MIN: usize = 1000;

const EXAMPLES: &str = "Examples:
  neolith bench load /srv/db
  neolith bench load /srv/db --old --threads 4 --seconds 30
  neolith bench load /srv/db --cold --json";

pub(super) fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.01..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err(String::from("expected a number of seconds, from 0.01 to 86400")),
    }
}

pub(crate) fn run(args: &LoadArgs) -> Result<ExitCode, Failure> {
    let stop = Interrupt::listen()?;
    // The database is opened anew after this, so that nothing is mapped or cached any more.
    let sample = choose(args, &stop)?;
    let bench = Bench { args, stop, opened: Opened::new(args)?, sample };
    let outcome = match args.cold {
        true => bench.cold()?,
        false => bench.warm()?,
    };
    print(&outcome, Format::of(args.json))?;
    if outcome.missing > 0 {
        let missing = grouped(outcome.missing);
        let path = args.directory.display();
        return Err(Failure::Damaged(format!(
            "{path}: {missing} loads did not find what the index has; try `neolith fsck {path}`"
        )));
    }
    bench.stop.check()?;
    Ok(ExitCode::SUCCESS)
}

fn choose(args: &LoadArgs, stop: &Interrupt) -> Result<Sample, Failure> {
    let opened = Opened::new(args)?;
    let length_max = args.sample.map_or(SAMPLE_LENGTH, |length| length as usize);
    let population = args.population();
    let (reader, partitions) = (&opened.reader, opened.partitions);
    let sample = Sample::collect(reader, partitions, population, length_max, args.seed, stop)?;
    if sample.keys.is_empty() {
        let path = args.directory.display();
        return Err(Failure::Refused(format!("{path}: there is nothing to load")));
    }
    Ok(sample)
}

impl LoadArgs {
    fn population(&self) -> Population {
        if self.old { Population::Revisions } else { Population::Newest }
    }

    fn mode(&self) -> Mode {
        match (self.queue, self.calls) {
            (Some(_), _) => Mode::Queue,
            (None, true) => Mode::Calls,
            (None, false) => Mode::Mapped,
        }
    }
}

/// A database, open to be read.
struct Opened {
    disk: Arc<dyn Disk>,
    reader: Reader,
    partitions: PartitionCount,
}

impl Opened {
    fn new(args: &LoadArgs) -> Result<Self, Failure> {
        let engine = args.disk.open(&args.directory, OpenMode::ReadOnly)?;
        let partitions = partitions(engine.metadata(), &args.directory)?;
        let mode = match args.mode() {
            Mode::Mapped => ReadMode::Mapped,
            Mode::Calls | Mode::Queue => ReadMode::Calls,
        };
        Ok(Self { disk: Arc::clone(engine.disk()), reader: engine.reader(mode), partitions })
    }
}

struct Bench<'a> {
    args: &'a LoadArgs,
    stop: Interrupt,
    opened: Opened,
    sample: Sample,
}

impl Bench<'_> {
    /// Loads each object once, unless that takes too long, and then measures.
    fn warm(&self) -> Result<Outcome, Failure> {
        let mut memory = Memory::default();
        let progress = ProgressBar::new_spinner().with_message("warming up");
        progress.tick();
        let warm_up = self.task(Rounds::WarmUp).run(&mut memory)?;
        self.stop.check()?;
        progress.set_message("loading");
        let tally = self.task(Rounds::Endless).run(&mut memory)?;
        progress.finish_and_clear();
        Ok(self.outcome(tally, memory, Some(warm_up.latencies.count()), None))
    }

    /// Empties the cache and loads each object once.
    fn cold(&self) -> Result<Outcome, Failure> {
        let files = Files::open(&self.opened.disk)?;
        let before = files.drop_cache()?;
        let threads = usize::from(self.args.threads);
        let raw_reads = files.read_pages(threads, self.args.seed, &self.stop)?;
        let after = files.drop_cache()?;
        let cache = Dropped { cached_pages_before: before.cached_pages_before, ..after };
        let mut memory = Memory::default();
        let bytes_before = disk_bytes_read();
        let calls_before = self.opened.reader.read_calls();
        let loads_max = match self.args.sample {
            Some(_) => usize::MAX,
            None => usize::try_from(cache.pages / PAGES_PER_COLD_LOAD)
                .unwrap_or(usize::MAX)
                .max(COLD_LOADS_MIN),
        };
        let tally = self.task(Rounds::Cold(loads_max)).run(&mut memory)?;
        let read_calls = self.opened.reader.read_calls() - calls_before;
        let bytes = disk_bytes_read().zip(bytes_before).map(|(after, before)| after - before);
        let loads = tally.latencies.count() as f64;
        let reads = match self.args.mode() {
            Mode::Queue => None,
            Mode::Calls => Some(read_calls),
            Mode::Mapped => tally.waited.map(|_| tally.major_faults),
        };
        let cold = Cold {
            cache,
            from_disk_share: tally.waited.map(|waited| ratio(waited as f64, loads)),
            reads_per_load: reads.map(|reads| ratio(reads as f64, loads)),
            disk_bytes_per_load: bytes.map(|bytes| ratio(bytes as f64, loads)),
            raw_reads,
        };
        Ok(self.outcome(tally, memory, None, Some(cold)))
    }

    fn task(&self, rounds: Rounds) -> Task<'_> {
        Task {
            reader: self.opened.reader.clone(),
            disk: Arc::clone(&self.opened.disk),
            partitions: self.opened.partitions,
            population: self.args.population(),
            sample: &self.sample,
            style: match self.args.queue {
                Some(depth) => Style::Queue(usize::from(depth)),
                None => Style::Waiting,
            },
            rounds,
            threads: usize::from(self.args.threads),
            duration: match rounds {
                Rounds::WarmUp => WARM_UP_TIME_MAX,
                Rounds::Endless | Rounds::Cold(_) => Duration::from_secs_f64(self.args.seconds),
            },
            stop: self.stop.clone(),
        }
    }

    fn outcome(
        &self,
        tally: Tally,
        memory: Memory,
        warmed_up: Option<u64>,
        cold: Option<Cold>,
    ) -> Outcome {
        let args = self.args;
        let seconds = tally.time.as_secs_f64();
        let latency = tally.latencies.summary();
        Outcome {
            directory: args.directory.display().to_string(),
            revisions: if args.old { "any" } else { "newest" },
            mode: args.mode(),
            queue_depth: args.queue,
            threads: args.threads,
            sample: self.sample.keys.len() as u64,
            population: self.sample.population,
            warmed_up,
            seconds,
            loads: latency.count,
            loads_per_s: ratio(latency.count as f64, seconds),
            cpu_seconds: tally.thread_time.map(|time| time.running.as_secs_f64()),
            starved_seconds: tally.thread_time.map(|time| time.starving.as_secs_f64()),
            data_bytes: tally.data_bytes,
            deleted: tally.deleted,
            missing: tally.missing,
            latency,
            memory,
            cold,
        }
    }
}
