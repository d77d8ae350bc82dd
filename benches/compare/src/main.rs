//! The same work on several storage engines, printed as one table. README.md says what it measures.
//!
//! The program starts itself once for each engine and run (`--one`), so that memory and I/O are
//! counted apart, and checks the answers of each against what the work must give.

mod accounting;
mod error;
mod measure;
mod report;
mod store;
mod workload;

use std::fs::{self, File};
use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::{Parser, ValueEnum};

use crate::error::{Error, Result};
use crate::measure::Measure;
use crate::report::{EngineReport, Report};
use crate::store::Engine;
use crate::workload::{Answers, Parameters, Workload};

/// Inserts synced batches of records into several engines, looks revisions up, prints the costs
#[derive(Parser)]
#[command(version, after_help = "Exit status: 0 when all answers were right, 1 otherwise.")]
struct Arguments {
    /// Directory to work in: on the disk to be measured, missing or empty; emptied afterwards
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Engines to run [default: all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAMES")]
    engines: Vec<Engine>,
    /// Runs of each engine, interleaved; the table shows the medians
    #[arg(long, value_name = "N", default_value = "3")]
    runs: NonZeroU32,
    /// Print JSON with every run instead of the table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    parameters: Parameters,
    /// Run one engine in this process, in the directory as it is, and print its measure
    #[arg(long, hide = true)]
    one: Option<Engine>,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    arguments.parameters.check()?;
    if let Some(engine) = arguments.one {
        let measure = engine.measure(&arguments.dir, &arguments.parameters)?;
        println!("{}", json(&measure));
        return Ok(());
    }
    let report = compare(&arguments)?;
    if arguments.json {
        println!("{}", json(&report));
    } else {
        print!("{}", report.text());
    }
    Ok(())
}

fn compare(arguments: &Arguments) -> Result<Report> {
    take_directory(&arguments.dir)?;
    let engines = match arguments.engines.as_slice() {
        [] => Engine::value_variants(),
        engines => engines,
    };
    let expected = Workload::new(&arguments.parameters).answers();
    let mut runs = vec![Vec::new(); engines.len()];
    for run in 1..=arguments.runs.get() {
        for (engine, runs) in engines.iter().zip(&mut runs) {
            eprintln!("run {run} of {}: {}", arguments.runs, engine.name());
            runs.push(measure_apart(*engine, &arguments.dir, &arguments.parameters, expected)?);
        }
    }
    let engines = engines.iter().zip(runs);
    Ok(Report {
        parameters: arguments.parameters.clone(),
        engines: engines.map(|(engine, runs)| EngineReport::new(*engine, runs)).collect(),
    })
}

/// Refuses a directory that holds something: it is emptied later.
fn take_directory(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::file(path))?;
    match fs::read_dir(path).map_err(Error::file(path))?.next() {
        None => Ok(()),
        Some(_) => Err(Error::NotEmpty { path: path.to_owned() }),
    }
}

/// Runs the work on `engine` in a process and a directory of its own, and checks its answers.
fn measure_apart(
    engine: Engine,
    directory: &Path,
    parameters: &Parameters,
    expected: Answers,
) -> Result<Measure> {
    let own_directory = directory.join(engine.name());
    fs::create_dir(&own_directory).map_err(Error::file(&own_directory))?;
    let executable = std::env::current_exe().map_err(Error::file(Path::new("/proc/self/exe")))?;
    let output = Command::new(&executable)
        .arg("--one")
        .arg(engine.name())
        .arg("--dir")
        .arg(&own_directory)
        .args(parameters.arguments())
        .stderr(Stdio::inherit())
        .output()
        .map_err(Error::file(&executable))?;
    remove(&own_directory, directory).map_err(Error::file(&own_directory))?;
    if !output.status.success() {
        return Err(Error::Child { engine: engine.name(), status: output.status });
    }
    let measure: Measure = serde_json::from_slice(&output.stdout)
        .map_err(|source| Error::Measure { engine: engine.name(), source })?;
    if measure.answers != expected {
        let found = measure.answers;
        return Err(Error::Differs { engine: engine.name(), expected, found });
    }
    Ok(measure)
}

/// Removes a directory and waits until the file system has done with it, so that giving back its
/// blocks does not slow down the next engine.
fn remove(directory: &Path, parent: &Path) -> io::Result<()> {
    fs::remove_dir_all(directory)?;
    File::open(parent)?.sync_all()
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).expect("plain fields with names as keys")
}
