//! Options of the nodes: those of NEO, and some more.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use model::{Nid, NodeType, PartitionCount};

use super::addresses::{Bind, Masters, parse_bind, parse_masters};
use super::configuration::NodeArgs;
use crate::database::DiskArgs;

/// Options of every node.
#[derive(Debug, Clone, Args)]
pub(crate) struct CommonArgs {
    /// Read options from a file too; the command line has the last word
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The section of that file [default: named for the command]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) section: Option<String>,
    /// Name of the cluster: nodes of another one are refused
    #[arg(short, long, value_name = "NAME", value_parser = not_empty)]
    pub(crate) cluster: Option<String>,
    /// Addresses of the masters, in one argument: "10.0.0.1:10000 [::1]:10000"
    #[arg(short, long, value_name = "ADDRESSES", value_parser = parse_masters)]
    pub(crate) masters: Option<Masters>,
    /// Where to listen: HOST, HOST:PORT or :PORT, all interfaces without HOST; port 0 is any one
    #[arg(short, long, value_name = "ADDRESS", value_parser = parse_bind)]
    pub(crate) bind: Option<Bind>,
    /// Write the log to a file too; it is opened again on SIGHUP
    #[arg(short, long, value_name = "FILE", help_heading = "Log")]
    pub(crate) logfile: Option<PathBuf>,
    /// How the log is written
    #[arg(long, value_name = "HOW", value_enum, help_heading = "Log")]
    pub(crate) log_format: Option<LogFormat>,
    /// Wait so long between two connections to the same address [default: 1]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) reconnect_delay: Option<Duration>,
    /// File for a list of masters that changes: not needed with one master
    #[arg(short = 'D', long, value_name = "FILE", help_heading = NOT_HERE)]
    pub(crate) dynamic_master_list: Option<PathBuf>,
    /// TLS: certificates of authorities
    #[arg(long, value_name = "FILE", help_heading = NOT_HERE)]
    pub(crate) ca: Option<PathBuf>,
    /// TLS: certificate of this node
    #[arg(long, value_name = "FILE", help_heading = NOT_HERE)]
    pub(crate) cert: Option<PathBuf>,
    /// TLS: private key of this node
    #[arg(long, value_name = "FILE", help_heading = NOT_HERE)]
    pub(crate) key: Option<PathBuf>,
    /// End when standard input ends: whoever started the node is gone
    #[arg(long, hide = true)]
    pub(crate) exit_with_parent: bool,
}

/// How a node waits for what comes.
#[derive(Debug, Clone, Args)]
pub(crate) struct WaitingArgs {
    /// Stay awake for up to so long before each wait, as long as something mostly comes within that
    /// time: it is handled sooner, and a processor is kept busy, unless others need it. 0: sleep at
    /// once
    #[arg(
        long, default_value_t = 600, value_name = "MICROSECONDS",
        value_parser = clap::value_parser!(u32).range(..=BUSY_POLL_US_MAX)
    )]
    pub(crate) busy_poll_us: u32,
}

/// Whoever waits longer for the next request gains nothing from a thread that is awake.
const BUSY_POLL_US_MAX: i64 = 1_000_000;

/// Heading of options that nodes of NEO/py have and that do nothing here, or are refused.
const NOT_HERE: &str = "Options of NEO/py that have no effect yet, or are refused";

/// Values of `--log-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum LogFormat {
    /// A line for people
    #[default]
    Human,
    /// A line of JSON
    Json,
}

