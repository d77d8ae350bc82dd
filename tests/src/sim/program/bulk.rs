//! New objects: many at once, large ones, none at all.

use std::time::Duration;

use client::Error;
use model::Tid;

use super::session::Session;

/// Most objects of a transaction of many.
const OBJECTS_MAX: u32 = 300;
/// Most objects of a huge one: more than anybody does at once, or has open.
const HUGE_MAX: u32 = 4_000;
/// Time between huge ones. Whoever checks after each event whether what is locked is right takes
/// long with them.
const HUGE_REST: Duration = Duration::from_secs(20);
/// Most bytes of a large object.
const LENGTH_MAX: usize = 200_000;

/// Commits something new.
pub(super) async fn round(session: &mut Session) -> Result<(), Error> {
    match session.random.below(8) {
        0 => some(session, OBJECTS_MAX, 100).await,
        1 => some(session, 2, LENGTH_MAX).await,
        2 => nothing(session).await,
        // What is not stored is never given out again all the same.
        3 => session.new_oids(5).await.map(drop),
        _ => some(session, 5, 300).await,
    }
}

/// Commits more new objects than others ever do.
pub(super) async fn huge_round(session: &mut Session) -> Result<(), Error> {
    session.pause(HUGE_REST).await;
    if session.history().borrow().has_ended() {
        return Ok(());
    }
    some(session, HUGE_MAX, 20).await
}

async fn some(session: &mut Session, count_max: u32, length_max: usize) -> Result<(), Error> {
    let count = 1 + u32::try_from(session.random.below(count_max.into())).expect("a small number");
    let oids = session.new_oids(count).await?;
    let mut transaction = session.begin().await?;
    for oid in oids {
        let length = session.random.index(length_max + 1);
        let data = match session.random.chance(1, 2) {
            true => session.random.bytes(length),
            // It gets shorter when it is compressed.
            false => format!("{oid} ").into_bytes().repeat(length / 17 + 1),
        };
        transaction.store(oid, Tid::ZERO, Some(data)).await?;
    }
    session.hesitate().await;
    transaction.commit().await.map(drop)
}

/// A transaction that changes nothing has a tid all the same.
async fn nothing(session: &mut Session) -> Result<(), Error> {
    let transaction = session.begin().await?;
    transaction.commit().await.map(drop)
}
