//! INI files, read as Python's configparser reads them, since that is what files of NEO are
//! written for.

use std::collections::BTreeMap;
use std::fmt;

/// The section whose keys are in all others.
pub(super) const DEFAULT: &str = "DEFAULT";
/// How deep values may refer to one another.
const INTERPOLATION_DEPTH_MAX: usize = 10;
/// Bytes of a value with everything that it refers to.
const VALUE_LENGTH_MAX: usize = 1 << 20;

/// A file as it was read: keys in lower case, values as they stand there.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Ini {
    sections: BTreeMap<String, BTreeMap<String, String>>,
}

/// Why a file cannot be read, or a value be had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum IniError {
    /// A key before the first section.
    NoSection { line: usize },
    /// Neither a section, a key with a value, nor a comment.
    NoKey { line: usize },
    /// A section that is there already.
    SectionTwice { line: usize, section: String },
    /// A key that is in the section already.
    KeyTwice { line: usize, section: String, key: String },
    /// There is no such section.
    MissingSection { section: String },
    /// A value refers to something that is not there.
    MissingReference { section: String, key: String, reference: String },
    /// A value refers to itself, or is too long.
    Endless { section: String, key: String },
    /// A `%` that is neither `%%` nor the beginning of `%(key)s`.
    Percent { section: String, key: String },
}

impl Ini {
    /// Reads a file.
    pub(super) fn parse(text: &str) -> Result<Self, IniError> {
        let mut parser = Parser::default();
        for (index, line) in text.lines().enumerate() {
            parser.line(index + 1, line)?;
        }
        Ok(parser.finish())
    }

    /// Names of keys that a section has, those of [`DEFAULT`] included, with whether they are of
    /// the section itself.
    pub(super) fn keys(&self, section: &str) -> Result<BTreeMap<&str, bool>, IniError> {
        let own = self.sections.get(section);
        if own.is_none() && section != DEFAULT {
            return Err(IniError::MissingSection { section: section.to_owned() });
        }
        let default = self.sections.get(DEFAULT).into_iter().flatten();
        let mut keys: BTreeMap<&str, bool> =
            default.map(|(key, _)| (key.as_str(), false)).collect();
        keys.extend(own.into_iter().flatten().map(|(key, _)| (key.as_str(), true)));
        Ok(keys)
    }

    /// The value of a key, with what it refers to put in.
    pub(super) fn value(&self, section: &str, key: &str) -> Result<String, IniError> {
        let mut value = String::new();
        self.interpolate(section, key, key, &mut value, 0)?;
        Ok(value)
    }

    fn raw(&self, section: &str, key: &str) -> Option<&str> {
        let of = |section: &str| self.sections.get(section).and_then(|keys| keys.get(key));
        of(section).or_else(|| of(DEFAULT)).map(String::as_str)
    }

    fn interpolate(
        &self,
        section: &str,
        asked: &str,
        key: &str,
        value: &mut String,
        depth: usize,
    ) -> Result<(), IniError> {
        let owned = || (section.to_owned(), asked.to_owned());
        if depth >= INTERPOLATION_DEPTH_MAX || value.len() > VALUE_LENGTH_MAX {
            let (section, key) = owned();
            return Err(IniError::Endless { section, key });
        }
        let Some(mut rest) = self.raw(section, key) else {
            let (section, asked) = owned();
            return Err(IniError::MissingReference {
                section,
                key: asked,
                reference: key.to_owned(),
            });
        };
        while let Some(place) = rest.find('%') {
            value.push_str(&rest[..place]);
            rest = &rest[place + 1..];
            if let Some(behind) = rest.strip_prefix('%') {
                value.push('%');
                rest = behind;
                continue;
            }
            let reference = rest.strip_prefix('(').and_then(|inside| inside.split_once(")s"));
            let Some((name, behind)) = reference else {
                let (section, key) = owned();
                return Err(IniError::Percent { section, key });
            };
            self.interpolate(section, asked, &name.to_lowercase(), value, depth + 1)?;
            rest = behind;
        }
        value.push_str(rest);
        Ok(())
    }
}

#[derive(Default)]
struct Parser {
    ini: Ini,
    section: Option<String>,
    /// The key whose value may go on, with its lines so far.
    open: Option<(String, Vec<String>)>,
    /// How far the line of the open key is indented.
    indent: usize,
}

impl Parser {
    fn line(&mut self, number: usize, line: &str) -> Result<(), IniError> {
        let content = line.trim();
        if content.starts_with(['#', ';']) {
            return Ok(());
        }
        if content.is_empty() {
            // An empty line may be part of a value.
            if let Some((_, lines)) = &mut self.open {
                lines.push(String::new());
            }
            return Ok(());
        }
        let indent = line.chars().take_while(|letter| letter.is_whitespace()).count();
        if let Some((_, lines)) = &mut self.open
            && indent > self.indent
        {
            lines.push(content.to_owned());
            return Ok(());
        }
        self.close();
        self.indent = indent;
        if let Some(name) = content.strip_prefix('[').and_then(|rest| rest.rsplit_once(']')) {
            return self.begin_section(number, name.0);
        }
        let Some(section) = &self.section else { return Err(IniError::NoSection { line: number }) };
        let Some((key, value)) = content.split_once(['=', ':']) else {
            return Err(IniError::NoKey { line: number });
        };
        let key = key.trim_end().to_lowercase();
        if key.is_empty() {
            return Err(IniError::NoKey { line: number });
        }
        let keys = self.ini.sections.entry(section.clone()).or_default();
        if keys.insert(key.clone(), String::new()).is_some() {
            let section = section.clone();
            return Err(IniError::KeyTwice { line: number, section, key });
        }
        self.open = Some((key, vec![value.trim().to_owned()]));
        Ok(())
    }

    fn begin_section(&mut self, line: usize, name: &str) -> Result<(), IniError> {
        let is_new = !self.ini.sections.contains_key(name);
        if !is_new && name != DEFAULT {
            return Err(IniError::SectionTwice { line, section: name.to_owned() });
        }
        self.ini.sections.entry(name.to_owned()).or_default();
        self.section = Some(name.to_owned());
        Ok(())
    }

    /// Ends the value that may have gone on.
    fn close(&mut self) {
        let (Some((key, lines)), Some(section)) = (self.open.take(), &self.section) else { return };
        let value = lines.join("\n").trim_end().to_owned();
        self.ini.sections.entry(section.clone()).or_default().insert(key, value);
    }

    fn finish(mut self) -> Ini {
        self.close();
        self.ini
    }
}

impl fmt::Display for IniError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSection { line } => {
                write!(
                    f,
                    "line {line}: expected a section such as [{DEFAULT}] before the first key"
                )
            }
            Self::NoKey { line } => {
                write!(f, "line {line}: expected KEY = VALUE, [SECTION] or a comment")
            }
            Self::SectionTwice { line, section } => {
                write!(f, "line {line}: section [{section}] is there already")
            }
            Self::KeyTwice { line, section, key } => {
                write!(f, "line {line}: section [{section}] has key {key:?} already")
            }
            Self::MissingSection { section } => write!(f, "there is no section [{section}]"),
            Self::MissingReference { section, key, reference } => {
                write!(
                    f,
                    "section [{section}], key {key:?}: there is no key {reference:?} to refer to"
                )
            }
            Self::Endless { section, key } => {
                write!(f, "section [{section}], key {key:?}: refers to too much, perhaps to itself")
            }
            Self::Percent { section, key } => write!(
                f,
                "section [{section}], key {key:?}: expected %% or %(key)s where there is a %"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
