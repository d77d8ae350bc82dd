//! Values as scripts write them.
//!
//! `nil`, `true`, `12`, `-1`, `1.5`; `0x2a` and `@1.5+3` are 8 bytes, or a moment (see
//! [`super::moment`]); `"text"` and `h'00ff'` are bytes, `"x"*1000` so many of them; words are
//! items of enums, `S1` a node, `127.0.0.1:2000` an address, `$name` a variable, `_` anything;
//! `[..]` and `(..)` are lists, `{key: value}` is a map.

use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

use super::moment::Moment;

/// A value of a script that is not yet of a kind.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Term {
    Nil,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Id(u64),
    Moment(Moment),
    Bytes(Vec<u8>),
    Word(String),
    Variable(String),
    List(Vec<Term>),
    Map(Vec<(Term, Term)>),
}

/// A text that is no value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct TermError(pub(super) String);

impl fmt::Display for TermError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Term {
    /// Reads values in parentheses, to the end of the text.
    pub(super) fn parse_arguments(text: &str) -> Result<Vec<Self>, TermError> {
        let mut parser = Parser { letters: text.chars().peekable() };
        let terms = match parser.next_if('(') {
            true => parser.items(')')?,
            false => return Err(TermError(format!("expected arguments in parentheses: {text:?}"))),
        };
        parser.space();
        let rest: String = parser.letters.collect();
        match rest.is_empty() {
            true => Ok(terms),
            false => Err(TermError(format!("unexpected {rest:?}"))),
        }
    }
}

struct Parser<'a> {
    letters: Peekable<Chars<'a>>,
}

impl Parser<'_> {
    fn space(&mut self) {
        while self.letters.next_if(|letter| letter.is_whitespace()).is_some() {}
    }

    fn next_if(&mut self, letter: char) -> bool {
        self.space();
        self.letters.next_if_eq(&letter).is_some()
    }

    fn items(&mut self, end: char) -> Result<Vec<Term>, TermError> {
        let mut items = Vec::new();
        while !self.next_if(end) {
            items.push(self.term()?);
            if !self.next_if(',') && self.letters.peek() != Some(&end) {
                return Err(self.unexpected("a comma or an end"));
            }
        }
        Ok(items)
    }

    fn map(&mut self) -> Result<Term, TermError> {
        let mut items = Vec::new();
        while !self.next_if('}') {
            let key = self.term()?;
            if !self.next_if(':') {
                return Err(self.unexpected("a colon"));
            }
            items.push((key, self.term()?));
            if !self.next_if(',') && self.letters.peek() != Some(&'}') {
                return Err(self.unexpected("a comma or an end"));
            }
        }
        Ok(Term::Map(items))
    }

    fn unexpected(&mut self, wanted: &str) -> TermError {
        let rest: String = self.letters.by_ref().take(30).collect();
        TermError(format!("expected {wanted} at {rest:?}"))
    }

    fn term(&mut self) -> Result<Term, TermError> {
        self.space();
        match self.letters.peek() {
            Some('[') => {
                self.letters.next();
                Ok(Term::List(self.items(']')?))
            }
            Some('(') => {
                self.letters.next();
                Ok(Term::List(self.items(')')?))
            }
            Some('{') => {
                self.letters.next();
                self.map()
            }
            Some('"') => self.text(),
            _ => self.word(),
        }
    }

    fn text(&mut self) -> Result<Term, TermError> {
        self.letters.next();
        let mut bytes = Vec::new();
        loop {
            let Some(letter) = self.letters.next() else {
                return Err(TermError(String::from("a text does not end")));
            };
            if letter == '"' {
                break;
            }
            bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        }
        self.repeated(bytes)
    }

    /// Bytes, so many times as a number behind a star says.
    fn repeated(&mut self, bytes: Vec<u8>) -> Result<Term, TermError> {
        if self.letters.next_if_eq(&'*').is_none() {
            return Ok(Term::Bytes(bytes));
        }
        let count = self.take_while(|letter| letter.is_ascii_digit());
        let count = count.parse().map_err(|_| self.unexpected("a number"))?;
        Ok(Term::Bytes(bytes.repeat(count)))
    }

    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(letter) = self.letters.next_if(|letter| fits(*letter)) {
            taken.push(letter);
        }
        taken
    }

    fn word(&mut self) -> Result<Term, TermError> {
        let mut word =
            self.take_while(|letter| letter.is_alphanumeric() || "$_.@+-".contains(letter));
        if word == "h" && self.letters.next_if_eq(&'\'').is_some() {
            return self.hexadecimal();
        }
        let is_host = word.contains('.') && !word.starts_with('@');
        if is_host && self.letters.next_if_eq(&':').is_some() {
            word.push(':');
            word.push_str(&self.take_while(|letter| letter.is_ascii_digit()));
            return Ok(Term::Word(word));
        }
        let number = |text: &str, base| u64::from_str_radix(text, base).ok();
        let first = word.chars().next();
        let term = match word.as_str() {
            "nil" => Some(Term::Nil),
            "true" | "false" => Some(Term::Bool(word == "true")),
            _ if word.starts_with("0x") => number(&word[2..], 16).map(Term::Id),
            _ if word.starts_with('$') => Some(Term::Variable(word[1..].to_owned())),
            _ if word.starts_with('@') => Moment::parse(&word[1..]).map(Term::Moment),
            _ if first.is_some_and(|first| first.is_ascii_digit() || first == '-') => {
                let integer = word.parse().ok().map(Term::Integer);
                integer.or_else(|| word.parse().ok().map(Term::Float))
            }
            _ => first.map(|_| Term::Word(word.clone())),
        };
        match term {
            Some(term) => Ok(term),
            None if word.is_empty() => Err(self.unexpected("a value")),
            None => Err(TermError(format!("{word:?} is no value"))),
        }
    }

    fn hexadecimal(&mut self) -> Result<Term, TermError> {
        let digits = self.take_while(|letter| letter.is_ascii_hexdigit());
        if self.letters.next() != Some('\'') || !digits.len().is_multiple_of(2) {
            return Err(TermError(format!("h'{digits} is no string of bytes")));
        }
        let digit = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("two digits");
        let bytes = (0..digits.len()).step_by(2).map(digit).collect();
        self.repeated(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value() {
        let word = |word: &str| Term::Word(word.to_owned());
        let text = "(nil, true, -5, 1.5, 0xff, \"a\"*3, h'00ff', RUNNING, 127.0.0.1:20, $t, [], \
                    {\"a\": (S1)})";
        let expected = [
            Term::Nil,
            Term::Bool(true),
            Term::Integer(-5),
            Term::Float(1.5),
            Term::Id(255),
            Term::Bytes(b"aaa".to_vec()),
            Term::Bytes(vec![0, 255]),
            word("RUNNING"),
            word("127.0.0.1:20"),
            Term::Variable(String::from("t")),
            Term::List(Vec::new()),
            Term::Map(vec![(Term::Bytes(b"a".to_vec()), Term::List(vec![word("S1")]))]),
        ];
        assert_eq!(Term::parse_arguments(text).unwrap(), expected);
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for text in ["", "(", "(1 2)", "(1))", "(\"a)", "(h'0')", "(0xg)", "({1})", "(,)", "(@x)"] {
            assert!(Term::parse_arguments(text).is_err(), "{text}");
        }
    }
}
