//! Turns what scripts write into packets, by means of a codec that is not net's.

use rmpv::Value;
use sha1::{Digest, Sha1};

use super::schema::{ERRORS, Enum, Kind, Packet};
use super::term::{Term, TermError};
use super::variables::Variables;

/// The bytes of a packet.
pub(super) fn packet(id: u32, code: u16, arguments: Vec<Value>) -> Vec<u8> {
    let packet = Value::Array(vec![id.into(), code.into(), Value::Array(arguments)]);
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, &packet).expect("memory can be written to");
    bytes
}

/// Arguments as a packet is to have them.
pub(super) fn arguments(
    packet: &Packet,
    terms: &[Term],
    variables: &Variables,
) -> Result<Vec<Value>, TermError> {
    tuple(&packet.arguments, terms, variables)
        .map_err(|error| TermError(format!("{}: {error}", packet.name)))
}

/// Arguments as they are written, whatever a packet is to have.
pub(super) fn as_written(terms: &[Term], variables: &Variables) -> Result<Vec<Value>, TermError> {
    terms.iter().map(|term| value(&Kind::Any, term, variables)).collect()
}

fn tuple(kinds: &[Kind], terms: &[Term], variables: &Variables) -> Result<Vec<Value>, TermError> {
    if kinds.len() != terms.len() {
        let (wanted, given) = (kinds.len(), terms.len());
        return Err(TermError(format!("expected {wanted} values, not {given}: {terms:?}")));
    }
    let mut values = Vec::new();
    for (index, (kind, term)) in kinds.iter().zip(terms).enumerate() {
        let is_of_next = *kind == Kind::Checksum && *term == Term::Word(String::from("sha1"));
        values.push(match terms.get(index + 1) {
            Some(Term::Bytes(data)) if is_of_next => Value::Binary(Sha1::digest(data).to_vec()),
            _ => value(kind, term, variables)?,
        });
    }
    Ok(values)
}

fn value(kind: &Kind, term: &Term, variables: &Variables) -> Result<Value, TermError> {
    if let Term::Variable(name) = term {
        let found = variables.get(name);
        return found.cloned().ok_or_else(|| TermError(format!("${name} has no value")));
    }
    let value = match (kind, term) {
        (Kind::Optional(_), Term::Nil) => Some(Value::Nil),
        (Kind::Optional(kind), _) => Some(value(kind, term, variables)?),
        (Kind::List(kind), Term::List(terms)) => {
            let values = terms.iter().map(|term| value(kind, term, variables));
            Some(Value::Array(values.collect::<Result<_, _>>()?))
        }
        (Kind::Tuple(kinds), Term::List(terms)) => {
            Some(Value::Array(tuple(kinds, terms, variables)?))
        }
        (Kind::Map(key_kind, value_kind), Term::Map(items)) => {
            let items = items.iter().map(|(key, item)| {
                Ok((value(key_kind, key, variables)?, value(value_kind, item, variables)?))
            });
            Some(Value::Map(items.collect::<Result<_, _>>()?))
        }
        (Kind::Any, Term::List(terms)) => Some(Value::Array(as_written(terms, variables)?)),
        (Kind::Any, Term::Map(items)) => {
            let any = |term| value(&Kind::Any, term, variables);
            let items = items.iter().map(|(key, item)| Ok((any(key)?, any(item)?)));
            Some(Value::Map(items.collect::<Result<_, TermError>>()?))
        }
        (Kind::Address, Term::List(terms)) => {
            let kinds = [Kind::Bytes, Kind::Integer];
            Some(Value::Array(tuple(&kinds, terms, variables)?))
        }
        _ => plain(kind, term),
    };
    value.ok_or_else(|| TermError(format!("{term:?} is not {kind:?}")))
}

/// A value without parts.
fn plain(kind: &Kind, term: &Term) -> Option<Value> {
    let id = |id: u64| Value::Binary(id.to_be_bytes().to_vec());
    Some(match (kind, term) {
        (Kind::Integer | Kind::Any | Kind::Nid | Kind::Error, Term::Integer(number)) => {
            integer(*number)?
        }
        (Kind::Bool | Kind::Any, Term::Bool(value)) => Value::Boolean(*value),
        (Kind::Bytes | Kind::Checksum | Kind::Any, Term::Bytes(bytes)) => {
            Value::Binary(bytes.clone())
        }
        (Kind::Any, Term::Nil) => Value::Nil,
        (Kind::Id | Kind::Any, Term::Id(number)) => id(*number),
        (Kind::Id | Kind::Any, Term::Moment(moment)) => id(moment.to_tid()),
        (Kind::Time, Term::Moment(moment)) => Value::F64(moment.to_timestamp()),
        (Kind::Time | Kind::Any, Term::Float(number)) => Value::F64(*number),
        (_, Term::Word(word)) => of_word(kind, word)?,
        _ => return None,
    })
}

fn of_word(kind: &Kind, word: &str) -> Option<Value> {
    Some(match kind {
        Kind::Id | Kind::Any if word == "MAX_TID" => Value::Binary(i64::MAX.to_be_bytes().to_vec()),
        Kind::Id | Kind::Any if word == "INVALID" => Value::Binary(vec![0xff; 8]),
        Kind::Checksum if word == "none" => Value::Binary(vec![0; 20]),
        Kind::Integer if word == "INVALID_PARTITION" => u32::MAX.into(),
        Kind::Nid => nid(word)?.into(),
        Kind::Error => ERRORS.iter().position(|name| *name == word)?.into(),
        Kind::Enum(found) => item(*found, word)?,
        Kind::Address => address(word)?,
        Kind::Any => match word.split_once('.') {
            Some((name, word)) => {
                let found = (i8::MIN..=i8::MAX).filter_map(Enum::of_extension);
                item(found.into_iter().find(|found| found.name == name)?, word)?
            }
            None => nid(word)?.into(),
        },
        _ => return None,
    })
}

fn item(found: Enum, word: &str) -> Option<Value> {
    Some(Value::Ext(found.extension, vec![found.number(word)?]))
}

fn integer(number: i128) -> Option<Value> {
    let negative = i64::try_from(number).map(Value::from);
    negative.or_else(|_| u64::try_from(number).map(Value::from)).ok()
}

/// The number of a node that is written `S1`.
fn nid(word: &str) -> Option<i64> {
    let top = match word.chars().next()? {
        'S' => 0x00,
        'M' => -0x10,
        'C' => -0x20,
        'A' => -0x30,
        _ => return None,
    };
    let number: i64 = word[1..].parse().ok()?;
    Some((top << 24) + number)
}

fn address(word: &str) -> Option<Value> {
    let (host, port) = word.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    Some(Value::Array(vec![Value::Binary(host.as_bytes().to_vec()), port.into()]))
}
