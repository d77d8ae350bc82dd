//! `neolith import`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::failure::Failure;

/// Import a FileStorage into a new database directory.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The FileStorage file
    source: PathBuf,
}

pub(crate) fn run(args: &ImportArgs) -> Result<ExitCode, Failure> {
    Err(Failure::Refused(format!("{}: not yet", args.source.display())))
}
