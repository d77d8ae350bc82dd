//! All rules, one after the other.

use super::finding::Finding;
use super::ratchet::Ratchet;
use super::rust_file::RustFile;
use super::tree::Tree;
use super::{contents, directions, sizes, words};

/// Applies every rule. The findings are in order of file and line.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut rust_files = Vec::new();
    for (path, text) in &tree.files {
        findings.extend(words::check_text(path, text));
        if path.ends_with("Cargo.toml") {
            findings.extend(directions::check_manifest(path, text));
        }
        if path.ends_with(".rs") {
            match RustFile::parse(path, text) {
                Ok(file) => rust_files.push(file),
                Err(finding) => findings.push(finding),
            }
        }
    }
    for file in &rust_files {
        findings.extend(contents::check_file(file));
        findings.extend(directions::check_file(file));
        findings.extend(words::check_file(file));
    }
    findings.extend(directions::check_mio(&rust_files));
    findings.extend(sizes::check_columns(&tree.files));
    let mut ratchet = Ratchet::parse(&tree.ratchet);
    sizes::check_sizes(&rust_files, &mut ratchet);
    findings.extend(ratchet.into_findings());
    findings.sort();
    findings.dedup();
    findings
}
