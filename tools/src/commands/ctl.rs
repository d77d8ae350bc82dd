//! `neolith ctl`.

mod change;
mod confirm;
mod print;
mod tail;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use model::{ClusterState, Nid, NodeType, Tid};
use net::{Address, Message};

use crate::control::{Connection, ControlError, parse_address, parse_nid, parse_tid};
use crate::failure::Failure;
use crate::output::Output;

/// Ask how a running cluster is, and change it, through its admin node
///
/// Takes the words that NEO's neoctl takes, and prints what it prints; works with admin nodes of
/// both.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CtlArgs {
    /// Address of an admin node
    #[arg(
        short, long, value_name = "HOST:PORT", global = true,
        default_value = "127.0.0.1:9999", value_parser = parse_address
    )]
    address: Address,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Nodes are written as they are printed: S1 is a storage, M1 a master, A1 an admin, C1 a client.
A TID is tid:NUMBER, decimal or 0x and hexadecimal, or a time in seconds since 1970:
tid:257684787499560686, tid:0x3937af2eeeeeeee and 1325421296 are 2012-01-01 12:34:56 UTC.

Examples:
  neolith ctl -a 127.0.0.1:9999 print summary
  neolith ctl -a 127.0.0.1:9999 start
  neolith ctl -a 127.0.0.1:9999 set cluster stopping

Exit codes: 0 done; 1 refused, or no connection; 2 bad arguments.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Print something about the cluster
    #[command(subcommand)]
    Print(Print),
    /// Set the state of the cluster, or its number of replicas
    #[command(subcommand)]
    Set(Set),
    /// Start operation: of a new cluster, or although storages are missing whose cells others have
    Start,
    /// Take pending storages into the cluster; they get cells by `tweak`
    Add {
        /// Storages, or `all`
        #[arg(value_name = "NODE", required = true)]
        nodes: Vec<String>,
    },
    /// Spread cells evenly over the storages that run
    ///
    /// Named storages are left as they are and do not count as replicas: this is how to empty
    /// them before they are dropped.
    Tweak {
        /// Only show what would be done
        #[arg(short = 'n', long)]
        dry_run: bool,
        /// Storages that are to be dropped later
        #[arg(value_name = "NODE", value_parser = parse_nid)]
        nodes: Vec<Nid>,
    },
    /// Remove a storage from the cluster for ever; it has to be stopped before
    Drop {
        /// The storage
        #[arg(value_name = "NODE", value_parser = parse_nid)]
        node: Nid,
        /// Do not ask on a terminal
        #[arg(short, long)]
        yes: bool,
    },
    /// Stop a storage that others can replace
    Kill {
        /// The node
        #[arg(value_name = "NODE", value_parser = parse_nid)]
        node: Nid,
    },
    /// Compare replicas
    Check {
        /// What: partition and, if one is known to be right, node, such as `0:` or `3:S1`; `:` for
        /// all partitions. Then the first and the last TID
        #[arg(value_name = "[PARTITION]:[NODE]|TID", required = true)]
        words: Vec<String>,
    },
    /// Have storages remove data that nothing refers to
    #[command(name = "prune_orphan")]
    PruneOrphan {
        /// 1 only tells how much it is
        #[arg(value_name = "0|1", value_parser = clap::value_parser!(u8).range(0..=1))]
        dry_run: u8,
        /// Storages, or `all`
        #[arg(value_name = "NODE", required = true)]
        nodes: Vec<String>,
    },
    /// Remove all transactions after a TID, for ever
    ///
    /// The cluster has to be RUNNING, without pending transactions. It goes back to RECOVERING, and
    /// starts again when all its storages have truncated.
    Truncate {
        /// The last transaction that stays
        #[arg(value_parser = parse_tid)]
        tid: Tid,
        /// Do not ask on a terminal
        #[arg(short, long)]
        yes: bool,
    },
    /// Have all nodes write out their logs
    #[command(name = "flush_log")]
    FlushLog,
    /// Show the last transactions, newest first
    ///
    /// They are read from the storages, as a client reads them: the cluster has to be RUNNING.
    Tail {
        /// Name of the cluster, which clients have to know
        #[arg(short, long, value_name = "NAME")]
        cluster: String,
        /// How many
        #[arg(short = 'n', long = "count", value_name = "N", default_value_t = 10)]
        count: u64,
        /// Print a line of JSON for each, as `neolith tail` does
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum Print {
    /// The last oid and tid, and the version of the partition table
    Ids,
    /// The partition table
    Pt {
        /// The first partition
        #[arg(default_value_t = 0)]
        first: u32,
        /// The partition behind the last one; 0: all
        #[arg(default_value_t = 0)]
        last: u32,
        /// Is ignored
        #[arg(value_parser = parse_nid)]
        node: Option<Nid>,
    },
    /// The nodes
    Node {
        /// Only those of a type: master, storage, client, admin
        #[arg(value_name = "TYPE", value_parser = parse_node_type)]
        node_type: Option<NodeType>,
    },
    /// The state of the cluster
    Cluster,
    /// The primary master
    Primary,
    /// How the cluster is; the first line is for programs
    Summary,
}

#[derive(Debug, Subcommand)]
enum Set {
    /// Set the state: verifying (start), stopping, starting_backup, stopping_backup
    Cluster {
        /// The state
        #[arg(value_parser = parse_cluster_state)]
        state: ClusterState,
    },
    /// Set the number of replicas; `tweak` then makes them
    Replicas {
        /// How many copies there are besides the first
        number: u32,
    },
}

pub(crate) fn run(args: &CtlArgs) -> Result<ExitCode, Failure> {
    let mut output = Output::standard();
    let done = Control { connection: Connection::open(&args.address)?, output: &mut output }
        .carry_out(&args.command);
    // What was printed before something failed is printed.
    output.finish()?;
    done.map(|()| ExitCode::SUCCESS)
}

/// A command under way.
struct Control<'a> {
    connection: Connection,
    output: &'a mut Output,
}

