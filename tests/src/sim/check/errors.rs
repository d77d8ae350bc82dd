//! What failed, failed because of a fault or of somebody else's commit, and not because something
//! in the cluster is wrong.

use client::Error;

use crate::sim::history::Fate;
use crate::sim::{Broken, History};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    let attempts = history.attempts.iter().filter_map(|attempt| match &attempt.fate {
        Fate::Failed(error) => Some((attempt.name.clone(), error)),
        Fate::Unknown | Fate::Committed(_) => None,
    });
    let others = history.failed.iter();
    let others = others.map(|one| (format!("{}: {}", one.reader, one.what), &one.error));
    match attempts.chain(others).find(|(_, error)| !is_expected(error, history)) {
        Some((name, error)) => {
            Err(Broken::new("nothing fails without a reason", format!("{name}: {error}")))
        }
        None => Ok(()),
    }
}

/// Whether a program that does nothing wrong may get such an error from a sound cluster.
fn is_expected(error: &Error, history: &History) -> bool {
    match error {
        // Somebody else's commit.
        Error::Conflict { .. } | Error::ReadConflict { .. } | Error::Undo { .. } => true,
        // Nodes that were away, or had no space.
        Error::NoStorage { .. }
        | Error::MasterLost { .. }
        | Error::Incomplete { .. }
        | Error::NotLocked { .. }
        | Error::ReadOnly
        | Error::NotCommitted { .. }
        | Error::OutcomeUnknown { .. } => history.has_faults,
        // A storage says so of what its disk does not give.
        Error::WrongChecksum { .. } => history.is_unreadable,
        _ => false,
    }
}
