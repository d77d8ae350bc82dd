//! What can go wrong in a stage.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::{fmt, io};

/// Why a stage failed.
#[derive(Debug)]
pub(crate) enum StageError {
    /// A command could not be started.
    Start { command: String, error: io::Error },
    /// A command ended, but not with success.
    Status { command: String, status: ExitStatus },
    /// A file could not be read or written.
    File { path: PathBuf, error: io::Error },
}

impl fmt::Display for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { command, error } => write!(f, "cannot start `{command}`: {error}"),
            Self::Status { command, status } => write!(f, "`{command}` ended with {status}"),
            Self::File { path, error } => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl Error for StageError {}
