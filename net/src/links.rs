//! All connections of a node, without I/O.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use bytes::BytesMut;

use crate::address::Address;
use crate::closing::Closing;
use crate::codec::Limits;
use crate::connection::{CloseReason, Connection, Packet};
use crate::event::{Action, Event};
use crate::message::{ErrorCode, Message};
use crate::send_queue::SendQueue;
use crate::warnings::Complaints;

/// Bytes that may wait for a peer before nothing more is read from it.
const QUEUE_LENGTH_HIGH: usize = 16 << 20;
/// Bytes from which on its packets are read again.
const QUEUE_LENGTH_LOW: usize = 4 << 20;
/// Bytes that may wait for a peer before it is given up: what it did not ask for adds up, and
/// answers to what was read before. One answer of the greatest length fits, and as much again.
const QUEUE_LENGTH_MAX: usize = 2 << 30;

/// A connection. Never used again for another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(u64);

impl LinkId {
    /// The `number`-th connection that was accepted.
    pub const fn accepted(number: u64) -> Self {
        Self(number * 2)
    }

    const fn opened(number: u64) -> Self {
        Self(number * 2 + 1)
    }

    /// A number that is only this link's, and below 2^63.
    pub(crate) fn number(self) -> usize {
        usize::try_from(self.0).expect("addresses have 64 bits")
    }

    /// The inverse of [`Self::number`].
    pub(crate) const fn from_number(number: usize) -> Self {
        Self(number as u64)
    }

    /// Whether this side opened it.
    pub const fn is_opened_here(self) -> bool {
        self.0 % 2 == 1
    }
}

impl fmt::Debug for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.is_opened_here() { "to" } else { "from" };
        write!(f, "{side}#{}", self.0 / 2)
    }
}

/// Something that came in and is to be handled.
#[derive(Debug)]
pub enum Incoming<C> {
    /// A peer connected.
    Accepted {
        /// The new connection.
        link: LinkId,
        /// From where.
        address: Address,
    },
    /// A request, which is to be answered with this id, or a notification.
    Request {
        /// From which connection.
        link: LinkId,
        /// For the answer.
        id: u32,
        /// What it says.
        message: Message,
    },
    /// An answer, perhaps [`Message::Error`].
    Answer {
        /// From which connection.
        link: LinkId,
        /// What was noted when it was asked.
        context: C,
        /// What it says. If it is no error, it is of the kind that was asked for.
        message: Message,
    },
    /// An error that answers no request.
    Stray {
        /// From which connection.
        link: LinkId,
        /// [`Message::Error`].
        message: Message,
    },
    /// A connection ended that was not closed here; also one that could not be opened.
    Closed {
        /// Which. Nothing can be sent to it any more.
        link: LinkId,
        /// Why.
        reason: CloseReason,
        /// What will not be answered any more.
        requests: Vec<C>,
    },
}

struct Link<C> {
    connection: Connection<C>,
    address: Address,
    /// Not before it can be sent to.
    connected: bool,
    /// Close as soon as everything is sent. Nothing is told of it any more.
    closing: bool,
    /// Nothing is read, since too much waits to be sent.
    paused: bool,
    /// Nothing is read, since the owner wants it so.
    held: bool,
}

/// The connections of a node. The owner feeds it with events, handles what comes in, sends, and
/// has its actions carried out. `C` is what the owner notes of each request.
///
/// Pings are answered here, in any state. A peer that breaks the protocol is warned about here, and
/// loses its connection once what it asked before is answered.
pub struct Links<C> {
    links: BTreeMap<LinkId, Link<C>>,
    opened: u64,
    /// Links that may have whole packets.
    ready: VecDeque<LinkId>,
    incoming: VecDeque<Incoming<C>>,
    actions: VecDeque<Action>,
    /// Links that have something to send.
    dirty: BTreeSet<LinkId>,
    reconnect_delay: Duration,
    attempts: BTreeMap<Address, Duration>,
    closing: Closing,
    /// Of the monotonic clock, as far as known: for warnings, and for what is being closed.
    now: Duration,
    complaints: Complaints,
}

