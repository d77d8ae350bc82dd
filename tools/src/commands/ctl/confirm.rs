//! The question before something that cannot be undone.

use std::io::{self, IsTerminal, Write};

use crate::failure::Failure;

/// Asks a person to type a word. Scripts are not asked: somebody thought about what they do.
pub(super) fn confirm(question: &str, word: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(());
    }
    let failed =
        |source| Failure::Io { action: "ask on", path: String::from("the terminal"), source };
    let mut terminal = io::stderr();
    write!(terminal, "{question}\nType {word:?} to go on: ").map_err(failed)?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(failed)?;
    match answer.trim() == word {
        true => Ok(()),
        false => Err(Failure::Refused(String::from("nothing was done"))),
    }
}
