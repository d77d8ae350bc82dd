//! Where a program leaves its requests, and finds what came of them.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use client::{Answer, Conflict, Error, Request};
use model::{Tid, Ttid};

/// Names a request of a program.
pub(super) type Ticket = u64;

/// What a program hears while it waits for the answer to a request of a transaction.
pub(super) enum Heard {
    Answer(Result<Answer, Error>),
    Conflict(Conflict),
}

/// Requests of a program on their way to its client, and what came of them.
#[derive(Default)]
pub(super) struct Desk {
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    tickets: Ticket,
    requests: VecDeque<(Ticket, Request)>,
    answers: BTreeMap<Ticket, Result<Answer, Error>>,
    /// Requests whose answers nobody waits for.
    forgotten: Vec<Ticket>,
    conflicts: BTreeMap<Ttid, VecDeque<Conflict>>,
    now: Duration,
    wake_at: Option<Duration>,
    last_tid: Option<Tid>,
    /// The last transaction that the program knows it has committed.
    committed: Tid,
}

impl Desk {
    /// The program knows that it has committed a transaction.
    pub(super) fn commits(&self, tid: Tid) {
        let mut state = self.state.borrow_mut();
        state.committed = state.committed.max(tid);
    }

    /// The last transaction that the program knows it has committed; zero if there is none.
    pub(super) fn committed(&self) -> Tid {
        self.state.borrow().committed
    }

    /// The last transaction that the client was told of; zero before it found a master.
    pub(super) fn last_tid(&self) -> Tid {
        self.state.borrow().last_tid.unwrap_or_default()
    }

    /// Asks the client for something. The answer is to be waited for.
    pub(super) fn ask(&self, request: Request) -> Ticket {
        let mut state = self.state.borrow_mut();
        state.tickets += 1;
        let ticket = state.tickets;
        state.requests.push_back((ticket, request));
        ticket
    }

    /// Asks for something whose answer does not matter.
    pub(super) fn ask_in_passing(&self, request: Request) {
        let ticket = self.ask(request);
        self.state.borrow_mut().forgotten.push(ticket);
    }

    /// Waits until the client has found a master.
    pub(super) async fn connected(&self) {
        poll_fn(|_| match self.state.borrow().last_tid {
            Some(_) => Poll::Ready(()),
            None => Poll::Pending,
        })
        .await;
    }

    /// Waits for an answer.
    pub(super) async fn answer(&self, ticket: Ticket) -> Result<Answer, Error> {
        let take = || self.state.borrow_mut().answers.remove(&ticket);
        poll_fn(|_| take().map_or(Poll::Pending, Poll::Ready)).await
    }

    /// Waits for an answer, or for a conflict of a transaction, which comes first.
    pub(super) async fn hear(&self, ticket: Ticket, ttid: Ttid) -> Heard {
        poll_fn(|_| {
            let mut state = self.state.borrow_mut();
            let conflict = state.conflicts.get_mut(&ttid).and_then(VecDeque::pop_front);
            if let Some(conflict) = conflict {
                return Poll::Ready(Heard::Conflict(conflict));
            }
            match state.answers.remove(&ticket) {
                Some(answer) => Poll::Ready(Heard::Answer(answer)),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// Waits until a moment of the monotonic clock.
    pub(super) async fn wait_until(&self, moment: Duration) {
        poll_fn(|_| {
            let mut state = self.state.borrow_mut();
            let is_over = state.now >= moment;
            state.wake_at = (!is_over).then_some(moment);
            if is_over { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// The monotonic clock.
    pub(super) fn now(&self) -> Duration {
        self.state.borrow().now
    }

    /// Nothing more is heard of a transaction.
    pub(super) fn forget(&self, ttid: Ttid) {
        self.state.borrow_mut().conflicts.remove(&ttid);
    }

    /// When the program wants to go on although nothing happened.
    pub(super) fn wake_at(&self) -> Option<Duration> {
        self.state.borrow().wake_at
    }

    /// What is so as of an event of the client.
    pub(super) fn set_present(&self, now: Duration, last_tid: Option<Tid>) {
        let mut state = self.state.borrow_mut();
        state.now = now;
        state.last_tid = last_tid;
    }

    /// The next request for the client.
    pub(super) fn take_request(&self) -> Option<(Ticket, Request)> {
        self.state.borrow_mut().requests.pop_front()
    }

    /// What came of a request.
    pub(super) fn answered(&self, ticket: Ticket, result: Result<Answer, Error>) {
        let mut state = self.state.borrow_mut();
        match state.forgotten.iter().position(|forgotten| *forgotten == ticket) {
            Some(index) => drop(state.forgotten.swap_remove(index)),
            None => drop(state.answers.insert(ticket, result)),
        }
    }

    /// A transaction has a conflict.
    pub(super) fn conflicting(&self, conflict: Conflict) {
        let mut state = self.state.borrow_mut();
        state.conflicts.entry(conflict.ttid).or_default().push_back(conflict);
    }
}