impl Control<'_> {
    fn carry_out(&mut self, command: &Command) -> Result<(), Failure> {
        match command {
            Command::Print(Print::Ids) => self.print_ids(),
            Command::Print(Print::Pt { first, last, node }) => {
                self.print_rows(*first, *last, *node)
            }
            Command::Print(Print::Node { node_type }) => self.print_nodes(*node_type),
            Command::Print(Print::Cluster) => self.print_cluster(),
            Command::Print(Print::Primary) => self.print_primary(),
            Command::Print(Print::Summary) => self.print_summary(),
            Command::Set(Set::Cluster { state }) => {
                self.order(&Message::SetClusterState { state: *state })
            }
            Command::Set(Set::Replicas { number }) => {
                self.order(&Message::SetNumReplicas { replicas: *number })
            }
            Command::Start => {
                self.order(&Message::SetClusterState { state: ClusterState::Verifying })
            }
            Command::Add { nodes } => self.add(nodes),
            Command::Tweak { dry_run, nodes } => self.tweak(*dry_run, nodes),
            Command::Drop { node, yes } => self.drop_node(*node, *yes),
            Command::Kill { node } => self.kill(*node),
            Command::Check { words } => self.check(words),
            Command::PruneOrphan { dry_run, nodes } => self.prune_orphan(*dry_run == 1, nodes),
            Command::Truncate { tid, yes } => self.truncate(*tid, *yes),
            Command::FlushLog => Ok(self.connection.send(&Message::FlushLog {})?),
            Command::Tail { cluster, count, json } => self.tail(cluster, *count, *json),
        }
    }

    fn ask(&mut self, message: &Message) -> Result<Message, ControlError> {
        self.connection.ask(message)
    }
}

/// An answer that is not the one to this question.
fn unexpected(answer: &Message) -> Failure {
    Failure::Control(ControlError::Unexpected { packet: answer.name() })
}

fn parse_node_type(text: &str) -> Result<NodeType, String> {
    let found = NodeType::ALL.into_iter().find(|known| is_name(known, text));
    found.ok_or_else(|| String::from("expected master, storage, client or admin"))
}

fn parse_cluster_state(text: &str) -> Result<ClusterState, String> {
    let states: Vec<_> = (0..=u8::MAX).map_while(ClusterState::from_number).collect();
    let found = states.iter().find(|known| is_name(known, text));
    found.copied().ok_or_else(|| {
        let names: Vec<_> = states.iter().map(ClusterState::to_string).collect();
        format!("expected one of {}", names.join(", ").to_lowercase())
    })
}

fn is_name(known: &impl ToString, text: &str) -> bool {
    known.to_string().eq_ignore_ascii_case(text)
}
