//! Runs the simulator on seeds.

use std::process::ExitCode;

use tests::sim::Batch;

const USAGE: &str = "\
Runs a cluster of Neolith, its programs and its faults on seeds, and checks what must hold.

usage: sim [--seed S] [--seeds N] [--minutes M] [--profile quiet|network|disk|clock|all] [--trace]
           [--brief]

  --seed S      the first seed, 1 unless told
  --seeds N     how many; 10 unless told, or as many as there is time for with --minutes
  --minutes M   begin no seed after so many minutes
  --profile P   kinds of faults, all unless told
  --trace       print everything that happens, of one seed after the other
  --brief       of a seed that breaks a rule, tell only which

Exits with 1 at the first seed that breaks a rule, with a setting that is as small as could be found
and its trace.";

fn main() -> ExitCode {
    match Batch::from_arguments(std::env::args().skip(1)) {
        Ok(batch) => match batch.run() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        },
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}
