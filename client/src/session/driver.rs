//! The thread that drives the machine.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, mpsc};

use model::{Oid, Tid, Ttid};
use net::{EventLoop, Machine};

use crate::error::Error;
use crate::machine::Client;
use crate::request::{Answer, Completion, Conflict, Request, Token};

/// What the threads of the program ask of the one that drives.
pub(super) enum Command {
    Submit { request: Request, reply: Sender<Reply> },
    Subscribe(Sender<Notice>),
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
    reply: Sender<Reply>,
    /// Whose conflicts are to be told meanwhile.
    ttid: Option<Ttid>,
}

/// Where conflicts of a transaction are told.
#[derive(Default)]
struct TransactionReplies {
    /// While a request of it is carried out.
    reply: Option<Sender<Reply>>,
    /// Conflicts that are told with the next request.
    conflicts: Vec<Conflict>,
}

/// The machine and who waits for it.
pub(super) struct Driver {
    pub(super) event_loop: EventLoop,
    pub(super) client: Client,
    pub(super) commands: Receiver<Command>,
    /// Told once whether the cluster was found.
    pub(super) opening: Option<Sender<Result<(), Error>>>,
    pub(super) last_tid: Arc<AtomicU64>,
    waiting: BTreeMap<Token, Waiting>,
    transactions: BTreeMap<Ttid, TransactionReplies>,
    subscribers: Vec<Sender<Notice>>,
}

impl Driver {
    pub(super) fn new(
        event_loop: EventLoop,
        client: Client,
        commands: Receiver<Command>,
        opening: Sender<Result<(), Error>>,
        last_tid: Arc<AtomicU64>,
    ) -> Self {
        Self {
            event_loop,
            client,
            commands,
            opening: Some(opening),
            last_tid,
            waiting: BTreeMap::new(),
            transactions: BTreeMap::new(),
            subscribers: Vec::new(),
        }
    }

    /// Runs until the session is closed or nobody has it any more.
    pub(super) fn run(mut self) {
        loop {
            self.take_commands();
            self.deliver();
            if self.client.exit().is_some() {
                break;
            }
            self.event_loop.turn(&mut self.client, None);
        }
        net::drive(&mut self.event_loop, &mut self.client);
    }

    fn take_commands(&mut self) {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Submit { request, reply }) => {
                    let ttid = self.route_conflicts(&request, &reply);
                    let token = self.client.submit(net::now(), request);
                    self.waiting.insert(token, Waiting { reply, ttid });
                }
                Ok(Command::Subscribe(subscriber)) => self.subscribers.push(subscriber),
                Ok(Command::Close) | Err(mpsc::TryRecvError::Disconnected) => {
                    return self.client.close(net::now());
                }
                Err(mpsc::TryRecvError::Empty) => return,
            }
        }
    }

    /// Has the conflicts of a transaction told to whoever waits for a request of it.
    fn route_conflicts(&mut self, request: &Request, reply: &Sender<Reply>) -> Option<Ttid> {
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
            let _ = reply.send(Reply::Conflict(conflict));
        }
        transaction.reply = Some(reply.clone());
        Some(ttid)
    }

    /// Hands over what came of requests. Who does not wait any more is left alone.
    fn deliver(&mut self) {
        while let Some(completion) = self.client.poll_completion() {
            match completion {
                Completion::Done { token, result } => self.done(token, result),
                Completion::Conflict(conflict) => {
                    let Some(found) = self.transactions.get_mut(&conflict.ttid) else { continue };
                    match &found.reply {
                        Some(reply) => drop(reply.send(Reply::Conflict(conflict))),
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
        let Some(Waiting { reply, ttid }) = self.waiting.remove(&token) else { return };
        if let Some(transaction) = ttid.and_then(|ttid| self.transactions.get_mut(&ttid)) {
            transaction.reply = None;
        }
        let _ = reply.send(Reply::Done(result));
    }

    fn notify(&mut self, notice: Notice) {
        self.subscribers.retain(|subscriber| subscriber.send(notice.clone()).is_ok());
    }
}
