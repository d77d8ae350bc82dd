//! The program under test.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// Path of the binary `neolith` that process tests start: what the environment variable
/// `NEOLITH_BIN` says, as `cargo xtask test` sets it, or else a release build made now.
///
/// # Panics
/// If the build fails.
pub fn binary() -> &'static Path {
    static BINARY: LazyLock<PathBuf> = LazyLock::new(|| match env::var_os("NEOLITH_BIN") {
        Some(path) => path.into(),
        None => build(),
    });
    &BINARY
}

fn build() -> PathBuf {
    let test = env::current_exe().expect("a test knows its own path");
    // A test is built as TARGET/debug/deps/NAME.
    let target = test.ancestors().nth(3).expect("a test is deep in the target directory");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--bin", "neolith", "--target-dir"]).arg(target);
    let status = cargo.current_dir(root).status().expect("cargo can be started");
    assert!(status.success(), "`cargo build --release --bin neolith` ended with {status}");
    target.join("release/neolith")
}
