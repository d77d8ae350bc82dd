//! Files, functions and lines are short enough to be read.

use std::collections::BTreeMap;

use super::finding::Finding;
use super::ratchet::Ratchet;
use super::rust_file::RustFile;

/// Of a file, without its tests: what a reader keeps an overview of.
const FILE_LINES_MAX: usize = 500;
/// Of a function, from its name to its last brace: what fits a screen.
const FUNCTION_LINES_MAX: usize = 70;
/// Of a line, in characters: two files fit side by side.
const COLUMNS_MAX: usize = 100;

pub(super) fn check_sizes(files: &[RustFile], ratchet: &mut Ratchet) {
    for file in files {
        if !file.is_test {
            let lines = file.lines_without_tests();
            ratchet.compare(&file.path, lines, FILE_LINES_MAX, (&file.path, 1));
        }
        // Functions of one name in one file share a line of the ratchet: the longest counts.
        let mut longest = BTreeMap::new();
        for function in &file.functions {
            let size = longest.entry(&function.name).or_insert((0, 0));
            *size = (*size).max((function.lines, function.line));
        }
        for (name, (lines, line)) in longest {
            let what = format!("{}::{name}", file.path);
            ratchet.compare(&what, lines, FUNCTION_LINES_MAX, (&file.path, line));
        }
    }
}

pub(super) fn check_columns(files: &BTreeMap<String, String>) -> Vec<Finding> {
    let code = files.iter().filter(|(path, _)| !path.ends_with(".md") && !path.ends_with(".toml"));
    let lines = code.flat_map(|(path, text)| text.lines().enumerate().map(move |l| (path, l)));
    lines
        .filter_map(|(path, (index, line))| {
            let columns = line.chars().count();
            let reason = format!("{columns} columns, but the limit is {COLUMNS_MAX}");
            (columns > COLUMNS_MAX).then(|| Finding::new(path, index + 1, reason))
        })
        .collect()
}
