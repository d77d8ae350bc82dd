//! `neolith export`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use model::Tid;
use serde::Serialize;

use crate::database::{Database, DatabaseArgs};
use crate::dump::{Counts, Events, Revision};
use crate::failure::Failure;
use crate::filestorage::{self, Metadata, Writer};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::progress::Progress;
use crate::records;
use crate::stopwatch::Stopwatch;

/// Write a database as a FileStorage that ZODB opens
///
/// Every transaction and every revision is written, in the order of the tids; nothing is packed.
/// Data that repeats an earlier revision, as an undo does, is written as the reference to it that
/// ZODB would write. Blobs are not part of the database.
///
/// The file is written as TARGET.part and gets its name when it is whole and durable. TARGET
/// must not exist.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// The FileStorage file to make
    #[arg(value_name = "TARGET.fs")]
    target: PathBuf,
    /// Print one line of JSON: target, transactions, records, data_bytes, file_bytes, seconds
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  neolith export site site.fs
      then, in Python: ZODB.FileStorage.FileStorage('site.fs')
  neolith export site copy.fs && neolith import copy.fs copy
      gives a database with the same `neolith dump --sha256`

Exit codes: 0 done; 1 the database is damaged; 2 could not run, such as: TARGET exists, disk full;
130 interrupted. Unless it is 0, no TARGET was made.";

pub(crate) fn run(args: &ExportArgs) -> Result<ExitCode, Failure> {
    let stopwatch = Stopwatch::start();
    let interrupt = Interrupt::listen()?;
    let database = args.database.open()?;
    let mut target = Export { writer: Writer::create(&args.target)?, counts: Counts::default() };
    write(&database, &mut target, &interrupt)?;
    let counts = target.counts;
    let file_bytes = target.writer.finish()?.get();
    let (path, seconds) = (args.target.display(), stopwatch.seconds());
    let mut output = Output::standard();
    if args.json {
        output.json(&Summary {
            target: path.to_string(),
            transactions: counts.transactions,
            records: counts.records,
            data_bytes: counts.data_bytes,
            file_bytes,
            seconds,
        })?;
    } else {
        let Counts { transactions, records, .. } = counts;
        output.line(format_args!(
            "{path}: {transactions} transactions, {records} records, {file_bytes} bytes \
             in {seconds:.2} s"
        ))?;
    }
    output.finish()?;
    Ok(ExitCode::SUCCESS)
}

fn write(database: &Database, target: &mut Export, interrupt: &Interrupt) -> Result<(), Failure> {
    let bounds = database.bounds()?;
    let first = bounds.tid_first.unwrap_or(Tid::ZERO).get();
    let last = bounds.tid_last.unwrap_or(Tid::ZERO).get();
    let mut progress = Progress::time(last - first);
    let begin = |tid: Tid| {
        progress.reach(tid.get() - first);
        interrupt.check()
    };
    records::replay(database, target, begin, Failure::FileStorage)
}

/// The file, and how much was written to it.
struct Export {
    writer: Writer,
    counts: Counts,
}

impl Events for Export {
    type Error = filestorage::Error;

    fn transaction(&mut self, metadata: &Metadata<'_>) -> Result<(), filestorage::Error> {
        self.counts.transactions += 1;
        self.writer.transaction(metadata)
    }

    fn record(&mut self, revision: &Revision<'_>) -> Result<(), filestorage::Error> {
        self.counts.records += 1;
        self.counts.data_bytes += revision.data.map_or(0, |data| data.len() as u64);
        Events::record(&mut self.writer, revision)
    }

    fn end(&mut self) -> Result<(), filestorage::Error> {
        self.writer.end()
    }
}

#[derive(Serialize)]
struct Summary {
    target: String,
    transactions: u64,
    records: u64,
    data_bytes: u64,
    file_bytes: u64,
    seconds: f64,
}
