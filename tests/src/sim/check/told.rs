//! Clients are told of commits in order, of all of them, and of nothing else.

use std::collections::{BTreeMap, BTreeSet};

use model::{Oid, Tid};

use super::truth::Truth;
use crate::sim::history::{Attempt, Connection};
use crate::sim::{Broken, History};

pub(super) fn check(history: &History, truth: &Truth) -> Result<(), Broken> {
    let deleted = deleted(history);
    for connection in &history.connections {
        one(connection, truth, &deleted)
            .map_err(|text| Broken::new("clients are told of commits", text))?;
    }
    for one in &history.synchronized {
        if Some(one.last_tid) < one.acknowledged {
            let text = format!("{} knows {}, not {:?}", one.reader, one.last_tid, one.acknowledged);
            return Err(Broken::new("who synchronizes knows the last commit", text));
        }
    }
    Ok(())
}

fn one(connection: &Connection, truth: &Truth, deleted: &Deleted) -> Result<(), String> {
    let Connection { reader, connected, last_tids, invalidated } = connection;
    for (last_tid, acknowledged) in connected {
        if *last_tid != Tid::ZERO && !truth.transactions.contains_key(last_tid) {
            return Err(format!("{reader} is told that {last_tid} was the last: it is not there"));
        }
        if Some(*last_tid) < *acknowledged {
            return Err(format!("{reader} is told {last_tid} after {acknowledged:?}"));
        }
    }
    if let Some(pair) = last_tids.windows(2).find(|pair| pair[0] > pair[1]) {
        return Err(format!("{reader} is told {} after {}", pair[1], pair[0]));
    }
    for (tid, oids) in invalidated {
        invalidates(*tid, oids, truth, deleted)
            .map_err(|text| format!("{reader} is told that {text}"))?;
    }
    Ok(())
}

/// What transactions deleted themselves, by tid. What became nothing because its creation was
/// undone is not among it.
type Deleted = BTreeMap<Tid, BTreeSet<Oid>>;

fn deleted(history: &History) -> Deleted {
    let of = |attempt: &Attempt| {
        let undone: BTreeSet<Oid> =
            attempt.undone.iter().flat_map(|(_, oids)| oids).copied().collect();
        let deleted = attempt.writes.iter().filter(|(_, write)| write.data.is_none());
        deleted.map(|(oid, _)| *oid).filter(|oid| !undone.contains(oid)).collect()
    };
    history.attempts.iter().filter_map(|one| Some((one.tid()?, of(one)))).collect()
}

/// Whether a client was told what a commit changed. The protocol tells nobody of objects that are
/// deleted, but of their partitions only.
fn invalidates(tid: Tid, oids: &[Oid], truth: &Truth, deleted: &Deleted) -> Result<(), String> {
    let Some(committed) = truth.transactions.get(&tid) else {
        return Err(format!("{tid} is committed, which is not there"));
    };
    let told: BTreeSet<Oid> = oids.iter().copied().collect();
    let changed: BTreeSet<Oid> = committed.oids.iter().copied().collect();
    // Of what nobody knows the outcome of, nobody said what it deleted.
    let is_deleted = |oid: &Oid| match deleted.get(&tid) {
        Some(deleted) => deleted.contains(oid),
        None => truth.revision(*oid, tid).is_some_and(|stored| stored.data.is_none()),
    };
    let mut left_out = changed.difference(&told);
    if !told.is_subset(&changed) || left_out.any(|oid| !is_deleted(oid)) {
        return Err(format!("{tid} changed {told:?}, not {changed:?}"));
    }
    Ok(())
}
