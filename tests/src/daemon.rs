//! Nodes that run as processes, with what they write on standard error.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::{Ended, command};

/// How long anything that a test waits for may take.
const TIME_MAX: Duration = Duration::from_secs(30);

/// A process that runs until it is told to end. Dropped, it is killed.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    lines: Receiver<String>,
    /// What it has written so far, as far as somebody waited for it.
    seen: Vec<String>,
}

impl Daemon {
    /// Starts a command of `neolith`.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(arguments: &[&dyn AsRef<OsStr>]) -> Self {
        Self::spawn(command(arguments))
    }

    /// Starts a command that was prepared.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn spawn(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be started");
        let errors = child.stderr.take().expect("it is a pipe");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines, seen: Vec::new() }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it writes a line that has all these parts, and returns that line.
    ///
    /// # Panics
    /// If it ends before, or takes too long.
    #[track_caller]
    pub fn wait_for(&mut self, parts: &[&str]) -> String {
        loop {
            let Ok(line) = self.lines.recv_timeout(TIME_MAX) else {
                panic!("no line with {parts:?}; it wrote:\n{}", self.seen.join("\n"));
            };
            self.seen.push(line.clone());
            if parts.iter().all(|part| line.contains(part)) {
                return line;
            }
        }
    }

    /// Waits until a node listens, and returns where.
    ///
    /// # Panics
    /// If it ends before, or takes too long.
    #[track_caller]
    pub fn listening(&mut self) -> String {
        let line = self.wait_for(&["started", "listening="]);
        let address = line.split("listening=").nth(1).expect("it was looked for");
        address.split(' ').next().expect("there is always a first").to_owned()
    }

    /// A line of its standard output.
    ///
    /// # Panics
    /// If it writes none.
    pub fn output_line(&mut self) -> String {
        let output = self.child.stdout.as_mut().expect("it is a pipe");
        let mut bytes = Vec::new();
        let mut byte = [0];
        while output.read(&mut byte).expect("the pipe can be read") > 0 && byte != *b"\n" {
            bytes.push(byte[0]);
        }
        String::from_utf8(bytes).expect("it is text")
    }

    /// Sends a signal, by its name without SIG.
    ///
    /// # Panics
    /// If that is not possible.
    pub fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status();
        assert!(status.expect("there is a kill").success(), "{name} to {id}");
    }

    /// Waits until it ends.
    ///
    /// # Panics
    /// If it takes too long.
    #[track_caller]
    pub fn wait(mut self) -> Ended {
        // Its standard error ends with it.
        loop {
            match self.lines.recv_timeout(TIME_MAX) {
                Ok(line) => self.seen.push(line),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    panic!("it does not end; it wrote:\n{}", self.seen.join("\n"));
                }
            }
        }
        let status = self.child.wait().expect("it can be waited for");
        let mut output = Vec::new();
        let pipe = self.child.stdout.as_mut().expect("it is a pipe");
        pipe.read_to_end(&mut output).expect("the pipe can be read");
        Ended { code: status.code(), output, errors: self.seen.join("\n") }
    }

    /// Tells it to end, as service managers do, and waits until it has ended.
    ///
    /// # Panics
    /// If it takes too long.
    #[track_caller]
    pub fn terminate(self) -> Ended {
        self.signal("TERM");
        self.wait()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
