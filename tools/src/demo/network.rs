//! The part of the demo that is a cluster: two storages on this host, each with all objects.

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use client::{Metadata, Payload, Session};
use hdrhistogram::Histogram;
use model::{Oid, PartitionCount, Tid};

use super::sample::Sample;
use crate::database::{BackendArg, DiskArgs};
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::simple::{Cluster, Wanted};
use crate::stopwatch::Stopwatch;

/// Partitions of the cluster: few, so that the table fits on a line.
const PARTITIONS: u32 = 12;
/// Loads that are measured.
const LOADS: u64 = 5000;
/// Commits that are measured.
const COMMITS: u64 = 200;
/// Longest time that is told apart from longer ones, in microseconds.
const MICROSECONDS_MAX: u64 = 60_000_000;

/// A cluster that serves the sample, and a client of it.
pub(super) struct Network {
    cluster: Cluster,
    session: Session,
}

impl Network {
    /// Imports a FileStorage into a cluster in a new directory, and starts it.
    pub(super) fn start(
        source: &Path,
        directory: &Path,
        interrupt: &Interrupt,
    ) -> Result<Self, Failure> {
        let Some(partitions) = PartitionCount::new(PARTITIONS) else {
            unreachable!("the number is legal")
        };
        let wanted = Wanted {
            name: Some(String::from("demo")),
            directory: Some(directory.to_owned()),
            storages: Some(2),
            replicas: 1,
            partitions,
            import: Some(source.to_owned()),
            disk: DiskArgs { disk_backend: BackendArg::Auto, disk_delay_us: 0 },
        };
        let mut cluster = Cluster::start(&wanted, interrupt)?;
        cluster.wait_until_running(interrupt)?;
        let session = Session::open(vec![cluster.master().clone()], cluster.name())?;
        Ok(Self { cluster, session })
    }

    /// What a program in Python opens.
    pub(super) fn in_python(&self) -> String {
        format!(
            "storage = neolith.Storage(\"{}\", \"{}\")",
            self.cluster.master(),
            self.cluster.name()
        )
    }

    /// Where `neolith ctl` is to ask.
    pub(super) fn admin(&self) -> String {
        self.cluster.admin().to_string()
    }

    /// Reads everything from the first transaction to the last; says what came.
    pub(super) fn read_everything(&self, sample: &Sample) -> Result<String, Failure> {
        let stopwatch = Stopwatch::start();
        let (mut transactions, mut bytes) = (0, 0);
        for transaction in self.session.transactions(Tid::ZERO, None) {
            let transaction = transaction?;
            for object in self.session.objects_of(&transaction) {
                if let Some(data) = object?.data {
                    bytes += data.bytes()?.len();
                }
            }
            transactions += 1;
        }
        if transactions != sample.transactions {
            return Err(Failure::Damaged(format!(
                "the cluster has {transactions} transactions, the sample {}",
                sample.transactions
            )));
        }
        let megabytes = bytes as f64 / 1e6;
        let seconds = stopwatch.seconds();
        Ok(format!("{transactions} transactions, {megabytes:.2} MB of data in {seconds:.2} s"))
    }

    /// Loads objects one after the other, each by one question to one storage.
    pub(super) fn load(&self) -> Result<String, Failure> {
        let oids = self.session.oids(Oid::new(0), None).collect::<Result<Vec<_>, _>>()?;
        let mut times = Times::new();
        for oid in oids.iter().cycle().take(usize::try_from(LOADS).unwrap_or_default()) {
            times.measure(|| self.session.load(*oid).map(drop))?;
        }
        Ok(format!("{} loads of {} objects: {times}", LOADS, oids.len()))
    }

    /// Commits small changes, one after the other, each durable on both storages.
    pub(super) fn commit(&self) -> Result<String, Failure> {
        let oids = self.session.new_oids(1)?;
        let (Some(oid), mut serial) = (oids.first(), Tid::ZERO) else {
            return Err(Failure::Damaged(String::from("the master gave no oid")));
        };
        let mut times = Times::new();
        for number in 0..COMMITS {
            times.measure(|| {
                let mut transaction = self.session.begin()?;
                transaction.store(*oid, serial, Payload::plain(number.to_string()))?;
                serial = transaction.commit(metadata(number))?;
                Ok(())
            })?;
        }
        let object = self.session.load(*oid)?;
        let data = object.data.map(|data| data.bytes()).transpose()?.unwrap_or_default();
        match data == (COMMITS - 1).to_string() && object.serial == serial {
            true => Ok(format!("{COMMITS} commits: {times}")),
            false => Err(Failure::Damaged(format!("object {oid} is not what was committed last"))),
        }
    }

    /// Stops the cluster in good order.
    pub(super) fn stop(self) -> Result<(), Failure> {
        self.session.close();
        self.cluster.stop()
    }
}

fn metadata(number: u64) -> Metadata {
    Metadata {
        user: "demo".into(),
        description: format!("commit {number}").into(),
        ..Metadata::default()
    }
}

/// How long something took, many times.
struct Times(Histogram<u64>);

impl Times {
    fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, MICROSECONDS_MAX, 3);
        Self(histogram.expect("the bounds are legal"))
    }

    fn measure(&mut self, work: impl FnOnce() -> Result<(), client::Error>) -> Result<(), Failure> {
        let stopwatch = Stopwatch::start();
        work()?;
        let microseconds = Duration::from_secs_f64(stopwatch.seconds()).as_micros();
        self.0.saturating_record(u64::try_from(microseconds).unwrap_or(MICROSECONDS_MAX).max(1));
        Ok(())
    }
}

impl Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = |quantile| self.0.value_at_quantile(quantile);
        write!(f, "p50 {} us, p99 {} us", at(0.5), at(0.99))
    }
}
