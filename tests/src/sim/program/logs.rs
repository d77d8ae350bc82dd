//! Logs: entries are appended, and conflicts resolved by appending behind those of others.

use client::Error;

use super::layout::{ENTRIES_MAX, LOGS, oids};
use super::session::Session;

/// Appends to one or two logs.
pub(super) async fn round(session: &mut Session) -> Result<(), Error> {
    let mut logs: Vec<_> = oids(LOGS).collect();
    session.random.shuffle(&mut logs);
    logs.truncate(1 + session.random.index(2));
    let mut transaction = session.begin().await?;
    transaction.merge_by(merge);
    for log in logs {
        let Some((serial, data)) = session.load_newest(log).await? else { return Ok(()) };
        session.hesitate().await;
        transaction.store(log, serial, Some(append(&data, session.random.next_u64()))).await?;
    }
    transaction.vote().await?;
    session.hesitate().await;
    transaction.finish().await.map(drop)
}

/// A log with an entry more, and without the oldest one if it has too many.
pub(crate) fn append(log: &[u8], entry: u64) -> Vec<u8> {
    let mut log = log.to_vec();
    log.extend(entry.to_be_bytes());
    let excess = log.len().saturating_sub(8 * ENTRIES_MAX);
    log.split_off(excess)
}

/// Appends behind what was committed, whatever the entry was appended to before.
fn merge(_: &[u8], committed: &[u8], new: &[u8]) -> Vec<u8> {
    let entry = new.last_chunk().expect("something was appended");
    append(committed, u64::from_be_bytes(*entry))
}
