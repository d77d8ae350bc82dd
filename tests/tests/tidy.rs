//! The source of this project keeps its rules.

use std::path::Path;

use tests::tidy::{Finding, Tree, check};

#[test]
fn the_source_keeps_its_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let tree = Tree::read(&root).expect("the source can be read");
    for path in ["Cargo.toml", "model/src/lib.rs", "engine/src/disk.rs", "tests/tests/tidy.rs"] {
        assert!(tree.file(path).is_some(), "{path} was not read");
    }
    let findings: Vec<String> = check(&tree).iter().map(Finding::to_string).collect();
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}
