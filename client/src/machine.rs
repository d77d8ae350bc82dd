//! The client as a machine.

mod submit;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use model::{Now, PartitionTable, Random, Tid, Ttid};
use net::{Event, Incoming, Links, Machine, NodeTable, Signal};

use crate::cache::Cache;
use crate::commit::Transaction;
use crate::error::Error;
use crate::load::Reads;
use crate::master::Master;
use crate::note::{Asked, Note};
use crate::options::ClientOptions;
use crate::request::{Answer, Completion, Token};
use crate::storage::Storages;
use crate::walk::Walk;

/// A client of a cluster, without I/O.
///
/// Requests are submitted at any time and wait until the primary master is found. What comes of
/// them is polled, in an order that means something (see [`Completion`]).
///
/// Reads go to one readable cell of the partition, any of them, and to another one, or by a newer
/// table, if that fails. Writes go to all cells, each over the one connection that the transaction
/// has to that storage: if it is lost, the storage has failed for the transaction, and the primary
/// master decides at the vote whether the cluster can do without it.
///
/// A transaction that fails is aborted at once everywhere; what is asked of it afterwards gives the
/// same error, until it is aborted here too. One whose outcome is not known is asked about until it
/// is.
pub struct Client {
    pub(crate) options: ClientOptions,
    pub(crate) now: Now,
    pub(crate) random: Random,
    pub(crate) links: Links<Note>,
    pub(crate) master: Master,
    pub(crate) nodes: NodeTable,
    pub(crate) table: Option<PartitionTable>,
    pub(crate) last_tid: Option<Tid>,
    pub(crate) storages: Storages,
    pub(crate) cache: Option<Arc<Cache>>,
    pub(crate) reads: Reads,
    pub(crate) walks: BTreeMap<Token, Walk>,
    pub(crate) transactions: BTreeMap<Ttid, Transaction>,
    /// What was asked on connections that are gone.
    pub(crate) lost: VecDeque<Asked>,
    completions: VecDeque<Completion>,
    tokens: u64,
    closed: bool,
}

impl Client {
    /// Begins to look for the primary master.
    ///
    /// # Panics
    /// If the options name no master.
    pub fn new(options: ClientOptions, now: Now) -> Self {
        let cache = (options.cache_bytes > 0).then(|| Arc::new(Cache::new(options.cache_bytes)));
        let mut client = Self {
            now,
            random: Random::from_seed(options.seed),
            links: Links::new(options.reconnect_delay),
            master: Master::new(&options),
            options,
            nodes: NodeTable::default(),
            table: None,
            last_tid: None,
            storages: Storages::default(),
            cache,
            reads: Reads::default(),
            walks: BTreeMap::new(),
            transactions: BTreeMap::new(),
            lost: VecDeque::new(),
            completions: VecDeque::new(),
            tokens: 0,
            closed: false,
        };
        client.search_master();
        client
    }

    /// What came of requests, and what a caller should know besides.
    pub fn poll_completion(&mut self) -> Option<Completion> {
        self.completions.pop_front()
    }

    /// The last transaction that the client was told of; `None` before it found the primary master.
    pub fn last_tid(&self) -> Option<Tid> {
        self.last_tid
    }

    /// Whether several answers are on their way: they may come together.
    pub(crate) fn awaits_several(&self) -> bool {
        self.links.ids().flat_map(|link| self.links.asked(link)).nth(1).is_some()
    }

    /// Ends: aborts all transactions, answers all requests with [`Error::Closed`].
    pub fn close(&mut self, now: Now) {
        self.now = now;
        if self.closed {
            return;
        }
        self.closed = true;
        if let Some(cache) = &self.cache {
            cache.clear();
        }
        let ttids: Vec<_> = self.transactions.keys().copied().collect();
        for ttid in ttids {
            self.doom(ttid, Error::Closed);
        }
        self.transactions.clear();
        let links: Vec<_> = self.links.ids().collect();
        for link in links {
            self.lost.extend(self.links.take_asked(link).into_iter().map(|note| note.0));
            self.links.close(link);
        }
        self.master.requests.drain(..).for_each(|request| self.lost.push_back(request.into()));
        self.storages.take_waiting(&mut self.lost);
        while let Some(asked) = self.lost.pop_front() {
            if let Some(token) = asked.token() {
                self.complete(token, Err(Error::Closed));
            }
        }
        for token in std::mem::take(&mut self.reads).tokens().chain(self.walks.keys().copied()) {
            self.completions.push_back(Completion::Done { token, result: Err(Error::Closed) });
        }
        self.walks.clear();
    }

