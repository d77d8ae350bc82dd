//! Runs the simulator on seeds. So far it is the bank without faults.

use std::process::ExitCode;

use tests::sim::{Profile, Setting, run};

const USAGE: &str = "sim [--seed S] [--seeds N] [--profile quiet]: faults are not simulated yet";

fn main() -> ExitCode {
    let Some((first, count)) = arguments(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let mut broken = 0_u64;
    for seed in first..first.saturating_add(count) {
        let setting = Setting::choose(seed, Profile::Quiet);
        let outcome = run(&setting);
        println!("{setting}: {:?} {:?}", outcome.figures, outcome.broken);
        broken += u64::from(outcome.broken.is_some());
    }
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The first seed, and how many.
fn arguments(mut given: impl Iterator<Item = String>) -> Option<(u64, u64)> {
    let (mut first, mut count) = (1, 10);
    while let Some(name) = given.next() {
        let value = given.next()?;
        match name.as_str() {
            "--seed" => first = value.parse().ok()?,
            "--seeds" => count = value.parse().ok()?,
            "--profile" if value == "quiet" => {}
            _ => return None,
        }
    }
    Some((first, count))
}
