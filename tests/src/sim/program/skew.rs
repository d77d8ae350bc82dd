//! Write skew: two transactions that read the same two objects, and each write another one of them.

use client::Error;
use model::Oid;

use super::layout::{GUARDED, SKEW, UNGUARDED, number};
use super::session::Session;

/// Takes from one of a pair if both together have enough, and gives back if not.
pub(super) async fn round(session: &mut Session) -> Result<(), Error> {
    let is_guarded = session.random.chance(2, 3);
    let pairs = if is_guarded { GUARDED } else { UNGUARDED };
    let (first, second) = pairs[session.random.index(2)];
    let mut pair = [Oid::new(first), Oid::new(second)];
    session.random.shuffle(&mut pair);
    let mut transaction = session.begin().await?;
    let Some((serial, mine)) = session.load_newest(pair[0]).await? else { return Ok(()) };
    let Some((other_serial, other)) = session.load_newest(pair[1]).await? else { return Ok(()) };
    let (mine, other) = (value(&mine), value(&other));
    let mine = if mine + other >= SKEW { mine - SKEW } else { mine + SKEW };
    session.hesitate().await;
    transaction.store(pair[0], serial, Some(mine.to_be_bytes().to_vec())).await?;
    if is_guarded {
        transaction.check(pair[1], other_serial).await?;
    }
    transaction.commit().await.map(drop)
}

/// The number that an object of a pair is.
pub(crate) fn value(data: &[u8]) -> i64 {
    number(data).expect("it is a number").cast_signed()
}
