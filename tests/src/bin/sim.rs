//! Runs the simulator on seeds.

use std::process::ExitCode;

use tests::sim::{Profile, Setting, run};

fn main() -> ExitCode {
    let mut broken = 0;
    for seed in 1..=10 {
        let setting = Setting::choose(seed, Profile::All);
        let outcome = run(&setting);
        println!("{setting}: {:?} {:?}", outcome.figures, outcome.broken);
        broken += u32::from(outcome.broken.is_some());
    }
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
