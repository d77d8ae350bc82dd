//! docs/rules.md and the source agree: tests that it names exist, rules that the source names are
//! on it.

#![expect(clippy::disallowed_methods, reason = "it reads source, no database")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it is in a workspace").to_owned()
}

/// Every source file below some directory.
fn sources(directory: &Path, texts: &mut Vec<String>) {
    for entry in fs::read_dir(directory).expect("it can be listed") {
        let path = entry.expect("it can be listed").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            sources(&path, texts);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            texts.push(fs::read_to_string(&path).expect("source is text"));
        }
    }
}

/// Words that begin with R and go on with digits only, as in `(R7)`.
fn rules_in(text: &str) -> impl Iterator<Item = u32> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter_map(|word| {
        let number = word.strip_prefix('R')?;
        number.parse().ok().filter(|_| number.len() <= 2)
    })
}

#[test]
fn what_is_said_of_rules_is_true() {
    let page = fs::read_to_string(root().join("docs/rules.md")).expect("it is there");
    let mut texts = Vec::new();
    sources(&root(), &mut texts);
    let names: Vec<&str> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| name.contains('_') && !name.contains('.'))
        .collect();
    assert!(names.len() > 20, "the page names tests");
    for name in names {
        let declaration = format!("fn {name}(");
        assert!(texts.iter().any(|text| text.contains(&declaration)), "there is no test {name}");
    }
    let told: BTreeSet<u32> = rules_in(&page).collect();
    let comments = texts.iter().flat_map(|text| text.lines());
    let comments = comments.filter(|line| line.trim_start().starts_with("//"));
    for line in comments {
        for rule in rules_in(line) {
            assert!(told.contains(&rule), "R{rule} is not on the page: {line}");
        }
    }
}
