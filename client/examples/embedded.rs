//! How long loads and commits take without a cluster.
//!
//!     cargo run --release -p neolith-client --example embedded -- DIRECTORY
//!
//! The directory holds a database, such as `neolith import` makes; it is only read. Commits go to a
//! new one beside it, which is removed afterwards.

#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use client::{Embedded, EmbeddedOptions, Metadata, Opening, Payload};
use model::{Oid, Random, Tid};

const TIME: Duration = Duration::from_secs(4);
/// Objects that are loaded over and over.
const OBJECTS_MAX: usize = 1_000_000;
const DATA_LENGTH: usize = 400;

fn main() {
    let path: PathBuf = std::env::args_os().nth(1).expect("a directory is named").into();
    let reading = EmbeddedOptions {
        opening: Opening::ReadOnly,
        cache_bytes: Some(1 << 30),
        ..EmbeddedOptions::default()
    };
    let embedded = Embedded::open(&path, reading).expect("it holds a database");
    let mut oids: Vec<Oid> =
        embedded.oids(Oid::ZERO, None).take(OBJECTS_MAX).map(Result::unwrap).collect();
    Random::from_seed(1).shuffle(&mut oids);
    for oid in &oids {
        embedded.load(*oid).expect("it is there");
    }
    println!("{} objects of {}", oids.len(), path.display());
    for threads in [1, 2, 4] {
        loads(&embedded, &oids, threads);
    }
    drop(embedded);
    let beside = tempfile::tempdir_in(path.parent().unwrap_or(Path::new("."))).expect("a place");
    let embedded = Embedded::open(beside.path(), EmbeddedOptions::default()).expect("it is new");
    for threads in [1, 2, 8, 64] {
        commits(&embedded, threads);
    }
}

fn loads(embedded: &Embedded, oids: &[Oid], threads: usize) {
    let load = |thread: usize| {
        let mut times = Vec::new();
        let start = Instant::now();
        let mut before = start;
        for oid in oids.iter().cycle().skip(thread * oids.len() / threads) {
            let object = embedded.load(*oid).expect("it is there");
            assert!(object.data.is_some());
            let now = Instant::now();
            times.push(u32::try_from((now - before).as_nanos()).unwrap_or(u32::MAX));
            before = now;
            if now - start > TIME {
                break;
            }
        }
        times
    };
    let times = together(threads, load);
    report("loads", threads, times, None);
}

/// Commits of one object each, which no other thread writes.
fn commits(embedded: &Embedded, threads: usize) {
    let before = embedded.figures().expect("it is open").groups_synced;
    let commit = |_| {
        let oid = embedded.new_oids(1).expect("there are some")[0];
        let (mut serial, mut times) = (Tid::ZERO, Vec::new());
        let start = Instant::now();
        while start.elapsed() < TIME {
            let begin = Instant::now();
            let mut transaction = embedded.begin().expect("it is open");
            transaction.store(oid, serial, Payload::plain(vec![7; DATA_LENGTH])).expect("space");
            serial = transaction.commit(Metadata::default()).expect("space");
            times.push(u32::try_from(begin.elapsed().as_nanos()).unwrap_or(u32::MAX));
        }
        times
    };
    let times = together(threads, commit);
    let syncs = embedded.figures().expect("it is open").groups_synced - before;
    report("commits", threads, times, Some(syncs));
}

fn together(threads: usize, run: impl Fn(usize) -> Vec<u32> + Sync) -> Vec<u32> {
    thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(move || run(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("it ends")).collect()
    })
}

fn report(what: &str, threads: usize, mut times: Vec<u32>, syncs: Option<u64>) {
    times.sort_unstable();
    let quantile = |permille: usize| f64::from(times[times.len() * permille / 1000]) / 1000.0;
    let (p50, p99) = (quantile(500), quantile(990));
    let rate = times.len() as u64 / TIME.as_secs();
    let syncs = syncs.map_or_else(String::new, |syncs| format!(", {syncs} syncs"));
    println!("{what} on {threads} threads: {rate}/s, p50 {p50} us, p99 {p99} us{syncs}");
}
