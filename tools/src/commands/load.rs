//! `neolith load`.

mod batch;

use std::process::ExitCode;

use bytes::Bytes;
use clap::{ArgGroup, Args};
use engine::{LoadResult, When};
use model::{Oid, Tid};
use serde::Serialize;

use crate::database::{Database, DatabaseArgs};
use crate::dump::sha256;
use crate::failure::Failure;
use crate::output::{Or, Output, WithTime};
use crate::records::inflated;

/// Load a revision of an object: the newest, or that of some moment
///
/// Prints its tid, the tid of the next revision, and size and SHA-256 of its data, or with --raw
/// the data itself, a pickle.
///
/// OID and TID are 16 hexadecimal digits, 0x and hexadecimal digits, or a decimal number; a TID
/// can also be a time in UTC.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(group = ArgGroup::new("when").args(["serial", "before", "as_of"]))]
pub(crate) struct LoadArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// The object
    #[arg(required_unless_present = "batch", conflicts_with = "batch")]
    oid: Option<Oid>,
    /// The revision that exactly this transaction wrote
    #[arg(long, value_name = "TID")]
    serial: Option<Tid>,
    /// The last revision before this transaction, as ZODB's loadBefore
    #[arg(long, value_name = "TID")]
    before: Option<Tid>,
    /// The last revision up to and including this transaction or time
    #[arg(long, value_name = "TID")]
    as_of: Option<Tid>,
    /// Write only the data, as it is
    #[arg(long, conflicts_with = "batch")]
    raw: bool,
    /// Print one line of JSON, as --batch does
    #[arg(long, conflicts_with = "raw")]
    json: bool,
    /// Read lines `OID TID` from standard input, and answer each with one line of JSON about the
    /// last revision before that TID
    #[arg(long, conflicts_with_all = ["when", "json"])]
    batch: bool,
}

const EXAMPLES: &str = "\
Examples:
  neolith load site 0
      the root object
  neolith load site 0x2a3 --as-of '2026-01-05 12:33'
  neolith load site 0 --raw | python3 -m pickletools -
  printf '0 03eed63dd8acd5cc\\n' | neolith load site --batch

JSON has the keys oid, tid, next_tid (or null), size, sha256; or oid and error, which is
\"no such oid\", \"no revision then\" or \"deleted\". A line of --batch that cannot be understood is
answered with the key error only, which begins with the number of the line.

Exit codes: 0 done; 1 there is no such revision (--batch: never for this reason), or the database
is damaged; 2 could not run, or a line of --batch could not be understood.";

pub(crate) fn run(args: &LoadArgs) -> Result<ExitCode, Failure> {
    let database = args.database.open()?;
    let mut output = Output::standard();
    let code = match args.oid {
        Some(oid) => load_one(&database, args, oid, &mut output)?,
        None => batch::run(&database, &mut output)?,
    };
    output.finish()?;
    Ok(code)
}

fn load_one(
    database: &Database,
    args: &LoadArgs,
    oid: Oid,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let when = match (args.serial, args.before, args.as_of) {
        (Some(tid), _, _) => When::At(tid),
        (_, Some(tid), _) => When::Before(tid),
        (_, _, Some(tid)) => match tid.get().checked_add(1) {
            Some(next) => When::Before(Tid::new(next)),
            None => When::Newest,
        },
        (None, None, None) => When::Newest,
    };
    let found = Found::load(database, oid, when)?;
    match &found {
        _ if args.json => output.json(&found.answer(oid))?,
        Found::Revision(revision) if args.raw => output.bytes(&revision.data)?,
        Found::Revision(revision) => revision.print(oid, output)?,
        Found::Missing(reason) => eprintln!("neolith: oid {oid}: {reason}"),
    }
    Ok(match found {
        Found::Revision(_) => ExitCode::SUCCESS,
        Found::Missing(_) => ExitCode::from(1),
    })
}

/// What was found.
enum Found {
    Revision(Revision),
    /// Why there is nothing.
    Missing(&'static str),
}

struct Revision {
    tid: Tid,
    next_tid: Option<Tid>,
    data_tid: Option<Tid>,
    data: Bytes,
}

impl Found {
    fn load(database: &Database, oid: Oid, when: When) -> Result<Self, Failure> {
        Ok(match database.load(oid, when)? {
            LoadResult::Revision(found) => {
                let data = inflated(found.compression, found.data, oid, found.tid)?;
                let (tid, next_tid, data_tid) = (found.tid, found.next_tid, found.data_tid);
                Found::Revision(Revision { tid, next_tid, data_tid, data })
            }
            LoadResult::Deleted { .. } => Found::Missing("deleted"),
            LoadResult::NoRevision => Found::Missing("no revision then"),
            LoadResult::NoSuchOid => Found::Missing("no such oid"),
        })
    }

    fn answer(&self, oid: Oid) -> Answer {
        let oid = oid.to_string();
        match self {
            Found::Missing(error) => Answer::Missing { oid, error },
            Found::Revision(revision) => Answer::Revision {
                oid,
                tid: revision.tid.to_string(),
                next_tid: revision.next_tid.map(|tid| tid.to_string()),
                size: revision.data.len(),
                sha256: sha256(&revision.data).to_string(),
            },
        }
    }
}

impl Revision {
    fn print(&self, oid: Oid, output: &mut Output) -> Result<(), Failure> {
        let next = Or(self.next_tid.map(WithTime), "none, this is the newest revision");
        output.line(format_args!("oid       {oid}"))?;
        output.line(format_args!("tid       {}", WithTime(self.tid)))?;
        output.line(format_args!("next tid  {next}"))?;
        if let Some(tid) = self.data_tid {
            output.line(format_args!("data of   {}", WithTime(tid)))?;
        }
        output.line(format_args!("size      {} bytes", self.data.len()))?;
        output.line(format_args!("sha256    {}", sha256(&self.data)))
    }
}

/// A line of JSON.
#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    Revision { oid: String, tid: String, next_tid: Option<String>, size: usize, sha256: String },
    Missing { oid: String, error: &'static str },
    Misunderstood { error: String },
}