impl<C> Links<C> {
    /// Without any connection. An address is not connected to again before `reconnect_delay`
    /// after the last attempt.
    pub fn new(reconnect_delay: Duration) -> Self {
        Self {
            links: BTreeMap::new(),
            opened: 0,
            ready: VecDeque::new(),
            incoming: VecDeque::new(),
            actions: VecDeque::new(),
            dirty: BTreeSet::new(),
            reconnect_delay,
            attempts: BTreeMap::new(),
            closing: Closing::default(),
            now: Duration::ZERO,
            complaints: Complaints::default(),
        }
    }

    /// Tells the time of the monotonic clock: for warnings, and for peers that take no last words.
    pub fn tell_time(&mut self, now: Duration) {
        self.now = now;
        let links = &self.links;
        let stuck = self.closing.stuck(now, |link| Some(links.get(&link)?.queued()));
        for link in stuck {
            self.abort(link);
        }
    }

    /// When [`Links::tell_time`] has something to do.
    pub(crate) fn deadline(&mut self) -> Option<Duration> {
        let links = &self.links;
        self.closing.deadline(|link| Some(links.get(&link)?.queued()))
    }

    /// Opens a connection. It can be sent to at once, and the peer counts as identified: it is the
    /// owner that chose it.
    pub fn connect(&mut self, now: Duration, address: &Address) -> LinkId {
        let earliest = self.attempts.get(address).map(|last| *last + self.reconnect_delay);
        let at = earliest.map_or(now, |earliest| earliest.max(now));
        self.attempts.insert(address.clone(), at);
        self.opened += 1;
        let link = LinkId::opened(self.opened);
        self.insert(link, address.clone());
        self.identified(link);
        self.actions.push_back(Action::Connect { link, address: address.clone(), at });
        link
    }

    /// Lifts the delay of the next connection to an address.
    pub fn forget_attempt(&mut self, address: &Address) {
        self.attempts.remove(address);
    }

    /// Takes an event of a connection; all others are ignored.
    pub fn feed(&mut self, event: Event) {
        match event {
            Event::Accepted { link, address } => {
                self.insert(link, address.clone());
                self.connected(link);
                self.incoming.push_back(Incoming::Accepted { link, address });
            }
            Event::Connected { link } => self.connected(link),
            Event::Writable { link } => {
                if self.links.contains_key(&link) {
                    self.dirty.insert(link);
                }
            }
            Event::Received { link, bytes } => {
                // What comes after a connection was closed here is of no interest.
                let Some(found) = self.open(link) else { return };
                match found.connection.feed(bytes) {
                    Ok(()) => self.ready.push_back(link),
                    Err(reason) => self.fail(link, reason),
                }
            }
            Event::Closed { link, reason } => self.lose(link, CloseReason::Lost(reason)),
            Event::Timer | Event::Disk | Event::Signal(_) => {}
        }
    }

