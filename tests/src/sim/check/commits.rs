//! What was acknowledged is there, what failed is not, and nothing is there that nobody committed.

use std::collections::{BTreeMap, BTreeSet};

use model::{Oid, Tid};

use super::truth::{Committed, Truth};
use crate::sim::history::{Attempt, Fate};
use crate::sim::{Broken, History};

pub(super) fn check(history: &History, truth: &Truth) -> Result<(), Broken> {
    let mut attempts = BTreeMap::new();
    for attempt in &history.attempts {
        attempts.insert(attempt.name.as_bytes(), attempt);
    }
    let mut names = BTreeMap::new();
    for (tid, committed) in &truth.transactions {
        if let Some(first) = names.insert(committed.name(), *tid) {
            let text = format!("{} is there as {first} and as {tid}", committed.name());
            return Err(Broken::new("nothing is committed twice", text));
        }
        let Some(attempt) = attempts.get(&committed.description[..]) else {
            let text = format!("{tid}: {committed:?}");
            return Err(Broken::new("nothing is there that nobody committed", text));
        };
        one(attempt, *tid, committed, truth)?;
    }
    for attempt in &history.attempts {
        if let Some(tid) = attempt.tid()
            && !names.contains_key(&attempt.name)
        {
            let text = format!("{} as {tid} is not there", attempt.name);
            return Err(Broken::new("acknowledged commits survive", text));
        }
    }
    revisions_belong_to_transactions(truth)
}

/// A transaction that is in the database.
fn one(attempt: &Attempt, tid: Tid, committed: &Committed, truth: &Truth) -> Result<(), Broken> {
    let name = &attempt.name;
    match &attempt.fate {
        Fate::Failed(error) => {
            let text = format!("{name} is there as {tid}, though: {error}");
            return Err(Broken::new("what failed is not committed", text));
        }
        Fate::Unknown if attempt.finishing.is_none() => {
            let text = format!("{name} is there as {tid}, though nobody finished it");
            return Err(Broken::new("nothing is there that nobody committed", text));
        }
        Fate::Committed(told) if *told != tid => {
            let text = format!("{name} is there as {tid}, but {told} was told");
            return Err(Broken::new("acknowledged commits survive", text));
        }
        Fate::Committed(_) | Fate::Unknown => {}
    }
    let whole = |text: String| Err(Broken::new("commits are whole", format!("{name}: {text}")));
    let Some((ttid, _)) = attempt.ttid else {
        return whole(format!("{tid} was not begun"));
    };
    let extension = format!("{ttid} of {name}");
    if committed.ttid != ttid || committed.extension[..] != *extension.as_bytes() {
        return whole(format!("{tid} has other metadata: {committed:?}"));
    }
    let undone = attempt.undone.iter().flat_map(|(_, oids)| oids);
    let wanted: BTreeSet<Oid> = attempt.writes.keys().chain(undone).copied().collect();
    let listed: BTreeSet<Oid> = committed.oids.iter().copied().collect();
    if listed != wanted || listed.len() != committed.oids.len() {
        return whole(format!("{tid} lists {:?} instead of {wanted:?}", committed.oids));
    }
    for (oid, write) in &attempt.writes {
        let stored = truth.revision(*oid, tid);
        if stored.is_none_or(|stored| stored.data != write.data) {
            return whole(format!("{oid} at {tid} is {stored:?} instead of {:?}", write.data));
        }
    }
    Ok(())
}

fn revisions_belong_to_transactions(truth: &Truth) -> Result<(), Broken> {
    let mut missing: BTreeSet<(Tid, Oid)> = BTreeSet::new();
    for (tid, committed) in &truth.transactions {
        missing.extend(committed.oids.iter().map(|oid| (*tid, *oid)));
    }
    for (oid, revisions) in &truth.objects {
        for tid in revisions.keys() {
            if !missing.remove(&(*tid, *oid)) {
                let text = format!("{oid} at {tid} belongs to no transaction");
                return Err(Broken::new("nothing is there that nobody committed", text));
            }
        }
    }
    match missing.first() {
        Some((tid, oid)) => {
            let text = format!("{tid} lists {oid}, which it has no revision of");
            Err(Broken::new("commits are whole", text))
        }
        None => Ok(()),
    }
}
