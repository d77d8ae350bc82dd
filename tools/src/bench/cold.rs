//! Empties the system's cache of a database, proves it, and reads bytes that are in no cache.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use engine::disk::{Access, Disk, File};
use model::Random;
use serde::Serialize;

use super::latency::{Latencies, Summary};
use super::process::ThreadCounters;
use super::report::grouped;
use crate::failure::Failure;
use crate::interrupt::Interrupt;

const PAGE_LENGTH: u64 = 4096;
/// Pages in the cache that do not matter, in all files together: what somebody looks at for a
/// moment, such as the first page of a file.
const CACHED_PAGES_MAX: u64 = 16;
/// Of larger databases, one page in so many.
const CACHED_SHARE: u64 = 10_000;
/// Reads by which the disk is measured, and how long that may take.
const RAW_READS_MAX: usize = 4096;
const RAW_TIME_MAX: Duration = Duration::from_secs(2);

/// Pages of all files of a database that the system had in its cache.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Dropped {
    pub(super) pages: u64,
    pub(super) cached_pages_before: u64,
    pub(super) cached_pages_after: u64,
}

/// All files of a database, open.
#[derive(Debug)]
pub(super) struct Files {
    files: Vec<(Arc<dyn File>, u64)>,
    path: String,
}

impl Files {
    pub(super) fn open(disk: &Arc<dyn Disk>) -> Result<Self, Failure> {
        let failed = |action, name: &str| {
            let path = disk.path(name);
            move |source| Failure::Io { action, path, source }
        };
        let mut files = Vec::new();
        for name in disk.list().map_err(failed("list", ""))? {
            let file = disk.open(&name, Access::Read).map_err(failed("open", &name))?;
            let length = file.length().map_err(failed("measure", &name))?;
            files.push((file, length));
        }
        Ok(Self { files, path: disk.path("") })
    }

    /// Bytes of all files.
    pub(super) fn length(&self) -> u64 {
        self.files.iter().map(|(_, length)| length).sum()
    }

    /// Makes the system forget what it has cached of the files, and makes sure that it did.
    /// Nothing may be mapped.
    pub(super) fn drop_cache(&self) -> Result<Dropped, Failure> {
        let (cached_pages_before, pages) = self.cached_pages()?;
        for (file, _) in &self.files {
            file.drop_cache().map_err(|source| self.failure("drop the cache of", source))?;
        }
        let (cached_pages_after, _) = self.cached_pages()?;
        if cached_pages_after > CACHED_PAGES_MAX.max(pages / CACHED_SHARE) {
            return Err(Failure::Refused(format!(
                "{}: {} of {} pages stay in the system's cache: the file system is in memory, or \
                 another process has files of it mapped",
                self.path,
                grouped(cached_pages_after),
                grouped(pages),
            )));
        }
        Ok(Dropped { pages, cached_pages_before, cached_pages_after })
    }

    /// Cached pages, and how many there are.
    fn cached_pages(&self) -> Result<(u64, u64), Failure> {
        let mut sum = (0, 0);
        for (file, _) in &self.files {
            let (cached, pages) = file
                .cached_pages()
                .map_err(|source| self.failure("count the cached pages of", source))?;
            sum = (sum.0 + cached, sum.1 + pages);
        }
        Ok(sum)
    }

    /// Times of reads of random pages, each at most once, by some threads at the same time.
    pub(super) fn read_pages(
        &self,
        threads: usize,
        seed: u64,
        stop: &Interrupt,
    ) -> Result<RawReads, Failure> {
        let pages = self.choose_pages(seed);
        let tallies = thread::scope(|scope| {
            let threads: Vec<_> = (0..threads)
                .map(|number| {
                    let pages = pages.iter().skip(number).step_by(threads);
                    scope.spawn(move || self.time_reads(pages, stop))
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| match thread.join() {
                    Ok(tally) => tally,
                    Err(panic) => std::panic::resume_unwind(panic),
                })
                .collect::<Result<Vec<_>, Failure>>()
        })?;
        stop.check()?;
        let mut latencies = Latencies::new();
        let mut from_disk = Some(0);
        for (times, waited) in tallies {
            latencies.add(&times);
            from_disk = from_disk.zip(waited).map(|(a, b)| a + b);
        }
        Ok(RawReads { from_disk, latency: latencies.summary() })
    }

    /// Distinct pages, as (index of the file, offset), in random order.
    fn choose_pages(&self, seed: u64) -> Vec<(usize, u64)> {
        let mut random = Random::from_seed(seed);
        let pages: u64 = self.files.iter().map(|(_, length)| length / PAGE_LENGTH).sum();
        let mut chosen = BTreeSet::new();
        let mut order = Vec::new();
        let tries = if pages == 0 { 0 } else { RAW_READS_MAX };
        for _ in 0..tries {
            let mut page = random.below(pages);
            for (index, (_, length)) in self.files.iter().enumerate() {
                let here = length / PAGE_LENGTH;
                if page < here {
                    let place = (index, page * PAGE_LENGTH);
                    if chosen.insert(place) {
                        order.push(place);
                    }
                    break;
                }
                page -= here;
            }
        }
        order
    }

    fn time_reads<'p>(
        &self,
        pages: impl Iterator<Item = &'p (usize, u64)>,
        stop: &Interrupt,
    ) -> Result<(Latencies, Option<u64>), Failure> {
        let counters = ThreadCounters::open();
        let read = || counters.as_ref().and_then(ThreadCounters::read).unwrap_or_default();
        let mut waited = counters.is_some().then_some(0);
        let mut latencies = Latencies::new();
        let mut buffer = vec![0; usize::try_from(PAGE_LENGTH).expect("a page is short")];
        let deadline = Instant::now() + RAW_TIME_MAX;
        for &(index, offset) in pages {
            let before = read();
            let start = Instant::now();
            let count = self.files[index].0.read_at(&mut buffer, offset);
            let end = Instant::now();
            count.map_err(|source| self.failure("read", source))?;
            latencies.record(end - start);
            waited = waited.map(|waited| waited + u64::from(read().bytes > before.bytes));
            if end >= deadline || stop.is_asked() {
                break;
            }
        }
        Ok((latencies, waited))
    }

    fn failure(&self, action: &'static str, source: std::io::Error) -> Failure {
        Failure::Io { action, path: self.path.clone(), source }
    }
}

/// Times of reads of 4 KiB at random places.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RawReads {
    /// How many of them the disk was read for, where the system tells.
    pub(super) from_disk: Option<u64>,
    pub(super) latency: Summary,
}
