//! The world of a machine: sockets, files, signals and clocks, on one thread.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use mio::net::{TcpListener, TcpStream, UnixStream};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use model::Now;
use socket2::SockRef;

use crate::address::Address;
use crate::clock;
use crate::event::{Action, Event, Machine, Signal};
use crate::links::{LinkId, Links};
use crate::resolver::Resolver;
use crate::signals::Signals;
use crate::sockets;
use crate::stalls::Stalls;
use crate::warnings::WarningLimit;

/// Events that are taken from the system at once.
const EVENTS_MAX: usize = 256;
/// Bytes that are read at once from one connection, before the others have their turn: hundreds
/// of small requests, which take about a millisecond.
const READ_LENGTH: usize = 16 << 10;
/// The same, of one long string: there is little to do with it but to sum it up.
const READ_LENGTH_LARGE: usize = 256 << 10;
/// A buffer that several reads share: what one does not fill is the next one's.
const BUFFER_LENGTH: usize = 64 << 10;
/// What is read up to this length is copied out of that buffer: a few bytes that stay somewhere
/// should not keep all of it.
const COPIED_LENGTH_MAX: usize = 1 << 10;
/// Bytes that are written at once to one connection.
const WRITE_LENGTH_MAX: usize = 1 << 20;
/// Buffers that are written at once: as many as the system takes without an allocation of its own
/// is 8, and the most it takes is 1024.
const WRITE_SLICES: usize = 64;
/// Connections that are accepted before others have their turn.
const ACCEPTS_MAX: usize = 64;
/// Connections that are accepted and open. One more is closed at once.
const ACCEPTED_OPEN_MAX: usize = 16 << 10;
/// How long nothing is accepted after the system had no descriptor or memory left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// How long a connection that was closed here waits for the peer to close it too. If it were closed
/// while something comes in, the system would reset it, and the peer not get to read our last words.
const LINGER_TIME: Duration = Duration::from_secs(1);
/// Connections that wait so. Beyond, the oldest is given up.
const LINGERING_MAX: usize = 256;
/// Warnings about accepting.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// Tokens from here on are of [`EventLoop::sources`], those below of links.
const FIRST_SOURCE: usize = 1 << 63;

/// Lets a thread interrupt the wait of an [`EventLoop`].
#[derive(Clone, Debug)]
pub struct Waker(Arc<mio::Waker>);

impl Waker {
    /// Ends the wait of the turn that is going on, or of the next one.
    pub fn wake(&self) {
        self.0.wake().expect("an event descriptor can be written");
    }
}

/// What is watched besides links.
enum Source {
    /// Woken by [`Waker`].
    Waker,
    Signals(UnixStream, Signals),
    Disk,
    Listener {
        listener: TcpListener,
        /// There may be more to accept.
        pending: bool,
    },
}

#[derive(PartialEq, Eq)]
enum State {
    /// Being connected; these are other addresses of the host, to try if it fails.
    Connecting(Vec<SocketAddr>),
    Open,
    /// Closed here: what comes is dropped.
    Lingering,
}

struct Socket {
    stream: TcpStream,
    state: State,
    /// There may be something to read.
    readable: bool,
    /// The peer will send nothing more than what is there: it can only be found by reading.
    ended: bool,
    /// It is in the list of those that are read from.
    listed: bool,
    /// It may take something.
    writable: bool,
    /// The machine wants to read it.
    wanted: bool,
    /// Why it could not be written to.
    failure: Option<io::Error>,
}

