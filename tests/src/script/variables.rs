//! Names for values that a machine chose.

use rmpv::Value;

use super::term::{Term, TermError};

/// Values by name. The last one given a name counts.
#[derive(Default)]
pub(super) struct Variables {
    values: Vec<(String, Value)>,
}

impl Variables {
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.values.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// The name that a value has.
    pub(super) fn name_of(&self, value: &Value) -> Option<&str> {
        self.values.iter().rev().find(|(_, other)| other == value).map(|(name, _)| name.as_str())
    }

    /// Names what stands in values where terms have a variable. All else must be `_`, or a list of
    /// such.
    pub(super) fn bind(&mut self, terms: &[Term], values: &[Value]) -> Result<(), TermError> {
        if terms.len() != values.len() {
            return Err(TermError(format!("{} values, not {}", values.len(), terms.len())));
        }
        for (term, value) in terms.iter().zip(values) {
            match (term, value) {
                (Term::Variable(name), _) => self.values.push((name.clone(), value.clone())),
                (Term::Word(word), _) if word == "_" => {}
                (Term::List(terms), Value::Array(values)) => self.bind(terms, values)?,
                _ => return Err(TermError(format!("{term:?} names nothing of {value:?}"))),
            }
        }
        Ok(())
    }
}
