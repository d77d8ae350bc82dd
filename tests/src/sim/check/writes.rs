//! The first committer wins: a transaction changes what it has read, and what it has checked is
//! still so when it is committed.

use model::Tid;

use super::truth::Truth;
use crate::sim::history::Attempt;
use crate::sim::{Broken, History};

pub(super) fn check(history: &History, truth: &Truth) -> Result<(), Broken> {
    let mut tids = std::collections::BTreeMap::new();
    for (tid, committed) in &truth.transactions {
        tids.insert(committed.name(), *tid);
    }
    for attempt in &history.attempts {
        if let Some(tid) = tids.get(&attempt.name) {
            one(attempt, *tid, truth)?;
        }
    }
    Ok(())
}

fn one(attempt: &Attempt, tid: Tid, truth: &Truth) -> Result<(), Broken> {
    let name = &attempt.name;
    for (oid, write) in &attempt.writes {
        let before = truth.before(*oid, tid).map_or(Tid::ZERO, |(tid, _)| tid);
        if before != write.base {
            let text = format!("{name}, {tid}: {oid} based on {}, not on {before}", write.base);
            return Err(Broken::new("the first committer wins", text));
        }
    }
    for (oid, serial) in &attempt.checks {
        let before = truth.before(*oid, tid).map_or(Tid::ZERO, |(tid, _)| tid);
        if before != *serial {
            let text = format!("{name}, {tid}: {oid} was checked at {serial}, but is {before}");
            return Err(Broken::new("what was checked is current", text));
        }
    }
    Ok(())
}
