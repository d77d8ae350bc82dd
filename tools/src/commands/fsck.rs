//! `neolith fsck`.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use engine::disk::{Disk, OpenMode};
use engine::{Finding, Fsck, Severity, Totals};
use serde::Serialize;

use crate::database::{BackendArg, DiskArgs};
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::progress::Progress;

/// Check every byte of a database
///
/// Reads all files, without mapping them and without changing anything: checksums, the order of
/// everything that is sorted, zeros where zeros must be, and the indexes against the log both ways.
/// Each finding is a line with the file, the offset, what was expected, and which oids and tids
/// are hit where that can be known. A database that was not closed, after a crash, is checked as
/// it stands: an end that was never synced is told as a note, not as damage.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct FsckArgs {
    /// The directory that holds the database. No other process may have it open
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Print a line of JSON for each finding (severity, file, offset, text, hits, hits_count), then
    /// one with the totals
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  neolith fsck site
  neolith fsck --json site | jq 'select(.severity == \"damage\")'

Exit codes: 0 clean (there may be notes); 1 damaged; 2 could not run; 130 interrupted.";

pub(crate) fn run(args: &FsckArgs) -> Result<ExitCode, Failure> {
    // Nothing is written: io_uring need not be asked for.
    let disk = DiskArgs { disk_backend: BackendArg::Threads, disk_delay_us: 0 };
    let disk: Arc<dyn Disk> = disk.directory(&args.directory, OpenMode::ReadOnly)?;
    let interrupt = Interrupt::listen()?;
    let mut bar: Option<Progress> = None;
    let report = Fsck::new(disk).run(&mut |progress: engine::Progress| {
        let bar = bar.get_or_insert_with(|| Progress::bytes(progress.bytes_total));
        bar.reach(progress.bytes_done.min(progress.bytes_total));
        match interrupt.is_asked() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })?;
    drop(bar);
    let mut output = Output::standard();
    for finding in &report.findings {
        match args.json {
            true => output.json(&FindingLine::of(finding))?,
            false => output.line(Line(finding))?,
        }
    }
    if args.json {
        output.json(&TotalsLine::of(&report.totals, report.is_damaged(), report.is_complete))?;
    } else {
        let totals = &report.totals;
        let left_out = report.findings_left_out;
        if left_out > 0 {
            output.line(format_args!("{left_out} more findings"))?;
        }
        output.line(format_args!(
            "{}: {}; {} files, {} segments with {} records, {} runs with {} items, {} revisions, \
             {} transactions",
            args.directory.display(),
            if report.is_damaged() { "DAMAGED" } else { "clean" },
            totals.files,
            totals.segments,
            totals.records,
            totals.runs,
            totals.items,
            totals.revisions,
            totals.transactions,
        ))?;
    }
    output.finish()?;
    if !report.is_complete {
        return Err(Failure::Interrupted);
    }
    Ok(ExitCode::from(u8::from(report.is_damaged())))
}

struct Line<'a>(&'a Finding);

impl std::fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.severity {
            Severity::Damage => self.0.fmt(f),
            Severity::Note => write!(f, "note: {}", self.0),
        }
    }
}

#[derive(Serialize)]
struct FindingLine {
    severity: &'static str,
    file: String,
    offset: Option<u64>,
    text: String,
    hits: Vec<HitLine>,
    hits_count: u64,
}

#[derive(Serialize)]
struct HitLine {
    partition: u32,
    oid: Option<String>,
    tid: Option<String>,
}

impl FindingLine {
    fn of(finding: &Finding) -> Self {
        let hits = finding.hits.listed.iter().map(|hit| HitLine {
            partition: hit.partition.get(),
            oid: hit.oid.map(|oid| oid.to_string()),
            tid: hit.tid.map(|tid| tid.to_string()),
        });
        Self {
            severity: match finding.severity {
                Severity::Damage => "damage",
                Severity::Note => "note",
            },
            file: finding.file.clone(),
            offset: finding.offset,
            text: finding.text.to_string(),
            hits: hits.collect(),
            hits_count: finding.hits.count,
        }
    }
}

#[derive(Serialize)]
struct TotalsLine {
    damaged: bool,
    complete: bool,
    files: u64,
    bytes: u64,
    segments: u64,
    groups: u64,
    records: u64,
    runs: u64,
    items: u64,
    revisions: u64,
    transactions: u64,
}

impl TotalsLine {
    fn of(totals: &Totals, damaged: bool, complete: bool) -> Self {
        Self {
            damaged,
            complete,
            files: totals.files,
            bytes: totals.bytes,
            segments: totals.segments,
            groups: totals.groups,
            records: totals.records,
            runs: totals.runs,
            items: totals.items,
            revisions: totals.revisions,
            transactions: totals.transactions,
        }
    }
}
