//! What packets look like, read from `packets.txt`: independent of the declarations in net, so that
//! scripts check these.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;
use std::sync::LazyLock;

/// Set in codes of answers.
pub(super) const ANSWER: u16 = 0x8000;

/// The enums of the protocol with the number of their type and their items.
const ENUMS: [(&str, i8, &[&str]); 4] = [
    ("CellStates", 0, &["OUT_OF_DATE", "UP_TO_DATE", "FEEDING", "CORRUPTED", "DISCARDED"]),
    (
        "ClusterStates",
        1,
        &[
            "RECOVERING",
            "VERIFYING",
            "RUNNING",
            "STOPPING",
            "STARTING_BACKUP",
            "BACKINGUP",
            "STOPPING_BACKUP",
        ],
    ),
    ("NodeStates", 3, &["UNKNOWN", "DOWN", "RUNNING", "PENDING"]),
    ("NodeTypes", 4, &["MASTER", "STORAGE", "CLIENT", "ADMIN"]),
];

/// Names of errors by their numbers.
pub(super) const ERRORS: [&str; 14] = [
    "ACK",
    "DENIED",
    "NOT_READY",
    "OID_NOT_FOUND",
    "TID_NOT_FOUND",
    "OID_DOES_NOT_EXIST",
    "PROTOCOL_ERROR",
    "REPLICATION_ERROR",
    "CHECKING_ERROR",
    "BACKEND_NOT_IMPLEMENTED",
    "NON_READABLE_CELL",
    "READ_ONLY_ACCESS",
    "INCOMPLETE_TRANSACTION",
    "UNDO_PACK_ERROR",
];

/// What kind of value an argument is.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Kind {
    Integer,
    Bool,
    Bytes,
    /// Oid, tid or ttid: 8 bytes.
    Id,
    /// 20 bytes.
    Checksum,
    Nid,
    /// Seconds since 1970, with a fraction.
    Time,
    /// Host and port.
    Address,
    /// Number of an error.
    Error,
    /// Whatever the sender likes.
    Any,
    Enum(Enum),
    Optional(Box<Kind>),
    List(Box<Kind>),
    Tuple(Vec<Kind>),
    Map(Box<Kind>, Box<Kind>),
}

/// One of the enums.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Enum {
    pub(super) name: &'static str,
    pub(super) extension: i8,
    pub(super) items: &'static [&'static str],
}

impl Enum {
    fn named(name: &str) -> Option<Self> {
        Self::all().find(|found| found.name == name)
    }

    /// The enum of an extension type.
    pub(super) fn of_extension(extension: i8) -> Option<Self> {
        Self::all().find(|found| found.extension == extension)
    }

    fn all() -> impl Iterator<Item = Self> {
        ENUMS.iter().map(|(name, extension, items)| Self { name, extension: *extension, items })
    }

    /// The number of an item.
    pub(super) fn number(&self, item: &str) -> Option<u8> {
        u8::try_from(self.items.iter().position(|found| *found == item)?).ok()
    }
}

/// One packet.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Packet {
    pub(super) code: u16,
    pub(super) name: String,
    pub(super) arguments: Vec<Kind>,
    /// Whether it is to be answered.
    pub(super) is_request: bool,
}

/// All packets.
pub(super) struct Schema {
    by_code: BTreeMap<u16, Packet>,
}

impl Schema {
    /// Of protocol 5.
    pub(super) fn get() -> &'static Self {
        static SCHEMA: LazyLock<Schema> =
            LazyLock::new(|| Schema::parse(include_str!("packets.txt")));
        &SCHEMA
    }

    pub(super) fn by_code(&self, code: u16) -> Option<&Packet> {
        self.by_code.get(&code)
    }

    pub(super) fn by_name(&self, name: &str) -> Option<&Packet> {
        self.by_code.values().find(|packet| packet.name == name)
    }

    fn parse(text: &str) -> Self {
        let mut by_code = BTreeMap::new();
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        for line in lines {
            let mut words = line.split(' ').filter(|word| *word != "->");
            let mut next = || words.next().unwrap_or_default();
            let code =
                next().strip_prefix("0x").and_then(|code| u16::from_str_radix(code, 16).ok());
            let code = code.expect("a line begins with a code");
            let (name, arguments, answer, answer_arguments) = (next(), next(), next(), next());
            let mut insert = |code, name: &str, arguments: &str, is_request| {
                let arguments = parse_arguments(arguments);
                by_code.insert(code, Packet { code, name: name.to_owned(), arguments, is_request });
            };
            insert(code, name, arguments, !answer.is_empty());
            if !answer_arguments.is_empty() {
                insert(code | ANSWER, answer, answer_arguments, false);
            }
        }
        Self { by_code }
    }
}

