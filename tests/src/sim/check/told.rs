//! Clients are told of commits in order, of all of them, and of nothing else.

use std::collections::BTreeSet;

use model::{Oid, Tid};

use super::truth::Truth;
use crate::sim::history::Connection;
use crate::sim::{Broken, History};

pub(super) fn check(history: &History, truth: &Truth) -> Result<(), Broken> {
    for connection in &history.connections {
        one(connection, truth).map_err(|text| Broken::new("clients are told of commits", text))?;
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
        invalidates(*tid, oids, truth).map_err(|text| format!("{reader} is told that {text}"))?;
    }
    Ok(())
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
