//! The system's clocks, as machines see them.
#![expect(
    clippy::disallowed_methods,
    reason = "the one place where the clocks of the system become the time of machines"
)]

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use model::Now;

/// The moment that the monotonic clock starts at, so that machines can look back from it.
const ORIGIN: Duration = Duration::from_secs(24 * 60 * 60);

/// What the clocks of the system say. The same for the whole process.
pub fn now() -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { monotonic: monotonic(), unix }
}

/// What the monotonic clock of [`now`] says.
pub(crate) fn monotonic() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    ORIGIN + START.get_or_init(Instant::now).elapsed()
}
