//! Pairs whose other half is checked never have less than nothing together.

use model::Oid;

use super::truth::Truth;
use crate::sim::Broken;
use crate::sim::program::layout::{GUARDED, UNGUARDED};
use crate::sim::program::skew::value;

pub(super) fn check(truth: &Truth) -> Result<(), Broken> {
    match skewed(truth, GUARDED) {
        Some(text) => Err(Broken::new("what is checked prevents write skew", text)),
        None => Ok(()),
    }
}

/// Whether a pair of which nothing is checked ever had less than nothing.
pub(super) fn is_possible(truth: &Truth) -> bool {
    skewed(truth, UNGUARDED).is_some()
}

/// When a pair had less than nothing, if ever.
fn skewed(truth: &Truth, pairs: [(u64, u64); 2]) -> Option<String> {
    for (first, second) in pairs.map(|(first, second)| (Oid::new(first), Oid::new(second))) {
        for tid in [first, second].into_iter().flat_map(|oid| truth.revisions(oid)) {
            let half = |oid| {
                let (_, stored) = truth.as_of(oid, tid.0)?;
                stored.data.as_ref().map(|data| value(data))
            };
            let (Some(one), Some(other)) = (half(first), half(second)) else { continue };
            if one + other < 0 {
                return Some(format!("{first} and {second} are {one} and {other} as of {}", tid.0));
            }
        }
    }
    None
}
