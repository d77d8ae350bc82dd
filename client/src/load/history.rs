//! Histories: no revision in them is later than what the caller sees.
//!
//! Storages count from the newest revision they have, which the caller may not see yet. So what is
//! later is left out here, and as many others are asked for.

use model::{Oid, Tid};
use net::Message;

use super::reads::{Place, Purpose};
use crate::error::Error;
use crate::machine::Client;
use crate::request::{Answer, Token};

/// Revisions that are asked for at once.
const LENGTH_MAX: u64 = 4096;

/// A history that is being read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct History {
    pub(crate) token: Token,
    pub(crate) oid: Oid,
    /// What is at or above it is not seen; the last tid when the first answer comes, if not told.
    before: Option<Tid>,
    first: u64,
    last: u64,
    /// How many revisions storages told of.
    offset: u64,
    /// Those that are seen.
    found: Vec<(Tid, u64)>,
}

impl History {
    fn length(&self) -> u64 {
        (self.last - self.found.len() as u64).min(LENGTH_MAX)
    }

    fn message(&self) -> Message {
        let (first, last) = (self.offset, self.offset.saturating_add(self.length()));
        Message::AskObjectHistory { oid: self.oid, first, last }
    }

    /// Takes what comes next. Whether that is all.
    fn take(&mut self, revisions: &[(Tid, u64)], before: Tid) -> bool {
        let is_end = (revisions.len() as u64) < self.length();
        self.offset += revisions.len() as u64;
        for revision in revisions {
            // There may be newer ones since the last answer, so that some come again.
            let bound = self.found.last().map_or(before, |(tid, _)| *tid);
            if revision.0 < bound {
                self.found.push(*revision);
            }
        }
        is_end || self.found.len() as u64 >= self.last
    }

    fn finish(self) -> Result<Answer, Error> {
        if self.found.is_empty() {
            return Err(Error::NoSuchObject { oid: self.oid });
        }
        let [first, count] = [self.first, self.last - self.first]
            .map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        Ok(Answer::History(self.found.into_iter().skip(first).take(count).collect()))
    }
}

impl Client {
    pub(crate) fn history(
        &mut self,
        token: Token,
        oid: Oid,
        before: Option<Tid>,
        (first, last): (u64, u64),
    ) {
        if first >= last {
            return self.complete(token, Ok(Answer::History(Vec::new())));
        }
        let (offset, found) = (0, Vec::new());
        self.ask_history(History { token, oid, before, first, last, offset, found });
    }

    fn ask_history(&mut self, history: History) {
        let (oid, message) = (history.oid, history.message());
        self.read(Purpose::History(Box::new(history)), Place::Oid(oid), message);
    }

    pub(super) fn history_done(&mut self, mut history: History, result: Result<Message, Error>) {
        let token = history.token;
        let revisions = match result {
            Ok(Message::AnswerObjectHistory { revisions, .. }) => revisions,
            // There were as many as were asked for before.
            Err(Error::NoSuchObject { .. }) if history.offset > 0 => Vec::new(),
            Ok(message) => super::answers::wrong(&message),
            Err(error) => return self.complete(token, Err(error)),
        };
        let newest = self.newest_bound().unwrap_or(Tid::MAX);
        let before = *history.before.get_or_insert(newest);
        match history.take(&revisions, before) {
            true => self.complete(token, history.finish()),
            false => self.ask_history(history),
        }
    }
}