fn parse_arguments(text: &str) -> Vec<Kind> {
    let mut letters = text.chars().peekable();
    let kind = parse_kind(&mut letters);
    assert_eq!(letters.next(), None, "{text:?} goes on behind its end");
    match kind {
        Kind::Tuple(arguments) => arguments,
        other => panic!("{text:?} is {other:?}, not a list of arguments"),
    }
}

fn parse_kind(letters: &mut Peekable<Chars<'_>>) -> Kind {
    match letters.peek().expect("a kind") {
        '?' => {
            letters.next();
            Kind::Optional(Box::new(parse_kind(letters)))
        }
        '(' => Kind::Tuple(parse_kinds(letters, ')')),
        '[' => {
            let mut items = parse_kinds(letters, ']');
            Kind::List(Box::new(items.pop().expect("what a list is of")))
        }
        '{' => {
            let mut items = parse_kinds(letters, '}').into_iter();
            let mut next = || Box::new(items.next().expect("a map has keys and values"));
            Kind::Map(next(), next())
        }
        _ => parse_name(letters),
    }
}

fn parse_kinds(letters: &mut Peekable<Chars<'_>>, end: char) -> Vec<Kind> {
    letters.next();
    let mut kinds = Vec::new();
    while letters.next_if_eq(&end).is_none() {
        if letters.next_if(|letter| matches!(letter, ',' | ':')).is_none() {
            kinds.push(parse_kind(letters));
        }
    }
    kinds
}

fn parse_name(letters: &mut Peekable<Chars<'_>>) -> Kind {
    let mut name = String::new();
    while let Some(letter) = letters.next_if(char::is_ascii_alphanumeric) {
        name.push(letter);
    }
    match name.as_str() {
        "int" => Kind::Integer,
        "bool" => Kind::Bool,
        "bin" => Kind::Bytes,
        "p64" => Kind::Id,
        "sha1" => Kind::Checksum,
        "nid" => Kind::Nid,
        "time" => Kind::Time,
        "address" => Kind::Address,
        "error" => Kind::Error,
        "any" => Kind::Any,
        _ => Kind::Enum(Enum::named(&name).unwrap_or_else(|| panic!("{name:?} is no kind"))),
    }
}

#[cfg(test)]
mod tests {
    use net::PacketInformation;

    use super::*;

    #[test]
    fn it_has_the_packets_of_net_and_no_others() {
        let schema = Schema::get();
        for information in PacketInformation::ALL {
            let packet = schema.by_code(information.code).expect(information.name);
            assert_eq!(packet.name, information.name);
            assert_eq!(packet.is_request, information.answer.is_some(), "{}", packet.name);
            if let Some(answer) = information.answer.filter(|answer| *answer != "Error") {
                let code = information.code | ANSWER;
                assert_eq!(schema.by_code(code).expect(answer).name, answer);
            }
        }
        let requests = schema.by_code.keys().filter(|code| **code & ANSWER == 0);
        assert_eq!(requests.count(), PacketInformation::ALL.len());
    }

    #[test]
    fn kinds_are_read_as_they_are_written() {
        let kinds = parse_arguments("(?[p64],{bin:any},NodeTypes)");
        let ids = Kind::Optional(Box::new(Kind::List(Box::new(Kind::Id))));
        let map = Kind::Map(Box::new(Kind::Bytes), Box::new(Kind::Any));
        let types = Kind::Enum(Enum::named("NodeTypes").unwrap());
        assert_eq!(kinds, [ids, map, types]);
    }
}
