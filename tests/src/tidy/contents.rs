//! `lib.rs` and `mod.rs` are tables of contents.

use super::finding::Finding;
use super::rust_file::{Place, RustFile};

pub(super) fn check_file(file: &RustFile) -> Vec<Finding> {
    if !["lib.rs", "mod.rs"].contains(&file.name()) || file.is_test {
        return Vec::new();
    }
    let bodies = file.functions.iter().filter(|function| {
        !function.is_test && matches!(function.place, Place::Free | Place::Inherent)
    });
    bodies
        .map(|function| {
            let reason = format!(
                "{} is a table of contents: move `{}` into a file of its own subject",
                file.name(),
                function.name
            );
            Finding::new(&file.path, function.line, reason)
        })
        .collect()
}
