//! Which crate may know which.

use std::collections::BTreeSet;

use super::finding::Finding;
use super::rust_file::RustFile;

/// The directory of each crate, and the crates that it may depend on.
const DIRECTIONS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("engine", &["model"]),
    ("net", &["model"]),
    ("master", &["model", "net", "engine"]),
    ("storaged", &["model", "net", "engine"]),
    ("client", &["model", "net", "engine"]),
    ("client/python", &["model", "net", "engine", "client"]),
    ("tools", ALL),
    ("tools/xtask", &[]),
    ("benches", ALL),
    ("benches/compare", ALL),
    ("tests", ALL),
];
const ALL: &[&str] = &["model", "engine", "net", "master", "storaged", "client", "tools"];

/// Where `unsafe`, mappings, io_uring and the engine's files are.
const DISK: &str = "engine/src/disk/";
/// Drives other engines, some of which take `unsafe` or a mapping to do so.
const PEERS: &str = "benches/compare";

pub(super) fn check_manifest(path: &str, text: &str) -> Vec<Finding> {
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            return vec![Finding::new(path, 1, format!("does not parse: {}", error.message()))];
        }
    };
    if !table.contains_key("package") {
        return Vec::new();
    }
    let directory = path.strip_suffix("/Cargo.toml").unwrap_or_default();
    let Some(allowed) = allowed_for(directory) else {
        let reason = "a crate that the directions of dependencies do not name: add it to them";
        return vec![Finding::new(path, 1, reason)];
    };
    let mut findings = Vec::new();
    for dependency in dependencies(&table) {
        let line = line_of(text, &dependency);
        let reason = match dependency.strip_prefix("neolith-") {
            Some(target) if !allowed.contains(&target) => {
                format!("{directory} may not depend on {target}")
            }
            None if ["memmap2", "io-uring"].contains(&dependency.as_str())
                && !["engine", PEERS].contains(&directory) =>
            {
                format!("only engine depends on {dependency}")
            }
            None if dependency == "mio" && directory != "net" => {
                "only net depends on mio".to_owned()
            }
            _ => continue,
        };
        findings.push(Finding::new(path, line, reason));
    }
    findings
}

/// Names of everything that a manifest depends on, for whatever target and purpose.
fn dependencies(table: &toml::Table) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (key, value) in table {
        let Some(table) = value.as_table() else {
            continue;
        };
        match key.as_str() {
            "dependencies" | "dev-dependencies" | "build-dependencies" => {
                names.extend(table.iter().map(|(name, value)| {
                    // A renamed dependency is what it was before.
                    let package = value.get("package").and_then(toml::Value::as_str);
                    package.unwrap_or(name).to_owned()
                }));
            }
            "target" => {
                let targets = table.values().filter_map(toml::Value::as_table);
                names.extend(targets.flat_map(dependencies));
            }
            _ => {}
        }
    }
    names
}

fn line_of(text: &str, dependency: &str) -> usize {
    text.lines().position(|line| line.contains(dependency)).map_or(1, |index| index + 1)
}

pub(super) fn check_file(file: &RustFile) -> Vec<Finding> {
    let directory = crate_of(&file.path);
    let allowed = allowed_for(directory).unwrap_or(ALL);
    let may_touch_disk = file.path.starts_with(DISK) || directory == PEERS;
    let mut findings = Vec::new();
    let mut complain = |line, reason: String| findings.push(Finding::new(&file.path, line, reason));
    for path in &file.paths {
        let first = path.segments[0].as_str();
        let is_local = file.modules.iter().any(|(name, _)| name == first);
        if ALL.contains(&first) && first != directory && !allowed.contains(&first) && !is_local {
            complain(path.line, format!("{directory} may not know {first}"));
        }
        if may_touch_disk {
            continue;
        }
        if ["memmap2", "io_uring"].contains(&first) {
            complain(path.line, format!("{first} is used in {DISK} only"));
        }
        let is_fs = path.segments.starts_with(&["std".to_owned(), "fs".to_owned()]);
        if is_fs && directory == "engine" && !file.is_test_line(path.line) {
            complain(path.line, format!("the engine opens files in {DISK} only"));
        }
    }
    if !may_touch_disk {
        for line in file.find_tokens(&["unsafe"]) {
            complain(line, format!("`unsafe` is written in {DISK} only"));
        }
    }
    findings
}

/// One file of net knows mio, so that all else can be driven by a simulator.
pub(super) fn check_mio(files: &[RustFile]) -> Vec<Finding> {
    let users: Vec<_> = files.iter().filter_map(|file| Some((file, mio_line(file)?))).collect();
    let in_one_file_of_net = users.len() == 1 && crate_of(&users[0].0.path) == "net";
    if in_one_file_of_net {
        return Vec::new();
    }
    let reason = format!("mio is used in one file of net only, not in {} files", users.len());
    users.into_iter().map(|(file, line)| Finding::new(&file.path, line, reason.clone())).collect()
}

fn mio_line(file: &RustFile) -> Option<usize> {
    file.paths.iter().find(|path| path.segments[0] == "mio").map(|path| path.line)
}

fn allowed_for(directory: &str) -> Option<&'static [&'static str]> {
    let mut directions = DIRECTIONS.iter();
    directions.find(|(name, _)| *name == directory).map(|(_, allowed)| *allowed)
}

/// The directory of the crate that a file belongs to; the longest that matches.
fn crate_of(path: &str) -> &'static str {
    let directories = DIRECTIONS.iter().map(|(directory, _)| *directory);
    let holds =
        |directory: &&str| path.strip_prefix(*directory).is_some_and(|rest| rest.starts_with('/'));
    directories.filter(holds).max_by_key(|directory| directory.len()).unwrap_or_default()
}
