//! What was loaded is what the database has: at a tid always the same, the newest as of what the
//! client knew.

use client::Revision;
use model::Tid;

use super::truth::{Stored, Truth};
use crate::sim::history::{Found, Read};
use crate::sim::{Broken, History};

pub(super) fn check(history: &History, truth: &Truth) -> Result<(), Broken> {
    for read in &history.reads {
        one(read, truth).map_err(|wrong| {
            let Read { reader, oid, revision, last_tids, found } = read;
            let (first, last) = last_tids;
            let text = format!(
                "{reader}, who knew {first} to {last}, found {oid} {revision}: {found:?}: {wrong}"
            );
            Broken::new("reads are repeatable", text)
        })?;
    }
    Ok(())
}

fn one(read: &Read, truth: &Truth) -> Result<(), String> {
    let &Read { oid, revision, last_tids: (first, last), ref found, .. } = read;
    match revision {
        Revision::At(tid) => {
            let stored = truth.revision(oid, tid).map(|stored| (tid, stored));
            expect(found, stored)?;
        }
        Revision::Before(tid) => expect(found, truth.before(oid, tid))?,
        Revision::Newest => {
            let least = truth.as_of(oid, first).map(|(tid, _)| tid);
            let most = truth.as_of(oid, last).map(|(tid, _)| tid);
            let serial = match found {
                Found::Revision { serial, .. } => Some(*serial),
                Found::Nothing => None,
            };
            if serial < least || serial > most {
                return Err(format!("it was between {least:?} and {most:?}"));
            }
            let stored = serial.and_then(|serial| Some((serial, truth.revision(oid, serial)?)));
            expect(found, stored)?;
        }
    }
    next(read, truth, first)
}

/// Whether exactly that was found.
fn expect(found: &Found, stored: Option<(Tid, &Stored)>) -> Result<(), String> {
    let is_right = match (found, stored) {
        (Found::Nothing, None) => true,
        (Found::Revision { serial, data, data_serial, .. }, Some((tid, stored))) => {
            *serial == tid && *data == stored.data && *data_serial == stored.data_tid
        }
        (Found::Nothing, Some(_)) | (Found::Revision { .. }, None) => false,
    };
    if is_right { Ok(()) } else { Err(format!("it is {stored:?}")) }
}

/// The revision that is said to follow does. If none is said to, none was told of before.
fn next(read: &Read, truth: &Truth, known: Tid) -> Result<(), String> {
    let Found::Revision { serial, next_serial, .. } = read.found else { return Ok(()) };
    let next = truth.after(read.oid, serial);
    let is_right = match next_serial {
        Some(_) => next_serial == next,
        None => next.is_none_or(|next| next > known),
    };
    if is_right { Ok(()) } else { Err(format!("the next one is {next:?}")) }
}
