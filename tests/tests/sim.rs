//! A whole cluster with programs and faults, on seeds: see `tests::sim`. It is not run with the
//! other tests, but by itself, in release.
//!
//! `NEOLITH_SIM_MINUTES` says for how long fresh seeds are run, which are those of the commit;
//! without it there are a few.

use std::env;
use std::process::Command;
use std::time::Duration;

use tests::sim::{Batch, Profile, Setting, Tracing, run};

/// Seeds that once broke a rule: what was undone was not told to others, what newcomers had voted
/// was never ended, the undo log was too short.
const NAMED: [(u64, Profile); 3] = [(5, Profile::Quiet), (2, Profile::Network), (3, Profile::All)];

/// Fresh seeds when nothing is said about time.
const FRESH: u64 = 6;

#[test]
fn named_seeds_break_no_rule() {
    for (seed, profile) in NAMED {
        let setting = Setting::choose(seed, profile);
        let broken = run(&setting, Tracing::Hash).broken;
        assert_eq!(broken, None, "{setting}");
    }
}

#[test]
fn fresh_seeds_break_no_rule() {
    let minutes = env::var("NEOLITH_SIM_MINUTES").ok();
    let minutes = minutes.map(|text| text.parse::<u64>().expect("a number of minutes"));
    let batch = Batch {
        first: first_of_commit(),
        seeds: if minutes.is_some() { u64::MAX } else { FRESH },
        time: minutes.map(|minutes| Duration::from_secs(60 * minutes)),
        profile: Profile::All,
        tracing: Tracing::Hash,
    };
    assert!(batch.run(), "a seed breaks a rule: see above");
}

#[test]
fn the_same_seed_does_the_same() {
    for (seed, profile) in [(1, Profile::Quiet), (2, Profile::All), (3, Profile::All)] {
        let setting = Setting::choose(seed, profile);
        let hashes = [(); 2].map(|()| run(&setting, Tracing::Hash).trace_hash);
        assert_eq!(hashes[0], hashes[1], "{setting}");
    }
}

/// The beginning of the hash of the commit: each commit has seeds of its own, and anybody can run
/// them again.
fn first_of_commit() -> u64 {
    let output = Command::new("git").args(["rev-parse", "HEAD"]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let hash = text.unwrap_or_default();
    hash.get(..12).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(1)
}
