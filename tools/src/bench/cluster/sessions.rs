//! Threads of a program that share one client, as the library that programs use has it.

use std::thread;
use std::time::{Duration, Instant};

use client::{ClientOptions, Session};
use model::Random;

use super::super::latency::Latencies;
use super::closed_loop::Tally;
use super::population::Key;
use super::target::Target;
use crate::failure::Failure;
use crate::interrupt::Interrupt;

/// Threads that load random objects through one session without a cache.
pub(super) struct Sharers<'a> {
    session: Session,
    keys: &'a [Key],
    randoms: Vec<Random>,
}

impl<'a> Sharers<'a> {
    pub(super) fn new(
        target: &Target,
        keys: &'a [Key],
        threads: usize,
        random: &mut Random,
    ) -> Result<Self, Failure> {
        let mut options = ClientOptions::new(&target.cluster, target.masters.clone());
        options.cache_bytes = 0;
        let session = Session::open_with(options)?;
        Ok(Self { session, keys, randoms: (0..threads).map(|_| random.split()).collect() })
    }

    /// Has all threads load for some time.
    pub(super) fn turn(&mut self, duration: Duration, stop: &Interrupt) -> Result<Tally, Failure> {
        let start = Instant::now();
        let deadline = start + duration;
        let (session, keys) = (&self.session, self.keys);
        let results: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = self
                .randoms
                .iter_mut()
                .map(|random| scope.spawn(move || load(session, keys, random, deadline, stop)))
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        let mut latencies = Latencies::new();
        for result in results {
            latencies.add(&result?);
        }
        stop.check()?;
        Ok(Tally { latencies, time: start.elapsed() })
    }
}

fn load(
    session: &Session,
    keys: &[Key],
    random: &mut Random,
    deadline: Instant,
    stop: &Interrupt,
) -> Result<Latencies, Failure> {
    let mut latencies = Latencies::new();
    let mut begin = Instant::now();
    while begin < deadline && !stop.is_asked() {
        let key = keys[random.index(keys.len())];
        let object = session.load(key.oid)?;
        let length = object.data.as_ref().map(client::Payload::length);
        if key.length.is_some_and(|expected| length != Some(expected)) {
            return Err(Failure::Damaged(format!("{} is not what was stored", key.oid)));
        }
        let end = Instant::now();
        latencies.record(end - begin);
        begin = end;
    }
    Ok(latencies)
}
