//! The command line: what `neolith` is asked to do, and how it ends.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::commands;
use crate::failure::Failure;
use crate::node::{AdminArgs, MasterArgs, StorageArgs};

/// A distributed storage for ZODB databases: every revision of every object, checked and compact.
///
/// Begin with `neolith demo`, or with `neolith simple`, which runs a whole cluster on this host.
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
    Export(commands::export::ExportArgs),
    Stat(commands::stat::StatArgs),
    Load(commands::load::LoadArgs),
    Tail(commands::tail::TailArgs),
    History(commands::history::HistoryArgs),
    Dump(commands::dump::DumpArgs),
    Fsck(commands::fsck::FsckArgs),
    Bench(commands::bench::BenchArgs),
    Simple(commands::simple::SimpleArgs),
    Master(MasterArgs),
    Storaged(StorageArgs),
    Admin(AdminArgs),
    Ctl(commands::ctl::CtlArgs),
    Demo(commands::demo::DemoArgs),
}

impl Command {
    /// Whether it has a log of its own.
    fn is_node(&self) -> bool {
        matches!(self, Command::Master(_) | Command::Storaged(_) | Command::Admin(_))
    }

    fn run(&self) -> Result<ExitCode, Failure> {
        match self {
            Command::Import(args) => commands::import::run(args),
            Command::Export(args) => commands::export::run(args),
            Command::Stat(args) => commands::stat::run(args),
            Command::Load(args) => commands::load::run(args),
            Command::Tail(args) => commands::tail::run(args),
            Command::History(args) => commands::history::run(args),
            Command::Dump(args) => commands::dump::run(args),
            Command::Fsck(args) => commands::fsck::run(args),
            Command::Bench(args) => commands::bench::run(args),
            Command::Simple(args) => commands::simple::run(args),
            Command::Master(_) => commands::master::run(),
            Command::Storaged(_) => commands::storaged::run(),
            Command::Admin(_) => commands::admin::run(),
            Command::Ctl(args) => commands::ctl::run(args),
            Command::Demo(args) => commands::demo::run(args),
        }
    }
}

/// Runs the program. Errors are one line on standard error.
pub fn run() -> ExitCode {
    let command_line = CommandLine::parse();
    if !command_line.command.is_node() {
        log_to_standard_error();
    }
    match command_line.command.run() {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

/// Runs a command within this process as if it had been typed, without the name of the program.
pub(crate) fn run_words(words: &[OsString]) -> Result<ExitCode, Failure> {
    let line = std::iter::once(OsString::from("neolith")).chain(words.iter().cloned());
    match CommandLine::try_parse_from(line) {
        Ok(command_line) => command_line.command.run(),
        Err(error) => Err(Failure::Refused(error.to_string())),
    }
}

/// What the engine has to say about its work, in lines on standard error. That a write failed is
/// no news: the command ends with that error.
fn log_to_standard_error() {
    let filter = EnvFilter::try_from_env("NEOLITH_LOG");
    tracing_subscriber::fmt()
        .with_env_filter(
            filter.unwrap_or_else(|_| EnvFilter::new("warn,engine=info,engine::database=off")),
        )
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .init();
}
