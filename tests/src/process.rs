//! Starts the program and looks at how it ends.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::binary;

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub output: Vec<u8>,
    /// Standard error.
    pub errors: String,
}

impl Ended {
    /// Standard output as text.
    ///
    /// # Panics
    /// If it is no text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.output).expect("the output is text")
    }

    /// The lines of standard output, each parsed as JSON.
    ///
    /// # Panics
    /// If a line is no JSON.
    pub fn json_lines(&self) -> Vec<serde_json::Value> {
        let parse = |line| serde_json::from_str(line).expect("each line is JSON");
        self.text().lines().map(parse).collect()
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            output: output.stdout,
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A command of `neolith` that is to be started, with nothing on its standard input.
pub fn command(arguments: &[&dyn AsRef<OsStr>]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments.iter().map(|argument| argument.as_ref()));
    command.stdin(Stdio::null());
    command
}

/// Runs a command of `neolith` to its end.
///
/// # Panics
/// If it cannot be started.
pub fn neolith(arguments: &[&dyn AsRef<OsStr>]) -> Ended {
    let output = command(arguments).output();
    output.expect("the program can be started").into()
}

/// Runs a command of `neolith` that has to succeed and say nothing on standard error.
///
/// # Panics
/// If it does not.
#[track_caller]
pub fn succeed(arguments: &[&dyn AsRef<OsStr>]) -> Ended {
    let ended = neolith(arguments);
    assert_eq!((ended.code, ended.errors.as_str()), (Some(0), ""));
    ended
}

/// Runs a command of `neolith` with this standard input.
///
/// # Panics
/// If it cannot be started, or does not read.
pub fn neolith_with_input(arguments: &[&dyn AsRef<OsStr>], input: &[u8]) -> Ended {
    let mut command = command(arguments);
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped());
    command.stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program can be started");
    let mut pipe = child.stdin.take().expect("its input is a pipe");
    let output = std::thread::scope(|scope| {
        scope.spawn(move || pipe.write_all(input).expect("the program reads its input"));
        child.wait_with_output()
    });
    output.expect("the program ends").into()
}