/// Run a master: the node that coordinates a cluster
///
/// It gives out ids, knows which storage has which partition, and commits. It begins in RECOVERING,
/// and starts operation when the storages that it needs are there. A new cluster starts with
/// `neolith ctl start`, or by itself when there are as many storages as --autostart says.
///
/// What must survive is on the storages. With --data it is also in a log of the master's own, so
/// that not even the loss of all storages at once makes it go back.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true, after_help = MASTER_EXAMPLES)]
pub(crate) struct MasterArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// Directory for the master's log, made if it is not there
    #[arg(long, value_name = "DIR", help_heading = "Master")]
    pub(crate) data: Option<PathBuf>,
    /// Start a new cluster as soon as so many storages are there
    #[arg(short = 'A', long, value_name = "N", help_heading = "Master")]
    pub(crate) autostart: Option<u32>,
    /// Copies of each partition besides the first, in a new cluster [default: 0]
    #[arg(short, long, value_name = "R", help_heading = "Master")]
    pub(crate) replicas: Option<u32>,
    /// Partitions of a new cluster, for ever: at most so many storages can share it [default: 100]
    #[arg(short, long, value_name = "P", help_heading = "Master", value_parser = partition_count)]
    pub(crate) partitions: Option<PartitionCount>,
    /// Id of this node, negative
    #[arg(
        short = 'i', long, value_name = "NID", help_heading = "Master",
        allow_negative_numbers = true, value_parser = master_nid
    )]
    pub(crate) nid: Option<Nid>,
    #[command(flatten)]
    pub(crate) disk: DiskArgs,
    #[command(flatten)]
    pub(crate) waiting: WaitingArgs,
    /// Name of a cluster to back up
    #[arg(short = 'C', long, value_name = "NAME", help_heading = NOT_HERE)]
    pub(crate) upstream_cluster: Option<String>,
    /// Masters of that cluster
    #[arg(
        short = 'M', long, value_name = "ADDRESSES", help_heading = NOT_HERE,
        value_parser = parse_masters
    )]
    pub(crate) upstream_masters: Option<Masters>,
    /// Become a backup as soon as the cluster starts
    #[arg(short = 'B', long, help_heading = NOT_HERE)]
    pub(crate) backup: bool,
}

const MASTER_EXAMPLES: &str = "\
Examples:
  neolith master -c site -m 127.0.0.1:10000 -b 127.0.0.1:10000 --data master
  neolith master -f neo.conf

Without --bind it listens at port 10000 of all interfaces; without --cluster a new cluster gets a
name, which is in the log.

Exit codes: 0 ended by SIGTERM, or with its cluster; 1 cannot go on: the reason is in one line on
standard error; 2 bad arguments or configuration.";

/// Run a storage: a node that keeps data
///
/// The database is a directory: one that is not there is made; `neolith import` makes one from a
/// FileStorage. It is only served in the cluster that it belongs to.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true, after_help = STORAGE_EXAMPLES)]
pub(crate) struct StorageArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// The directory of the database
    #[arg(short, long, value_name = "DIR", help_heading = "Storage")]
    pub(crate) database: Option<PathBuf>,
    /// Carry out no pack orders
    #[arg(long, help_heading = "Storage")]
    pub(crate) disable_pack: bool,
    /// Keep the data of partitions that are taken away
    #[arg(long, help_heading = "Storage")]
    pub(crate) disable_drop_partitions: bool,
    /// The database is a copy of another storage's: get an id of its own, and end
    #[arg(long, help_heading = "Storage")]
    pub(crate) new_nid: bool,
    /// Id of a new database
    #[arg(
        short = 'i', long, value_name = "NID", help_heading = "Storage",
        allow_negative_numbers = true, value_parser = storage_nid
    )]
    pub(crate) nid: Option<Nid>,
    /// Put the database aside, by renaming its directory, and end
    #[arg(long, help_heading = "Storage")]
    pub(crate) reset: bool,
    #[command(flatten)]
    pub(crate) disk: DiskArgs,
    #[command(flatten)]
    pub(crate) waiting: WaitingArgs,
    /// Kind of database: there is one
    #[arg(short, long, value_name = "ADAPTER", help_heading = NOT_HERE)]
    pub(crate) adapter: Option<String>,
    /// How long to wait for a database server
    #[arg(
        short, long, value_name = "SECONDS", help_heading = NOT_HERE,
        allow_negative_numbers = true
    )]
    pub(crate) wait: Option<f64>,
    /// Engine of a database server
    #[arg(short, long, value_name = "ENGINE", help_heading = NOT_HERE)]
    pub(crate) engine: Option<String>,
    /// Store equal data once
    #[arg(long, help_heading = NOT_HERE)]
    pub(crate) dedup: bool,
}

const STORAGE_EXAMPLES: &str = "\
Examples:
  neolith storaged -c site -m 127.0.0.1:10000 -b 127.0.0.1 -d db1
  neolith storaged -f neo.conf -s storage1

