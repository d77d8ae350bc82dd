//! The source as text.

#![expect(clippy::disallowed_methods, reason = "reads the source, which is no database")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

/// Files with one of these extensions are text that the rules apply to.
const EXTENSIONS: [&str; 5] = ["rs", "toml", "md", "py", "sh"];

/// Directories that hold no source of ours; so do those whose name begins with a dot.
const SKIPPED: [&str; 3] = ["target", "venv", "__pycache__"];

/// The text files of the project by path, from its root and with slashes, and the ratchet.
#[derive(Debug)]
pub struct Tree {
    pub(super) files: BTreeMap<String, String>,
    pub(super) ratchet: String,
}

impl Tree {
    /// Where the ratchet is kept.
    pub const RATCHET_PATH: &str = "tests/src/tidy/ratchet.txt";

    /// Reads the files below `root`.
    ///
    /// # Errors
    /// If a file or directory cannot be read.
    pub fn read(root: &Path) -> Result<Self, TreeError> {
        let mut files = BTreeMap::new();
        read_directory(root, "", &mut files)?;
        let path = root.join(Self::RATCHET_PATH);
        let ratchet = fs::read_to_string(&path).map_err(|error| TreeError { path, error })?;
        Ok(Self { files, ratchet })
    }

    /// The text of a file.
    pub fn file(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }
}

fn read_directory(
    directory: &Path,
    prefix: &str,
    files: &mut BTreeMap<String, String>,
) -> Result<(), TreeError> {
    let failed = |error| TreeError { path: directory.to_owned(), error };
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let failed = |error| TreeError { path: path.clone(), error };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || SKIPPED.contains(&name.as_ref()) {
            continue;
        }
        if fs::metadata(&path).map_err(failed)?.is_dir() {
            read_directory(&path, &format!("{prefix}{name}/"), files)?;
        } else if path.extension().is_some_and(|found| EXTENSIONS.iter().any(|e| found == *e)) {
            let text = fs::read_to_string(&path).map_err(failed)?;
            files.insert(format!("{prefix}{name}"), text);
        }
    }
    Ok(())
}

/// A file of the source could not be read.
#[derive(Debug)]
pub struct TreeError {
    path: PathBuf,
    error: io::Error,
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.error)
    }
}

impl Error for TreeError {}
