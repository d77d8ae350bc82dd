//! `neolith bench fill`.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use engine::disk::{OpenMode, Wait};
use engine::{
    Engine, Figures, MetadataEdit, MetadataKey, ObjectData, Options, Transaction, Worker,
};
use indicatif::{ProgressBar, ProgressStyle};
use model::{Nid, NodeType, Oid, PartitionCount, PartitionTable, Random, Tid, Ttid, UtcTime};
use serde::Serialize;

use super::cold::Files;
use super::latency::{Latencies, Summary};
use super::process::Memory;
use super::records::{LENGTH_MAX, LENGTH_MIN, Records, SyntheticObject};
use super::report::{Format, Report, grouped, megabytes, print, ratio, rounded};
use crate::database::DiskArgs;
use crate::failure::Failure;
use crate::interrupt::Interrupt;

/// Sizes of records unless --size is given, in bytes.
const LENGTHS: (u32, u32) = (200, 1024);
/// Batches between two looks at memory.
const LOOK_BATCHES: u64 = 64;
/// Time between two transactions in units of tids, 10 ms or so.
const TID_STEP: u64 = 0x00a3_d70a;

/// Make a database of synthetic records, and measure how fast it is filled
///
/// The records are valid pickles of 200 to 1,024 bytes, half of them noise, always the same for one
/// seed. Objects have oids from 0 on and are created in this order; in between, random ones get new
/// revisions. A batch is one transaction, committed in one step: its time is that until it is
/// durable, including waits for background work that had fallen behind, not including making the
/// records. In the end the database is closed; what fill has made can be opened like any other.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct FillArgs {
    /// The directory for the database: one that is empty or does not exist
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Write so many records
    #[arg(
        long, value_name = "N", default_value_t = 1_000_000,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    records: u64,
    /// Of so many objects [default: a quarter of the records]
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u64).range(1..))]
    oids: Option<u64>,
    /// So many records a transaction
    #[arg(
        long, value_name = "B", default_value_t = 1000,
        value_parser = clap::value_parser!(u64).range(1..=1_000_000)
    )]
    batch: u64,
    /// So many bytes each record, instead of 200 to 1,024
    #[arg(
        long, value_name = "BYTES",
        value_parser = clap::value_parser!(u32).range(i64::from(LENGTH_MIN)..=i64::from(LENGTH_MAX))
    )]
    size: Option<u32>,
    /// Divide the database into so many partitions
    #[arg(
        long, value_name = "P", default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(PartitionCount::MAX.get()))
    )]
    partitions: u32,
    /// Stop after so many seconds, even if not all records are written
    #[arg(long, value_name = "S")]
    seconds: Option<u64>,
    /// Wait until a batch is durable before the next one begins: the default
    #[arg(long, conflicts_with = "pipelined")]
    synced: bool,
    /// Begin a batch while earlier ones are being written, which lets several share a flush
    #[arg(long)]
    pipelined: bool,
    /// End without closing the database, as if the process had been killed: `neolith bench open`
    /// then has to replay the log
    #[arg(long)]
    no_close: bool,
    /// Make other records
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print one JSON object: times in nanoseconds, sizes in bytes
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    disk: DiskArgs,
}

const EXAMPLES: &str = "Examples:
  neolith bench fill /srv/scratch/db
  neolith bench fill /srv/scratch/db --records 20000000 --oids 20000000
  neolith bench fill /srv/scratch/db --batch 1 --records 10000 --disk-delay-us 1000";

pub(crate) fn run(args: &FillArgs) -> Result<ExitCode, Failure> {
    let stop = Interrupt::listen()?;
    let oids = args.oids.unwrap_or(args.records.div_ceil(4));
    if oids > args.records {
        let (oids, records) = (grouped(oids), grouped(args.records));
        return Err(Failure::Refused(format!(
            "--oids {oids} is more than --records {records}: every object needs a record"
        )));
    }
    let lengths = args.size.map_or(LENGTHS, |size| (size, size));
    let records = Records::new(args.seed, args.records, oids, lengths);
    let mut filler = Filler::create(args)?;
    filler.fill(records, args.batch, &stop)?;
    let outcome = filler.finish(args)?;
    print(&outcome, Format::of(args.json))?;
    stop.check()?;
    Ok(ExitCode::SUCCESS)
}

/// Fills a database.
struct Filler {
    engine: Engine,
    worker: Worker,
    partitions: PartitionCount,
    is_pipelined: bool,
    deadline: Option<Instant>,
    tid: Tid,
    batches: u64,
    records: u64,
    data_bytes: u64,
    latencies: Latencies,
    /// Time within batches.
    time: Duration,
    /// Batches that are not durable yet, with when they began.
    under_way: VecDeque<(u64, Instant)>,
    memory: Memory,
}

