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
        match args.json {
            true => output.json(&Line::of(tid, &transaction))?,
            false => print(&mut output, tid, &transaction)?,
        }
    }
    output.finish()?;
    Ok(ExitCode::SUCCESS)
}

fn print(output: &mut Output, tid: Tid, transaction: &Transaction) -> Result<(), Failure> {
    let packed = if transaction.packed { " packed" } else { "" };
    let oids = transaction.oids.len();
    output.line(format_args!("{}: tid={tid} oids={oids}{packed}", tid.time()))?;
    output.line(format_args!(
        "user='{}' description='{}' extension={}",
        Text(&transaction.user),
        Text(&transaction.description),
        transaction.extension.len()
    ))?;
    output.line("")
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
    fn of(tid: Tid, transaction: &Transaction) -> Self {
        Self {
            tid: tid.to_string(),
            time: tid.time().to_string(),
            status: if transaction.packed { "p" } else { " " },
            user: String::from_utf8_lossy(&transaction.user).into_owned(),
            description: String::from_utf8_lossy(&transaction.description).into_owned(),
            extension_bytes: transaction.extension.len(),
            oids: transaction.oids.len(),
        }
    }
}
