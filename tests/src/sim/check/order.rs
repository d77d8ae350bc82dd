//! Ids are given once, and grow with time.

use std::collections::BTreeSet;

use model::{Tid, Ttid};

use super::truth::Truth;
use crate::sim::history::{Attempt, Moment};
use crate::sim::{Broken, History};

pub(super) fn check(history: &History, truth: &Truth) -> Result<(), Broken> {
    oids_are_given_once(history)?;
    ttids_are_given_once(history)?;
    tids_follow_their_ttids(history, truth)?;
    let begun = history.attempts.iter().filter_map(|attempt| {
        let (ttid, told) = remembered(history, attempt)?;
        Some(Given { id: ttid.get(), asked: attempt.begun, told })
    });
    let finished = history.attempts.iter().filter_map(|attempt| {
        let (tid, asked, told) = (attempt.tid()?, attempt.finishing?, attempt.ended?);
        Some(Given { id: tid.get(), asked, told })
    });
    grows(begun.chain(finished).collect())
}

/// What an attempt was begun as, and when that was told, unless the master has forgotten it since:
/// what it said before may still have been on its way.
fn remembered(history: &History, attempt: &Attempt) -> Option<(Ttid, Moment)> {
    attempt.ttid.filter(|_| attempt.begun > history.forgotten)
}

/// An id that was given out: between when it was asked for and when it was told.
struct Given {
    id: u64,
    asked: Moment,
    told: Moment,
}

/// What is asked for when another one was told already is greater.
fn grows(mut given: Vec<Given>) -> Result<(), Broken> {
    let mut by_told: Vec<(Moment, u64)> = given.iter().map(|one| (one.told, one.id)).collect();
    by_told.sort_unstable();
    given.sort_unstable_by_key(|one| one.asked);
    let mut told = by_told.into_iter().peekable();
    let mut greatest = 0;
    for one in given {
        while let Some((_, id)) = told.next_if(|(moment, _)| *moment < one.asked) {
            greatest = greatest.max(id);
        }
        if one.id <= greatest {
            let text = format!("{:016x} was given after {greatest:016x}", one.id);
            return Err(Broken::new("tids grow", text));
        }
    }
    Ok(())
}

fn oids_are_given_once(history: &History) -> Result<(), Broken> {
    let mut given = BTreeSet::new();
    // What the master had said before it forgot everything may still have been on its way.
    let mut remembered = history.new_oids.iter().filter(|(asked, _)| *asked > history.forgotten);
    match remembered.find(|(_, oid)| !given.insert(*oid)) {
        Some((_, oid)) => Err(Broken::new("oids are given once", oid.to_string())),
        None => Ok(()),
    }
}

fn ttids_are_given_once(history: &History) -> Result<(), Broken> {
    let mut given: BTreeSet<Ttid> = BTreeSet::new();
    let mut ttids = history.attempts.iter().filter_map(|attempt| remembered(history, attempt));
    match ttids.find(|(ttid, _)| !given.insert(*ttid)) {
        Some((ttid, _)) => Err(Broken::new("ttids are given once", ttid.to_string())),
        None => Ok(()),
    }
}

fn tids_follow_their_ttids(history: &History, truth: &Truth) -> Result<(), Broken> {
    let told = |attempt: &Attempt| Some((attempt.tid()?, attempt.ttid?.0));
    let there = truth.transactions.iter().map(|(tid, committed)| (*tid, committed.ttid));
    let given: Vec<(Tid, Ttid)> = history.attempts.iter().filter_map(told).chain(there).collect();
    for (tid, ttid) in given {
        let partitions = truth.partitions;
        if tid.get() <= ttid.get() || partitions.of_tid(tid) != partitions.of_ttid(ttid) {
            let text = format!("{ttid} became {tid}, of {} partitions", partitions.get());
            return Err(Broken::new("tids follow their ttids", text));
        }
    }
    Ok(())
}
