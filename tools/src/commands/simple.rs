//! `neolith simple`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use model::PartitionCount;
use serde_json::json;

use crate::database::DiskArgs;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::node::partition_count;
use crate::output::Output;
use crate::simple::{Cluster, Wanted};

/// Run a whole cluster on this host, until ctrl-C
///
/// A master, storages and an admin, each a process of its own, on free ports of loopback. When it
/// serves, the lines are printed that a client needs. Ctrl-C stops it in good order.
///
/// Everything is in one directory: databases, logs, and the configuration file that the nodes were
/// started with, to be looked at. A temporary one is removed in the end; with --dir the same
/// cluster can be started again.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SimpleArgs {
    /// How many storages [default: as many as DIR has, or 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=STORAGES_MAX))]
    storages: Option<u32>,
    /// How many storages have a copy of each partition besides the first
    #[arg(long, value_name = "R", default_value_t = 0)]
    replicas: u32,
    /// Partitions of a new cluster
    #[arg(long, value_name = "P", default_value = "12", value_parser = partition_count)]
    partitions: PartitionCount,
    /// Name of the cluster [default: neolith]
    #[arg(short, long, value_name = "NAME")]
    cluster: Option<String>,
    /// Where its files are, and stay
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Begin with what is in a FileStorage
    #[arg(long, value_name = "FILE.fs")]
    import: Option<PathBuf>,
    /// Print one line of JSON instead: cluster, masters, admin, uri, storages, directory
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    disk: DiskArgs,
}

/// More processes than anybody wants on one host.
const STORAGES_MAX: i64 = 100;

const EXAMPLES: &str = "\
Examples:
  neolith simple
  neolith simple --storages 3 --replicas 1 --dir cluster --import Data.fs
  neolith simple --dir cluster

Exit codes: 0 stopped; 1 a node failed: its last lines of log are shown; 2 could not run;
130 interrupted before it served.";

pub(crate) fn run(args: &SimpleArgs) -> Result<ExitCode, Failure> {
    let interrupt = Interrupt::listen()?;
    let wanted = Wanted {
        name: args.cluster.clone(),
        directory: args.dir.clone(),
        storages: args.storages,
        replicas: args.replicas,
        partitions: args.partitions,
        import: args.import.clone(),
        disk: args.disk.clone(),
    };
    let mut cluster = Cluster::start(&wanted, &interrupt)?;
    cluster.wait_until_running(&interrupt)?;
    let mut output = Output::standard();
    match args.json {
        true => output.json(&json!({
            "cluster": cluster.name(),
            "masters": [cluster.master().to_string()],
            "admin": cluster.admin().to_string(),
            "uri": cluster.uri(),
            "storages": cluster.storages(),
            "directory": cluster.directory().display().to_string(),
        }))?,
        false => {
            output.line(cluster.how_to_reach())?;
            output.line("The cluster serves. Ctrl-C stops it.")?;
        }
    }
    output.flush()?;
    cluster.wait_for_end(&interrupt)?;
    cluster.stop()?;
    Ok(ExitCode::SUCCESS)
}