/// Runs a machine: see [`drive`](crate::drive). All I/O is level with the events of the system:
/// what it told once is remembered until the system says that there is nothing more.
pub struct EventLoop {
    poll: Poll,
    events: Events,
    sources: Vec<Source>,
    waker: Waker,
    sockets: BTreeMap<LinkId, Socket>,
    /// How many were accepted in all, and how many of them are there.
    accepted: u64,
    accepted_open: usize,
    /// Connections to open, by when.
    delayed: BTreeMap<(Duration, LinkId), Address>,
    resolver: Option<Resolver>,
    /// To be read from.
    readable: VecDeque<LinkId>,
    /// To be written to, as the last write was only interrupted for the others.
    unsent: VecDeque<LinkId>,
    /// Closed by the system while actions were carried out.
    lost: VecDeque<(LinkId, String)>,
    lingering: VecDeque<(Duration, LinkId)>,
    buffer: BytesMut,
    /// Nothing is accepted before.
    accept_at: Duration,
    warnings: WarningLimit,
    stalls: Stalls,
    /// When the system last told of events.
    now: Now,
}

impl EventLoop {
    /// Without anything to watch.
    ///
    /// # Errors
    /// If the system does not give the descriptors that this needs.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), Token(FIRST_SOURCE))?;
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            sources: vec![Source::Waker],
            waker: Waker(Arc::new(waker)),
            sockets: BTreeMap::new(),
            accepted: 0,
            accepted_open: 0,
            delayed: BTreeMap::new(),
            resolver: None,
            readable: VecDeque::new(),
            unsent: VecDeque::new(),
            lost: VecDeque::new(),
            lingering: VecDeque::new(),
            buffer: BytesMut::new(),
            accept_at: Duration::ZERO,
            warnings: WarningLimit::new(WARNING_INTERVAL),
            stalls: Stalls::default(),
            now: clock::now(),
        })
    }

    /// Listens at an address; `[::]` also takes IPv4, port 0 any port. Returns where it listens.
    /// A host name is looked up at once, which may take time.
    ///
    /// # Errors
    /// Those of the system, above all that the port is in use.
    pub fn listen(&mut self, address: &Address) -> io::Result<Address> {
        let mut listener = TcpListener::from_std(sockets::listen(address)?);
        let local = listener.local_addr()?;
        self.poll.registry().register(&mut listener, self.next_token(), Interest::READABLE)?;
        self.sources.push(Source::Listener { listener, pending: false });
        Ok(local.into())
    }

    /// Gives [`Event::Disk`] whenever a descriptor becomes readable, such as one that counts
    /// completions. It does not read from it.
    ///
    /// # Errors
    /// If the descriptor cannot be watched.
    pub fn watch(&mut self, descriptor: RawFd) -> io::Result<()> {
        let token = self.next_token();
        self.poll.registry().register(&mut SourceFd(&descriptor), token, Interest::READABLE)?;
        self.sources.push(Source::Disk);
        Ok(())
    }

    /// Gives [`Event::Signal`] from now on: SIGTERM and SIGINT end the machine, SIGHUP and SIGUSR1
    /// flush its logs. For one loop of a process.
    ///
    /// # Errors
    /// Those of the system.
    pub fn catch_signals(&mut self) -> io::Result<()> {
        let (signals, stream) = Signals::catch()?;
        let mut stream = UnixStream::from_std(stream);
        self.poll.registry().register(&mut stream, self.next_token(), Interest::READABLE)?;
        self.sources.push(Source::Signals(stream, signals));
        Ok(())
    }

    /// Lets other threads interrupt [`EventLoop::turn`].
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// How long the loop was away from its sockets so far.
    pub fn stalls(&self) -> &Stalls {
        &self.stalls
    }

    /// Carries out what the machine wants done, waits until something happens or the machine's
    /// deadline comes, but not longer than `wait_max`, lets the machine handle it all, and carries
    /// out again.
    pub fn turn<M: Machine>(&mut self, machine: &mut M, wait_max: Option<Duration>) {
        self.carry_out(machine.links());
        let moment = clock::monotonic();
        let wait = self.wait(machine.deadline(), moment);
        let wait = wait.into_iter().chain(wait_max).min();
        self.stalls.turns.record(moment.saturating_sub(self.now.monotonic));
        match self.poll.poll(&mut self.events, wait) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => result.expect("the system tells of events"),
        }
        self.now = clock::now();
        machine.links().tell_time(self.now.monotonic);
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            match event.token().0.checked_sub(FIRST_SOURCE) {
                Some(index) => self.source_event(machine, index),
                None => self.socket_event(machine, LinkId::from_number(event.token().0), event),
            }
        }
        self.events = events;
        self.timed(machine);
        self.receive(machine);
        while let Some((link, reason)) = self.lost.pop_front() {
            self.deliver(machine, Event::Closed { link, reason });
        }
        let moment = clock::monotonic();
        if machine.deadline().is_some_and(|deadline| deadline <= moment) {
            self.deliver(machine, Event::Timer);
        }
        self.carry_out(machine.links());
    }

    /// Sends what is queued and closes everything, before a moment of the monotonic clock.
    pub(crate) fn finish<C>(&mut self, links: &mut Links<C>, until: Duration) {
        for source in &mut self.sources {
            if let Source::Listener { listener, .. } = source {
                let _ = self.poll.registry().deregister(listener);
            }
        }
        self.sources.truncate(1);
        let all: Vec<_> = links.ids().collect();
        for link in all {
            match self.sockets.get(&link).is_some_and(|socket| socket.state == State::Open) {
                true => links.close(link),
                false => links.abort(link),
            }
        }
        self.carry_out(links);
        while !self.sockets.is_empty() {
            let left = until.saturating_sub(clock::monotonic());
            if left.is_zero() {
                break;
            }
            self.turn(&mut Finishing(links), Some(left));
        }
        self.sockets.clear();
    }

    fn next_token(&self) -> Token {
        Token(FIRST_SOURCE + self.sources.len())
    }

    /// How long nothing has to be done, unless something happens.
    fn wait(&self, deadline: Option<Duration>, moment: Duration) -> Option<Duration> {
        if !(self.readable.is_empty() && self.unsent.is_empty() && self.lost.is_empty()) {
            return Some(Duration::ZERO);
        }
        let delayed = self.delayed.keys().next().map(|(at, _)| *at);
        let lingering = self.lingering.front().map(|(until, _)| *until);
        let accept = self.is_acceptable().then_some(self.accept_at);
        let first = [deadline, delayed, lingering, accept].into_iter().flatten().min();
        first.map(|first| first.saturating_sub(moment))
    }

    fn deliver<M: Machine>(&mut self, machine: &mut M, event: Event) {
        let begin = clock::monotonic();
        let unix = self.now.unix + begin.saturating_sub(self.now.monotonic);
        machine.handle(Now { monotonic: begin, unix }, event);
        self.stalls.events.record(clock::monotonic() - begin);
    }

    fn source_event<M: Machine>(&mut self, machine: &mut M, index: usize) {
        match self.sources.get_mut(index) {
            Some(Source::Waker) => self.resolved(),
            Some(Source::Disk) => self.deliver(machine, Event::Disk),
            Some(Source::Listener { pending, .. }) => *pending = true,
            Some(Source::Signals(stream, signals)) => {
                let mut bytes = [0; 64];
                while stream.read(&mut bytes).is_ok_and(|length| length > 0) {}
                let came: Vec<_> = signals.take().collect();
                for signal in came {
                    if signal == Signal::Flush {
                        tracing::info!(stalls = %self.stalls, "event loop");
                    }
                    self.deliver(machine, Event::Signal(signal));
                }
            }
            None => {}
        }
    }

    fn socket_event<M: Machine>(
        &mut self,
        machine: &mut M,
        link: LinkId,
        event: &mio::event::Event,
    ) {
        let Some(socket) = self.sockets.get_mut(&link) else { return };
        if matches!(socket.state, State::Connecting(_)) {
            return self.connecting(machine, link);
        }
        socket.ended |= event.is_read_closed() || event.is_error();
        socket.readable |= event.is_readable() || socket.ended;
        let is_writable_again = event.is_writable() && !socket.writable;
        socket.writable |= event.is_writable();
        self.list(link);
        if is_writable_again {
            self.deliver(machine, Event::Writable { link });
        }
    }

    /// What time has come for.
    fn timed<M: Machine>(&mut self, machine: &mut M) {
        while let Some(first) = self.delayed.first_entry() {
            if first.key().0 > self.now.monotonic {
                break;
            }
            let ((_, link), address) = first.remove_entry();
            self.connect(link, address);
        }
        while let Some((until, link)) = self.lingering.front().copied() {
            if until > self.now.monotonic && self.lingering.len() <= LINGERING_MAX {
                break;
            }
            self.lingering.pop_front();
            self.remove(link);
        }
        if self.is_acceptable() && self.accept_at <= self.now.monotonic {
            self.accept(machine);
        }
    }

    fn is_acceptable(&self) -> bool {
        self.sources.iter().any(|source| matches!(source, Source::Listener { pending: true, .. }))
    }

    fn accept<M: Machine>(&mut self, machine: &mut M) {
        for index in 0..self.sources.len() {
            for _ in 0..ACCEPTS_MAX {
                let Source::Listener { listener, pending: pending @ true } =
                    &mut self.sources[index]
                else {
                    break;
                };
                match listener.accept() {
                    Ok((stream, from)) => self.accepted(machine, stream, from),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => *pending = false,
                    Err(error) if is_peers_fault(&error) => {}
                    Err(error) => {
                        // Whoever waits stays in the system's queue.
                        self.accept_at = self.now.monotonic + ACCEPT_PAUSE;
                        if let Some(more) = self.warnings.pass(self.now.monotonic) {
                            tracing::warn!(%error, more, "no connection can be accepted for now");
                        }
                        return;
                    }
                }
            }
        }
    }

    fn accepted<M: Machine>(&mut self, machine: &mut M, stream: TcpStream, from: SocketAddr) {
        let address = Address::from(from);
        if self.accepted_open >= ACCEPTED_OPEN_MAX {
            if let Some(more) = self.warnings.pass(self.now.monotonic) {
                tracing::warn!(%address, more, "refused: too many connections");
            }
            return;
        }
        self.accepted += 1;
        let link = LinkId::accepted(self.accepted);
        if let Err(error) = self.insert(link, stream, State::Open) {
            tracing::debug!(%address, %error, "lost while it was accepted");
            return;
        }
        self.deliver(machine, Event::Accepted { link, address });
    }

    /// Reads once from each connection that has something.
    fn receive<M: Machine>(&mut self, machine: &mut M) {
        for _ in 0..self.readable.len() {
            let Some(link) = self.readable.pop_front() else { return };
            let Some(socket) = self.sockets.get_mut(&link) else { continue };
            socket.listed = false;
            if !socket.readable || !socket.wanted {
                continue;
            }
            let room = machine.links().room(link);
            match socket.read(room, &mut self.buffer) {
                Ok(bytes) if bytes.is_empty() => {
                    let failure = socket.failure.take().map(|error| error.to_string());
                    let reason = failure.unwrap_or_else(|| "closed by the peer".to_owned());
                    self.lose(machine, link, reason);
                }
                Ok(bytes) => {
                    let is_dropped = socket.state == State::Lingering;
                    self.list(link);
                    if !is_dropped {
                        self.deliver(machine, Event::Received { link, bytes });
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    socket.readable = false;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => self.list(link),
                Err(error) => self.lose(machine, link, error.to_string()),
            }
        }
    }

    /// Has a connection read from, if there may be something.
    fn list(&mut self, link: LinkId) {
        let Some(socket) = self.sockets.get_mut(&link) else { return };
        if socket.readable && socket.wanted && !socket.listed {
            socket.listed = true;
            self.readable.push_back(link);
        }
    }

    fn lose<M: Machine>(&mut self, machine: &mut M, link: LinkId, reason: String) {
        if self.remove(link).is_some_and(|socket| socket.state != State::Lingering) {
            self.deliver(machine, Event::Closed { link, reason });
        }
    }

    fn carry_out<C>(&mut self, links: &mut Links<C>) {
        for _ in 0..self.unsent.len() {
            let Some(link) = self.unsent.pop_front() else { break };
            self.transmit(links, link);
        }
        while let Some(action) = links.poll_action() {
            match action {
                Action::Connect { link, address, at } => {
                    self.delayed.insert((at, link), address);
                    let now = clock::monotonic();
                    if at <= now {
                        let address = self.delayed.remove(&(at, link)).expect("just put there");
                        self.connect(link, address);
                    }
                }
                Action::Transmit { link } => self.transmit(links, link),
                Action::Read { link, on } => {
                    if let Some(socket) = self.sockets.get_mut(&link) {
                        socket.wanted = on || socket.failure.is_some();
                    }
                    self.list(link);
                }
                Action::Close { link } => self.close(link),
            }
        }
    }

    fn transmit<C>(&mut self, links: &mut Links<C>, link: LinkId) {
        let Some(socket) = self.sockets.get_mut(&link) else { return };
        let Some(queue) = links.queue(link) else { return };
        if socket.state != State::Open || !socket.writable {
            return;
        }
        let mut sent = 0;
        while !queue.is_empty() {
            if sent >= WRITE_LENGTH_MAX {
                self.unsent.push_back(link);
                break;
            }
            let stream = SockRef::from(&socket.stream);
            let slices = queue.slices(WRITE_SLICES);
            match stream.send_vectored_with_flags(&slices, libc::MSG_NOSIGNAL) {
                Ok(length) => {
                    queue.advance(length);
                    sent += length;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    socket.writable = false;
                    break;
                }
                Err(error) => {
                    // What the peer said last is still to be read.
                    socket.failure = Some(error);
                    (socket.writable, socket.wanted) = (false, true);
                    (socket.readable, socket.ended) = (true, true);
                    self.list(link);
                    break;
                }
            }
        }
        if sent > 0 {
            links.transmitted(link);
        }
    }

    fn close(&mut self, link: LinkId) {
        self.delayed.retain(|(_, delayed), _| *delayed != link);
        let Some(socket) = self.sockets.get_mut(&link) else { return };
        let is_open = socket.state == State::Open && socket.failure.is_none();
        if !is_open || socket.stream.shutdown(Shutdown::Write).is_err() {
            self.remove(link);
            return;
        }
        socket.state = State::Lingering;
        socket.wanted = true;
        self.list(link);
        self.lingering.push_back((self.now.monotonic + LINGER_TIME, link));
    }

    fn connect(&mut self, link: LinkId, address: Address) {
        if let Some(address) = address.to_socket() {
            return self.connect_to(link, vec![address]);
        }
        let waker = self.waker();
        let resolver = match self.resolver.take() {
            Some(resolver) => Ok(resolver),
            None => Resolver::start(move || waker.wake()),
        };
        match resolver {
            Ok(resolver) => self.resolver.insert(resolver).ask(link, address),
            Err(error) => self.lost.push_back((link, error.to_string())),
        }
    }

    fn resolved(&mut self) {
        while let Some((link, found)) = self.resolver.as_ref().and_then(Resolver::answer) {
            match found {
                Ok(addresses) => self.connect_to(link, addresses),
                Err(error) => self.lost.push_back((link, error.to_string())),
            }
        }
    }

    /// Connects to the first of these that takes it.
    fn connect_to(&mut self, link: LinkId, mut addresses: Vec<SocketAddr>) {
        let mut reason = "the host has no address".to_owned();
        while !addresses.is_empty() {
            let connected = TcpStream::connect(addresses.remove(0)).and_then(|stream| {
                self.insert(link, stream, State::Connecting(std::mem::take(&mut addresses)))
            });
            match connected {
                Ok(()) => return,
                Err(error) => reason = error.to_string(),
            }
        }
        self.lost.push_back((link, reason));
    }

    /// Looks what became of a connection that is being opened.
    fn connecting<M: Machine>(&mut self, machine: &mut M, link: LinkId) {
        let Some(socket) = self.sockets.get_mut(&link) else { return };
        let State::Connecting(others) = &mut socket.state else { return };
        let peer = socket.stream.peer_addr();
        let error = match (sockets::connection_error(&socket.stream), peer) {
            (Some(error), _) => error.to_string(),
            (None, Err(error)) if error.kind() == io::ErrorKind::NotConnected => return,
            (None, Err(error)) => error.to_string(),
            // The system connects a port of its own choice to itself, if nobody listens there.
            (None, Ok(peer)) if socket.stream.local_addr().is_ok_and(|local| local == peer) => {
                "nobody listens".to_owned()
            }
            (None, Ok(_)) => {
                socket.state = State::Open;
                (socket.readable, socket.writable) = (true, true);
                self.list(link);
                return self.deliver(machine, Event::Connected { link });
            }
        };
        let others = std::mem::take(others);
        self.remove(link);
        match others.is_empty() {
            true => self.deliver(machine, Event::Closed { link, reason: error }),
            false => self.connect_to(link, others),
        }
    }

    fn insert(&mut self, link: LinkId, mut stream: TcpStream, state: State) -> io::Result<()> {
        sockets::tune(&stream)?;
        let token = Token(link.number());
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, token, interest)?;
        self.accepted_open += usize::from(!link.is_opened_here());
        let socket = Socket {
            stream,
            writable: state == State::Open,
            state,
            readable: false,
            ended: false,
            listed: false,
            wanted: true,
            failure: None,
        };
        self.sockets.insert(link, socket);
        Ok(())
    }

    /// Forgets a connection; the system closes it.
    fn remove(&mut self, link: LinkId) -> Option<Socket> {
        let socket = self.sockets.remove(&link)?;
        self.accepted_open -= usize::from(!link.is_opened_here());
        Some(socket)
    }
}

