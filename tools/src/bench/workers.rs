//! Threads that load, one object after the other, and take the time of each load.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use engine::disk::{Disk, Wait};
use engine::{LoadLookup, LoadResult, LoopReader, Reader, When};
use model::{PartitionCount, Tid};

use super::latency::Latencies;
use super::process::{Memory, ThreadCounters, ThreadTime};
use super::sample::{Key, Population, Sample};
use crate::failure::Failure;
use crate::interrupt::Interrupt;

/// How often memory is looked at while others work.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// How a thread loads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Style {
    /// One load at a time, waiting for the disk.
    Waiting,
    /// So many at once, as an event loop does it.
    Queue(usize),
}

/// How often each key is loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rounds {
    /// Once, to have everything in the cache.
    WarmUp,
    /// Again from the first after the last.
    Endless,
    /// At most once, and only so many keys. What each load waited for is looked up, between the
    /// times that count.
    Cold(usize),
}

/// What all threads do.
#[derive(Debug)]
pub(super) struct Task<'a> {
    pub(super) reader: Reader,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) partitions: PartitionCount,
    pub(super) population: Population,
    pub(super) sample: &'a Sample,
    pub(super) style: Style,
    pub(super) rounds: Rounds,
    pub(super) threads: usize,
    pub(super) duration: Duration,
    pub(super) stop: Interrupt,
}

/// What was done.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub(super) latencies: Latencies,
    pub(super) data_bytes: u64,
    /// Revisions that say that the object does not exist.
    pub(super) deleted: u64,
    /// Loads that did not find what is there.
    pub(super) missing: u64,
    /// Loads that waited for the disk; `None` where the system does not tell, or was not asked.
    pub(super) waited: Option<u64>,
    /// Page faults that waited for the disk.
    pub(super) major_faults: u64,
    pub(super) time: Duration,
    /// Of all threads together.
    pub(super) thread_time: Option<ThreadTime>,
}

impl Tally {
    fn new(counts_waits: bool) -> Self {
        Self {
            latencies: Latencies::new(),
            data_bytes: 0,
            deleted: 0,
            missing: 0,
            waited: counts_waits.then_some(0),
            major_faults: 0,
            time: Duration::ZERO,
            thread_time: Some(ThreadTime::default()),
        }
    }

    fn record(&mut self, time: Duration, result: &LoadResult) {
        self.latencies.record(time);
        match result {
            LoadResult::Revision(revision) => self.data_bytes += revision.data.len() as u64,
            LoadResult::Deleted { .. } => self.deleted += 1,
            LoadResult::NoRevision | LoadResult::NoSuchOid => self.missing += 1,
        }
    }

    fn add(&mut self, other: &Self) {
        self.latencies.add(&other.latencies);
        self.data_bytes += other.data_bytes;
        self.deleted += other.deleted;
        self.missing += other.missing;
        self.waited = self.waited.zip(other.waited).map(|(a, b)| a + b);
        self.major_faults += other.major_faults;
        self.time = self.time.max(other.time);
        let times = self.thread_time.zip(other.thread_time);
        self.thread_time = times.map(|(a, b)| ThreadTime {
            running: a.running + b.running,
            starving: a.starving + b.starving,
        });
    }
}

