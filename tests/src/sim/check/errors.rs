//! What failed, failed because of a fault or of somebody else's commit, and not because something
//! in the cluster is wrong.

use client::Error;

use crate::sim::history::Fate;
use crate::sim::{Broken, History};

pub(super) fn check(history: &History) -> Result<(), Broken> {
    for attempt in &history.attempts {
        if let Fate::Failed(error) = &attempt.fate
            && !is_expected(error, history)
        {
            let text = format!("{}: {error}", attempt.name);
            return Err(Broken::new("nothing fails without a reason", text));
        }
    }
    Ok(())
}

/// Whether a program that does nothing wrong may get such an error from a sound cluster.
fn is_expected(error: &Error, history: &History) -> bool {
    match error {
        // A storage says so of what its disk does not give.
        Error::WrongChecksum { .. } => history.is_unreadable,
        Error::Damaged { .. }
        | Error::Refused { .. }
        | Error::Peer { .. }
        | Error::OutOfTurn { .. }
        | Error::AlreadyChecked { .. }
        | Error::TooLarge { .. } => false,
        _ => true,
    }
}
