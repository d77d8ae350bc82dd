//! How long requests wait for a primary master.

use std::time::Duration;

use crate::error::Error;
use crate::load::ReadState;
use crate::machine::Client;
use crate::note::{Asked, MasterRequest};
use crate::request::Completion;

/// Whether the client still waits for a primary master.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Patience {
    /// There is one, or it is waited for without a limit.
    #[default]
    Endless,
    /// One has to be found until then.
    Until(Duration),
    /// None was found in time: what needs one fails.
    Over,
}

impl Client {
    /// Begins to wait, if it has not begun before.
    pub(super) fn be_patient(&mut self) {
        if let (Some(limit), Patience::Endless) =
            (self.options.master_timeout, self.master.patience)
        {
            self.master.patience = Patience::Until(self.now.monotonic + limit);
        }
    }

    /// When there is something to fail.
    pub(crate) fn patience_deadline(&self) -> Option<Duration> {
        match self.master.patience {
            Patience::Endless => None,
            Patience::Until(limit) => Some(limit),
            Patience::Over => self.is_waiting().then_some(Duration::ZERO),
        }
    }

    /// Fails what waits for a primary master, if it did so for long enough.
    pub(crate) fn lose_patience(&mut self) {
        match self.master.patience {
            Patience::Until(limit) if limit <= self.now.monotonic => {
                self.master.patience = Patience::Over;
                self.tell(Completion::Unreachable(self.no_master()));
            }
            Patience::Over => {}
            Patience::Endless | Patience::Until(_) => return,
        }
        let error = self.no_master();
        for request in std::mem::take(&mut self.master.requests) {
            if let MasterRequest::Outcome { ttid } = request {
                self.outcome_unknown(ttid);
            } else if let Some(token) = Asked::from(request).token() {
                self.complete(token, Err(error.clone()));
            }
        }
        let waiting = self.reads.iter().filter(|(_, read)| is_waiting(read.state));
        for id in waiting.map(|(id, _)| id).collect::<Vec<_>>() {
            self.read_done(id, Err(error.clone()));
        }
        for token in std::mem::take(&mut self.walks).into_keys() {
            self.complete(token, Err(error.clone()));
        }
    }

    fn is_waiting(&self) -> bool {
        !self.master.requests.is_empty()
            || !self.walks.is_empty()
            || self.reads.iter().any(|(_, read)| is_waiting(read.state))
    }

    fn no_master(&self) -> Error {
        Error::NoMaster {
            masters: self.options.masters.clone(),
            waited_s: self.options.master_timeout.map_or(0, |limit| limit.as_secs()),
            reason: self.master.refusal.clone(),
        }
    }
}

/// `WaitsForTable` is a request to the primary master, which is lost or waits too.
fn is_waiting(state: ReadState) -> bool {
    matches!(state, ReadState::WaitsForMaster | ReadState::WaitsForTable)
}
