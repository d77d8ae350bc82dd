//! Chores of the developers of Neolith.
//!
//! `cargo xtask test` runs everything that has to pass, in stages; see [`stages`].

mod error;
mod python;
mod run;
mod stages;
mod summary;
mod workplace;

use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};

use crate::stages::STAGES;
use crate::workplace::Workplace;

/// Chores of the developers of Neolith.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs all tests and checks, or some of them, and prints the time that each stage took.
    Test {
        /// Runs only this stage; can be given several times.
        #[arg(long, value_name = "STAGE", value_parser = stage_names())]
        only: Vec<String>,
        /// Prints the stages and their commands instead of running them.
        #[arg(long)]
        list: bool,
    },
}

fn main() -> ExitCode {
    let Command::Test { only, list } = Arguments::parse().command;
    let chosen = STAGES.iter().filter(|stage| only.is_empty() || is_named(&only, stage.name));
    let workplace = Workplace::of_this_project();
    if list {
        for stage in chosen {
            print!("{}", stage.description(&workplace));
        }
        return ExitCode::SUCCESS;
    }
    run::run_stages(chosen, &workplace)
}

fn stage_names() -> PossibleValuesParser {
    PossibleValuesParser::new(STAGES.iter().map(|stage| stage.name))
}

fn is_named(names: &[String], stage: &str) -> bool {
    names.iter().any(|name| name == stage)
}
