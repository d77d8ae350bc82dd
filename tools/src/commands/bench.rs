//! `neolith bench`.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::bench;
use crate::failure::Failure;

/// Measure a database: loads, filling, opening
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    Load(bench::LoadArgs),
    Fill(bench::FillArgs),
    Open(bench::OpenArgs),
}

pub(crate) fn run(args: &BenchArgs) -> Result<ExitCode, Failure> {
    match &args.bench {
        Bench::Load(args) => bench::load(args),
        Bench::Fill(args) => bench::fill(args),
        Bench::Open(args) => bench::open(args),
    }
}
