//! Where things are.

use std::env;
use std::path::{self, Path, PathBuf};

/// The directories of a checkout, absolute.
pub(crate) struct Workplace {
    /// Of the repository.
    pub(crate) root: PathBuf,
    /// Where cargo builds: `target` in the root, or what `CARGO_TARGET_DIR` says.
    pub(crate) target: PathBuf,
}

impl Workplace {
    pub(crate) fn of_this_project() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let root = root.canonicalize().unwrap_or(root);
        let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let target = target.unwrap_or_else(|| root.join("target"));
        Self { target: path::absolute(&target).unwrap_or(target), root }
    }

    /// Where Python packages are installed: nowhere else on the machine.
    pub(crate) fn virtual_environment(&self) -> PathBuf {
        self.target.join("venv")
    }

    /// Replaces `{root}`, `{target}` and `{venv}` in an argument.
    pub(crate) fn resolve(&self, argument: &str) -> String {
        argument
            .replace("{root}", &self.root.to_string_lossy())
            .replace("{target}", &self.target.to_string_lossy())
            .replace("{venv}", &self.virtual_environment().to_string_lossy())
    }
}
