//! `neolith demo`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::demo;
use crate::failure::Failure;

/// Show what Neolith does, on a small FileStorage that the program carries
///
/// It is imported, verified against what ZODB read from it, looked at, measured, exported and
/// checked, each with the command that does it; then a cluster on this host serves it, and a client
/// reads and commits. Takes some seconds, and leaves nothing behind.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DemoArgs {
    /// Keep the files, in a new or empty directory, to go on with them
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  neolith demo
  neolith demo --keep demo && neolith history demo/site 6

Exit codes: 0 done; 1 something was not as it should be; 2 could not run; 130 interrupted.";

pub(crate) fn run(args: &DemoArgs) -> Result<ExitCode, Failure> {
    demo::run(args.keep.as_deref())
}
