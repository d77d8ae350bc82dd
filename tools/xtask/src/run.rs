//! Running stages and the commands in them.

use std::env;
use std::process::{Command, ExitCode};
use std::time::Instant;

use crate::error::StageError;
use crate::python;
use crate::stages::{Action, Stage};
use crate::summary::{Outcome, Summary};
use crate::workplace::Workplace;

/// Runs stages up to the first that fails, and prints how each of them went and for how long.
#[expect(clippy::disallowed_methods, reason = "measures how long real commands take")]
pub(crate) fn run_stages<'a>(
    stages: impl Iterator<Item = &'a Stage>,
    workplace: &Workplace,
) -> ExitCode {
    let mut summary = Summary::default();
    for stage in stages {
        if summary.has_failure() {
            summary.add(stage.name, Outcome::NotRun);
            continue;
        }
        println!("\n=== {}: {}", stage.name, stage.about);
        let start = Instant::now();
        let result = run_stage(stage, workplace);
        let time = start.elapsed();
        let outcome = match result {
            Ok(()) => Outcome::Passed(time),
            Err(error) => {
                println!("{}: {error}", stage.name);
                Outcome::Failed(time)
            }
        };
        println!("=== {}: {outcome}", stage.name);
        summary.add(stage.name, outcome);
    }
    print!("\n{summary}");
    if summary.has_failure() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn run_stage(stage: &Stage, workplace: &Workplace) -> Result<(), StageError> {
    for action in stage.actions {
        println!("$ {}", action.description(workplace));
        match action {
            Action::InstallPython { requirements } => {
                python::install(&workplace.resolve(requirements), workplace)?;
            }
            Action::Run { program, arguments, environment } => {
                let mut command = Command::new(workplace.resolve(program));
                command.args(arguments.iter().map(|argument| workplace.resolve(argument)));
                command.env("CARGO_TARGET_DIR", &workplace.target);
                for variable in *environment {
                    if !variable.can_be_overridden || env::var_os(variable.name).is_none() {
                        command.env(variable.name, workplace.resolve(variable.value));
                    }
                }
                run_command(command.current_dir(&workplace.root))?;
            }
        }
    }
    Ok(())
}

/// Runs a command to its end. What it prints goes where xtask prints.
pub(crate) fn run_command(command: &mut Command) -> Result<(), StageError> {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let text = words.join(" ");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(StageError::Status { command: text, status }),
        Err(error) => Err(StageError::Start { command: text, error }),
    }
}
