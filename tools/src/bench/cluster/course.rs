//! The course of a run: what is measured when.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use model::{Nid, Random};

use super::super::report::{Format, print, ratio};
use super::appends::Appends;
use super::arguments::{ClusterArgs, Plan};
use super::client::Client;
use super::closed_loop::{self, Station, Tally};
use super::commits::Committer;
use super::counters::{BlockDevice, DiskCounts, cpu_time, listening_process};
use super::figures::{
    ClusterFigures, Commits, Figures, Loads, Ratios, RawCommits, RawFigures, RawLoads, micros_each,
};
use super::loads::{self, Loader, Shape};
use super::ping_pong::{Pinger, Server};
use super::population::{self, Key};
use super::sessions::Sharers;
use super::target::Target;
use crate::failure::Failure;
use crate::interrupt::Interrupt;

/// How long everybody warms up before turns that count.
const WARM_UP: Duration = Duration::from_millis(300);
/// Bytes of a small packet, there and back.
const SMALL_PACKET_LENGTH: usize = 64;
/// Which part of a turn what is measured beside commits takes, each.
const RAW_PART: u32 = 4;

pub(crate) fn run(args: &ClusterArgs) -> Result<ExitCode, Failure> {
    let plan = args.plan().map_err(Failure::Refused)?;
    let bench = Bench { stop: Interrupt::listen()?, plan };
    let figures = bench.run()?;
    print(&figures, Format::of(bench.plan.json))?;
    Ok(ExitCode::SUCCESS)
}

struct Bench {
    plan: Plan,
    stop: Interrupt,
}

/// How many threads each client has, if so many share one.
fn shares(threads: usize, per_client: usize) -> impl Iterator<Item = usize> {
    (0..threads).step_by(per_client).map(move |first| per_client.min(threads - first))
}

/// A cluster that is measured.
struct Subject {
    target: Target,
    storage: Nid,
    pid: Option<u32>,
    keys: Vec<Key>,
    shape: Shape,
    loads: Vec<Loads>,
    session_loads: Vec<Loads>,
    commits: Vec<Commits>,
}

/// What was done in several turns, and at what price.
#[derive(Default)]
struct Account {
    tally: Tally,
    cpu: Option<Duration>,
    disk: Option<DiskCounts>,
}

impl Bench {
    fn run(&self) -> Result<Figures, Failure> {
        let mut subjects = Vec::new();
        for (index, target) in self.plan.targets.iter().enumerate() {
            let pid = self.plan.storage_pid.filter(|_| index == 0);
            subjects.push(self.prepare(target, pid)?);
        }
        let mut raw = RawFigures::default();
        for &connections in &self.plan.connections {
            raw.loads.push(self.loads(&mut subjects, connections)?);
        }
        for &clients in &self.plan.clients {
            raw.commits.push(self.commits(&mut subjects, clients)?);
        }
        let clusters: Vec<_> = subjects.into_iter().map(Subject::into_figures).collect();
        let ratios = clusters.iter().skip(1).map(|other| Ratios::of(&clusters[0], other)).collect();
        Ok(Figures { clusters, raw, ratios })
    }

    /// Chooses the storage, writes the objects, and loads each once.
    fn prepare(&self, target: &Target, pid: Option<u32>) -> Result<Subject, Failure> {
        let mut client = Client::join(target, &self.stop)?;
        client.connect_storages(&self.stop)?;
        let first = client.storages.first();
        let Some((storage, wire)) = first.map(|(nid, wire)| (*nid, wire)) else {
            return Err(Failure::Refused(format!("{target}: no storage runs")));
        };
        let pid = pid.or_else(|| listening_process(wire.address().port));
        let mut keys = Vec::new();
        let mut shape = Shape { request: 0, overhead: 0 };
        if !self.plan.connections.is_empty() {
            let Plan { objects, sizes, seed, .. } = &self.plan;
            keys = match sizes.is_empty() {
                true => population::find(&mut client, storage, *objects, &self.stop)?,
                false => population::write(&mut client, *objects, sizes, *seed, &self.stop)?,
            };
            keys.retain(|key| {
                let partition = client.table.partition_of_oid(key.oid);
                client.table.readable(partition).any(|nid| nid == storage)
            });
            if keys.is_empty() {
                return Err(Failure::Refused(format!("{target}: {storage} has nothing to load")));
            }
            shape = loads::measure(target, storage, &mut keys, &self.stop)?;
        }
        Ok(Subject {
            target: target.clone(),
            storage,
            pid,
            keys,
            shape,
            loads: Vec::new(),
            session_loads: Vec::new(),
            commits: Vec::new(),
        })
    }