    /// Panics if an invariant does not hold.
    pub fn invariants(&self) {
        self.storages.invariants();
        self.reads.invariants();
        let flights = self.cache.as_ref().map_or(0, |cache| cache.flights());
        assert!(flights <= self.reads.len(), "the cache waits for loads that go on");
        for (ttid, transaction) in &self.transactions {
            assert_eq!(*ttid, transaction.ttid, "transactions are found by their ids");
            transaction.invariants();
        }
        assert!(self.lost.is_empty(), "what was lost is handled before an event ends");
    }

    pub(crate) fn complete(&mut self, token: Token, result: Result<Answer, Error>) {
        self.completions.push_back(Completion::Done { token, result });
    }

    pub(crate) fn tell(&mut self, completion: Completion) {
        self.completions.push_back(completion);
    }

    /// Handles all that came in or was lost, and what follows from it.
    fn run(&mut self) {
        loop {
            if let Some(asked) = self.lost.pop_front() {
                self.request_lost(asked);
            } else if let Some(incoming) = self.links.next() {
                self.incoming(incoming);
            } else {
                break;
            }
        }
    }

    fn incoming(&mut self, incoming: Incoming<Note>) {
        match incoming {
            Incoming::Accepted { link, .. } => self.links.abort(link),
            Incoming::Request { link, id, message } => match self.master.is_link(link) {
                true => self.master_notified(link, id, message),
                false => self.storage_notified(link, id, message),
            },
            Incoming::Answer { link, context, message } => match self.master.is_link(link) {
                true => self.master_answered(context.0, message),
                false => self.storage_answered(link, context.0, message),
            },
            Incoming::Stray { link, message } => match self.master.is_link(link) {
                true => self.master_strayed(message),
                false => tracing::warn!(?link, ?message, "a storage reports an error"),
            },
            Incoming::Closed { link, reason, requests } => {
                self.lost.extend(requests.into_iter().map(|note| note.0));
                match self.master.is_link(link) {
                    true => self.master_lost(&reason),
                    false => self.storage_lost(link, &reason.to_string()),
                }
            }
        }
    }

    /// A request that will not be answered any more.
    fn request_lost(&mut self, asked: Asked) {
        match asked {
            Asked::Bootstrap | Asked::Joining | Asked::Identification => {}
            Asked::Master(request) => self.master_request_lost(request),
            Asked::Read(read) => self.read_failed(read, "the connection was lost".to_owned()),
            Asked::NewestTids { token, nid } => self.newest_tids_lost(token, nid),
            // The loss of the connection was the transaction's already.
            Asked::Write { .. } | Asked::Relock { .. } | Asked::Vote { .. } => {}
        }
    }
}

impl Machine for Client {
    type Context = Note;
    type Exit = ();

    fn handle(&mut self, now: Now, event: Event) {
        self.now = now;
        if matches!(event, Event::Signal(Signal::Terminate)) {
            self.close(now);
        }
        self.links.feed(event);
        if self.closed {
            while self.links.next().is_some() {}
            return;
        }
        self.wake_reads();
        self.lose_patience();
        self.run();
        if cfg!(debug_assertions) {
            self.invariants();
        }
    }

    fn invariants(&self) {
        Self::invariants(self);
    }

    fn links(&mut self) -> &mut Links<Note> {
        &mut self.links
    }

    fn deadline(&self) -> Option<Duration> {
        if self.closed {
            return None;
        }
        [self.reads.deadline(), self.patience_deadline()].into_iter().flatten().min()
    }

    fn exit(&mut self) -> Option<()> {
        self.closed.then_some(())
    }
}
