//! A cluster on disks that lose what is not synced: whatever crashes when, what was acknowledged is
//! there, what was refused is not, and no money is lost or made.
//!
//! Everything is decided by a seed, which is printed when a test fails. `NEOLITH_SEED` runs that
//! one only, `NEOLITH_SEEDS` so many; `WORLD_TRACE=1` prints all packets.

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

use engine::disk::{Fault, Faults};
use model::Random;
use tests::world::{Cluster, ClusterOptions, ProcessId};

/// Simulated time that a run may take.
const LIMIT: Duration = Duration::from_secs(60);
/// Simulated time until something that crashed is started again.
const RESTART_DELAY: Duration = Duration::from_millis(300);

#[test]
fn transfers_without_faults() {
    each_seed("without faults", 2, |seed| {
        let mut cluster = Cluster::new(seed, ClusterOptions::default());
        cluster.start();
        finish(&mut cluster);
        assert!(cluster.ledger.borrow().committed() > 0, "something was committed");
    });
}

/// All that is known of a transaction is on one disk.
#[test]
fn one_storage_crashes_at_each_io() {
    let options = ClusterOptions { storages: 1, replicas: 0, ..small() };
    crash_at_each_io("one storage", options, |cluster| cluster.storages[0], |_| {});
}

/// Transactions span storages that have nothing in common: in doubt, one knows what the other
/// does not.
#[test]
fn one_of_two_storages_crashes_at_each_io() {
    let options = ClusterOptions { storages: 2, replicas: 0, ..small() };
    crash_at_each_io("one of two storages", options, |cluster| cluster.storages[1], |_| {});
}

/// The cluster goes on without it.
#[test]
fn a_replica_crashes_at_each_io() {
    let options = ClusterOptions { storages: 2, replicas: 1, ..small() };
    crash_at_each_io("a replica", options, |cluster| cluster.storages[0], |_| {});
}

/// While it writes down that a storage is lost, and reserves ids.
#[test]
fn the_master_crashes_at_each_io() {
    let master = |cluster: &Cluster| cluster.master;
    crash_at_each_io("the master", small(), master, |cluster| {
        let lost = cluster.storages[1];
        cluster.world.kill(lost);
        cluster.world.start_after(lost, RESTART_DELAY);
        cluster.world.run(Duration::from_secs(7));
    });
}

/// Nodes are killed, crash and are stopped, connections break, at any moment.
#[test]
fn everything_fails_at_random() {
    each_seed("at random", 30, |seed| {
        let mut random = Random::from_seed(seed);
        let number = |random: &mut Random, from: u32, count: u64| {
            from + u32::try_from(random.below(count)).expect("a small number")
        };
        let options = ClusterOptions {
            storages: number(&mut random, 1, 3),
            replicas: number(&mut random, 0, 2),
            partitions: number(&mut random, 1, 4),
            tellers: number(&mut random, 1, 4),
            transfers: 40,
            ..small()
        };
        let mut cluster = Cluster::new(seed, options);
        cluster.world.restart_crashed(RESTART_DELAY);
        cluster.start();
        await_opening(&mut cluster);
        for _ in 0..12 {
            let pause = Duration::from_micros(random.below(150_000));
            cluster.world.run(pause);
            harm(&mut cluster, &mut random);
        }
        finish(&mut cluster);
    });
}

/// Writes of the storages' disks are short and slow.
#[test]
fn disks_are_slow_and_write_in_parts() {
    each_seed("slow disks", 4, |seed| {
        let mut cluster = Cluster::new(seed, small());
        for storage in cluster.storages.clone() {
            let faults =
                Faults { short_write_permille: 100, miss_permille: 300, ..Faults::default() };
            let disk = cluster.world.disk(storage).clone().with_faults(faults);
            cluster.world.set_disk(storage, disk);
        }
        cluster.start();
        finish(&mut cluster);
    });
}