    /// The next thing to handle.
    #[expect(
        clippy::should_implement_trait,
        reason = "no iterator: the owner asks and answers between two items"
    )]
    pub fn next(&mut self) -> Option<Incoming<C>> {
        loop {
            if let Some(incoming) = self.incoming.pop_front() {
                return Some(incoming);
            }
            let link = *self.ready.front()?;
            let Some(found) = self.links.get_mut(&link).filter(|found| found.is_read()) else {
                self.ready.pop_front();
                continue;
            };
            match found.connection.next() {
                Ok(None) => {
                    self.ready.pop_front();
                }
                Ok(Some(Packet::Request { id, message: Message::Ping {} })) => {
                    self.answer(link, id, &Message::Pong {});
                }
                Ok(Some(packet)) => return Some(packet.into_incoming(link)),
                Err(reason) => {
                    self.ready.pop_front();
                    self.fail(link, reason);
                }
            }
        }
    }

    /// Sends a request; `context` comes back with its answer, or with [`Incoming::Closed`], unless
    /// that was handled already or the connection was closed here.
    pub fn ask(&mut self, link: LinkId, message: &Message, context: C) {
        if let Some(found) = self.open(link) {
            found.connection.ask(message, context);
            return self.sent(link);
        }
        let told = self.incoming.iter_mut().find_map(|incoming| match incoming {
            Incoming::Closed { link: closed, requests, .. } if *closed == link => Some(requests),
            _ => None,
        });
        if let Some(requests) = told {
            requests.push(context);
        }
    }

    /// Sends a notification.
    pub fn send(&mut self, link: LinkId, message: &Message) {
        if let Some(found) = self.open(link) {
            found.connection.send(message);
            self.sent(link);
        }
    }

    /// Sends a notification to many, encoded once.
    pub fn send_to_all(&mut self, links: impl Iterator<Item = LinkId>, message: &Message) {
        let arguments = message.arguments();
        for link in links {
            if let Some(found) = self.open(link) {
                found.connection.send_with(message, &arguments);
                self.sent(link);
            }
        }
    }

    /// Answers a request. Also sends what carries the id of the request that it serves.
    pub fn answer(&mut self, link: LinkId, id: u32, message: &Message) {
        if let Some(found) = self.open(link) {
            found.connection.send_as(id, message);
            self.sent(link);
        }
    }

    /// Refuses a request, and closes the connection where the code demands it.
    pub fn refuse(&mut self, link: LinkId, id: u32, code: ErrorCode, text: impl Into<String>) {
        self.answer(link, id, &Message::error(code, text));
        if code.closes() {
            self.close(link);
        }
    }

    /// Raises the limits of a peer that is known now.
    pub fn identified(&mut self, link: LinkId) {
        if let Some(found) = self.links.get_mut(&link) {
            found.connection.set_limits(Limits::NODE);
        }
    }

    /// Has nothing read from a connection until told otherwise: its peer has to wait.
    pub fn hold(&mut self, link: LinkId, held: bool) {
        let Some(found) = self.links.get_mut(&link) else { return };
        if found.held == held {
            return;
        }
        found.held = held;
        if !found.paused {
            self.actions.push_back(Action::Read { link, on: !held });
        }
        if !held {
            self.ready.push_back(link);
        }
    }

    /// Closes a connection when everything is sent, or at once if it is not open yet. Nothing comes
    /// from it any more, not even [`Incoming::Closed`].
    pub fn close(&mut self, link: LinkId) {
        match self.links.get_mut(&link) {
            Some(found) if found.connected => {
                if !std::mem::replace(&mut found.closing, true) {
                    self.closing.add(self.now, link, found.queued());
                }
                self.dirty.insert(link);
            }
            _ => self.abort(link),
        }
    }

    /// Closes a connection at once, whatever waits to be sent.
    pub fn abort(&mut self, link: LinkId) {
        if self.links.remove(&link).is_some() {
            self.dirty.remove(&link);
            self.actions.push_back(Action::Close { link });
        }
    }

    /// Whether a connection is there and not being closed.
    pub fn is_open(&self, link: LinkId) -> bool {
        self.links.get(&link).is_some_and(|found| !found.closing)
    }

    /// The other side's address: where it was connected to, or where it came from.
    pub fn address(&self, link: LinkId) -> Option<&Address> {
        self.links.get(&link).map(|found| &found.address)
    }

    /// What was asked on a connection and not answered yet.
    pub fn asked(&self, link: LinkId) -> impl Iterator<Item = &C> {
        self.links.get(&link).into_iter().flat_map(|found| found.connection.asked())
    }

    /// Forgets and returns what was asked: an answer then ends the connection, so this is for one
    /// that is about to be closed.
    pub fn take_asked(&mut self, link: LinkId) -> Vec<C> {
        self.links.get_mut(&link).map_or_else(Vec::new, |found| found.connection.take_asked())
    }

    /// All connections, those being closed included.
    pub fn ids(&self) -> impl Iterator<Item = LinkId> {
        self.links.keys().copied()
    }

    /// Bytes that wait to be sent on a connection.
    pub fn queued(&self, link: LinkId) -> usize {
        self.links.get(&link).map_or(0, Link::queued)
    }

    /// The next action to carry out.
    pub fn poll_action(&mut self) -> Option<Action> {
        if let Some(action) = self.actions.pop_front() {
            return Some(action);
        }
        self.dirty.pop_first().map(|link| Action::Transmit { link })
    }

    /// What is to be sent on a connection, for whoever carries out [`Action::Transmit`]; after it
    /// took something, it calls [`Links::transmitted`].
    pub fn queue(&mut self, link: LinkId) -> Option<&mut SendQueue> {
        self.links.get_mut(&link).map(|found| &mut found.connection.queue)
    }

    /// Where bytes of a connection are to be read to, at its beginning, if the current packet has a
    /// long string: what was read, split off, is then no more copied. Its contents mean nothing.
    pub(crate) fn room(&mut self, link: LinkId) -> Option<&mut BytesMut> {
        self.open(link).and_then(|found| found.connection.room())
    }

    /// Goes on after something was sent: closes, or reads again. What came before the connection
    /// was no longer read is then handled with the next event, so whoever carries out
    /// [`Action::Read`] gives [`Event::Writable`] when it is to read again.
    pub fn transmitted(&mut self, link: LinkId) {
        let Some(found) = self.links.get_mut(&link) else { return };
        let queued = found.connection.queue.length();
        if found.closing && queued == 0 {
            return self.abort(link);
        }
        if found.paused && queued <= QUEUE_LENGTH_LOW {
            found.paused = false;
            if !found.held {
                self.ready.push_back(link);
                self.actions.push_back(Action::Read { link, on: true });
            }
        }
    }

    fn insert(&mut self, link: LinkId, address: Address) {
        let connection = Connection::new();
        let (connected, closing, paused, held) = (false, false, false, false);
        self.links.insert(link, Link { connection, address, connected, closing, paused, held });
    }

    fn connected(&mut self, link: LinkId) {
        if let Some(found) = self.links.get_mut(&link) {
            found.connected = true;
            self.dirty.insert(link);
        }
    }

    fn open(&mut self, link: LinkId) -> Option<&mut Link<C>> {
        self.links.get_mut(&link).filter(|found| !found.closing)
    }

    fn sent(&mut self, link: LinkId) {
        let Some(found) = self.links.get_mut(&link) else { return };
        let queued = found.connection.queue.length();
        if queued > QUEUE_LENGTH_MAX {
            self.fail(link, CloseReason::Congested);
            return self.abort(link);
        }
        // Who asks goes on reading: two who both waited for the other one would wait for ever.
        if queued > QUEUE_LENGTH_HIGH && !found.paused && !link.is_opened_here() {
            found.paused = true;
            if !found.held {
                self.actions.push_back(Action::Read { link, on: false });
            }
        }
        self.dirty.insert(link);
    }

    /// Ends a connection for something that the peer did. What it asked before is still answered.
    fn fail(&mut self, link: LinkId, reason: CloseReason) {
        let Some(found) = self.links.get_mut(&link).filter(|found| !found.closing) else { return };
        found.closing = true;
        self.closing.add(self.now, link, found.queued());
        let requests = found.connection.take_asked();
        let address = found.address.clone();
        self.dirty.insert(link);
        self.complaints.warn(self.now, &address, &reason);
        self.incoming.push_back(Incoming::Closed { link, reason, requests });
    }

    fn lose(&mut self, link: LinkId, reason: CloseReason) {
        self.dirty.remove(&link);
        let Some(mut found) = self.links.remove(&link) else { return };
        if !found.closing {
            let requests = found.connection.take_asked();
            self.incoming.push_back(Incoming::Closed { link, reason, requests });
        }
    }
}

impl<C> Link<C> {
    fn queued(&self) -> usize {
        self.connection.queue.length()
    }

    fn is_read(&self) -> bool {
        !self.closing && !self.paused && !self.held
    }
}

impl<C> Packet<C> {
    fn into_incoming(self, link: LinkId) -> Incoming<C> {
        match self {
            Packet::Request { id, message } => Incoming::Request { link, id, message },
            Packet::Answer { context, message } => Incoming::Answer { link, context, message },
            Packet::Stray { message } => Incoming::Stray { link, message },
        }
    }
}

impl<C> fmt::Debug for Links<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.links.keys()).finish()
    }
}
