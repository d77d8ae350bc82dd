//! A whole cluster with programs and faults, on seeds: see `tests::sim`. It is not run with the
//! other tests, but by itself, in release.
//! Fresh seeds are run by the program `sim`.

use tests::sim::{Profile, Setting, Tracing, run};

/// Seeds that once broke a rule: what was undone was not told to others, what newcomers had voted
/// was never ended, the undo log was too short.
const NAMED: [(u64, Profile); 3] = [(5, Profile::Quiet), (2, Profile::Network), (3, Profile::All)];

#[test]
fn named_seeds_break_no_rule() {
    for (seed, profile) in NAMED {
        let setting = Setting::choose(seed, profile);
        let broken = run(&setting, Tracing::Hash).broken;
        assert_eq!(broken, None, "{setting}");
    }
}

#[test]
fn the_same_seed_does_the_same() {
    for (seed, profile) in [(1, Profile::Quiet), (2, Profile::All), (3, Profile::All)] {
        let setting = Setting::choose(seed, profile);
        let hashes = [(); 2].map(|()| run(&setting, Tracing::Hash).trace_hash);
        assert_eq!(hashes[0], hashes[1], "{setting}");
    }
}