    fn loads(&self, subjects: &mut [Subject], connections: usize) -> Result<RawLoads, Failure> {
        let mut random = Random::from_seed(self.plan.seed);
        let mut loaders = Vec::new();
        for subject in &*subjects {
            let (target, keys) = (&subject.target, &subject.keys);
            let new = |_| Loader::new(target, subject.storage, keys, random.next_u64(), &self.stop);
            loaders.push((0..connections).map(new).collect::<Result<Vec<_>, _>>()?);
        }
        let mut sharers = Vec::new();
        for subject in &*subjects {
            sharers.push(Sharers::new(&subject.target, &subject.keys, connections, &mut random)?);
        }
        let lengths = subjects[0].answer_lengths();
        let server = Server::start(connections, subjects[0].shape.request)?;
        let mut pingers = connect(&server, connections, &lengths, &mut random)?;

        let mut accounts: Vec<_> = subjects.iter().map(|_| Account::default()).collect();
        let mut shared: Vec<_> = subjects.iter().map(|_| Account::default()).collect();
        let mut raw = Account::default();
        for (loaders, sharers) in loaders.iter_mut().zip(&mut sharers) {
            self.turn(loaders, WARM_UP)?;
            sharers.turn(WARM_UP, &self.stop)?;
        }
        self.turn(&mut pingers, WARM_UP)?;
        for _ in 0..self.plan.rounds {
            for (index, subject) in subjects.iter().enumerate() {
                let (loaders, sharers) = (&mut loaders[index], &mut sharers[index]);
                self.drop_caches()?;
                self.take(&mut accounts[index], subject.pid, None, || {
                    self.turn(loaders, self.plan.turn)
                })?;
                self.drop_caches()?;
                // Its loads go to all storages: the CPU time of one says nothing of them.
                self.take(&mut shared[index], None, None, || {
                    sharers.turn(self.plan.turn, &self.stop)
                })?;
                self.take(&mut raw, Some(server.pid()), None, || {
                    self.turn(&mut pingers, self.plan.turn)
                })?;
            }
        }
        drop((loaders, sharers));
        let raw = RawLoads {
            connections,
            exchanges_per_s: raw.tally.rate(),
            server_us: micros_each(raw.cpu, &raw.tally),
            latency: raw.tally.latencies.summary(),
        };
        for ((subject, account), shared) in subjects.iter_mut().zip(accounts).zip(shared) {
            subject.loads.push(account.into_loads(connections, &raw));
            subject.session_loads.push(shared.into_loads(connections, &raw));
        }
        Ok(raw)
    }

    fn commits(&self, subjects: &mut [Subject], clients: usize) -> Result<RawCommits, Failure> {
        let Plan { changes, seed, turn, rounds, directory, .. } = &self.plan;
        let mut random = Random::from_seed(*seed);
        let mut committers = Vec::new();
        for subject in &*subjects {
            let mut own = Vec::new();
            for threads in shares(clients, self.plan.per_client) {
                let (target, seed) = (&subject.target, random.next_u64());
                own.push(Committer::new(target, threads, *changes, seed, &self.stop)?);
            }
            committers.push(own);
        }
        let lengths = Arc::from([SMALL_PACKET_LENGTH]);
        let server = Server::start(1, SMALL_PACKET_LENGTH)?;
        let mut pinger = connect(&server, 1, &lengths, &mut random)?;
        let mut appends = Appends::new(directory)?;
        let device = BlockDevice::of(directory);

        let mut accounts: Vec<_> = subjects.iter().map(|_| Account::default()).collect();
        let mut round_trips = Account::default();
        for committers in &mut committers {
            self.turn(committers, WARM_UP)?;
        }
        for _ in 0..*rounds {
            for ((subject, committers), account) in
                subjects.iter().zip(&mut committers).zip(&mut accounts)
            {
                self.take(account, subject.pid, device.as_ref(), || self.turn(committers, *turn))?;
                self.take(&mut round_trips, None, None, || {
                    self.turn(&mut pinger, *turn / RAW_PART)
                })?;
                appends.run(*turn / RAW_PART, &self.stop)?;
            }
        }
        let raw = RawCommits {
            clients,
            round_trip: round_trips.tally.latencies.summary(),
            synced_append: appends.growing_latencies.summary(),
            synced_prewritten: appends.prewritten_latencies.summary(),
        };
        for (subject, account) in subjects.iter_mut().zip(accounts) {
            subject.commits.push(account.into_commits(clients, &raw));
        }
        Ok(raw)
    }

