//! `neolith tail`.

use std::process::ExitCode;

use clap::Args;
use engine::Transaction;
use model::Tid;
use serde::Serialize;

use crate::database::DatabaseArgs;
use crate::failure::Failure;
use crate::output::{Output, Text};
use crate::records::{self, Direction, Tids};

/// Show the last transactions, newest first
///
/// For each one: time, tid, how many oids it wrote, user and description, as ZODB's fstail does.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TailArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// How many
    #[arg(short = 'n', long = "count", value_name = "N", default_value_t = 10)]
    count: usize,
    /// Print a line of JSON for each: tid, time, status, user, description, extension_bytes, oids
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  neolith tail site
  neolith tail -n 1 --json site

Exit codes: 0 done; 1 the database is damaged; 2 could not run.";

pub(crate) fn run(args: &TailArgs) -> Result<ExitCode, Failure> {
    let database = args.database.open()?;
    let mut output = Output::standard();
    for tid in Tids::new(&database, Direction::Descending).take(args.count) {
        let tid = tid?;
        let transaction = records::named_transaction(&database, tid)?;
        Shown::of(tid, &transaction).print(&mut output, args.json)?;
    }
    output.finish()?;
    Ok(ExitCode::SUCCESS)
}

/// What is shown of a transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) tid: Tid,
    pub(crate) user: &'a [u8],
    pub(crate) description: &'a [u8],
    pub(crate) extension: &'a [u8],
    pub(crate) packed: bool,
    pub(crate) oids: usize,
}

impl<'a> Shown<'a> {
    fn of(tid: Tid, transaction: &'a Transaction) -> Self {
        Self {
            tid,
            user: &transaction.user,
            description: &transaction.description,
            extension: &transaction.extension,
            packed: transaction.packed,
            oids: transaction.oids.len(),
        }
    }

    /// Prints it for people, or as a line of JSON.
    pub(crate) fn print(&self, output: &mut Output, json: bool) -> Result<(), Failure> {
        if json {
            return output.json(&Line::of(self));
        }
        let packed = if self.packed { " packed" } else { "" };
        let (tid, oids) = (self.tid, self.oids);
        output.line(format_args!("{}: tid={tid} oids={oids}{packed}", tid.time()))?;
        output.line(format_args!(
            "user='{}' description='{}' extension={}",
            Text(self.user),
            Text(self.description),
            self.extension.len()
        ))?;
        output.line("")
    }
}

#[derive(Serialize)]
struct Line {
    tid: String,
    time: String,
    status: &'static str,
    user: String,
    description: String,
    extension_bytes: usize,
    oids: usize,
}

impl Line {
    fn of(shown: &Shown<'_>) -> Self {
        Self {
            tid: shown.tid.to_string(),
            time: shown.tid.time().to_string(),
            status: if shown.packed { "p" } else { " " },
            user: String::from_utf8_lossy(shown.user).into_owned(),
            description: String::from_utf8_lossy(shown.description).into_owned(),
            extension_bytes: shown.extension.len(),
            oids: shown.oids,
        }
    }
}
