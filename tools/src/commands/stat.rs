//! `neolith stat`.

mod count;
mod files;

use std::process::ExitCode;

use clap::Args;
use engine::{MetadataKey, TransactionState};
use model::{Nid, Oid, PartitionTable, Tid};
use serde::Serialize;

use crate::database::{Database, DatabaseArgs};
use crate::failure::Failure;
use crate::output::{Or, Output, Text, WithTime};
use count::{Counted, Revisions};
use files::{FileSizes, Kind};

/// Show what a database holds: counts, sizes, first and last ids
///
/// All indexes are read, but no data: `neolith fsck` does that.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct StatArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Print one line of JSON; ids are strings of 16 hexadecimal digits, or null
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
What the lines mean:
  oids              objects that ever had a revision; those alive have data in their newest one
  revisions an oid  half of the oids have at most p50 revisions, 99 % have at most p99
  in doubt          transactions that are voted, and not yet committed or aborted
  garbage           bytes of the log that belong to aborted transactions

Example:
  neolith stat --json site | python3 -m json.tool

Exit codes: 0 done; 1 the database is damaged; 2 could not run.";

pub(crate) fn run(args: &StatArgs) -> Result<ExitCode, Failure> {
    let database = args.database.open()?;
    let report = Report::of(&database)?;
    let mut output = Output::standard();
    match args.json {
        true => output.json(&report)?,
        false => report.print(&mut output)?,
    }
    output.finish()?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Serialize)]
struct Report {
    name: String,
    nid: Option<String>,
    database_id: String,
    partitions: u32,
    partition_table_id: Option<u64>,
    replicas: Option<u32>,
    transactions: u64,
    first_tid: Option<String>,
    last_tid: Option<String>,
    oids: u64,
    live_oids: u64,
    last_oid: Option<String>,
    revisions: u64,
    revisions_an_oid: Revisions,
    in_doubt: Vec<InDoubt>,
    files: FileSizes,
    garbage_bytes: u64,
}

/// A transaction that is voted.
#[derive(Serialize)]
struct InDoubt {
    ttid: String,
    /// If it is locked.
    tid: Option<String>,
}

impl Report {
    fn of(database: &Database) -> Result<Self, Failure> {
        let engine = &database.engine;
        let metadata = engine.metadata();
        let table = metadata.get(MetadataKey::PartitionTable);
        let table = table.map(PartitionTable::from_bytes).transpose().map_err(|error| {
            let path = engine.disk().path("");
            Failure::Damaged(format!("{path}: the metadata of the database: {error}"))
        })?;
        let nid = metadata.get_u32(MetadataKey::Nid).map(u32::cast_signed).map(Nid::new);
        let bounds = database.bounds()?;
        let counted = Counted::of(database)?;
        let show = |tid: Tid| tid.to_string();
        Ok(Self {
            name: Text(metadata.get(MetadataKey::ClusterName).unwrap_or_default()).to_string(),
            nid: nid.map(|nid| nid.to_string()),
            database_id: engine.database_id().iter().map(|byte| format!("{byte:02x}")).collect(),
            partitions: database.partitions.get(),
            partition_table_id: table.as_ref().map(|table| table.id().get()),
            replicas: metadata.get_u32(MetadataKey::Replicas),
            transactions: counted.transactions,
            first_tid: bounds.tid_first.map(show),
            last_tid: bounds.tid_last.map(show),
            oids: counted.oids,
            live_oids: counted.live_oids,
            last_oid: bounds.oid_last.map(|oid: Oid| oid.to_string()),
            revisions: counted.revisions,
            revisions_an_oid: counted.revisions_an_oid,
            in_doubt: in_doubt(database),
            files: FileSizes::of(engine.disk())?,
            garbage_bytes: engine.figures().garbage_bytes,
        })
    }

    fn print(&self, output: &mut Output) -> Result<(), Failure> {
        let tid = |text: &Option<String>| {
            let tid = text.as_ref().and_then(|text| text.parse().ok());
            Or(tid.map(WithTime), "none").to_string()
        };
        let id = |text: &Option<String>| text.clone().unwrap_or_else(|| String::from("none"));
        let table = Or(self.partition_table_id, "unknown");
        let mut line = |name: &str, value: String| output.line(format_args!("{name:18}{value}"));
        line("name", self.name.clone())?;
        line("node", id(&self.nid))?;
        line("database id", self.database_id.clone())?;
        line("partitions", format!("{} (partition table {table})", self.partitions))?;
        line("transactions", self.transactions.to_string())?;
        line("  first tid", tid(&self.first_tid))?;
        line("  last tid", tid(&self.last_tid))?;
        line("oids", format!("{} ({} alive)", self.oids, self.live_oids))?;
        line("  last oid", id(&self.last_oid))?;
        let Revisions { p50, p90, p99, max } = self.revisions_an_oid;
        line("revisions", self.revisions.to_string())?;
        line("  an oid", format!("p50 {p50}, p90 {p90}, p99 {p99}, max {max}"))?;
        line("in doubt", format!("{} transactions", self.in_doubt.len()))?;
        for transaction in &self.in_doubt {
            let InDoubt { ttid, tid } = transaction;
            let state = match tid {
                Some(tid) => format!("locked, tid {tid}"),
                None => String::from("voted"),
            };
            line("", format!("ttid {ttid}: {state}"))?;
        }
        line("files", format!("{} bytes", self.files.bytes()))?;
        for (name, Kind { count, bytes }) in self.files.kinds() {
            line(&format!("  {name}"), format!("{bytes} bytes in {count}"))?;
        }
        line("garbage", format!("{} bytes", self.garbage_bytes))
    }
}

fn in_doubt(database: &Database) -> Vec<InDoubt> {
    let transactions = database.engine.transactions().map(|(ttid, state)| InDoubt {
        ttid: ttid.to_string(),
        tid: match state {
            TransactionState::Locked(tid) => Some(tid.to_string()),
            TransactionState::Open | TransactionState::Voted => None,
        },
    });
    transactions.collect()
}