impl Filler {
    fn create(args: &FillArgs) -> Result<Self, Failure> {
        let disk = args.disk.directory(&args.directory, OpenMode::Create)?;
        let Some(partitions) = PartitionCount::new(args.partitions) else {
            unreachable!("the command line has this limit")
        };
        let identity = identity_of(args.seed);
        let metadata = first_metadata(partitions);
        let engine = Engine::create(disk, Options::default(), identity, metadata)?;
        let path = || args.directory.display().to_string();
        let worker = Worker::start().map_err(|source| Failure::Io {
            action: "start a thread for",
            path: path(),
            source,
        })?;
        let Some(start) = UtcTime::new(2026, 1, 1, 0, 0, 0) else {
            unreachable!("a day that exists")
        };
        let now = Instant::now();
        Ok(Self {
            engine,
            worker,
            partitions,
            is_pipelined: args.pipelined,
            deadline: args.seconds.and_then(|s| now.checked_add(Duration::from_secs(s))),
            tid: Tid::at(start),
            batches: 0,
            records: 0,
            data_bytes: 0,
            latencies: Latencies::new(),
            time: Duration::ZERO,
            under_way: VecDeque::new(),
            memory: Memory::default(),
        })
    }

    fn fill(&mut self, mut records: Records, batch: u64, stop: &Interrupt) -> Result<(), Failure> {
        let progress = ProgressBar::new(records.left()).with_style(progress_style());
        loop {
            let objects = records.next_batch(batch);
            let is_over = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if objects.is_empty() || is_over || stop.is_asked() {
                break;
            }
            let start = Instant::now();
            self.write(&objects, start)?;
            self.time += start.elapsed();
            progress.inc(objects.len() as u64);
            if self.batches.is_multiple_of(LOOK_BATCHES) {
                self.memory.look();
            }
        }
        let start = Instant::now();
        while !self.under_way.is_empty() {
            self.poll(Wait::Yes)?;
        }
        self.time += start.elapsed();
        self.memory.look();
        progress.finish_and_clear();
        Ok(())
    }

    fn write(&mut self, objects: &[SyntheticObject], start: Instant) -> Result<(), Failure> {
        self.worker.exchange(&mut self.engine)?;
        self.tid = Tid::new(self.tid.get() + TID_STEP);
        self.batches += 1;
        let (tid, ttid, token) = (self.tid, Ttid::new(self.tid.get()), self.batches);
        for object in objects {
            self.make_room()?;
            let partition = self.partitions.of_oid(object.oid);
            let data = ObjectData { data: Some(object.data.clone()), ..ObjectData::default() };
            self.engine.store(ttid, partition, object.oid, &data)?;
            self.data_bytes += object.data.len() as u64;
        }
        self.records += objects.len() as u64;
        let transaction = Transaction {
            ttid,
            description: Bytes::from(format!("bench fill, batch {token}")),
            oids: objects.iter().map(|object| object.oid).collect::<Vec<Oid>>(),
            ..Transaction::default()
        };
        let partition = self.partitions.of_tid(tid);
        self.engine.commit(token, ttid, tid, partition, Some(transaction))?;
        self.under_way.push_back((token, start));
        if self.is_pipelined {
            return self.poll(Wait::No);
        }
        while !self.under_way.is_empty() {
            self.poll(Wait::Yes)?;
        }
        Ok(())
    }

    /// Waits while the log or background work is too far behind.
    fn make_room(&mut self) -> Result<(), Failure> {
        while self.engine.is_congested() {
            self.poll(Wait::Yes)?;
            if self.engine.is_congested() {
                self.worker.wait(&mut self.engine)?;
            }
        }
        Ok(())
    }

    fn poll(&mut self, wait: Wait) -> Result<(), Failure> {
        for completion in self.engine.poll(wait)? {
            completion.result?;
            let Some((token, start)) = self.under_way.pop_front() else {
                unreachable!("only batches have tokens")
            };
            assert_eq!(token, completion.token, "batches complete in the order of the log");
            self.latencies.record(start.elapsed());
        }
        Ok(())
    }

