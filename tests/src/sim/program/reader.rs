//! Loads revisions of all times, of all objects.

use client::{Error, Revision};
use model::Tid;

use super::session::{Session, following};

/// Loads at a time, one after the other.
const LOADS_MAX: u64 = 12;

/// Loads some revisions.
pub(super) async fn round(session: &mut Session) -> Result<(), Error> {
    if session.random.chance(1, 6) {
        session.synchronize().await?;
    }
    let Some(tid) = some_tid(session) else { return Ok(()) };
    for _ in 0..=session.random.below(LOADS_MAX) {
        let Some(oid) = session.some_oid() else { continue };
        let revision = match session.random.below(4) {
            0 => Revision::At(tid),
            1 => Revision::Newest,
            _ => Revision::Before(following(tid)),
        };
        session.load(oid, revision).await?;
    }
    Ok(())
}

/// A tid that somebody was told is committed: any, or the last one, of which this client may not
/// have heard yet.
fn some_tid(session: &mut Session) -> Option<Tid> {
    match session.random.below(3) {
        0 => session.history().borrow().last_acknowledged(),
        1 => Some(session.last_tid()),
        _ => session.some_tid(),
    }
}
