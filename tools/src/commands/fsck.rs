//! `neolith fsck`.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use engine::disk::{Disk, OpenMode};
use engine::{Finding, Fsck, Report, Severity};
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
    /// one with the verdict (damaged, complete) and the totals
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
What the lines mean:
  damaged at offset N: expected X   the bytes there are not X; nothing of it is served as data
  hit: oid O of tid T, ...          these revisions cannot be read; up to 16 of a finding are named
  note: ...                         nothing is lost: an end that was never synced, foreign files

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
    let mut length = 0;
    let report = Fsck::new(disk).run(&mut |progress: engine::Progress| {
        let bar = bar.get_or_insert_with(|| {
            length = progress.bytes_total;
            Progress::bytes(length)
        });
        // More may have to be read than was known at first: the bar shows the share.
        bar.reach(length.min(scale(progress, length)));
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
        output.json(&TotalsLine::of(&report))?;
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
            verdict(&report),
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

/// How far it is, of a length.
fn scale(progress: engine::Progress, length: u64) -> u64 {
    let (done, total) = (u128::from(progress.bytes_done), u128::from(progress.bytes_total));
    u64::try_from(done * u128::from(length) / total.max(1)).unwrap_or(length)
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
    findings_left_out: u64,
    files: u64,
    bytes: u64,
    segments: u64,
    groups: u64,
    records: u64,
    runs: u64,
    items: u64,
    revisions: u64,
    transactions: u64,
    listed_oids: u64,
    listed_oids_elsewhere: u64,
}

impl TotalsLine {
    fn of(report: &Report) -> Self {
        let totals = &report.totals;
        Self {
            damaged: report.is_damaged(),
            complete: report.is_complete,
            findings_left_out: report.findings_left_out,
            files: totals.files,
            bytes: totals.bytes,
            segments: totals.segments,
            groups: totals.groups,
            records: totals.records,
            runs: totals.runs,
            items: totals.items,
            revisions: totals.revisions,
            transactions: totals.transactions,
            listed_oids: totals.listed_oids,
            listed_oids_elsewhere: totals.listed_oids_elsewhere,
        }
    }
}

/// In a word or two.
fn verdict(report: &Report) -> &'static str {
    match (report.is_damaged(), report.is_complete) {
        (true, _) => "DAMAGED",
        (false, true) => "clean",
        (false, false) => "not everything was checked",
    }
}
