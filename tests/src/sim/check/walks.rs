//! Lists have everything that they are to have, and nothing else.

use model::{Oid, Tid};

use super::truth::Truth;
use crate::sim::history::{Walk, Walked};
use crate::sim::{Broken, History};

pub(super) fn check(history: &History, truth: &Truth) -> Result<(), Broken> {
    for walk in &history.walks {
        one(walk, truth).map_err(|text| {
            let (first, last) = walk.last_tids;
            let text = format!("{}, who knew {first} to {last}: {text}", walk.reader);
            Broken::new("iteration has no holes", text)
        })?;
    }
    Ok(())
}

fn one(walk: &Walk, truth: &Truth) -> Result<(), String> {
    let (first, last) = walk.last_tids;
    match &walk.walked {
        Walked::Transactions { tid_min, found } => {
            // It may begin behind all that the walker knows.
            let end = found.last().map_or(first, |(tid, ..)| first.max(*tid));
            let range = truth.transactions.range(*tid_min..);
            let wanted = range.take_while(|(tid, _)| **tid <= end);
            let wanted = wanted.map(|(tid, one)| (*tid, one.name(), one.oids.clone()));
            compare(found, &wanted.collect::<Vec<_>>())?;
            not_later(found.last().map(|(tid, ..)| *tid), last)
        }
        Walked::Oids { tid, found } => {
            let is_there = |oid: &Oid| {
                truth.as_of(*oid, *tid).is_some_and(|(_, stored)| stored.data.is_some())
            };
            let wanted = truth.objects.keys().copied().filter(is_there);
            compare(found, &wanted.collect::<Vec<_>>())
        }
        Walked::UndoLog { count, found } => {
            let newest = found.first().map_or(Tid::ZERO, |(tid, _)| *tid).max(first);
            let wanted = truth.transactions.range(..=newest).rev().take(*count);
            let wanted = wanted.map(|(tid, one)| (*tid, one.name()));
            compare(found, &wanted.collect::<Vec<_>>())?;
            not_later(found.first().map(|(tid, _)| *tid), last)
        }
        Walked::Revisions { oid, count, found } => {
            let newest = found.first().map_or(Tid::ZERO, |(tid, _)| *tid).max(first);
            let mut wanted: Vec<_> = truth.revisions(*oid).collect();
            wanted.retain(|(tid, _)| *tid <= newest);
            let wanted = wanted.iter().rev().take(*count).map(|(tid, one)| (*tid, one.length));
            compare(found, &wanted.collect::<Vec<_>>())?;
            not_later(found.first().map(|(tid, _)| *tid), last)
        }
    }
}

/// Says where two lists begin to differ.
fn compare<T: PartialEq + std::fmt::Debug>(found: &[T], wanted: &[T]) -> Result<(), String> {
    let place = found.iter().zip(wanted).take_while(|(found, wanted)| found == wanted).count();
    match (found.get(place), wanted.get(place)) {
        (None, None) => Ok(()),
        (found, wanted) => Err(format!("at place {place} is {found:?} instead of {wanted:?}")),
    }
}

fn not_later(newest: Option<Tid>, last: Tid) -> Result<(), String> {
    match newest.filter(|newest| *newest > last) {
        Some(newest) => Err(format!("{newest} was not told yet")),
        None => Ok(()),
    }
}
