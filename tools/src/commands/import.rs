//! `neolith import`.

mod directory;
mod earlier;
mod origin;
mod placement;
mod transfer;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use engine::disk::{self, Disk};
use model::{PartitionCount, Tid};
use serde::Serialize;

use crate::database::DiskArgs;
use crate::dump::Counts;
use crate::failure::Failure;
use crate::filestorage::{Reader, TornTail};
use crate::interrupt::Interrupt;
use crate::node::partition_count;
use crate::output::Output;
use crate::progress::Progress;
use crate::stopwatch::Stopwatch;
use directory::{Target, make_directory};
pub(crate) use origin::Origin;
pub(crate) use placement::Placement;
use transfer::Transfer;

/// Import a FileStorage into a new database
///
/// Every transaction and every revision is kept as it is: data, undo labels, users, descriptions,
/// extensions, deletions. Files of Python 2 (FS21) and Python 3 (FS30) are read, packed or not;
/// Data.fs.index is not needed, and blobs are left where they are. The file may be in use by ZODB:
/// what is committed after the beginning is not imported.
///
/// DIR is made, or has to be empty. The import can be stopped at any moment, by ctrl-C or a power
/// cut: the same command goes on behind the last transaction that is in DIR. Until it is
/// complete, all other commands refuse DIR.
///
/// The database can be served at once: by `neolith storaged -d DIR`, with a master of the same
/// cluster. With --storages it becomes the databases of several storages, DIR/storage1 and so on.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ImportArgs {
    /// The FileStorage file
    #[arg(value_name = "SOURCE.fs")]
    pub(crate) source: PathBuf,
    /// The directory for the database
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// For how many storage nodes
    #[arg(
        long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=STORAGES_MAX)
    )]
    pub(crate) storages: u32,
    /// How many storage nodes have a copy of each partition besides the first
    #[arg(long, value_name = "R", default_value_t = 0)]
    pub(crate) replicas: u32,
    /// Into how many partitions objects are divided, by oid: the greatest number of storage nodes
    /// that can share the database later, for it never changes [default: 12]
    #[arg(long, value_name = "P", value_parser = partition_count)]
    pub(crate) partitions: Option<PartitionCount>,
    /// Name of the cluster that will serve the database [default: neolith]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Print one line of JSON: source, directory, partitions, transactions, records, data_bytes,
    /// seconds, first_tid and last_tid of what was imported now, resumed_after (a tid, or null),
    /// torn_tail_bytes
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) disk: DiskArgs,
}

/// More storages on one host than anybody has use for.
const STORAGES_MAX: i64 = 1000;

const EXAMPLES: &str = "\
Examples:
  neolith import Data.fs site
  neolith import --partitions 100 --name plone Data.fs site
  neolith import --storages 3 --replicas 1 Data.fs cluster
  neolith stat site

An incomplete transaction at the end of SOURCE, as a crash leaves one, is ignored as ZODB would;
standard error says where it begins.

Exit codes: 0 done; 1 the unfinished import in DIR is damaged; 2 could not run, such as: SOURCE is
no FileStorage or is damaged (with the offset), DIR is in use or holds other files, disk full;
130 interrupted.";

pub(crate) fn run(args: &ImportArgs) -> Result<ExitCode, Failure> {
    let stopwatch = Stopwatch::start();
    let interrupt = Interrupt::listen()?;
    let imported = import_all(args, &interrupt)?;
    if let Some(tail) = imported.torn_tail {
        eprintln!(
            "neolith: {}: ignored an incomplete transaction at offset {}, the last {} bytes",
            args.source.display(),
            tail.position,
            tail.length
        );
    }
    let mut output = Output::standard();
    print(&mut output, args, &imported, stopwatch.seconds())?;
    output.finish()?;
    Ok(ExitCode::SUCCESS)
}

impl ImportArgs {
    /// For one of several storages.
    fn of_storage(&self, number: u32) -> Self {
        Self { directory: self.directory.join(format!("storage{number}")), ..self.clone() }
    }
}

/// What was imported.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Imported {
    pub(crate) partitions: PartitionCount,
    pub(crate) counts: Counts,
    pub(crate) tid_first: Option<Tid>,
    pub(crate) tid_last: Option<Tid>,
    /// Where an earlier import had come to.
    pub(crate) resumed_after: Option<Tid>,
    pub(crate) torn_tail: Option<TornTail>,
}

impl Imported {
    /// Together with what another storage of the same cluster has, which may have other cells.
    fn with(self, other: &Self) -> Self {
        let tids_first = self.tid_first.into_iter().chain(other.tid_first);
        let resumed = self.resumed_after.into_iter().chain(other.resumed_after);
        Self {
            counts: Counts {
                transactions: self.counts.transactions.max(other.counts.transactions),
                records: self.counts.records.max(other.counts.records),
                data_bytes: self.counts.data_bytes.max(other.counts.data_bytes),
            },
            tid_first: tids_first.min(),
            tid_last: self.tid_last.max(other.tid_last),
            resumed_after: resumed.min(),
            ..self
        }
    }
}

