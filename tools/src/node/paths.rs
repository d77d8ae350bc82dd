//! Paths as operators write them.

use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// A path in which `~/` at the beginning stands for the home directory.
pub(crate) fn expanded(path: &Path) -> Result<PathBuf, Failure> {
    let Ok(rest) = path.strip_prefix("~") else {
        return match path.to_string_lossy().starts_with('~') {
            true => Err(Failure::Refused(format!(
                "{}: homes of others are not looked up; write the whole path",
                path.display()
            ))),
            false => Ok(path.to_owned()),
        };
    };
    match std::env::var_os("HOME") {
        Some(home) => Ok(Path::new(&home).join(rest)),
        None => Err(Failure::Refused(format!("{}: there is no HOME", path.display()))),
    }
}
