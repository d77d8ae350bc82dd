//! A whole cluster with programs and faults, on seeds: see `tests::sim`. It is not run with the
//! other tests, but by itself, in release.
//!
//! `NEOLITH_SIM_MINUTES` is for how long fresh seeds are run, `NEOLITH_SIM_SEED` the first of them:
//! unless told, each commit has its own. What breaks is run again by the program `sim`.

use std::env;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tests::sim::{Batch, Profile, Setting, Tracing, run};

/// Seeds that once broke a rule. What a seed decides changes with the simulator: each of these has
/// a test of its own, too.
///
/// What was undone was not told to others, what newcomers had voted was never ended, the undo log
/// was too short, nobody told a storage that was just starting of the end of a transaction, a
/// cluster without any storage did not say whom it waits for, a master that had lost its log began
/// a transaction again that storages had voted for, a storage told its master of locks that were
/// not durable, a commit in doubt was completed where there is data before it was where it can be
/// asked for (twice), what a lost master waited for found no space, and the next one waited for
/// ever, an empty storage was taken for the one whose id it had been given by a master without log
/// (twice), an undo took what was read for another one that was lost, with the same ttid, a vote
/// that came after the transaction was aborted began it again.
const NAMED: [(u64, Profile); 14] = [
    (5, Profile::Quiet),
    (2, Profile::Network),
    (3, Profile::All),
    (1072, Profile::All),
    (1009, Profile::All),
    (291, Profile::All),
    (50047, Profile::All),
    (85721, Profile::All),
    (967_535_835, Profile::All),
    (504_549, Profile::All),
    (554_325, Profile::All),
    (563_050, Profile::All),
    (571_945, Profile::All),
    (614_935, Profile::All),
];
/// How long fresh seeds are run, in minutes.
const MINUTES: u64 = 2;

#[test]
fn named_seeds_break_no_rule() {
    for (seed, profile) in NAMED {
        // They are older than machines that are not alike.
        let setting = Setting::choose_alike(seed, profile);
        let outcome = run(&setting, Tracing::Hash);
        assert_eq!(outcome.broken, None, "{setting}");
        let figures = outcome.figures;
        let faults: u64 = figures.faults.values().sum();
        assert!(figures.elapsed >= Duration::from_secs(60) && figures.commits >= 500, "{setting}");
        assert!(faults >= 20 || profile == Profile::Quiet, "{faults} faults: {setting}");
    }
}

#[test]
fn fresh_seeds_break_no_rule() {
    let minutes = number("NEOLITH_SIM_MINUTES").unwrap_or(MINUTES);
    let first = number("NEOLITH_SIM_SEED").or_else(seed_of_commit).unwrap_or(1);
    println!("seeds from {first} on, for {minutes} minutes");
    let batch = Batch {
        first,
        seeds: u64::MAX,
        time: Some(Duration::from_secs(60 * minutes)),
        profile: Profile::All,
        tracing: Tracing::Hash,
        explains: true,
    };
    assert!(batch.run(), "a seed breaks a rule: `sim --seed` runs it again");
}

#[test]
fn the_same_seed_does_the_same() {
    for (seed, profile) in [(1, Profile::Quiet), (2, Profile::All), (3, Profile::All)] {
        let setting = Setting::choose(seed, profile);
        let hashes = [(); 2].map(|()| run(&setting, Tracing::Hash).trace_hash);
        assert_eq!(hashes[0], hashes[1], "{setting}");
    }
}

/// Where things are in memory, and in which order a hash has them, is another matter in each.
#[test]
fn the_same_seed_does_the_same_in_another_process() {
    let program = env!("CARGO_BIN_EXE_sim");
    let traces = [(); 2].map(|()| {
        let arguments = ["--seed", "2", "--seeds", "1", "--trace"];
        let output = Command::new(program).args(arguments).output().expect("it starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        output.stderr
    });
    let length = traces[0].len();
    assert!(length > 1_000_000, "everything that happens is told: {length} bytes");
    assert!(traces[0] == traces[1], "the traces of one seed differ");
}

fn number(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is a number: {value}")))
}

/// The beginning of the hash of the commit that is checked out; none if that is not known.
fn seed_of_commit() -> Option<u64> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(root).output();
    let hash = String::from_utf8(output.ok()?.stdout).ok()?;
    u64::from_str_radix(hash.get(..8)?, 16).ok()
}
