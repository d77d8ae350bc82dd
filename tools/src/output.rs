//! What commands print on standard output.

use std::fmt;
use std::io::{self, BufWriter, StdoutLock, Write};

use model::Tid;
use serde::Serialize;

use crate::failure::Failure;

/// Bytes that are collected before they are written.
const BUFFER_LENGTH: usize = 256 << 10;

/// Standard output, buffered. [`Output::finish`] writes what is left.
#[derive(Debug)]
pub(crate) struct Output(BufWriter<StdoutLock<'static>>);

impl Output {
    /// Of this process.
    pub(crate) fn standard() -> Self {
        Self(BufWriter::with_capacity(BUFFER_LENGTH, io::stdout().lock()))
    }

    /// Prints a line.
    pub(crate) fn line(&mut self, line: impl fmt::Display) -> Result<(), Failure> {
        writeln!(self.0, "{line}").map_err(Failure::output)
    }

    /// Prints a line with a value in JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.0, value).map_err(|error| Failure::output(error.into()))?;
        self.line("")
    }

    /// Prints bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.0.write_all(bytes).map_err(Failure::output)
    }

    /// What was printed so far can be read.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.0.flush().map_err(Failure::output)
    }

    /// Writes what is left.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.flush()
    }

    /// Something to write to.
    pub(crate) fn writer(&mut self) -> &mut impl Write {
        &mut self.0
    }
}

/// A tid with its time.
pub(crate) struct WithTime(pub(crate) Tid);

impl fmt::Display for WithTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0, self.0.time())
    }
}

/// A value, or what is said in its place.
pub(crate) struct Or<T>(pub(crate) Option<T>, pub(crate) &'static str);

impl<T: fmt::Display> fmt::Display for Or<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str(self.1),
        }
    }
}

/// Text as it was given, which usually is UTF-8, in one line and without control characters.
pub(crate) struct Text<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(self.0);
        for letter in text.chars() {
            match letter.is_control() {
                true => write!(f, "{}", letter.escape_default())?,
                false => write!(f, "{letter}")?,
            }
        }
        Ok(())
    }
}
