//! `neolith bench open`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use engine::disk::{Disk, OpenMode};
use engine::{Engine, Options};
use serde::Serialize;

use super::cold::Files;
use super::process::{Memory, bytes_read_by_calls};
use super::report::{Format, Report, grouped, megabytes, print};
use crate::database::DiskArgs;
use crate::failure::Failure;

/// The file that a database has only while it is closed.
const CLOSED: &str = "closed";

/// Measure how long it takes to open a database to be written
///
/// After a clean close the index is opened and nothing else is read. After a kill or a crash
/// the log since the last checkpoint is replayed, too, which is bounded however large the database
/// is. Either way the database is closed cleanly afterwards, unless --no-close is given.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct OpenArgs {
    /// The directory that holds the database
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// First empty the system's cache of all files, and check that
    #[arg(long)]
    cold: bool,
    /// End without closing the database, so that it is opened as after a kill once more
    #[arg(long)]
    no_close: bool,
    /// Print one JSON object: times in seconds, sizes in bytes
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    disk: DiskArgs,
}

const EXAMPLES: &str = "Example:
  neolith bench fill /srv/scratch/db --no-close
  neolith bench open /srv/scratch/db --no-close --cold
  neolith bench open /srv/scratch/db";

pub(crate) fn run(args: &OpenArgs) -> Result<ExitCode, Failure> {
    let disk: Arc<dyn Disk> = args.disk.directory(&args.directory, OpenMode::ReadWrite)?;
    let names = disk.list().map_err(|source| {
        let path = args.directory.display().to_string();
        Failure::Io { action: "list", path, source }
    })?;
    let was_closed = names.iter().any(|name| name == CLOSED);
    let files = Files::open(&disk)?;
    let database_bytes = files.length();
    if args.cold {
        files.drop_cache()?;
    }
    drop(files);

    let mut memory = Memory::default();
    memory.look();
    let anonymous_bytes_before = memory.anonymous_bytes;
    let bytes_before = bytes_read_by_calls();
    let start = Instant::now();
    let engine = Engine::open(disk, Options::default(), engine::OpenMode::ReadWrite)?;
    let opened = Instant::now();
    let bytes_read = bytes_read_by_calls().zip(bytes_before).map(|(after, before)| after - before);
    memory.look();
    let transactions_in_doubt = engine.transactions().count() as u64;
    match args.no_close {
        true => drop(engine),
        false => engine.close()?,
    }
    let outcome = Outcome {
        directory: args.directory.display().to_string(),
        was_closed,
        is_cold: args.cold,
        database_bytes,
        open_seconds: (opened - start).as_secs_f64(),
        bytes_read,
        transactions_in_doubt,
        anonymous_bytes_before,
        anonymous_bytes: memory.anonymous_bytes,
        close_seconds: (!args.no_close).then(|| opened.elapsed().as_secs_f64()),
    };
    print(&outcome, Format::of(args.json))?;
    Ok(ExitCode::SUCCESS)
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Outcome {
    directory: String,
    /// Whether it was closed cleanly before.
    was_closed: bool,
    is_cold: bool,
    database_bytes: u64,
    open_seconds: f64,
    /// Read while opening: log that was replayed, and index levels and filters.
    bytes_read: Option<u64>,
    transactions_in_doubt: u64,
    anonymous_bytes_before: u64,
    anonymous_bytes: u64,
    close_seconds: Option<f64>,
}

impl Report for Outcome {
    fn text(&self) -> String {
        let found = match self.was_closed {
            true => "closed cleanly",
            false => "not closed: the log since the last checkpoint was replayed",
        };
        let read = self.bytes_read.map_or_else(|| String::from("?"), megabytes);
        let close = match self.close_seconds {
            Some(seconds) => format!("closed in {seconds:.3} s"),
            None => String::from("not closed"),
        };
        format!(
            "found    {found}; {}\n\
             open     {:.3} s{}, {read} read\n\
             memory   {} anonymous, {} before\n\
             voted    {} transactions wait for their end\n\
             end      {close}\n",
            megabytes(self.database_bytes),
            self.open_seconds,
            if self.is_cold { " with empty caches" } else { "" },
            megabytes(self.anonymous_bytes),
            megabytes(self.anonymous_bytes_before),
            grouped(self.transactions_in_doubt),
        )
    }
}
