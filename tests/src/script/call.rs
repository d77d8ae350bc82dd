//! What a script asks of a machine: a name with arguments, as packets are written.

use std::collections::VecDeque;

use super::render;
use super::term::Term;

/// A request in a script. Its arguments are taken one after the other.
pub(crate) struct Call {
    name: String,
    arguments: VecDeque<Term>,
}

impl Call {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (name, arguments) = text.split_at(text.find('(').unwrap_or(text.len()));
        let arguments = Term::parse_arguments(arguments).map_err(|error| error.to_string())?;
        Ok(Self { name: name.to_owned(), arguments: arguments.into() })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// An id, or nothing.
    pub(crate) fn id(&mut self) -> Result<Option<u64>, String> {
        match self.arguments.pop_front() {
            Some(Term::Nil) => Ok(None),
            Some(Term::Id(id)) => Ok(Some(id)),
            Some(Term::Moment(moment)) => Ok(Some(moment.to_tid())),
            other => Err(format!("{other:?} is no id")),
        }
    }

    pub(crate) fn integer(&mut self) -> Result<u64, String> {
        match self.arguments.pop_front() {
            Some(Term::Integer(number)) => u64::try_from(number).map_err(|error| error.to_string()),
            other => Err(format!("{other:?} is no number")),
        }
    }

    /// Bytes, or nothing.
    pub(crate) fn bytes(&mut self) -> Result<Option<Vec<u8>>, String> {
        match self.arguments.pop_front() {
            Some(Term::Nil) => Ok(None),
            Some(Term::Bytes(bytes)) => Ok(Some(bytes)),
            other => Err(format!("{other:?} is no string of bytes")),
        }
    }

    /// Refuses arguments that were not taken.
    pub(crate) fn end(&mut self) -> Result<(), String> {
        match self.arguments.is_empty() {
            true => Ok(()),
            false => Err(format!("too many arguments: {:?}", self.arguments)),
        }
    }
}

/// Writes ids in a text as scripts do: `Tid(0406006c80000000)` becomes `@0`.
pub(crate) fn shorten_ids(text: &str) -> String {
    let mut shortened = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("id(") {
        let digits = rest.get(start + 3..start + 19);
        let id = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        match id.filter(|_| rest[start + 19..].starts_with(')')) {
            Some(id) => {
                let name = rest[..start].trim_end_matches(char::is_alphabetic);
                shortened.push_str(name);
                shortened.push_str(&render::id(id));
                rest = &rest[start + 20..];
            }
            None => {
                shortened.push_str(&rest[..start + 3]);
                rest = &rest[start + 3..];
            }
        }
    }
    shortened + rest
}

#[cfg(test)]
mod tests {
    use model::{Oid, Tid};

    use super::*;

    #[test]
    fn ids_are_written_as_in_scripts() {
        let text = format!("{:?}", [(Some(Oid::new(5)), Tid::MAX)]);
        assert_eq!(shorten_ids(&text), "[(Some(0x5), MAX_TID)]");
        assert_eq!(shorten_ids("void(1) id(x"), "void(1) id(x");
    }
}
