//! `neolith dump`.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::database::DatabaseArgs;
use crate::dump::{Canonical, DataTids, Hashes, Summary};
use crate::failure::Failure;
use crate::output::Output;
use crate::records;

/// Write the canonical dump of a database, or its hashes
///
/// The dump is the same for the same transactions, however they are kept: in any number of
/// partitions, in a database or in a FileStorage. So two copies are equal if their hashes are.
///
/// It is the concatenation, over all transactions in the order of their tids, of "T", tid and
/// status (1 byte), then user, description and extension, each behind its length (u32); for each
/// record "R", oid and tid, then 0 or (1, length as u64, data), then 0 or (1, data_tid); and "E".
/// Integers are big-endian, ids have 8 bytes.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DumpArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Print only the SHA-256 of the dump, and the one it has without its data_tids
    #[arg(long)]
    sha256: bool,
    /// With --sha256, print one line of JSON: dump_sha256, dump_without_data_txn_sha256,
    /// transactions, records, data_bytes
    #[arg(long, requires = "sha256")]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  neolith dump --sha256 site
  neolith dump site | sha256sum
      prints the same hash as the first one above
  cmp <(neolith dump site) <(neolith dump copy)
      finds the first byte in which two databases differ

Exit codes: 0 done; 1 the database is damaged; 2 could not run.";

pub(crate) fn run(args: &DumpArgs) -> Result<ExitCode, Failure> {
    if !args.sha256 && io::stdout().is_terminal() {
        let reason = "the dump is not made for terminals: send it elsewhere, or ask for --sha256";
        return Err(Failure::Refused(String::from(reason)));
    }
    let database = args.database.open()?;
    let mut output = Output::standard();
    if args.sha256 {
        let mut hashes = Hashes::new();
        records::replay(&database, &mut hashes, |_| Ok(()), Failure::output)?;
        print_hashes(&mut output, &hashes.finish(), args.json)?;
    } else {
        let mut dump = Canonical::new(output.writer(), DataTids::Included);
        records::replay(&database, &mut dump, |_| Ok(()), Failure::output)?;
    }
    output.finish()?;
    Ok(ExitCode::SUCCESS)
}

fn print_hashes(output: &mut Output, summary: &Summary, json: bool) -> Result<(), Failure> {
    let counts = summary.counts;
    if json {
        return output.json(&HashesLine {
            dump_sha256: summary.sha256.to_string(),
            dump_without_data_txn_sha256: summary.sha256_without_data_tids.to_string(),
            transactions: counts.transactions,
            records: counts.records,
            data_bytes: counts.data_bytes,
        });
    }
    output.line(format_args!("{}  dump", summary.sha256))?;
    output.line(format_args!("{}  without data_tids", summary.sha256_without_data_tids))
}

#[derive(Serialize)]
struct HashesLine {
    dump_sha256: String,
    dump_without_data_txn_sha256: String,
    transactions: u64,
    records: u64,
    data_bytes: u64,
}
