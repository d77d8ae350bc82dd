//! What clocks say, as a value.

use std::time::Duration;

/// The moment of an event, as two clocks have it. Machines get it with each event and have no
/// other source of time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Now {
    /// Since some moment before the program began. Never goes back: for delays and limits of time.
    pub monotonic: Duration,
    /// Since 1970-01-01 UTC. May jump both ways: for timestamps, never for delays.
    pub unix: Duration,
}
