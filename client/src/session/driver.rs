//! The machine with its sockets, and who waits for what.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender as Channel;

use model::{Oid, Tid, Ttid};
use net::EventLoop;

use super::mailbox::Sender;
use crate::error::Error;
use crate::machine::Client;
use crate::request::{Answer, Completion, Conflict, Request, Revision, Token};

/// What the threads of the program ask of the one that drives.
pub(super) enum Command {
    Submit {
        request: Request,
        reply: Sender,
    },
    /// Loads into the cache, for nobody who waits.
    Prefetch {
        oids: Vec<Oid>,
        revision: Revision,
    },
    Subscribe(Channel<Notice>),
    Close,
}

/// What comes back.
pub(super) enum Reply {
    Done(Result<Answer, Error>),
    /// Of a transaction, at any time.
    Conflict(Conflict),
}

/// Something that a program is told without asking, in an order that means something: what was
/// invalidated is told before anything later is loaded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// A transaction was committed, perhaps by this session.
    Invalidated {
        /// Its id.
        tid: Tid,
        /// What it changed.
        oids: Vec<Oid>,
        /// What it was begun as, if by this session.
        ttid: Option<Ttid>,
    },
    /// The primary master was found again: anything may have changed.
    Connected {
        /// The last committed transaction.
        last_tid: Tid,
    },
    /// The primary master was lost, and is looked for.
    Disconnected,
}

/// Who waits for a request to be carried out.
struct Waiting {
    reply: Sender,
    /// Whose conflicts are to be told meanwhile.
    ttid: Option<Ttid>,
}

/// Where conflicts of a transaction are told.
#[derive(Default)]
struct TransactionReplies {
    /// While a request of it is carried out.
    reply: Option<Sender>,
    /// Conflicts that are told with the next request.
    conflicts: Vec<Conflict>,
}

/// The machine and who waits for it.
pub(super) struct Driver {
    pub(super) event_loop: EventLoop,
    pub(super) client: Client,
    /// Told once whether the cluster was found.
    pub(super) opening: Option<Channel<Result<(), Error>>>,
    pub(super) last_tid: Arc<AtomicU64>,
    waiting: BTreeMap<Token, Waiting>,
    transactions: BTreeMap<Ttid, TransactionReplies>,
    subscribers: Vec<Channel<Notice>>,
    ahead: Ahead,
}

/// Loads that nobody waits for: so many at a time that others have their turn.
#[derive(Default)]
struct Ahead {
    wanted: VecDeque<(Oid, Revision)>,
    /// How many are on their way.
    asked: usize,
}

/// Loads that nobody waits for, on their way at once.
const AHEAD_MAX: usize = 256;
/// How many of them are left when more are asked for: to send few requests at a time takes client
/// and storage about as long as to send many.
const AHEAD_LOW: usize = AHEAD_MAX / 2;

impl Driver {
    pub(super) fn new(
        event_loop: EventLoop,
        client: Client,
        opening: Channel<Result<(), Error>>,
        last_tid: Arc<AtomicU64>,
    ) -> Self {
        Self {
            event_loop,
            client,
            opening: Some(opening),
            last_tid,
            waiting: BTreeMap::new(),
            transactions: BTreeMap::new(),
            subscribers: Vec::new(),
            ahead: Ahead::default(),
        }
    }

    pub(super) fn carry_out(&mut self, command: Command) {
        match command {
            Command::Submit { request, reply } => {
                let ttid = self.route_conflicts(&request, &reply);
                let token = self.client.submit(net::now(), request);
                self.waiting.insert(token, Waiting { reply, ttid });
            }
            Command::Prefetch { oids, revision } => {
                self.ahead.wanted.extend(oids.into_iter().map(|oid| (oid, revision)));
            }
            Command::Subscribe(subscriber) => self.subscribers.push(subscriber),
            Command::Close => self.client.close(net::now()),
        }
    }

    /// Has the conflicts of a transaction told to whoever waits for a request of it.
    fn route_conflicts(&mut self, request: &Request, reply: &Sender) -> Option<Ttid> {
        let ttid = match *request {
            Request::Store { ttid, .. }
            | Request::Check { ttid, .. }
            | Request::Undo { ttid, .. }
            | Request::Vote { ttid, .. } => ttid,
            Request::Abort { ttid } | Request::Finish { ttid } => {
                self.transactions.remove(&ttid);
                return None;
            }
            _ => return None,
        };
        let transaction = self.transactions.entry(ttid).or_default();
        for conflict in transaction.conflicts.drain(..) {
            reply.send(Reply::Conflict(conflict));
        }
        transaction.reply = Some(reply.clone());
        Some(ttid)
    }

    /// Whether somebody waits, and there is only one answer to wait for.
    pub(super) fn awaits_one_answer(&self) -> bool {
        !self.waiting.is_empty() && !self.client.awaits_several()
    }

    /// Hands over what came of requests. Who does not wait any more is left alone.
    pub(super) fn deliver(&mut self) {
        self.hand_over();
        while self.load_ahead() {
            self.hand_over();
        }
    }

    /// Whether there was something to ask for.
    fn load_ahead(&mut self) -> bool {
        if self.ahead.asked > AHEAD_LOW || self.ahead.wanted.is_empty() {
            return false;
        }
        let count = self.ahead.wanted.len().min(AHEAD_MAX - self.ahead.asked);
        let now = net::now();
        for (oid, revision) in self.ahead.wanted.drain(..count) {
            self.client.submit(now, Request::Load { oid, revision });
        }
        self.ahead.asked += count;
        true
    }

    fn hand_over(&mut self) {
        while let Some(completion) = self.client.poll_completion() {
            match completion {
                Completion::Done { token, result } => self.done(token, result),
                Completion::Conflict(conflict) => {
                    let Some(found) = self.transactions.get_mut(&conflict.ttid) else { continue };
                    match &found.reply {
                        Some(reply) => reply.send(Reply::Conflict(conflict)),
                        None => found.conflicts.push(conflict),
                    }
                }
                Completion::Invalidated { tid, oids, ttid } => {
                    self.notify(Notice::Invalidated { tid, oids, ttid });
                    self.last_tid.fetch_max(tid.get(), Ordering::Release);
                }
                Completion::Connected { last_tid } => {
                    self.notify(Notice::Connected { last_tid });
                    self.last_tid.store(last_tid.get(), Ordering::Release);
                    if let Some(opening) = self.opening.take() {
                        let _ = opening.send(Ok(()));
                    }
                }
                Completion::Disconnected => self.notify(Notice::Disconnected),
                Completion::Unreachable(error) => {
                    if let Some(opening) = self.opening.take() {
                        let _ = opening.send(Err(error));
                    }
                }
                Completion::Refused { master, text } => {
                    if let Some(opening) = self.opening.take() {
                        let _ = opening.send(Err(Error::Refused { master, text }));
                    }
                }
            }
        }
    }

    fn done(&mut self, token: Token, result: Result<Answer, Error>) {
        let Some(Waiting { reply, ttid }) = self.waiting.remove(&token) else {
            // Nobody waits for what is loaded ahead, and for nothing else.
            self.ahead.asked -= 1;
            return;
        };
        if let Some(transaction) = ttid.and_then(|ttid| self.transactions.get_mut(&ttid)) {
            transaction.reply = None;
        }
        reply.send(Reply::Done(result));
    }

    fn notify(&mut self, notice: Notice) {
        self.subscribers.retain(|subscriber| subscriber.send(notice.clone()).is_ok());
    }
}
