//! Counters: each transaction counts one up by one, and saw another one as it was.

use model::{Oid, Tid};

use super::truth::{Stored, Truth};
use crate::sim::Broken;
use crate::sim::program::layout::{COUNTERS, oids, read_counter};

pub(super) fn check(truth: &Truth) -> Result<(), Broken> {
    for oid in oids(COUNTERS) {
        for ((tid, stored), expected) in truth.revisions(oid).zip(0..) {
            let found = read(stored);
            let is_right = found.is_some_and(|(value, other, other_value)| {
                value == expected && (value == 0 || seen(truth, other, tid) == Some(other_value))
            });
            if !is_right {
                let text = format!("{oid} at {tid} is {found:?}, revision {expected}");
                return Err(Broken::new("counters count what they see", text));
            }
        }
    }
    Ok(())
}

fn read(stored: &Stored) -> Option<(u64, Oid, u64)> {
    read_counter(stored.data.as_ref()?)
}

/// What a counter was before a transaction.
fn seen(truth: &Truth, oid: Oid, tid: Tid) -> Option<u64> {
    let (_, stored) = truth.before(oid, tid)?;
    read(stored).map(|(value, ..)| value)
}
