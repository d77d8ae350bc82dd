//! What was measured, as it is printed in JSON.

use serde::Serialize;

use super::super::latency::Summary;
use super::super::report::ratio;
use super::closed_loop::Tally;

/// Round trips of a commit: it is begun, stored, voted and finished, and meanwhile the master has
/// the storage lock it.
pub(super) const ROUND_TRIPS: f64 = 5.0;
/// Synced writes of a commit: the vote, and the lock.
pub(super) const SYNCED_WRITES: f64 = 2.0;

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    pub(super) clusters: Vec<ClusterFigures>,
    pub(super) raw: RawFigures,
    /// The first cluster to each other one.
    pub(super) ratios: Vec<Ratios>,
}

/// Of one cluster.
#[derive(Debug, Serialize)]
pub(super) struct ClusterFigures {
    pub(super) cluster: String,
    pub(super) storage: String,
    pub(super) storage_pid: Option<u32>,
    pub(super) objects: usize,
    pub(super) data_bytes: usize,
    pub(super) request_bytes: usize,
    pub(super) answer_overhead_bytes: usize,
    pub(super) loads: Vec<Loads>,
    /// By as many threads that share one client of the library.
    pub(super) session_loads: Vec<Loads>,
    pub(super) commits: Vec<Commits>,
}

/// Of what was measured beside.
#[derive(Debug, Serialize, Default)]
pub(super) struct RawFigures {
    pub(super) loads: Vec<RawLoads>,
    pub(super) commits: Vec<RawCommits>,
}

#[derive(Debug, Serialize)]
pub(super) struct Loads {
    pub(super) connections: usize,
    pub(super) loads_per_s: f64,
    pub(super) latency: Summary,
    /// CPU time of the storage a load.
    pub(super) server_us: Option<f64>,
    /// To the exchange of as many bytes.
    pub(super) p50_to_raw: f64,
    pub(super) p99_to_raw: f64,
    pub(super) loads_per_s_to_raw: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct RawLoads {
    pub(super) connections: usize,
    pub(super) exchanges_per_s: f64,
    pub(super) latency: Summary,
    pub(super) server_us: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Commits {
    pub(super) clients: usize,
    pub(super) commits_per_s: f64,
    pub(super) latency: Summary,
    /// CPU time of the storage a commit.
    pub(super) server_us: Option<f64>,
    pub(super) flushes_per_commit: Option<f64>,
    pub(super) bytes_written_per_commit: Option<f64>,
    /// The median to that of two synced appends and five round trips, of one client.
    pub(super) p50_to_raw: Option<f64>,
    /// The same with writes over what was written before.
    pub(super) p50_to_raw_prewritten: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct RawCommits {
    pub(super) clients: usize,
    pub(super) round_trip: Summary,
    pub(super) synced_append: Summary,
    pub(super) synced_prewritten: Summary,
}

impl RawCommits {
    /// What two synced appends and the round trips of a commit take, in nanoseconds.
    pub(super) fn bound_ns(&self) -> f64 {
        self.bound(&self.synced_append)
    }

    /// The same with writes over what was written before.
    pub(super) fn bound_prewritten_ns(&self) -> f64 {
        self.bound(&self.synced_prewritten)
    }

    fn bound(&self, write: &Summary) -> f64 {
        SYNCED_WRITES * write.p50_ns as f64 + ROUND_TRIPS * self.round_trip.p50_ns as f64
    }
}

/// The first cluster to another: more than 1 is more of it.
#[derive(Debug, Serialize)]
pub(super) struct Ratios {
    pub(super) cluster: String,
    pub(super) to: String,
    pub(super) loads: Vec<LoadRatio>,
    pub(super) commits: Vec<CommitRatio>,
}

#[derive(Debug, Serialize)]
pub(super) struct LoadRatio {
    pub(super) connections: usize,
    pub(super) loads_per_s: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) server_us: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct CommitRatio {
    pub(super) clients: usize,
    pub(super) commits_per_s: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) server_us: Option<f64>,
}

impl Ratios {
    pub(super) fn of(first: &ClusterFigures, other: &ClusterFigures) -> Self {
        let times = |a: &Summary, b: &Summary| {
            let to = |a: u64, b: u64| ratio(a as f64, b as f64);
            (to(a.p50_ns, b.p50_ns), to(a.p99_ns, b.p99_ns))
        };
        let loads = first.loads.iter().zip(&other.loads).map(|(a, b)| {
            let (p50, p99) = times(&a.latency, &b.latency);
            LoadRatio {
                connections: a.connections,
                loads_per_s: ratio(a.loads_per_s, b.loads_per_s),
                p50,
                p99,
                server_us: a.server_us.zip(b.server_us).map(|(a, b)| ratio(a, b)),
            }
        });
        let commits = first.commits.iter().zip(&other.commits).map(|(a, b)| {
            let (p50, p99) = times(&a.latency, &b.latency);
            CommitRatio {
                clients: a.clients,
                commits_per_s: ratio(a.commits_per_s, b.commits_per_s),
                p50,
                p99,
                server_us: a.server_us.zip(b.server_us).map(|(a, b)| ratio(a, b)),
            }
        });
        Self {
            cluster: first.cluster.clone(),
            to: other.cluster.clone(),
            loads: loads.collect(),
            commits: commits.collect(),
        }
    }
}

/// CPU time an operation, in microseconds.
pub(super) fn micros_each(time: Option<std::time::Duration>, tally: &Tally) -> Option<f64> {
    time.map(|time| ratio(time.as_secs_f64() * 1e6, tally.latencies.count() as f64))
}