impl Socket {
    /// Reads once: into `room`, if there is any, else into `buffer`. Nothing is read at the end.
    fn read(&mut self, room: Option<&mut BytesMut>, buffer: &mut BytesMut) -> io::Result<BytesMut> {
        let mut stream = &self.stream;
        let (space, length_max, copied_max) = match room {
            Some(room) => (room, READ_LENGTH_LARGE, 0),
            None => (buffer, READ_LENGTH, COPIED_LENGTH_MAX),
        };
        if space.len() < READ_LENGTH && copied_max > 0 {
            *space = BytesMut::zeroed(BUFFER_LENGTH);
        }
        let wanted = length_max.min(space.len());
        let length = stream.read(&mut space[..wanted])?;
        // A short read of a stream leaves nothing behind, unless that is its end.
        self.readable = length == wanted || self.ended;
        Ok(match length <= copied_max {
            true => BytesMut::from(&space[..length]),
            false => space.split_to(length),
        })
    }
}

/// Whether a connection failed before it could be accepted.
fn is_peers_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, Interrupted, PermissionDenied, TimedOut,
    };
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted | PermissionDenied | TimedOut
    )
}

/// Stands for a machine that came to its end: nothing is handled any more.
struct Finishing<'a, C>(&'a mut Links<C>);

impl<C> Machine for Finishing<'_, C> {
    type Context = C;
    type Exit = ();

    fn handle(&mut self, _now: Now, event: Event) {
        match event {
            Event::Received { .. } | Event::Accepted { .. } => {}
            event => self.0.feed(event),
        }
    }

    fn links(&mut self) -> &mut Links<C> {
        self.0
    }

    fn deadline(&self) -> Option<Duration> {
        None
    }

    fn exit(&mut self) -> Option<()> {
        None
    }
}
