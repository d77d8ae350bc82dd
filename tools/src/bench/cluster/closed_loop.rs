//! Many peers at once: each begins its next operation as soon as the last one is done.

use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};

use super::super::latency::Latencies;
use super::wire::PATIENCE;
use crate::failure::Failure;
use crate::interrupt::Interrupt;

/// Sockets that are handled before the system is asked again.
const EVENTS_MAX: usize = 128;
/// Bits of a token that tell the sockets of one station from each other.
const SOCKET_BITS: u32 = 16;

/// Somebody who carries out operations of requests and answers: one after the other in each of its
/// slots.
pub(super) trait Station: Send {
    /// How many operations it carries out at once.
    fn slots(&self) -> usize {
        1
    }

    /// Begins an operation in a slot where none is under way.
    fn begin(&mut self, slot: usize) -> Result<(), Failure>;

    /// Sends what is ready to be sent.
    fn flush(&mut self) -> Result<(), Failure>;

    /// The sockets on which something may come.
    fn sockets(&self) -> Vec<&TcpStream>;

    /// Reads once from the socket with this index in [`Station::sockets`], and goes on. Tells in
    /// which slots operations are done.
    fn receive(&mut self, socket: usize, done: &mut Vec<usize>) -> Result<(), Failure>;
}

/// What was done.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub(super) latencies: Latencies,
    pub(super) time: Duration,
}

impl Default for Tally {
    fn default() -> Self {
        Self { latencies: Latencies::new(), time: Duration::ZERO }
    }
}

impl Tally {
    /// Takes in what was done at another time.
    pub(super) fn append(&mut self, other: &Self) {
        self.latencies.add(&other.latencies);
        self.time += other.time;
    }

    /// Operations a second.
    pub(super) fn rate(&self) -> f64 {
        super::super::report::ratio(self.latencies.count() as f64, self.time.as_secs_f64())
    }
}

/// Has all stations work for some time, each thread with an equal share of them. What was begun
/// within that time is brought to its end, and counts.
pub(super) fn run<S: Station>(
    stations: &mut [S],
    threads: usize,
    duration: Duration,
    stop: &Interrupt,
) -> Result<Tally, Failure> {
    let share = stations.len().div_ceil(threads).max(1);
    let start = Instant::now();
    let deadline = start + duration;
    let tallies = thread::scope(|scope| {
        let threads: Vec<_> = stations
            .chunks_mut(share)
            .map(|stations| scope.spawn(move || work(stations, deadline, stop)))
            .collect();
        threads
            .into_iter()
            .map(|thread| match thread.join() {
                Ok(latencies) => latencies,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect::<Result<Vec<Latencies>, Failure>>()
    })?;
    stop.check()?;
    let mut tally = Tally { latencies: Latencies::new(), time: start.elapsed() };
    tallies.iter().for_each(|latencies| tally.latencies.add(latencies));
    Ok(tally)
}

fn work<S: Station>(
    stations: &mut [S],
    deadline: Instant,
    stop: &Interrupt,
) -> Result<Latencies, Failure> {
    match stations {
        [station] if station.sockets().len() == 1 && station.slots() == 1 => {
            work_alone(station, deadline, stop)
        }
        _ => work_together(stations, deadline, stop),
    }
}

/// Nothing else can happen than that the one answer comes: reading waits for it.
fn work_alone<S: Station>(
    station: &mut S,
    deadline: Instant,
    stop: &Interrupt,
) -> Result<Latencies, Failure> {
    let mut latencies = Latencies::new();
    let mut done = Vec::new();
    let mut start = Instant::now();
    while start < deadline && !stop.is_asked() {
        station.begin(0)?;
        station.flush()?;
        while done.is_empty() {
            station.receive(0, &mut done)?;
        }
        done.clear();
        let end = Instant::now();
        latencies.record(end - start);
        start = end;
    }
    Ok(latencies)
}

fn work_together<S: Station>(
    stations: &mut [S],
    deadline: Instant,
    stop: &Interrupt,
) -> Result<Latencies, Failure> {
    let poll = watch(stations)?;
    let mut latencies = Latencies::new();
    let mut starts: Vec<Vec<Instant>> = Vec::new();
    for station in stations.iter_mut() {
        starts.push(vec![Instant::now(); station.slots()]);
        (0..station.slots()).try_for_each(|slot| station.begin(slot))?;
        station.flush()?;
    }
    let mut busy: usize = starts.iter().map(Vec::len).sum();
    let mut done = Vec::new();
    let mut events = Vec::with_capacity(EVENTS_MAX);
    let patience = Timespec::try_from(PATIENCE).expect("some seconds");
    while busy > 0 {
        events.clear();
        let spare = rustix::buffer::spare_capacity(&mut events);
        match epoll::wait(&poll, spare, Some(&patience)) {
            Ok(0) => {
                let reason = format!("no node has said anything for {} s", PATIENCE.as_secs());
                return Err(Failure::Refused(reason));
            }
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(failed(error.into())),
        }
        for event in &events {
            let token = usize::try_from(event.data.u64()).expect("addresses have 64 bits");
            let (index, socket) = (token >> SOCKET_BITS, token & ((1 << SOCKET_BITS) - 1));
            stations[index].receive(socket, &mut done)?;
            for slot in done.drain(..) {
                let end = Instant::now();
                latencies.record(end - starts[index][slot]);
                if end < deadline && !stop.is_asked() {
                    starts[index][slot] = end;
                    stations[index].begin(slot)?;
                } else {
                    busy -= 1;
                }
            }
            stations[index].flush()?;
        }
    }
    Ok(latencies)
}

fn watch<S: Station>(stations: &[S]) -> Result<OwnedFd, Failure> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
    for (index, station) in stations.iter().enumerate() {
        for (socket, stream) in station.sockets().into_iter().enumerate() {
            assert!(socket >> SOCKET_BITS == 0, "a cluster has less than 65,536 storages");
            let token = epoll::EventData::new_u64((index << SOCKET_BITS | socket) as u64);
            epoll::add(&poll, stream, token, epoll::EventFlags::IN)
                .map_err(|error| failed(error.into()))?;
        }
    }
    Ok(poll)
}

fn failed(source: std::io::Error) -> Failure {
    Failure::Io { action: "wait for", path: String::from("sockets"), source }
}
