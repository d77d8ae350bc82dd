//! Lists transactions, objects and revisions, while others commit.

use client::{Answer, Error, OidCursor, Request, TransactionCursor, TransactionInformation};
use model::{Oid, Tid};

use super::session::{Session, wrong};
use crate::sim::history::Walked;

/// Most items that are asked for at once.
const COUNT_MAX: usize = 200;
/// Most of the newest ones that are asked for.
const NEWEST_MAX: u64 = 30;

/// Lists something.
pub(super) async fn round(session: &mut Session) -> Result<(), Error> {
    match session.random.below(6) {
        0..=2 => transactions(session).await,
        3 => objects(session).await,
        4 => undo_log(session).await,
        _ => revisions(session).await,
    }
}

async fn transactions(session: &mut Session) -> Result<(), Error> {
    // From the beginning it takes long.
    let tid_min = match session.random.below(16) {
        0 => Tid::ZERO,
        1 => session.some_tid().unwrap_or_default(),
        _ => session.recent_tid().unwrap_or_default(),
    };
    let (first, mut found) = (session.last_tid(), Vec::new());
    let mut next = Some(TransactionCursor::new(tid_min, None));
    while let Some(cursor) = next {
        let count_max = 1 + session.random.index(COUNT_MAX);
        match session.ask(Request::Transactions { cursor, count_max }).await? {
            Answer::Transactions(page, cursor) => {
                found.extend(page.iter().map(|one| (one.tid, name(one), one.oids.clone())));
                next = cursor;
            }
            answer => wrong(&answer),
        }
        session.hesitate().await;
    }
    session.walked(first, Walked::Transactions { tid_min, found });
    Ok(())
}

async fn objects(session: &mut Session) -> Result<(), Error> {
    let Some(tid) = session.some_tid() else { return Ok(()) };
    let tid = tid.min(session.last_tid());
    let (first, mut found) = (session.last_tid(), Vec::new());
    let mut next = Some(OidCursor::new(Oid::ZERO, Some(tid)));
    while let Some(cursor) = next {
        let count_max = 1 + session.random.index(COUNT_MAX);
        match session.ask(Request::Oids { cursor, count_max }).await? {
            Answer::Oids(page, cursor) => {
                found.extend(page);
                next = cursor;
            }
            answer => wrong(&answer),
        }
    }
    session.walked(first, Walked::Oids { tid, found });
    Ok(())
}

async fn undo_log(session: &mut Session) -> Result<(), Error> {
    let (first, last) = (session.last_tid(), 1 + session.random.below(NEWEST_MAX));
    match session.ask(Request::UndoLog { before: None, first: 0, last }).await? {
        Answer::UndoLog(page) => {
            let found = page.iter().map(|one| (one.tid, name(one))).collect();
            session.walked(first, Walked::UndoLog { count: count(last), found });
            Ok(())
        }
        answer => wrong(&answer),
    }
}

async fn revisions(session: &mut Session) -> Result<(), Error> {
    let Some(oid) = session.some_oid() else { return Ok(()) };
    let (first, last) = (session.last_tid(), 1 + session.random.below(NEWEST_MAX));
    let found = match session.ask(Request::History { oid, before: None, first: 0, last }).await {
        Ok(Answer::History(found)) => found,
        Ok(answer) => wrong(&answer),
        Err(Error::NoSuchObject { .. }) => Vec::new(),
        Err(error) => return Err(error),
    };
    session.walked(first, Walked::Revisions { oid, count: count(last), found });
    Ok(())
}

fn name(information: &TransactionInformation) -> String {
    String::from_utf8_lossy(&information.metadata.description).into_owned()
}

fn count(number: u64) -> usize {
    usize::try_from(number).expect("a small number")
}
