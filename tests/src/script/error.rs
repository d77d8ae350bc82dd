//! What is wrong with a script, or with what a machine sent.

use std::fmt;

/// A script could not be carried out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScriptError {
    /// The line of the command, from 1.
    pub line: usize,
    /// What is wrong.
    pub text: String,
    /// The script with the output up to there.
    pub script: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.text)
    }
}

impl std::error::Error for ScriptError {}
