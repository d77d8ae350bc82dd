//! `neolith bench`.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::bench;
use crate::failure::Failure;

/// Measure a database, or a cluster
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
    Cluster(bench::ClusterArgs),
    #[command(hide = true)]
    PingPong(bench::PingPongArgs),
}

pub(crate) fn run(args: &BenchArgs) -> Result<ExitCode, Failure> {
    match &args.bench {
        Bench::Load(args) => bench::load(args),
        Bench::Fill(args) => bench::fill(args),
        Bench::Open(args) => bench::open(args),
        Bench::Cluster(args) => bench::cluster(args),
        Bench::PingPong(args) => bench::ping_pong(args),
    }
}
