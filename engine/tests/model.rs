//! Random operations, crashes and full disks against a plain map.
//!
//! Each seed is a few lives of a database on one simulated disk. `NEOLITH_SEED` runs one seed and
//! prints what it does; `NEOLITH_SEEDS` says how many, `NEOLITH_MINUTES` for how long at most.
#![expect(clippy::disallowed_methods, reason = "how long it may run is in minutes")]

#[path = "model/check.rs"]
mod check;
#[path = "model/history.rs"]
mod history;
#[path = "model/life.rs"]
mod life;
#[path = "model/plan.rs"]
mod plan;
#[path = "model/state.rs"]
mod state;
#[path = "model/world.rs"]
mod world;
#[path = "model/write.rs"]
mod write;

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use world::run;

/// Without being told how many.
const SEEDS: u64 = 300;
/// Without being told how many, but how long.
const SEEDS_MAX: u64 = 1 << 40;

#[test]
fn the_engine_agrees_with_a_plain_map() {
    if let Some(seed) = number("NEOLITH_SEED") {
        return run(seed, true);
    }
    let minutes = number("NEOLITH_MINUTES");
    let seeds = number("NEOLITH_SEEDS").unwrap_or(match minutes {
        Some(_) => SEEDS_MAX,
        None => SEEDS,
    });
    let first = number("NEOLITH_FIRST_SEED").unwrap_or(0);
    let limit = minutes.map(|minutes| Duration::from_secs(60 * minutes));
    let start = Instant::now();
    let next = AtomicU64::new(first);
    let failed = AtomicU64::new(u64::MAX);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let is_late = limit.is_some_and(|limit| start.elapsed() > limit);
                    let is_over = seed >= first + seeds || is_late;
                    if is_over || failed.load(Ordering::Relaxed) != u64::MAX {
                        return;
                    }
                    if catch_unwind(|| run(seed, false)).is_err() {
                        println!("seed {seed} failed");
                        failed.fetch_min(seed, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let done = next.load(Ordering::Relaxed).min(first + seeds) - first;
    println!("{done} seeds in {:.1} s", start.elapsed().as_secs_f64());
    let failed = failed.into_inner();
    if failed != u64::MAX {
        println!("NEOLITH_SEED={failed} replays this:");
        run(failed, true);
    }
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {value:?}")))
}
