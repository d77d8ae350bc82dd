//! Logs: each transaction appends one entry behind what was there.

use super::truth::Truth;
use crate::sim::Broken;
use crate::sim::program::layout::{LOGS, numbers, oids};
use crate::sim::program::logs::append;

pub(super) fn check(truth: &Truth) -> Result<(), Broken> {
    for oid in oids(LOGS) {
        let mut before: Option<&[u8]> = None;
        for (tid, stored) in truth.revisions(oid) {
            let data = stored.data.as_deref().unwrap_or_default();
            let entries = numbers(data).unwrap_or_default();
            let is_appended = match (before, entries.last()) {
                (Some(before), Some(entry)) => append(before, *entry) == data,
                (None, None) => data.is_empty(),
                (Some(_), None) | (None, Some(_)) => false,
            };
            if !is_appended {
                let text = format!("{oid} at {tid} is {data:?} after {before:?}");
                return Err(Broken::new("logs are only appended to", text));
            }
            before = Some(data);
        }
    }
    Ok(())
}
