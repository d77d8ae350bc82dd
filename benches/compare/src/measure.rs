//! One run of the work on one engine, in a process and a directory that nothing else uses.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::accounting::{Device, DiskUse, process_memory_bytes, process_written_bytes};
use crate::error::Result;
use crate::store::{Reader, Store};
use crate::workload::{Answers, Lookup, Parameters, Workload};

/// What one run cost. README.md says how to read each.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Measure {
    /// By which setting an acknowledged batch survives a loss of power.
    pub(crate) durability: String,
    /// Bytes of all keys and values.
    pub(crate) raw_bytes: u64,
    pub(crate) inserts_per_s: f64,
    pub(crate) batch_p50_us: f64,
    pub(crate) batch_p99_us: f64,
    pub(crate) batch_max_us: f64,
    /// Requests to the device to flush its cache, a batch; of the whole device, whoever made them.
    pub(crate) flushes_a_batch: Option<f64>,
    /// Time for background work after the last batch.
    pub(crate) settle_s: f64,
    pub(crate) lookups_per_s: f64,
    /// Anonymous memory that the process gained, after the lookups.
    pub(crate) memory_bytes: u64,
    /// Files of the closed database, in whole blocks.
    pub(crate) disk_bytes: u64,
    /// Files of the closed database, by their lengths.
    pub(crate) length_bytes: u64,
    /// Bytes written to the device from the first batch to the close and a sync of all files, by
    /// whomever.
    pub(crate) device_written_bytes: Option<u64>,
    /// Bytes of the pages that the process made dirty meanwhile: an upper bound, see the README.
    pub(crate) process_written_bytes: u64,
    pub(crate) answers: Answers,
}

/// Inserts, settles, warms up, looks up and closes, in this order.
pub(crate) fn measure<S: Store>(directory: &Path, parameters: &Parameters) -> Result<Measure> {
    let workload = Workload::new(parameters);
    let raw_bytes = workload.raw_bytes();
    let (warm_up, lookups) = (workload.warm_up(), workload.lookups());
    let memory_before = process_memory_bytes()?;
    let device = Device::of(directory)?;
    let mut store = S::open(directory, parameters.cache_bytes())?;

    let written_before = process_written_bytes()?;
    let counters_before = device.counters()?;
    let batch_times = insert(&mut store, &workload)?;
    let counters_inserted = device.counters()?;

    let (settle_time, settled) = timed(|| store.settle());
    settled?;

    let mut reader = store.reader()?;
    look_up(&mut reader, &warm_up)?;
    let (lookup_time, answers) = timed(|| look_up(&mut reader, &lookups));
    let answers = answers?;
    drop(reader);
    let memory_bytes = process_memory_bytes()?.saturating_sub(memory_before);

    store.close()?;
    let disk_use = DiskUse::of_synced(directory)?;
    let process_written_bytes = process_written_bytes()? - written_before;
    let device_writes = counters_before.zip(device.counters()?);
    let flushes = counters_before.zip(counters_inserted);
    Ok(Measure {
        durability: S::DURABILITY.to_owned(),
        raw_bytes,
        inserts_per_s: per_s(batch_times.len() as u64 * parameters.batch, batch_times.iter().sum()),
        batch_p50_us: micros(quantile(&batch_times, 0.50)),
        batch_p99_us: micros(quantile(&batch_times, 0.99)),
        batch_max_us: micros(quantile(&batch_times, 1.0)),
        flushes_a_batch: flushes
            .map(|(before, after)| (after.flushes - before.flushes) as f64)
            .map(|flushes| flushes / batch_times.len() as f64),
        settle_s: settle_time.as_secs_f64(),
        lookups_per_s: per_s(lookups.len() as u64, lookup_time),
        memory_bytes,
        disk_bytes: disk_use.block_bytes,
        length_bytes: disk_use.length_bytes,
        device_written_bytes: device_writes.map(|(a, b)| b.written_bytes - a.written_bytes),
        process_written_bytes,
        answers,
    })
}

/// Time of each batch, in ascending order. Making the records is not counted.
fn insert<S: Store>(store: &mut S, workload: &Workload) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    for records in workload.batches() {
        let (time, inserted) = timed(|| store.batch(&records));
        inserted?;
        times.push(time);
    }
    times.sort_unstable();
    Ok(times)
}

fn look_up<R: Reader>(reader: &mut R, lookups: &[Lookup]) -> Result<Answers> {
    let mut answers = Answers::default();
    for lookup in lookups {
        let mut found = false;
        reader.at_or_before(lookup.oid, lookup.tid, |value| {
            answers.add(Some(value));
            found = true;
        })?;
        if !found {
            answers.add(None);
        }
    }
    Ok(answers)
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = work();
    (start.elapsed(), result)
}

/// The least time that this share of `times` does not exceed; `times` is sorted and not empty.
fn quantile(times: &[Duration], share: f64) -> Duration {
    let rank = (1..=times.len()).find(|rank| *rank as f64 >= share * times.len() as f64);
    times[rank.expect("the share is at most 1") - 1]
}

fn per_s(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_times() {
        let times: Vec<_> = (1..=200).map(Duration::from_micros).collect();
        assert_eq!(quantile(&times, 0.5), Duration::from_micros(100));
        assert_eq!(quantile(&times, 0.99), Duration::from_micros(198));
        assert_eq!(quantile(&times, 1.0), Duration::from_micros(200));
        assert_eq!(quantile(&times[..1], 0.5), Duration::from_micros(1));
    }
}