impl Task<'_> {
    /// Starts the threads and waits for them. Looks at memory meanwhile.
    pub(super) fn run(&self, memory: &mut Memory) -> Result<Tally, Failure> {
        memory.look();
        let (alive, ended) = channel();
        let tallies = thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads)
                .map(|number| {
                    let alive = alive.clone();
                    scope.spawn(move || self.work(number, alive))
                })
                .collect();
            drop(alive);
            look_until_ended(&ended, memory);
            threads
                .into_iter()
                .map(|thread| match thread.join() {
                    Ok(tally) => tally,
                    Err(panic) => std::panic::resume_unwind(panic),
                })
                .collect::<Result<Vec<Tally>, Failure>>()
        })?;
        memory.look();
        let mut sum = Tally::new(matches!(self.rounds, Rounds::Cold(_)));
        tallies.iter().for_each(|tally| sum.add(tally));
        Ok(sum)
    }

    /// The work of one thread. `_alive` is dropped at its end.
    fn work(&self, number: usize, _alive: Sender<()>) -> Result<Tally, Failure> {
        let keys_max = match self.rounds {
            Rounds::Cold(keys_max) => keys_max,
            Rounds::WarmUp | Rounds::Endless => usize::MAX,
        };
        let keys = self.sample.keys.iter().take(keys_max).skip(number).step_by(self.threads);
        let start = Instant::now();
        let mut tally = match (self.style, self.rounds) {
            (Style::Waiting, Rounds::Cold(_)) => self.load_cold(keys),
            (Style::Waiting, Rounds::WarmUp) => self.load_warm(keys),
            (Style::Waiting, Rounds::Endless) => self.load_warm(keys.cycle()),
            (Style::Queue(depth), Rounds::Endless) => self.load_by_queue(keys.cycle(), depth),
            (Style::Queue(depth), _) => self.load_by_queue(keys, depth),
        }?;
        tally.time = start.elapsed();
        tally.thread_time = ThreadTime::now();
        Ok(tally)
    }

    /// The end of one load is the start of the next: the clock is read once a load.
    fn load_warm<'k>(&self, keys: impl Iterator<Item = &'k Key>) -> Result<Tally, Failure> {
        let mut tally = Tally::new(false);
        let mut start = Instant::now();
        let deadline = start + self.duration;
        for key in keys {
            let result = self.reader.run(self.lookup(key))?;
            let end = Instant::now();
            tally.record(end - start, &result);
            if end >= deadline || self.stop.is_asked() {
                break;
            }
            start = end;
        }
        Ok(tally)
    }

    /// Between two loads, the kernel is asked what the last one has read.
    fn load_cold<'k>(&self, keys: impl Iterator<Item = &'k Key>) -> Result<Tally, Failure> {
        let counters = ThreadCounters::open();
        let mut tally = Tally::new(counters.is_some());
        let deadline = Instant::now() + self.duration;
        let read = || counters.as_ref().and_then(ThreadCounters::read).unwrap_or_default();
        let mut before = read();
        for key in keys {
            let start = Instant::now();
            let result = self.reader.run(self.lookup(key))?;
            let end = Instant::now();
            tally.record(end - start, &result);
            let after = read();
            if let Some(waited) = &mut tally.waited {
                *waited += u64::from(after.bytes > before.bytes);
            }
            tally.major_faults += after.major_faults - before.major_faults;
            before = after;
            if end >= deadline || self.stop.is_asked() {
                break;
            }
        }
        Ok(tally)
    }

    /// What is not answered at once has waited for the disk.
    fn load_by_queue<'k>(
        &self,
        mut keys: impl Iterator<Item = &'k Key>,
        depth: usize,
    ) -> Result<Tally, Failure> {
        let mut reader = LoopReader::new(self.reader.clone(), &*self.disk)?;
        let mut tally = Tally::new(true);
        let mut waiting: BTreeMap<u64, Instant> = BTreeMap::new();
        let mut caller = 0;
        let deadline = Instant::now() + self.duration;
        let mut is_over = false;
        while !is_over || !waiting.is_empty() {
            let next = if is_over { None } else { keys.next() };
            is_over = next.is_none();
            if let Some(key) = next {
                caller += 1;
                let start = Instant::now();
                match reader.start(caller, self.lookup(key)) {
                    Some(result) => tally.record(start.elapsed(), &result?),
                    None => {
                        waiting.insert(caller, start);
                        tally.waited = tally.waited.map(|waited| waited + 1);
                    }
                }
                is_over = start >= deadline || self.stop.is_asked();
            }
            if waiting.is_empty() {
                continue;
            }
            let must_wait = is_over || waiting.len() >= depth;
            for (caller, result) in reader.poll(if must_wait { Wait::Yes } else { Wait::No })? {
                let Some(start) = waiting.remove(&caller) else {
                    unreachable!("only what waits is answered")
                };
                tally.record(start.elapsed(), &result?);
            }
        }
        Ok(tally)
    }

    fn lookup(&self, key: &Key) -> LoadLookup {
        let when = match self.population {
            Population::Newest => When::Newest,
            Population::Revisions => When::Before(Tid::new(key.tid.get().saturating_add(1))),
        };
        let partition = self.partitions.of_oid(key.oid);
        LoadLookup::new(self.reader.snapshot(), partition, key.oid, when)
    }
}

fn look_until_ended(ended: &Receiver<()>, memory: &mut Memory) {
    while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(LOOK_INTERVAL) {
        memory.look();
    }
}
