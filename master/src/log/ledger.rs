//! Proposes changes and says which are durable.

use std::os::fd::RawFd;
use std::sync::Arc;

use engine::disk::Disk;
use model::Random;

use super::command::Command;
use super::remembered::Remembered;
use crate::error::Error;

/// What must not be lost.
pub(crate) struct Ledger {
    remembered: Remembered,
}

impl Ledger {
    /// Opens the log of a directory, or begins one. Without a disk nothing outlives the process.
    pub(crate) fn open(_disk: Option<Arc<dyn Disk>>, _random: &mut Random) -> Result<Self, Error> {
        Ok(Self { remembered: Remembered::default() })
    }

    /// What is durable.
    pub(crate) fn remembered(&self) -> &Remembered {
        &self.remembered
    }

    /// Where it is kept, for messages.
    pub(crate) fn path(&self) -> &str {
        "memory"
    }

    /// Proposes a change; it is durable as soon as [`Ledger::is_settled`].
    pub(crate) fn propose(&mut self, command: Command) {
        let applied = self.remembered.apply(&command);
        applied.expect("the master proposes what fits");
    }

    /// Whether all that was proposed is durable.
    pub(crate) fn is_settled(&self) -> bool {
        true
    }

    /// Looks for writes that completed.
    pub(crate) fn poll(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// Readable when writes may have completed.
    pub(crate) fn descriptor(&self) -> Option<RawFd> {
        None
    }
}
