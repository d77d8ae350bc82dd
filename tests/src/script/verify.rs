//! Runs the scripts of a directory.

#![expect(clippy::disallowed_methods, reason = "scripts are no files of an engine")]

use std::env;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::{Runner, Setting};

/// Runs every script of `tests/scripts/NAME` on a machine of its own, and compares what came of it
/// with the file; or writes the files, if `UPDATE_SCRIPTS` is set. `SCRIPT` in the environment
/// picks those whose name contains it.
///
/// # Panics
/// If one differs, after all were run.
pub fn verify_directory(name: &str, setting: impl Fn() -> Box<dyn Setting>) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name);
    let entries = fs::read_dir(&directory).expect("the directory of the scripts is there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    paths.sort();
    let wanted = env::var("SCRIPT").unwrap_or_default();
    let update = env::var_os("UPDATE_SCRIPTS").is_some();
    let mut failures = Vec::new();
    for path in paths.iter().filter(|path| path.to_string_lossy().contains(&wanted)) {
        let script = fs::read_to_string(path).expect("a script can be read");
        let mut runner = Runner::new(setting());
        let outcome = match catch_unwind(AssertUnwindSafe(|| runner.run(&script))) {
            Ok(Ok(text)) if text == script => continue,
            Ok(Ok(text)) if update => {
                fs::write(path, text).expect("a script can be written");
                continue;
            }
            Ok(Ok(text)) => difference(&script, &text),
            Ok(Err(error)) => {
                if update {
                    fs::write(path, &error.script).expect("a script can be written");
                }
                error.to_string()
            }
            Err(_) => String::from("the machine panicked"),
        };
        failures.push(format!("{}: {outcome}", path.display()));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The first lines that differ, with some around them.
fn difference(expected: &str, found: &str) -> String {
    const AROUND: usize = 12;
    let expected: Vec<_> = expected.lines().collect();
    let found: Vec<_> = found.lines().collect();
    let same = expected.iter().zip(&found).take_while(|(a, b)| a == b).count();
    let shown = |lines: &[&str]| {
        let from = same.saturating_sub(4).min(lines.len());
        lines[from..lines.len().min(same + AROUND)].join("\n    ")
    };
    format!(
        "line {} differs (UPDATE_SCRIPTS=1 writes what was found). Expected:\n    {}\nfound:\n    \
         {}",
        same + 1,
        shown(&expected),
        shown(&found)
    )
}