Without --bind it listens at any port of all interfaces. Without --cluster the name is that of the
database.

Exit codes: 0 ended by SIGTERM, with its cluster, or dropped from it; 1 cannot go on: the reason is
in one line on standard error; 2 bad arguments or configuration.";

/// Run an admin node: what `neolith ctl` and NEO's neoctl talk to
///
/// It keeps nothing: any number can run, on any host.
#[derive(Debug, Clone, Args)]
#[command(args_override_self = true, after_help = ADMIN_EXAMPLES)]
pub(crate) struct AdminArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,
    /// Id of this node, negative
    #[arg(
        short = 'i', long, value_name = "NID", help_heading = "Admin",
        allow_negative_numbers = true, value_parser = admin_nid
    )]
    pub(crate) nid: Option<Nid>,
    /// Warn when a backup is so far behind
    #[arg(long, value_name = "SECONDS", help_heading = NOT_HERE)]
    pub(crate) monitor_maxlag: Option<f64>,
    /// Whom to mail to
    #[arg(long, value_name = "ADDRESS", help_heading = NOT_HERE, action = ArgAction::Append)]
    pub(crate) monitor_email: Vec<String>,
    /// Backup clusters to watch
    #[arg(long, value_name = "NAME", help_heading = NOT_HERE, action = ArgAction::Append)]
    pub(crate) monitor_backup: Vec<String>,
    /// Server for mails
    #[arg(long, value_name = "HOST[:PORT]", help_heading = NOT_HERE)]
    pub(crate) smtp: Option<String>,
    /// Use STARTTLS
    #[arg(long, help_heading = NOT_HERE)]
    pub(crate) smtp_tls: bool,
    /// Credentials for the server
    #[arg(long, value_name = "USER:PASS", help_heading = NOT_HERE)]
    pub(crate) smtp_auth: Option<String>,
}

const ADMIN_EXAMPLES: &str = "\
Examples:
  neolith admin -c site -m 127.0.0.1:10000 -b 127.0.0.1:9999
  neolith admin -f neo.conf

Without --bind it listens at port 9999 of all interfaces.

Exit codes: 0 ended by SIGTERM, or with its cluster; 1 cannot go on: the reason is in one line on
standard error; 2 bad arguments or configuration.";

impl NodeArgs for MasterArgs {
    const SECTION: &'static str = "master";

    fn common(&self) -> &CommonArgs {
        &self.common
    }
}

impl NodeArgs for StorageArgs {
    const SECTION: &'static str = "storage";

    fn common(&self) -> &CommonArgs {
        &self.common
    }
}

impl NodeArgs for AdminArgs {
    const SECTION: &'static str = "admin";

    fn common(&self) -> &CommonArgs {
        &self.common
    }
}

/// A number of partitions as typed.
pub(crate) fn partition_count(text: &str) -> Result<PartitionCount, String> {
    let count = text.parse().ok().and_then(PartitionCount::new);
    count.ok_or_else(|| format!("expected a number from 1 to {}", PartitionCount::MAX))
}

fn not_empty(text: &str) -> Result<String, String> {
    match text.is_empty() {
        true => Err(String::from("it is empty")),
        false => Ok(text.to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok();
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| String::from("expected a number of seconds"))
}

fn master_nid(text: &str) -> Result<Nid, String> {
    nid(text, NodeType::Master)
}

fn storage_nid(text: &str) -> Result<Nid, String> {
    nid(text, NodeType::Storage)
}

fn admin_nid(text: &str) -> Result<Nid, String> {
    nid(text, NodeType::Admin)
}

/// Takes the number as it is on the wire, or the id as it is shown.
fn nid(text: &str, node_type: NodeType) -> Result<Nid, String> {
    let number = text.parse::<i32>().ok().map(Nid::new);
    let parsed = number.or_else(|| crate::control::parse_nid(text).ok());
    let right = parsed.filter(|nid| nid.node_type() == Some(node_type));
    right.ok_or_else(|| {
        let example = Nid::of(node_type, 1);
        format!("expected an id such as {example}, or its number {}", example.get())
    })
}
