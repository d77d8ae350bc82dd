//! Kinds of programs.

use std::fmt;

use super::session::Session;
use super::{bank, bulk, counters, logs, opening, reader, skew, undo, walker};

/// A kind of program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Moves money between accounts.
    Bank,
    /// Appends to logs, conflicts resolved.
    Logs,
    /// Counts, and checks what it reads.
    Counters,
    /// Takes from one of two as long as both have enough.
    Skew,
    /// Writes, deletes and undoes.
    Undo,
    /// Loads revisions of all times.
    Reader,
    /// Lists transactions and objects.
    Walker,
    /// Makes new objects: many, large ones, none.
    Bulk,
    /// Makes very many new objects at once.
    Huge,
}

impl Kind {
    /// Those that plans choose among.
    pub(crate) const EVERY: [Self; 8] = [
        Self::Bank,
        Self::Logs,
        Self::Counters,
        Self::Skew,
        Self::Undo,
        Self::Reader,
        Self::Walker,
        Self::Bulk,
    ];

    /// Whether it commits.
    pub(crate) fn writes(self) -> bool {
        !matches!(self, Self::Reader | Self::Walker)
    }

    /// Runs until programs are told to end.
    pub(super) async fn run(self, mut session: Session) {
        let session = &mut session;
        session.insist(opening::open).await;
        match self {
            Self::Bank => session.repeat(bank::round).await,
            Self::Logs => session.repeat(logs::round).await,
            Self::Counters => session.repeat(counters::round).await,
            Self::Skew => session.repeat(skew::round).await,
            Self::Undo => session.repeat(undo::round).await,
            Self::Reader => session.repeat(reader::round).await,
            Self::Walker => session.repeat(walker::round).await,
            Self::Bulk => session.repeat(bulk::round).await,
            Self::Huge => session.repeat(bulk::huge_round).await,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bank => "bank",
            Self::Logs => "logs",
            Self::Counters => "counters",
            Self::Skew => "skew",
            Self::Undo => "undo",
            Self::Reader => "reader",
            Self::Walker => "walker",
            Self::Bulk => "bulk",
            Self::Huge => "huge",
        })
    }
}
