//! Where the demo puts its files.

#![expect(
    clippy::disallowed_methods,
    reason = "the sample is a file of its own, and the directory around a database is none of it"
)]

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::failure::Failure;

/// A directory of the demo's own. A temporary one is removed with this.
#[derive(Debug)]
pub(super) enum Place {
    Temporary(TempDir),
    Kept(PathBuf),
}

impl Place {
    /// Makes the directory, or takes one that is empty.
    pub(super) fn make(keep: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = keep else {
            let made = tempfile::Builder::new().prefix("neolith-demo-").tempdir();
            return made.map(Self::Temporary).map_err(|source| Failure::Io {
                action: "make a directory",
                path: std::env::temp_dir().display().to_string(),
                source,
            });
        };
        let failed = |action| {
            let path = path.display().to_string();
            move |source| Failure::Io { action, path, source }
        };
        if !path.exists() {
            std::fs::create_dir(path).map_err(failed("make the directory"))?;
        }
        match std::fs::read_dir(path).map_err(failed("list"))?.next() {
            None => Ok(Self::Kept(path.to_owned())),
            Some(_) => {
                let path = path.display();
                Err(Failure::Refused(format!("{path}: not empty; give a new directory")))
            }
        }
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        match self {
            Self::Temporary(directory) => directory.path().join(name),
            Self::Kept(path) => path.join(name),
        }
    }

    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
        std::fs::write(path, bytes).map_err(|source| {
            let path = path.display().to_string();
            Failure::Io { action: "write", path, source }
        })
    }

    pub(super) fn description(&self) -> String {
        match self {
            Self::Temporary(directory) => {
                let path = directory.path().display();
                format!("All files are in {path} and removed in the end, unless --keep is given.")
            }
            Self::Kept(path) => format!("All files are kept in {}.", path.display()),
        }
    }

    pub(super) fn farewell(&self) -> String {
        match self {
            Self::Temporary(_) => String::from(
                "That was all, and the files are gone. Try `neolith demo --keep demo`, or \
                 `neolith import` with a Data.fs of your own.",
            ),
            Self::Kept(path) => {
                let site = path.join("site");
                let site = site.display();
                format!("That was all. The database is {site}: try `neolith history {site} 4`.")
            }
        }
    }
}