fn small() -> ClusterOptions {
    ClusterOptions {
        storages: 2,
        replicas: 1,
        partitions: 2,
        tellers: 2,
        accounts: 3,
        transfers: 6,
    }
}

/// Does something bad to somebody.
fn harm(cluster: &mut Cluster, random: &mut Random) {
    let mut all = vec![cluster.master];
    all.extend(cluster.storages.iter().chain(&cluster.tellers));
    let victim = *random.choose(&all).expect("there are processes");
    let other = *random.choose(&all).expect("there are processes");
    let world = &mut cluster.world;
    if !world.is_running(victim) {
        return;
    }
    let while_later = Duration::from_micros(random.below(500_000));
    match random.below(4) {
        0 => {
            world.crash(victim);
            world.start_after(victim, while_later);
        }
        1 => {
            world.kill(victim);
            world.start_after(victim, while_later);
        }
        2 => {
            world.pause(victim);
            world.run(while_later);
            if world.is_running(victim) {
                world.resume(victim);
            }
        }
        _ => world.cut(victim, other),
    }
}

/// Runs with a crash at the first write or sync of a disk after the accounts were opened, the
/// second, and so on, until it is over before the crash.
fn crash_at_each_io(
    name: &str,
    options: ClusterOptions,
    victim: impl Fn(&Cluster) -> ProcessId,
    meanwhile: impl Fn(&mut Cluster),
) {
    let seed = number_of("NEOLITH_SEED").unwrap_or(1);
    for at in 0.. {
        let mut has_crashed = false;
        run_seed(&format!("{name} crashes at {at}"), seed, |seed| {
            let mut cluster = Cluster::new(seed, options);
            cluster.world.restart_crashed(RESTART_DELAY);
            cluster.start();
            await_opening(&mut cluster);
            let disk = cluster.world.disk(victim(&cluster)).clone();
            disk.schedule(disk.operations() + at, Fault::Crash);
            meanwhile(&mut cluster);
            finish(&mut cluster);
            has_crashed = disk.is_crashed();
        });
        if !has_crashed {
            println!("{name}: {at} moments");
            assert!(at > 3, "there was something to crash in");
            return;
        }
    }
}

/// Waits until there are accounts. A first start that is interrupted may need an operator.
fn await_opening(cluster: &mut Cluster) {
    let ledger = Rc::clone(&cluster.ledger);
    let is_open = cluster.world.run_until(LIMIT, |_| ledger.borrow().is_open);
    assert!(is_open, "the cluster never starts:\n{}", cluster.world.trace());
}

/// Waits until all transfers were tried, with everything running, and looks at what is there.
fn finish(cluster: &mut Cluster) {
    let ledger = Rc::clone(&cluster.ledger);
    let mut waited = Duration::ZERO;
    while !ledger.borrow().is_done() {
        let is_done = cluster.world.run_until(RESTART_DELAY, |_| ledger.borrow().is_done());
        waited += RESTART_DELAY;
        let trace = || cluster.world.trace();
        assert!(is_done || waited < LIMIT, "the cluster never goes on:\n{}", trace());
        // What ended by itself, as a storage does that its master takes for lost, is started again.
        cluster.start();
    }
    cluster.audit(LIMIT);
}

/// Runs a test with so many seeds, or as many as the environment says, or the one that it says.
fn each_seed(name: &str, count: u64, test: impl Fn(u64)) {
    let wanted = number_of("NEOLITH_SEEDS").unwrap_or(count);
    let seeds = number_of("NEOLITH_SEED").map_or(1..=wanted, |seed| seed..=seed);
    seeds.for_each(|seed| run_seed(name, seed, &test));
}

fn number_of(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

fn run_seed(name: &str, seed: u64, test: impl FnOnce(u64)) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(seed))) {
        eprintln!("failed: {name}, NEOLITH_SEED={seed}");
        resume_unwind(panic);
    }
}
