//! A virtual environment of Python, so that nothing is installed on the machine itself.

#![expect(clippy::disallowed_methods, reason = "its files are no database")]

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::error::StageError;
use crate::run::run_command;
use crate::workplace::Workplace;

/// Installs what a requirements file lists, unless it was installed before. Says what it installs.
pub(crate) fn install(requirements: &str, workplace: &Workplace) -> Result<(), StageError> {
    let wanted = read(Path::new(requirements))?;
    let directory = workplace.virtual_environment();
    // A copy of the requirements, made when all of them were installed.
    let installed = directory.join("installed-requirements.txt");
    if installed.is_file() && read(&installed)? == wanted {
        return Ok(());
    }
    println!("Installing with pip, in {} and nowhere else:", directory.display());
    for line in wanted.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        println!("    {line}");
    }
    // Needs Python's module venv, a package of its own in Debian: python3-venv.
    run_command(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&directory))?;
    let mut pip = Command::new(directory.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    run_command(pip.args(["--requirement", requirements]))?;
    fs::write(&installed, wanted).map_err(|error| StageError::File { path: installed, error })
}

fn read(path: &Path) -> Result<String, StageError> {
    fs::read_to_string(path).map_err(|error| StageError::File { path: path.to_owned(), error })
}
