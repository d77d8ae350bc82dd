//! What a check has found.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use model::{Oid, PartitionId, Tid};

use crate::error::Error;

/// Findings that are kept; more are counted only.
const FINDINGS_MAX: usize = 1000;
/// Objects and transactions that are listed with one finding; more are counted only.
const HITS_MAX: usize = 16;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Something was lost, or contradicts something else.
    Damage,
    /// Something that is worth knowing: an unsynced tail, files that do not belong here.
    Note,
}

/// An object or a transaction that a finding concerns.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Hit {
    /// Its partition.
    pub partition: PartitionId,
    /// The object; none for the metadata of a transaction.
    pub oid: Option<Oid>,
    /// The revision, where it is known.
    pub tid: Option<Tid>,
}

/// The objects and transactions that a finding concerns.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hits {
    /// The first of them.
    pub listed: Vec<Hit>,
    /// How many there are, as far as it is known.
    pub count: u64,
}

/// Something that is not as expected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Path of the file, or of the directory.
    pub file: String,
    /// Where in the file, in bytes, if that can be said.
    pub offset: Option<u64>,
    /// For damage what was expected there; for a note what is there.
    pub text: Cow<'static, str>,
    /// Who is hit.
    pub hits: Hits,
}

/// What was gone through.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Files in the directory.
    pub files: u64,
    /// Bytes read, those read more than once counted as often.
    pub bytes: u64,
    /// Log segments.
    pub segments: u64,
    /// Groups in them.
    pub groups: u64,
    /// Records in them.
    pub records: u64,
    /// Index runs.
    pub runs: u64,
    /// Items in them, of all orders.
    pub items: u64,
    /// Revisions that are visible.
    pub revisions: u64,
    /// Transactions that are visible.
    pub transactions: u64,
    /// Oids in the lists of committed votes, each once a transaction.
    pub listed_oids: u64,
    /// How many of them have no object from the same vote.
    pub listed_oids_elsewhere: u64,
}

/// The outcome of a check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// In the order in which they were found.
    pub findings: Vec<Finding>,
    /// How many more there were.
    pub findings_left_out: u64,
    /// What was gone through.
    pub totals: Totals,
    /// Whether everything was: not if it was stopped.
    pub is_complete: bool,
}

impl Report {
    /// Whether anything is damaged.
    pub fn is_damaged(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Damage)
    }

    /// How many findings of this severity are listed.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file)?;
        match (self.severity, self.offset) {
            (Severity::Damage, Some(offset)) => {
                write!(f, "damaged at offset {offset}: expected {}", self.text)?;
            }
            (Severity::Damage, None) => write!(f, "damaged: expected {}", self.text)?,
            (Severity::Note, Some(offset)) => write!(f, "at offset {offset}: {}", self.text)?,
            (Severity::Note, None) => write!(f, "{}", self.text)?,
        }
        self.hits.fmt(f)
    }
}

impl fmt::Display for Hits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, hit) in self.listed.iter().enumerate() {
            write!(f, "{}{hit}", if number == 0 { "; hit: " } else { ", " })?;
        }
        match self.count.saturating_sub(self.listed.len() as u64) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.oid, self.tid) {
            (Some(oid), Some(tid)) => write!(f, "oid {oid} of tid {tid}"),
            (Some(oid), None) => write!(f, "oid {oid}"),
            (None, Some(tid)) => write!(f, "the transaction {tid}"),
            (None, None) => write!(f, "partition {}", self.partition),
        }
    }
}

/// A finding, to add hits to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct FindingId(usize);

/// Collects findings. What is damaged at one place is told once.
#[derive(Debug, Default)]
pub(super) struct Findings {
    list: Vec<Finding>,
    left_out: u64,
    damage: BTreeMap<(String, Option<u64>), FindingId>,
}

impl Findings {
    pub(super) fn damage(
        &mut self,
        file: &str,
        offset: Option<u64>,
        expected: impl Into<Cow<'static, str>>,
    ) -> FindingId {
        if let Some(known) = self.damage.get(&(file.to_owned(), offset)) {
            return *known;
        }
        let id = self.add(Severity::Damage, file, offset, expected.into());
        if self.damage.len() < FINDINGS_MAX {
            self.damage.insert((file.to_owned(), offset), id);
        }
        id
    }

    pub(super) fn note(
        &mut self,
        file: &str,
        offset: Option<u64>,
        text: impl Into<Cow<'static, str>>,
    ) -> FindingId {
        self.add(Severity::Note, file, offset, text.into())
    }

    /// Damage, as the engine's error says it.
    pub(super) fn error(&mut self, error: &Error) -> FindingId {
        match error {
            Error::Damaged { file, offset, expected } => {
                self.damage(file, Some(*offset), *expected)
            }
            Error::MissingFile { file } => {
                self.damage(file, None, "the file, which the manifest names")
            }
            Error::ForeignFile { file } => {
                self.damage(file, Some(16), "the database id and the number of this file")
            }
            Error::NewerFormat { file, found, known } => {
                let text = format!("format {known} or an older one, not format {found}");
                self.damage(file, Some(12), text)
            }
            Error::Io { action, file, source } => {
                let text = format!("that the system can {action} it: {source}");
                self.damage(file, None, text)
            }
            Error::Unreadable { file, offset, source } => {
                self.damage(file, Some(*offset), format!("that the system can read it: {source}"))
            }
            other => self.damage("", None, other.to_string()),
        }
    }

    pub(super) fn hit(&mut self, finding: FindingId, hit: Hit) {
        let Some(finding) = self.list.get_mut(finding.0) else { return };
        finding.hits.count += 1;
        if finding.hits.listed.len() < HITS_MAX {
            finding.hits.listed.push(hit);
        }
    }

    /// Whether anything is damaged so far.
    pub(super) fn has_damage(&self) -> bool {
        !self.damage.is_empty()
    }

    /// Whether anything in this file is.
    pub(super) fn has_damage_in(&self, file: &str) -> bool {
        self.damage.keys().any(|(damaged, _)| damaged == file)
    }

    pub(super) fn into_report(self, totals: Totals, is_complete: bool) -> Report {
        Report { findings: self.list, findings_left_out: self.left_out, totals, is_complete }
    }

    fn add(
        &mut self,
        severity: Severity,
        file: &str,
        offset: Option<u64>,
        text: Cow<'static, str>,
    ) -> FindingId {
        let id = FindingId(self.list.len());
        if self.list.len() >= FINDINGS_MAX {
            self.left_out += 1;
            return FindingId(usize::MAX);
        }
        let file = file.to_owned();
        self.list.push(Finding { severity, file, offset, text, hits: Hits::default() });
        id
    }
}
