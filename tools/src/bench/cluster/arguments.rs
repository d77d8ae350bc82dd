//! What to measure, as it is said on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::commits::Changes;
use super::target::Target;

/// Measure a running cluster that speaks NEO's protocol 5, ours or another: loads and commits
///
/// Objects are written first, with ordinary commits; they stay in the database. Then so many
/// clients at once load random ones of them, each waiting for the answer to its last request, and
/// none has a cache. Then clients commit, each
/// its own objects. Next to each turn, the same
/// number of connections exchanges the same number of bytes with a process that does nothing else
/// (`raw`); next to turns of commits, writes of 4 KiB are synced, one after the other. So noise of
/// the machine hits all alike, and ratios mean something where times do not.
///
/// CPU time is of the process that listens on the port of the storage, if it runs on this machine.
/// Flushes and bytes written are those of the whole disk that --directory is on: let nothing else
/// write to it.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct ClusterArgs {
    /// Addresses of masters, with spaces between them
    #[arg(long, value_name = "MASTERS")]
    masters: String,
    /// Name of the cluster
    #[arg(long, value_name = "NAME")]
    cluster: String,
    /// Measure this cluster too, turn by turn, and compare. Can be given several times
    #[arg(long, value_name = "MASTERS/NAME")]
    vs: Vec<Target>,
    /// Write so many objects
    #[arg(
        long, value_name = "N", default_value_t = 10_000,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    objects: u32,
    /// Bytes of the objects, in turn
    #[arg(
        long, value_name = "N,..", value_delimiter = ',', default_values_t = [1024, 4096],
        value_parser = clap::value_parser!(u32).range(..=4 << 20)
    )]
    sizes: Vec<u32>,
    /// Write nothing first: load at most --objects of those that are there
    #[arg(long, conflicts_with = "sizes")]
    existing: bool,
    /// Clients that load at the same time, one count after the other; 0: measure no loads
    #[arg(
        long, value_name = "N,..", value_delimiter = ',', default_values_t = [1, 16],
        value_parser = clap::value_parser!(u16).range(..=1024)
    )]
    connections: Vec<u16>,
    /// Clients that commit at the same time, one count after the other; 0: measure no commits
    #[arg(
        long, value_name = "N,..", value_delimiter = ',', default_values_t = [1, 8, 64],
        value_parser = clap::value_parser!(u16).range(..=1024)
    )]
    clients: Vec<u16>,
    /// How many of these are threads of the same client of the cluster: they share its connections,
    /// and the master tells each commit to other clients only
    #[arg(
        long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=1024)
    )]
    per_client: u16,
    /// Bytes of each object that is committed
    #[arg(
        long, value_name = "N", default_value_t = 1024,
        value_parser = clap::value_parser!(u32).range(..=64 << 20)
    )]
    commit_size: u32,
    /// Objects that each commit changes
    #[arg(
        long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=1 << 20)
    )]
    commit_objects: u32,
    /// Turns of each kind
    #[arg(
        long, value_name = "N", default_value_t = 5,
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    rounds: u16,
    /// How long a turn is, in seconds
    #[arg(
        long, value_name = "S", default_value_t = 1.0,
        value_parser = super::super::load::seconds
    )]
    seconds: f64,
    /// Threads of the bench among which clients are shared out
    #[arg(
        long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=64)
    )]
    threads: u16,
    /// Process of the storage, where it cannot be found by its port
    #[arg(long, value_name = "PID")]
    storage_pid: Option<u32>,
    /// Where writes are synced: this should be on the disk of the databases [default: the directory
    /// for temporary files]
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Before each turn of loads, empty the system's cache of the files in this directory. What the
    /// storage has in its own memory stays. Can be given several times
    #[arg(long, value_name = "DIR")]
    cold: Vec<PathBuf>,
    /// Other data, other objects
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print one JSON object: times in nanoseconds, unless their name says otherwise
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  neolith bench cluster --masters 127.0.0.1:2051 --cluster site
  neolith bench cluster --masters 127.0.0.1:2051 --cluster site --vs 127.0.0.1:2061/other --json
  neolith bench cluster --masters '[::1]:2051 [::1]:2052' --cluster site --connections 16 \
    --clients 0";

