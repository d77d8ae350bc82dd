//! A rule that does not hold.

use std::fmt;

/// A rule that does not hold, which is what a simulator is there to find.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// Which rule: a few words that are the same each time it breaks.
    pub rule: String,
    /// What breaks it.
    pub text: String,
}

impl Broken {
    /// A rule, and what breaks it.
    pub fn new(rule: &str, text: impl Into<String>) -> Self {
        Self { rule: rule.to_owned(), text: text.into() }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.text)
    }
}