    /// A turn that counts.
    fn take(
        &self,
        account: &mut Account,
        pid: Option<u32>,
        device: Option<&BlockDevice>,
        turn: impl FnOnce() -> Result<Tally, Failure>,
    ) -> Result<(), Failure> {
        let look = || (pid.and_then(cpu_time), device.and_then(BlockDevice::counts));
        let (cpu_before, disk_before) = look();
        let tally = turn()?;
        let (cpu_after, disk_after) = look();
        account.tally.append(&tally);
        if let (Some(before), Some(after)) = (cpu_before, cpu_after) {
            let cpu = account.cpu.unwrap_or_default();
            account.cpu = Some(cpu + after.saturating_sub(before));
        }
        if let (Some(before), Some(after)) = (disk_before, disk_after) {
            let disk = account.disk.get_or_insert_default();
            disk.flushes += after.flushes - before.flushes;
            disk.bytes_written += after.bytes_written - before.bytes_written;
        }
        Ok(())
    }

    fn turn<S: Station>(&self, stations: &mut [S], duration: Duration) -> Result<Tally, Failure> {
        closed_loop::run(stations, self.plan.threads, duration, &self.stop)
    }

    /// Makes the system forget what it has cached of the files that it was told of.
    fn drop_caches(&self) -> Result<(), Failure> {
        for directory in &self.plan.cold {
            drop_cache(directory).map_err(|source| Failure::Io {
                action: "drop the cache of",
                path: directory.display().to_string(),
                source,
            })?;
        }
        Ok(())
    }
}

fn drop_cache(directory: &PathBuf) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let file = std::fs::File::open(entry.path())?;
            // What is not written out yet stays in the cache.
            file.sync_data()?;
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        }
    }
    Ok(())
}

fn connect(
    server: &Server,
    connections: usize,
    lengths: &Arc<[usize]>,
    random: &mut Random,
) -> Result<Vec<Pinger>, Failure> {
    (0..connections).map(|_| server.connect(Arc::clone(lengths), random.next_u64())).collect()
}

impl Subject {
    fn answer_lengths(&self) -> Arc<[usize]> {
        let overhead = self.shape.overhead;
        self.keys.iter().map(|key| key.length.unwrap_or_default() + overhead).collect()
    }

    fn into_figures(self) -> ClusterFigures {
        ClusterFigures {
            cluster: self.target.to_string(),
            storage: self.storage.to_string(),
            storage_pid: self.pid,
            objects: self.keys.len(),
            data_bytes: self.keys.iter().filter_map(|key| key.length).sum(),
            request_bytes: self.shape.request,
            answer_overhead_bytes: self.shape.overhead,
            loads: self.loads,
            session_loads: self.session_loads,
            commits: self.commits,
        }
    }
}

impl Account {
    fn into_loads(self, connections: usize, raw: &RawLoads) -> Loads {
        let latency = self.tally.latencies.summary();
        let to_raw = |time: u64, raw: u64| ratio(time as f64, raw as f64);
        Loads {
            connections,
            loads_per_s: self.tally.rate(),
            server_us: micros_each(self.cpu, &self.tally),
            p50_to_raw: to_raw(latency.p50_ns, raw.latency.p50_ns),
            p99_to_raw: to_raw(latency.p99_ns, raw.latency.p99_ns),
            loads_per_s_to_raw: ratio(self.tally.rate(), raw.exchanges_per_s),
            latency,
        }
    }

    fn into_commits(self, clients: usize, raw: &RawCommits) -> Commits {
        let latency = self.tally.latencies.summary();
        let commits = self.tally.latencies.count() as f64;
        let to_raw = |bound| (clients == 1).then(|| ratio(latency.p50_ns as f64, bound));
        Commits {
            clients,
            commits_per_s: self.tally.rate(),
            server_us: micros_each(self.cpu, &self.tally),
            flushes_per_commit: self.disk.map(|disk| ratio(disk.flushes as f64, commits)),
            bytes_written_per_commit: self
                .disk
                .map(|disk| ratio(disk.bytes_written as f64, commits)),
            p50_to_raw: to_raw(raw.bound_ns()),
            p50_to_raw_prewritten: to_raw(raw.bound_prewritten_ns()),
            latency,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_shared_out_to_clients() {
        let shares = |threads, per_client| shares(threads, per_client).collect::<Vec<_>>();
        assert_eq!(shares(3, 1), [1, 1, 1]);
        assert_eq!(shares(10, 4), [4, 4, 2]);
        assert_eq!(shares(2, 4), [2]);
    }
}