/// What to measure.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) targets: Vec<Target>,
    /// Of the storage of the first target.
    pub(super) storage_pid: Option<u32>,
    pub(super) objects: usize,
    /// Of objects to write; none: load those that are there.
    pub(super) sizes: Vec<usize>,
    pub(super) connections: Vec<usize>,
    pub(super) clients: Vec<usize>,
    pub(super) per_client: usize,
    pub(super) changes: Changes,
    pub(super) rounds: u16,
    pub(super) turn: Duration,
    pub(super) threads: usize,
    pub(super) directory: PathBuf,
    pub(super) cold: Vec<PathBuf>,
    pub(super) seed: u64,
    pub(super) json: bool,
}

impl ClusterArgs {
    /// # Errors
    /// A text for a person.
    pub(super) fn plan(&self) -> Result<Plan, String> {
        let mut targets = vec![Target::new(&self.masters, &self.cluster)?];
        targets.extend(self.vs.iter().cloned());
        let counts = |counts: &[u16]| -> Vec<usize> {
            counts.iter().filter(|count| **count > 0).map(|count| usize::from(*count)).collect()
        };
        Ok(Plan {
            targets,
            storage_pid: self.storage_pid,
            objects: length(self.objects),
            sizes: match self.existing {
                true => Vec::new(),
                false => self.sizes.iter().map(|size| length(*size)).collect(),
            },
            connections: counts(&self.connections),
            clients: counts(&self.clients),
            per_client: usize::from(self.per_client),
            changes: Changes {
                objects: length(self.commit_objects),
                length: length(self.commit_size),
            },
            rounds: self.rounds,
            turn: Duration::from_secs_f64(self.seconds),
            threads: usize::from(self.threads),
            directory: self.directory.clone().unwrap_or_else(std::env::temp_dir),
            cold: self.cold.clone(),
            seed: self.seed,
            json: self.json,
        })
    }
}

fn length(number: u32) -> usize {
    usize::try_from(number).expect("addresses have at least 32 bits")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ClusterArgs,
    }

    fn plan(words: &[&str]) -> Result<Plan, String> {
        let fixed = ["bench", "--masters", "127.0.0.1:1 127.0.0.1:2", "--cluster", "site"];
        let line = Line::try_parse_from(fixed.iter().chain(words));
        line.map_err(|error| error.to_string())?.args.plan()
    }

    #[test]
    fn defaults() {
        let plan = plan(&[]).unwrap();
        assert_eq!(plan.targets[0].masters.len(), 2);
        assert_eq!((plan.targets.len(), plan.objects, plan.threads), (1, 10_000, 1));
        assert_eq!(plan.sizes, [1024, 4096]);
        assert_eq!(plan.connections, [1, 16]);
        assert_eq!(plan.clients, [1, 8, 64]);
        assert_eq!(plan.turn, Duration::from_secs(1));
    }

    #[test]
    fn lists_have_commas_and_0_measures_nothing() {
        let plan = plan(&[
            "--vs",
            "127.0.0.1:3/a",
            "--vs",
            "127.0.0.1:4/b",
            "--connections",
            "2,3",
            "--clients",
            "0",
            "--sizes",
            "10",
            "--seconds",
            "0.5",
        ])
        .unwrap();
        let names: Vec<_> = plan.targets.iter().map(|target| target.cluster.as_str()).collect();
        assert_eq!(names, ["site", "a", "b"]);
        assert_eq!((plan.connections, plan.clients), (vec![2, 3], vec![]));
        assert_eq!((plan.sizes, plan.turn), (vec![10], Duration::from_millis(500)));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for words in [
            &["--vs", "nowhere"][..],
            &["--objects", "0"],
            &["--existing", "--sizes", "10"],
            &["--sizes", "4194305"],
            &["--seconds", "0"],
            &["--rounds", "0"],
            &["--threads", "0"],
            &["--per-client", "0"],
        ] {
            assert!(plan(words).is_err(), "{words:?}");
        }
        assert!(Line::try_parse_from(["bench", "--masters", "here"]).is_err());
        let line = Line::try_parse_from(["bench", "--masters", "here", "--cluster", "a"]);
        assert!(line.unwrap().args.plan().unwrap_err().contains("HOST:PORT"));
    }
}
