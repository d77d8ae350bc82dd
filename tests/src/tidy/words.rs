//! Words that have no place in the source.

use super::finding::Finding;
use super::rust_file::RustFile;

/// Marks of unfinished work, in two parts because this file is read as well.
const MARKS: [&str; 3] = [concat!("XX", "X"), concat!("FIX", "ME"), concat!("TO", "DO")];

/// Names of modules that say nothing about what is in them.
const EMPTY_NAMES: [&str; 6] = ["common", "helper", "helpers", "misc", "util", "utils"];

pub(super) fn check_text(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for component in path.split('/') {
        let stem = component.split('.').next().unwrap_or_default();
        if EMPTY_NAMES.contains(&stem) {
            findings.push(Finding::new(path, 1, empty_name(stem)));
        }
    }
    for (index, line) in text.lines().enumerate() {
        let words = line.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        for word in words.filter(|word| MARKS.contains(word)) {
            let reason = format!("`{word}`: finish it, or open an issue and say nothing here");
            findings.push(Finding::new(path, index + 1, reason));
        }
    }
    findings
}

pub(super) fn check_file(file: &RustFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, line) in &file.modules {
        if EMPTY_NAMES.contains(&name.as_str()) {
            findings.push(Finding::new(&file.path, *line, empty_name(name)));
        }
    }
    for name in ["todo", "unimplemented"] {
        for line in file.find_tokens(&[name, "!"]) {
            let reason = format!("`{name}!`: what is there works; what does not is not there");
            findings.push(Finding::new(&file.path, line, reason));
        }
    }
    for line in file.find_tokens(&["thread", "::", "sleep"]) {
        if file.is_test_line(line) {
            let reason = "a test that sleeps is slow, or fails now and then: wait for the event";
            findings.push(Finding::new(&file.path, line, reason));
        }
    }
    for attribute in &file.attributes {
        let has = |word| attribute.tokens.iter().any(|token| token == word);
        let reason = match attribute.tokens.first().map(String::as_str) {
            Some("ignore") => "an ignored test tests nothing: run it, or remove it",
            Some("allow") => "`allow` stays when its cause is gone: use `expect` with a reason",
            Some("cfg_attr") if has("allow") => "use `expect` with a reason instead of `allow`",
            Some("expect") if !has("reason") => "`expect` needs a reason",
            _ => continue,
        };
        findings.push(Finding::new(&file.path, attribute.line, reason));
    }
    findings
}

fn empty_name(name: &str) -> String {
    format!("`{name}` says nothing: name the module for what is in it")
}