    /// Waits for background work and closes.
    fn finish(mut self, args: &FillArgs) -> Result<Outcome, Failure> {
        let start = Instant::now();
        loop {
            self.poll(Wait::Yes)?;
            self.worker.wait(&mut self.engine)?;
            // Work that cannot be done, because the disk is full, is left to the next opening.
            if !self.worker.is_busy() {
                break;
            }
        }
        let settled = Instant::now();
        let figures = self.engine.figures();
        let Self { mut engine, worker, .. } = self;
        worker.stop(&mut engine)?;
        match args.no_close {
            true => drop(engine),
            false => engine.close()?,
        }
        let closed = Instant::now();
        let disk = args.disk.directory(&args.directory, OpenMode::ReadOnly)?;
        let disk: Arc<dyn engine::disk::Disk> = disk;
        let seconds = self.time.as_secs_f64();
        let (data, batches) = (self.data_bytes as f64, self.batches as f64);
        let written = figures.log_bytes_written + figures.run_bytes_written;
        Ok(Outcome {
            directory: args.directory.display().to_string(),
            records: self.records,
            batches: self.batches,
            data_bytes: self.data_bytes,
            seconds,
            records_per_s: ratio(self.records as f64, seconds),
            data_bytes_per_s: ratio(data, seconds),
            log_bytes_written: figures.log_bytes_written,
            run_bytes_written: figures.run_bytes_written,
            bytes_written_per_byte: ratio(written as f64, data),
            flushes_per_batch: ratio(flushes(&figures), batches),
            bytes_on_disk: Files::open(&disk)?.length(),
            is_closed: !args.no_close,
            settle_seconds: (settled - start).as_secs_f64(),
            close_seconds: (closed - settled).as_secs_f64(),
            batch_latency: self.latencies.summary(),
            memory: self.memory,
        })
    }
}

fn flushes(figures: &Figures) -> f64 {
    figures.groups_synced as f64
}

/// What a database is told of itself when it is made: it can be served by one storage node.
fn first_metadata(partitions: PartitionCount) -> Vec<MetadataEdit> {
    let nid = Nid::of(NodeType::Storage, 1);
    let table = PartitionTable::of_one_storage(partitions, nid);
    vec![
        MetadataEdit::set(MetadataKey::Nid, nid.get().to_le_bytes()),
        MetadataEdit::set(MetadataKey::ClusterName, "bench"),
        MetadataEdit::set(MetadataKey::Partitions, partitions.get().to_le_bytes()),
        MetadataEdit::set(MetadataKey::Replicas, table.replicas().to_le_bytes()),
        MetadataEdit::set(MetadataKey::PartitionTable, table.to_bytes()),
    ]
}

/// 16 bytes that are the same for the same seed, so that the same database can be made again.
fn identity_of(seed: u64) -> [u8; 16] {
    let mut identity = [0; 16];
    Random::from_seed(!seed).fill(&mut identity);
    identity
}

fn progress_style() -> ProgressStyle {
    let template = "{wide_bar} {human_pos} of {human_len} records, {per_sec}, {eta} to go";
    ProgressStyle::with_template(template).expect("a constant that is well-formed")
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Outcome {
    directory: String,
    records: u64,
    batches: u64,
    data_bytes: u64,
    /// Time within batches.
    seconds: f64,
    records_per_s: f64,
    data_bytes_per_s: f64,
    log_bytes_written: u64,
    run_bytes_written: u64,
    /// Of log and runs, per byte of data, before the database was closed.
    bytes_written_per_byte: f64,
    /// Flushes of the log; those of background work are not counted.
    flushes_per_batch: f64,
    bytes_on_disk: u64,
    is_closed: bool,
    /// Background work after the last batch.
    settle_seconds: f64,
    close_seconds: f64,
    batch_latency: Summary,
    memory: Memory,
}

impl Report for Outcome {
    fn text(&self) -> String {
        let latency = &self.batch_latency;
        let (data, memory) = (self.data_bytes, &self.memory);
        let end = match self.is_closed {
            true => format!("closed in {:.2} s", self.close_seconds),
            false => String::from("not closed"),
        };
        format!(
            "records  {} in {} batches, {:.2} s: {} records/s, {:.1} MB/s\n\
             written  {} to the log, {} to index runs: {:.3} bytes a byte of data\n\
             flushes  {:.3} of the log a batch\n\
             on disk  {}, {:.3} bytes a byte of data\n\
             end      background work {:.2} s, {end}\n\
             memory   {} anonymous, at most {}\n\
             batch    {}\n{}",
            grouped(self.records),
            grouped(self.batches),
            self.seconds,
            rounded(self.records_per_s),
            self.data_bytes_per_s / 1e6,
            megabytes(self.log_bytes_written),
            megabytes(self.run_bytes_written),
            self.bytes_written_per_byte,
            self.flushes_per_batch,
            megabytes(self.bytes_on_disk),
            ratio(self.bytes_on_disk as f64, data as f64),
            self.settle_seconds,
            megabytes(memory.anonymous_bytes),
            megabytes(memory.anonymous_bytes_max),
            latency.line(),
            latency.bars(),
        )
    }
}
