//! Why a command could not be carried out: one line for a person, one exit code for a program.

use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::control::ControlError;
use crate::filestorage;

/// What ended a command.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The engine refused or found damage.
    Engine(engine::Error),
    /// A FileStorage file was refused or could not be written.
    FileStorage(filestorage::Error),
    /// The system refused something.
    Io {
        /// What was tried, such as "read".
        action: &'static str,
        /// On what.
        path: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A directory cannot be opened or made. The text says which.
    Directory(io::Error),
    /// What was asked for makes no sense with what is there.
    Refused(String),
    /// The database contradicts itself, in a way that no checksum shows.
    Damaged(String),
    /// An admin node refuses, or cannot be reached.
    Control(ControlError),
    /// A cluster refuses, or cannot be reached.
    Client(client::Error),
    /// A node of a cluster cannot go on.
    Node(String),
    /// Something came in between, and what was done so far is kept.
    Unfinished {
        /// What.
        cause: Box<Failure>,
        /// How to go on.
        advice: String,
    },
    /// Nobody reads standard output any more: nothing to complain about.
    OutputClosed,
    /// Ctrl-C.
    Interrupted,
}

impl Failure {
    /// Prints the failure and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Failure::OutputClosed => return ExitCode::SUCCESS,
            _ => eprintln!("neolith: {self}"),
        }
        self.exit_code()
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Interrupted => ExitCode::from(130),
            Failure::Engine(error) if error.is_damage() => ExitCode::from(1),
            Failure::Damaged(_) | Failure::Control(_) | Failure::Client(_) | Failure::Node(_) => {
                ExitCode::from(1)
            }
            Failure::Unfinished { cause, .. } => cause.exit_code(),
            _ => ExitCode::from(2),
        }
    }

    /// An error of writing to standard output.
    pub(crate) fn output(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::BrokenPipe => Failure::OutputClosed,
            _ => Failure::Io { action: "write to", path: String::from("standard output"), source },
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Engine(error) => error.fmt(f),
            Failure::FileStorage(error) => error.fmt(f),
            Failure::Io { action, path, source } => write!(f, "{path}: cannot {action}: {source}"),
            Failure::Directory(error) => error.fmt(f),
            Failure::Refused(reason) | Failure::Damaged(reason) | Failure::Node(reason) => {
                f.write_str(reason)
            }
            Failure::Control(error) => error.fmt(f),
            Failure::Client(error) => error.fmt(f),
            Failure::Unfinished { cause, advice } => write!(f, "{cause}; {advice}"),
            Failure::OutputClosed => f.write_str("standard output was closed"),
            Failure::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl From<engine::Error> for Failure {
    fn from(error: engine::Error) -> Self {
        Failure::Engine(error)
    }
}

impl From<filestorage::Error> for Failure {
    fn from(error: filestorage::Error) -> Self {
        Failure::FileStorage(error)
    }
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        Failure::Client(error)
    }
}
