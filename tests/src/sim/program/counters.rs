//! Counters: one is counted up while another one is checked to stay what it was.

use client::Error;

use super::layout::{COUNTERS, counter, oids, read_counter};
use super::session::Session;

/// Counts one up, with the value of another one beside it.
pub(super) async fn round(session: &mut Session) -> Result<(), Error> {
    let mut counters: Vec<_> = oids(COUNTERS).collect();
    session.random.shuffle(&mut counters);
    let (counted, other) = (counters[0], counters[1]);
    let mut transaction = session.begin().await?;
    let Some((other_serial, other_data)) = session.load_newest(other).await? else { return Ok(()) };
    let Some((serial, data)) = session.load_newest(counted).await? else { return Ok(()) };
    let (Some((value, ..)), Some((other_value, ..))) =
        (read_counter(&data), read_counter(&other_data))
    else {
        panic!("counters have values: {data:?}, {other_data:?}");
    };
    let is_checked_first = session.random.chance(1, 2);
    if is_checked_first {
        transaction.check(other, other_serial).await?;
        session.hesitate().await;
    }
    transaction.store(counted, serial, Some(counter(value + 1, other, other_value))).await?;
    if !is_checked_first {
        session.hesitate().await;
        transaction.check(other, other_serial).await?;
    }
    transaction.commit().await.map(drop)
}
