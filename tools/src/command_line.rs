//! The command line: what `neolith` is asked to do, and how it ends.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands;
use crate::failure::Failure;

/// A storage for ZODB databases: every revision of every object, checked and compact.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100, after_help = EXIT_CODES)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done; 1 the answer is no (damage found, nothing there); \
2 could not run (bad arguments, no such file, disk full); 130 interrupted.";

#[derive(Debug, Subcommand)]
enum Command {
    Import(commands::import::ImportArgs),
}

impl Command {
    fn run(&self) -> Result<ExitCode, Failure> {
        match self {
            Command::Import(args) => commands::import::run(args),
        }
    }
}

/// Runs the program. Errors are one line on standard error.
pub fn run() -> ExitCode {
    let command_line = CommandLine::parse();
    match command_line.command.run() {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