/// Imports everything, or goes on where an import of the same file was stopped.
pub(crate) fn import_all(args: &ImportArgs, interrupt: &Interrupt) -> Result<Imported, Failure> {
    let several = args.storages > 1;
    let partitions = args.partitions.or(PartitionCount::new(directory::PARTITIONS_DEFAULT));
    let placements = partitions
        .and_then(|partitions| Placement::spread(partitions, args.storages, args.replicas));
    let Some(placements) = placements else {
        let (replicas, storages) = (args.replicas, args.storages);
        return Err(Failure::Refused(format!(
            "--replicas {replicas}: expected less than the number of storages, {storages}"
        )));
    };
    if !several {
        return import(args, None, interrupt);
    }
    // First, so that nothing is made if there is nothing to import.
    Reader::open(&args.source)?;
    make_directory(&args.directory)?;
    let mut whole: Option<Imported> = None;
    for (number, placement) in (1..).zip(&placements) {
        let args = args.of_storage(number);
        let part = import(&args, Some(placement), interrupt)?;
        whole = Some(match whole {
            None => part,
            Some(whole) => whole.with(&part),
        });
    }
    Ok(whole.expect("there is at least one storage"))
}

fn import(
    args: &ImportArgs,
    placement: Option<&Placement>,
    interrupt: &Interrupt,
) -> Result<Imported, Failure> {
    // First, so that nothing is made if there is nothing to import.
    let reader = Reader::open(&args.source)?;
    let disk = args.disk.directory(&args.directory, disk::OpenMode::Create)?;
    import_to(disk, args, placement, reader, interrupt)
}

fn import_to(
    disk: Arc<dyn Disk>,
    args: &ImportArgs,
    placement: Option<&Placement>,
    mut reader: Reader,
    interrupt: &Interrupt,
) -> Result<Imported, Failure> {
    let target = Target::open(disk, args, placement, reader.identity())?;
    let resumed_after = target.last_tid;
    if let Some(tid) = resumed_after
        && reader.seek_after(tid)? != Some(tid)
    {
        return Err(directory::other_file(args, tid));
    }
    let progress = Progress::bytes(reader.file_length().get());
    let partitions = target.partitions;
    let mut transfer = Transfer::start(&args.source, target, progress)?;
    let outcome = transfer.copy(&mut reader, interrupt);
    let counts = transfer.counts;
    let (tid_first, tid_last) = transfer.tids;
    match outcome {
        Ok(()) => transfer.complete()?,
        Err(cause) => return Err(transfer.stop(cause)),
    }
    let torn_tail = reader.torn_tail();
    Ok(Imported { partitions, counts, tid_first, tid_last, resumed_after, torn_tail })
}

fn print(
    output: &mut Output,
    args: &ImportArgs,
    imported: &Imported,
    seconds: f64,
) -> Result<(), Failure> {
    let Counts { transactions, records, data_bytes } = imported.counts;
    let (source, directory) = (args.source.display(), args.directory.display());
    if args.json {
        return output.json(&Summary {
            source: source.to_string(),
            directory: directory.to_string(),
            partitions: imported.partitions.get(),
            transactions,
            records,
            data_bytes,
            seconds,
            first_tid: imported.tid_first.map(|tid| tid.to_string()),
            last_tid: imported.tid_last.map(|tid| tid.to_string()),
            resumed_after: imported.resumed_after.map(|tid| tid.to_string()),
            torn_tail_bytes: imported.torn_tail.map_or(0, |tail| tail.length.get()),
        });
    }
    if let Some(tid) = imported.resumed_after {
        output
            .line(format_args!("went on after transaction {tid}, the last one in {directory}"))?;
    }
    let megabytes = data_bytes as f64 / 1e6;
    output.line(format_args!(
        "{source}: {transactions} transactions, {records} records, {megabytes:.1} MB of data \
         in {seconds:.2} s ({:.0} MB/s)",
        megabytes / seconds
    ))?;
    let partitions = imported.partitions;
    let storages = match args.storages {
        1 => String::new(),
        storages => format!(", for {storages} storages"),
    };
    output.line(format_args!("{directory}: complete, in {partitions} partitions{storages}"))
}

#[derive(Serialize)]
struct Summary {
    source: String,
    directory: String,
    partitions: u32,
    transactions: u64,
    records: u64,
    data_bytes: u64,
    seconds: f64,
    first_tid: Option<String>,
    last_tid: Option<String>,
    resumed_after: Option<String>,
    torn_tail_bytes: u64,
}

#[cfg(test)]
mod tests;
