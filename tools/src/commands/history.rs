//! `neolith history`.

use std::process::ExitCode;

use clap::Args;
use engine::{HistoryEntry, HistoryLookup, Transaction};
use model::Oid;
use serde::Serialize;

use crate::database::{Database, DatabaseArgs};
use crate::failure::Failure;
use crate::output::{Output, Text};

/// Show the revisions of an object, newest first
///
/// For each one: time, tid, size of its data as stored, user and description of its transaction.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct HistoryArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// The object: 16 hexadecimal digits, 0x and hexadecimal digits, or a decimal number
    oid: Oid,
    /// At most so many [default: all]
    #[arg(short = 'n', long = "count", value_name = "N")]
    count: Option<usize>,
    /// Print a line of JSON for each: tid, time, size (null where it was deleted), data_tid (of
    /// which an undo has the data, or null), user, description
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  neolith history site 0
  neolith history -n 3 --json site 0x2a3

Exit codes: 0 done; 1 there is no such oid, or the database is damaged; 2 could not run.";

/// Revisions that are asked for at once.
const PAGE_LENGTH: usize = 1024;

pub(crate) fn run(args: &HistoryArgs) -> Result<ExitCode, Failure> {
    let database = args.database.open()?;
    let mut output = Output::standard();
    let count_max = args.count.unwrap_or(usize::MAX);
    let mut count = 0;
    while count < count_max {
        let page = page(&database, args.oid, count, count_max.min(count + PAGE_LENGTH))?;
        if page.is_empty() {
            break;
        }
        count += page.len();
        for entry in page {
            let transaction = database.transaction(entry.tid)?.unwrap_or_default();
            match args.json {
                true => output.json(&Line::of(&entry, &transaction))?,
                false => print(&mut output, &entry, &transaction)?,
            }
        }
    }
    output.finish()?;
    if count == 0 && count_max > 0 {
        eprintln!("neolith: oid {}: no such oid", args.oid);
        return Ok(ExitCode::from(1));
    }
    Ok(ExitCode::SUCCESS)
}

fn page(
    database: &Database,
    oid: Oid,
    first: usize,
    last: usize,
) -> Result<Vec<HistoryEntry>, Failure> {
    let partition = database.partitions.of_oid(oid);
    database.look_up(HistoryLookup::new(database.snapshot.clone(), partition, oid, first, last))
}

fn print(
    output: &mut Output,
    entry: &HistoryEntry,
    transaction: &Transaction,
) -> Result<(), Failure> {
    let size = match entry.has_data {
        true => format!("size={}", entry.size),
        false => String::from("deleted"),
    };
    let data_of = match entry.data_tid {
        Some(tid) => format!(" data of {tid}"),
        None => String::new(),
    };
    output.line(format_args!(
        "{}: tid={} {size}{data_of} user='{}' description='{}'",
        entry.tid.time(),
        entry.tid,
        Text(&transaction.user),
        Text(&transaction.description),
    ))
}

#[derive(Serialize)]
struct Line {
    tid: String,
    time: String,
    size: Option<u32>,
    data_tid: Option<String>,
    user: String,
    description: String,
}

impl Line {
    fn of(entry: &HistoryEntry, transaction: &Transaction) -> Self {
        Self {
            tid: entry.tid.to_string(),
            time: entry.tid.time().to_string(),
            size: entry.has_data.then_some(entry.size),
            data_tid: entry.data_tid.map(|tid| tid.to_string()),
            user: String::from_utf8_lossy(&transaction.user).into_owned(),
            description: String::from_utf8_lossy(&transaction.description).into_owned(),
        }
    }
}
