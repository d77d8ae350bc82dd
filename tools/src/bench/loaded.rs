//! What was measured of loads, and how it is told.

use std::fmt::Write;

use serde::Serialize;

use super::cold::{Dropped, RawReads};
use super::latency::Summary;
use super::process::Memory;
use super::report::{Report, grouped, megabytes, ratio, rounded};

/// With fewer loads from disk, quantiles are of something else.
const COLD_SHARE_MIN: f64 = 0.5;

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    pub(super) directory: String,
    pub(super) revisions: &'static str,
    pub(super) mode: Mode,
    pub(super) queue_depth: Option<u16>,
    pub(super) threads: u16,
    /// Objects or revisions that were chosen, of how many.
    pub(super) sample: u64,
    pub(super) population: u64,
    /// Loads before those that count.
    pub(super) warmed_up: Option<u64>,
    pub(super) seconds: f64,
    pub(super) loads: u64,
    pub(super) loads_per_s: f64,
    /// CPU time of the loading threads, all together.
    pub(super) cpu_seconds: Option<f64>,
    /// Time in which they could have run, but others had the CPUs.
    pub(super) starved_seconds: Option<f64>,
    pub(super) data_bytes: u64,
    pub(super) deleted: u64,
    pub(super) missing: u64,
    pub(super) latency: Summary,
    pub(super) memory: Memory,
    pub(super) cold: Option<Cold>,
}

/// What is known of loads from a cold disk.
#[derive(Debug, Serialize)]
pub(super) struct Cold {
    pub(super) cache: Dropped,
    /// Loads that waited for the disk.
    pub(super) from_disk_share: Option<f64>,
    /// Read calls, or page faults that read.
    pub(super) reads_per_load: Option<f64>,
    /// Readahead included.
    pub(super) disk_bytes_per_load: Option<f64>,
    pub(super) raw_reads: RawReads,
}

impl Report for Outcome {
    fn text(&self) -> String {
        let Self { latency, memory, .. } = self;
        let what = match self.revisions {
            "newest" => "objects, newest revision",
            _ => "revisions",
        };
        let how = match (self.mode, self.queue_depth) {
            (Mode::Mapped, _) => String::from("mapped files"),
            (Mode::Calls, _) => String::from("system calls"),
            (Mode::Queue, depth) => format!("a queue of {}", depth.unwrap_or_default()),
        };
        let mut text = format!(
            "loaded   {} of {} {what}; {how}, {} thread{}\n",
            grouped(self.sample),
            grouped(self.population),
            self.threads,
            if self.threads == 1 { "" } else { "s" },
        );
        let mut line = |name: &str, value: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name:<8} {value}");
        };
        if let Some(loads) = self.warmed_up {
            let end = if loads < self.sample { ": not all, for lack of time" } else { "" };
            line("warm-up", format!("{} loads{end}", grouped(loads)));
        }
        if let Some(cold) = &self.cold {
            cold.lines(self.mode, latency, &mut line);
        }
        line(
            "loads",
            format!(
                "{} in {:.2} s: {} loads/s, {} of data",
                grouped(self.loads),
                self.seconds,
                rounded(self.loads_per_s),
                megabytes(self.data_bytes),
            ),
        );
        line("latency", latency.line());
        if let (Some(cpu), Some(starved)) = (self.cpu_seconds, self.starved_seconds) {
            let threads = f64::from(self.threads);
            line(
                "cpu",
                format!(
                    "{:.2} us a load; {:.0} % of the time others had the CPUs",
                    1e6 * ratio(cpu, self.loads as f64),
                    100.0 * ratio(starved, threads * self.seconds),
                ),
            );
        }
        line(
            "memory",
            format!(
                "{} anonymous, at most {}",
                megabytes(memory.anonymous_bytes),
                megabytes(memory.anonymous_bytes_max)
            ),
        );
        text.push_str(&latency.bars());
        text
    }
}

impl Cold {
    fn lines(&self, mode: Mode, latency: &Summary, line: &mut impl FnMut(&str, String)) {
        let Self { cache, raw_reads, .. } = self;
        let figure = |value: Option<f64>, digits| match value {
            Some(value) => format!("{value:.digits$}"),
            None => String::from("?"),
        };
        line(
            "cache",
            format!(
                "{} of {} pages before, {} after dropping",
                grouped(cache.cached_pages_before),
                grouped(cache.pages),
                grouped(cache.cached_pages_after),
            ),
        );
        let share = |share: Option<f64>| figure(share.map(|share| 100.0 * share), 2);
        let reads = match mode {
            Mode::Mapped => "page faults that read",
            Mode::Calls => "read calls",
            Mode::Queue => "reads",
        };
        line(
            "disk",
            format!(
                "{} % of loads waited for it; {} {reads} and {} bytes a load",
                share(self.from_disk_share),
                figure(self.reads_per_load, 2),
                figure(self.disk_bytes_per_load, 0),
            ),
        );
        if self.from_disk_share.is_some_and(|share| share < COLD_SHARE_MIN) {
            let reason =
                "most loads found what the system had read ahead: not what a cold load takes";
            line("note", String::from(reason));
        }
        let raw = &raw_reads.latency;
        let raw_share = raw_reads.from_disk.map(|reads| ratio(reads as f64, raw.count as f64));
        line(
            "raw",
            format!(
                "{} reads of 4 KiB, {} % from disk: {}",
                grouped(raw.count),
                share(raw_share),
                raw.line()
            ),
        );
        line(
            "ratio",
            format!(
                "a load to a raw read: {:.2} at p50, {:.2} at p99",
                ratio(latency.p50_ns as f64, raw.p50_ns as f64),
                ratio(latency.p99_ns as f64, raw.p99_ns as f64),
            ),
        );
    }
}

/// How bytes are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    Mapped,
    Calls,
    Queue,
}
