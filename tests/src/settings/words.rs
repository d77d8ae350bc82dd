//! Options in scripts: words `name=value`.

use std::collections::BTreeMap;
use std::str::FromStr;

/// Options by name, which are taken out one by one.
pub(super) struct Words<'a> {
    words: BTreeMap<&'a str, &'a str>,
}

impl<'a> Words<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, String> {
        let pair = |word: &'a str| word.split_once('=').ok_or_else(|| format!("{word}: no value"));
        let words = text.split_whitespace().map(pair).collect::<Result<_, _>>()?;
        Ok(Self { words })
    }

    /// The value of an option, or a default.
    pub(super) fn take<T: FromStr>(&mut self, name: &str, default: T) -> Result<T, String> {
        Ok(self.take_some(name)?.unwrap_or(default))
    }

    /// The value of an option, if it was given.
    pub(super) fn take_some<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, String> {
        let value = self.words.remove(name);
        value.map(|value| value.parse().map_err(|_| format!("{name}={value}"))).transpose()
    }

    /// Refuses what was not taken.
    pub(super) fn end(self) -> Result<(), String> {
        match self.words.keys().next() {
            Some(name) => Err(format!("there is no option {name}")),
            None => Ok(()),
        }
    }
}
