//! Sizes above the limits that are put up with until somebody makes them smaller.

use std::collections::BTreeMap;

use super::finding::Finding;
use super::tree::Tree;

/// The sizes that are put up with, and what was found while comparing.
///
/// Its text has one line for each: the size, a space, and the path of a file, or the path, `::` and
/// the name of a function. Lines that begin with `#` are comments.
///
/// What is listed must have exactly the size that is listed: more breaks the rule, and less has to
/// be written down, so that it never grows again.
pub(super) struct Ratchet {
    listed: BTreeMap<String, Listed>,
    findings: Vec<Finding>,
}

struct Listed {
    line: usize,
    size: usize,
    seen: bool,
}

impl Ratchet {
    pub(super) fn parse(text: &str) -> Self {
        let mut ratchet = Self { listed: BTreeMap::new(), findings: Vec::new() };
        for (index, content) in text.lines().enumerate() {
            let line = index + 1;
            if content.trim().is_empty() || content.starts_with('#') {
                continue;
            }
            let parts = content.split_once(' ');
            let entry = parts.and_then(|(size, what)| Some((what, size.parse().ok()?)));
            match entry {
                Some((what, size)) => {
                    let listed = Listed { line, size, seen: false };
                    if ratchet.listed.insert(what.to_owned(), listed).is_some() {
                        ratchet.complain(line, format!("`{what}` is listed twice"));
                    }
                }
                None => ratchet.complain(line, "expected a size, a space and a path"),
            }
        }
        ratchet
    }

    /// Compares a size, in lines, with the limit, or with what is listed. `what` is the key of the
    /// list, and `path` and `line` where the thing is.
    pub(super) fn compare(&mut self, what: &str, size: usize, limit: usize, at: (&str, usize)) {
        let (path, line) = at;
        let Some(listed) = self.listed.get_mut(what) else {
            if size > limit {
                let reason = format!("{size} lines, but the limit is {limit}: split it");
                self.findings.push(Finding::new(path, line, reason));
            }
            return;
        };
        listed.seen = true;
        let (allowed, listed_line) = (listed.size, listed.line);
        if size > allowed {
            let reason = format!("grew from {allowed} to {size} lines: the limit is {limit}");
            self.findings.push(Finding::new(path, line, reason));
        } else if size <= limit {
            self.complain(listed_line, format!("`{what}` keeps the limit now: remove this line"));
        } else if size < allowed {
            self.complain(listed_line, format!("`{what}` shrank: lower {allowed} to {size}"));
        }
    }

    pub(super) fn into_findings(mut self) -> Vec<Finding> {
        let gone = self.listed.iter().filter(|(_, listed)| !listed.seen);
        let gone: Vec<_> = gone.map(|(what, listed)| (what.clone(), listed.line)).collect();
        for (what, line) in gone {
            self.complain(line, format!("`{what}` does not exist: remove this line"));
        }
        self.findings
    }

    fn complain(&mut self, line: usize, reason: impl Into<String>) {
        self.findings.push(Finding::new(Tree::RATCHET_PATH, line, reason));
    }
}
