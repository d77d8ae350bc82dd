//! Undone transactions: each object is again what it was before, and only what is current, or
//! equal to what is undone, is undone.

use model::{Oid, Tid};

use super::truth::{Stored, Truth};
use crate::sim::{Broken, History};

pub(super) fn check(history: &History, truth: &Truth) -> Result<(), Broken> {
    let mut tids = std::collections::BTreeMap::new();
    for (tid, committed) in &truth.transactions {
        tids.insert(committed.name(), *tid);
    }
    for attempt in history.attempts.iter().filter(|attempt| !attempt.undone.is_empty()) {
        if let Some(tid) = tids.get(&attempt.name) {
            one(&attempt.undone, *tid, truth).map_err(|text| {
                let text = format!("{}, {tid}: {text}", attempt.name);
                Broken::new("undo brings back what was before", text)
            })?;
        }
    }
    Ok(())
}

/// A model of an object within a transaction that undoes others: what it is, by its data.
fn one(undone: &[(Tid, Vec<Oid>)], tid: Tid, truth: &Truth) -> Result<(), String> {
    let mut present = std::collections::BTreeMap::new();
    for (undone, oids) in undone {
        let listed = truth.transactions.get(undone).map(|committed| &committed.oids);
        let mut sorted = (listed.cloned().unwrap_or_default(), oids.clone());
        sorted.0.sort_unstable();
        sorted.1.sort_unstable();
        if sorted.0 != sorted.1 {
            return Err(format!("{undone} changed {listed:?}, but {oids:?} were undone"));
        }
        for oid in oids {
            let before = truth.before(*oid, tid).and_then(|(_, stored)| stored.data.clone());
            let current = present.entry(*oid).or_insert(before);
            let was = truth.revision(*oid, *undone).and_then(|stored| stored.data.clone());
            if *current != was {
                return Err(format!("{oid} is {current:?} and not {was:?} of {undone}"));
            }
            *current = truth.before(*oid, *undone).and_then(|(_, stored)| stored.data.clone());
        }
    }
    for (oid, data) in present {
        let stored = truth.revision(oid, tid);
        if stored.is_none_or(|stored| stored.data != data) {
            return Err(format!("{oid} is {stored:?} instead of {data:?}"));
        }
        labelled(oid, stored, truth)?;
    }
    Ok(())
}

/// What an undo says whose data it repeats has that data.
fn labelled(oid: Oid, stored: Option<&Stored>, truth: &Truth) -> Result<(), String> {
    let Some((stored, data_tid)) = stored.and_then(|one| Some((one, one.data_tid?))) else {
        return Ok(());
    };
    match truth.revision(oid, data_tid) {
        Some(labelled) if labelled.data == stored.data => Ok(()),
        labelled => Err(format!("{oid} is {stored:?}, said to be that of {labelled:?}")),
    }
}
