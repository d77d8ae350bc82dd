//! Writes some objects, deletes them, makes them again, and undoes what was done to them.

use client::{Error, Revision};
use model::{Oid, Tid};

use super::layout::{UNDONE, oids};
use super::session::Session;
use crate::sim::history::Found;

/// Transactions of which one is undone: the last ones that changed these objects.
const RECENT: usize = 6;
/// No transaction has this tid: it is of the year 1900.
const NEVER: Tid = Tid::new(1);

/// Changes some objects, or undoes what was done to them.
pub(super) async fn round(session: &mut Session) -> Result<(), Error> {
    if session.random.chance(2, 5) {
        return undo(session).await;
    }
    let mut objects: Vec<Oid> = oids(UNDONE).collect();
    session.random.shuffle(&mut objects);
    objects.truncate(1 + session.random.index(3));
    let mut transaction = session.begin().await?;
    for oid in objects {
        let serial = match session.load(oid, Revision::Newest).await? {
            Found::Revision { serial, .. } => serial,
            Found::Nothing => Tid::ZERO,
        };
        let is_deleted = serial > Tid::ZERO && session.random.chance(1, 6);
        let data = format!("{oid} by {}", session.random.next_u64()).into_bytes();
        transaction.store(oid, serial, (!is_deleted).then_some(data)).await?;
    }
    transaction.commit().await.map(drop)
}

/// Undoes one recent transaction, or several, or one that never was.
async fn undo(session: &mut Session) -> Result<(), Error> {
    let mut recent = recent(session);
    if recent.is_empty() {
        return Ok(());
    }
    // The newest first: an older one may be possible to undo when it is.
    recent.truncate(1 + session.random.index(2));
    if session.random.chance(1, 20) {
        recent = vec![NEVER];
    }
    let mut transaction = session.begin().await?;
    for tid in recent {
        transaction.undo(tid).await?;
        session.hesitate().await;
    }
    transaction.commit().await.map(drop)
}

/// Some of the last transactions that changed these objects, newest first.
fn recent(session: &mut Session) -> Vec<Tid> {
    let history = session.history().borrow();
    let touches = |oid: &Oid| UNDONE.contains(&oid.get());
    let mut tids: Vec<Tid> = history
        .attempts
        .iter()
        // The opening, which made the objects of all programs, is left alone.
        .filter(|attempt| attempt.writes.keys().all(touches))
        .filter(|attempt| !attempt.undone.is_empty() || !attempt.writes.is_empty())
        .filter_map(|attempt| attempt.tid())
        .collect();
    drop(history);
    tids.sort_unstable();
    let mut recent = tids.split_off(tids.len().saturating_sub(RECENT));
    recent.retain(|_| session.random.chance(1, 2));
    recent.reverse();
    recent
}
