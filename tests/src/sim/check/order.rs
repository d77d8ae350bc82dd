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
    attempt.ttid.filter(|_| memory(history, attempt.begun) == history.forgotten.len())
}

/// How often the master had forgotten which ids it gave out.
fn memory(history: &History, moment: Moment) -> usize {
    history.forgotten.partition_point(|forgotten| *forgotten < moment)
}

/// Which memory of the master an id is of, that was asked for and told at these moments. What it
/// said may have been on its way while it forgot everything: then nobody knows.
fn of_one_memory(history: &History, asked: Moment, told: Moment) -> Option<usize> {
    let memory = [asked, told].map(|moment| memory(history, moment));
    (memory[0] == memory[1]).then_some(memory[0])
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
    for (asked, told, oid) in &history.new_oids {
        if let Some(memory) = of_one_memory(history, *asked, *told)
            && !given.insert((memory, *oid))
        {
            return Err(Broken::new("oids are given once", oid.to_string()));
        }
    }
    Ok(())
}

fn ttids_are_given_once(history: &History) -> Result<(), Broken> {
    let mut given = BTreeSet::new();
    for attempt in &history.attempts {
        if let Some((ttid, told)) = attempt.ttid
            && let Some(memory) = of_one_memory(history, attempt.begun, told)
            && !given.insert((memory, ttid))
        {
            return Err(Broken::new("ttids are given once", ttid.to_string()));
        }
    }
    Ok(())
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
