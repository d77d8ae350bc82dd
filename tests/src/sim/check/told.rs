//! Clients are told of commits in order, of all of them, and of nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use model::{Oid, Tid};

use super::truth::Truth;
use crate::sim::history::Connection;
use crate::sim::{Broken, History};

pub(super) fn check(history: &History, truth: &Truth) -> Result<(), Broken> {
    let mut last_lives = BTreeMap::new();
    for (index, connection) in history.connections.iter().enumerate() {
        last_lives.insert(program(&connection.reader), index);
    }
    for (index, connection) in history.connections.iter().enumerate() {
        let is_last = last_lives.get(program(&connection.reader)) == Some(&index);
        one(connection, truth)
            .and_then(|()| of_all(connection, is_last, truth))
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

fn one(connection: &Connection, truth: &Truth) -> Result<(), String> {
    let Connection { reader, connected, told, invalidated, .. } = connection;
    for (last_tid, acknowledged) in connected {
        if *last_tid != Tid::ZERO && !truth.transactions.contains_key(last_tid) {
            return Err(format!("{reader} is told that {last_tid} was the last: it is not there"));
        }
        if Some(*last_tid) < *acknowledged {
            return Err(format!("{reader} is told {last_tid} after {acknowledged:?}"));
        }
    }
    let last_tids: Vec<Tid> = told.iter().flatten().copied().collect();
    if let Some(pair) = last_tids.windows(2).find(|pair| pair[0] > pair[1]) {
        return Err(format!("{reader} is told {} after {}", pair[1], pair[0]));
    }
    for (tid, oids) in invalidated {
        invalidates(*tid, oids, truth).map_err(|text| format!("{reader} is told that {text}"))?;
    }
    Ok(())
}

/// Whether a client was told of all that others committed, from when it was connected until it was
/// told of the last one; or until the end, if it was connected then.
fn of_all(connection: &Connection, is_last: bool, truth: &Truth) -> Result<(), String> {
    let Connection { reader, told, is_connected, .. } = connection;
    let own = format!("{reader} ");
    let missed = |first: Tid, end: Bound<Tid>| {
        let mut between = truth.transactions.range((Bound::Excluded(first), end));
        between.find(|(_, committed)| !committed.name().starts_with(&own)).map(|(tid, _)| *tid)
    };
    for (index, tids) in told.iter().enumerate() {
        let mut ends: Vec<(Tid, Bound<Tid>)> =
            tids.windows(2).map(|pair| (pair[0], Bound::Excluded(pair[1]))).collect();
        let is_at_end = is_last && *is_connected && index + 1 == told.len();
        ends.extend(tids.last().filter(|_| is_at_end).map(|last| (*last, Bound::Unbounded)));
        for (first, end) in ends.into_iter().filter(|(first, end)| *end != Bound::Excluded(*first))
        {
            if let Some(tid) = missed(first, end) {
                return Err(format!("{reader} was told {first}, and never of {tid}"));
            }
        }
    }
    Ok(())
}

/// Which program it is, in whatever life.
fn program(reader: &str) -> &str {
    reader.split('/').next().unwrap_or(reader)
}

/// Whether a client was told what a commit changed.
fn invalidates(tid: Tid, oids: &[Oid], truth: &Truth) -> Result<(), String> {
    let Some(committed) = truth.transactions.get(&tid) else {
        return Err(format!("{tid} is committed, which is not there"));
    };
    let told: BTreeSet<Oid> = oids.iter().copied().collect();
    let changed: BTreeSet<Oid> = committed.oids.iter().copied().collect();
    if told != changed {
        return Err(format!("{tid} changed {told:?}, not {changed:?}"));
    }
    Ok(())
}
