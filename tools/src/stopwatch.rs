//! How long something took.

#![expect(
    clippy::disallowed_methods,
    reason = "commands tell people how long they took; nothing is decided by it"
)]

use std::time::Instant;

/// Counts from when it was started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Seconds until now.
    pub(crate) fn seconds(self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}
