//! Where the files of the cluster are.

#![expect(
    clippy::disallowed_methods,
    reason = "the directory around databases, and what is beside them, is none of them"
)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::plan::storage_name;
use crate::failure::Failure;

/// Lines of a log that are shown when a node has failed.
const LINES_SHOWN: usize = 10;

/// The directory of a cluster. A temporary one is removed with this.
#[derive(Debug)]
pub(super) enum Place {
    Temporary(TempDir),
    Kept(PathBuf),
}

impl Place {
    /// Makes the directory, or takes one that exists. Paths in it do not depend on where the
    /// process is.
    pub(super) fn make(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            let made = tempfile::Builder::new().prefix("neolith-simple-").tempdir();
            return made.map(Self::Temporary).map_err(|source| Failure::Io {
                action: "make a directory",
                path: std::env::temp_dir().display().to_string(),
                source,
            });
        };
        let failed = |source| Failure::Io {
            action: "make the directory",
            path: path.display().to_string(),
            source,
        };
        if !path.is_dir() {
            fs::create_dir(path).map_err(failed)?;
        }
        if path.join("manifest").exists() {
            let path = path.display();
            return Err(Failure::Refused(format!(
                "{path}: it is a database; that of a cluster's first storage is DIR/{}",
                storage_name(1)
            )));
        }
        fs::canonicalize(path).map(Self::Kept).map_err(failed)
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Temporary(directory) => directory.path(),
            Self::Kept(path) => path,
        }
    }

    /// How many storages have a database here.
    pub(super) fn storages(&self) -> u32 {
        (1..)
            .take_while(|number| self.path().join(storage_name(*number)).is_dir())
            .fold(0, u32::max)
    }

    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        let path = self.path().join(name);
        fs::write(&path, text).map_err(|source| Failure::Io {
            action: "write",
            path: path.display().to_string(),
            source,
        })
    }

    /// Opens the file that a node writes its log to.
    pub(super) fn log(&self, node: &str) -> Result<File, Failure> {
        let path = self.path().join(log_name(node));
        let file = File::options().create(true).append(true).open(&path);
        file.map_err(|source| Failure::Io {
            action: "open",
            path: path.display().to_string(),
            source,
        })
    }

    /// What a node last wrote to its log.
    pub(super) fn last_lines(&self, node: &str) -> String {
        let text = fs::read(self.path().join(log_name(node))).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let first = lines.len().saturating_sub(LINES_SHOWN);
        lines[first..].iter().map(|line| format!("\n    {line}")).collect()
    }
}

fn log_name(node: &str) -> String {
    format!("{node}.log")
}
