//! Ctrl-C, as a question that long work asks where it can stop well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::failure::Failure;

/// Whether somebody has asked the process to end. Clones ask the same.
///
/// After the first ctrl-C (or SIGTERM) the work in hand is brought to an end; a second one ends
/// the process at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on the first ctrl-C does not end the process, but is told here.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let asked = Arc::<AtomicBool>::default();
        for signal in [SIGINT, SIGTERM] {
            let (second, first) = (Arc::clone(&asked), Arc::clone(&asked));
            // In this order, so that the first signal finds nothing set.
            signal_hook::flag::register_conditional_default(signal, second)
                .and_then(|_| signal_hook::flag::register(signal, first))
                .map_err(|source| Failure::Io {
                    action: "listen to",
                    path: String::from("signals"),
                    source,
                })?;
        }
        Ok(Self(asked))
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error once it was asked.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self.is_asked() {
            true => Err(Failure::Interrupted),
            false => Ok(()),
        }
    }
}
