//! The world of a machine: sockets, files, signals and clocks, on one thread.

use std::io::{self, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use model::Now;

use crate::address::Address;
use crate::busy_poll::BusyPoll;
use crate::clock;
use crate::event::{Action, Event, Machine, Signal};
use crate::links::{LinkId, Links};
use crate::signals::Signals;
use crate::socket::{self, Acceptor, Connector, Readiness, Sockets};
use crate::stalls::Stalls;

/// Events that are taken from the system at once.
const EVENTS_MAX: usize = 256;
/// Connections that are accepted before others have their turn.
const ACCEPTS_MAX: usize = 64;
/// Tokens from here on are of [`EventLoop::sources`], those below of links.
const FIRST_SOURCE: usize = 1 << 63;
/// An event that takes longer is logged: nothing should hold up the loop for so long.
const EVENT_TIME_MAX: Duration = Duration::from_millis(1);

/// Lets a thread interrupt the wait of an [`EventLoop`].
#[derive(Clone, Debug)]
pub struct Waker(Arc<mio::Waker>);

impl Waker {
    /// Ends the wait of the turn that is going on, or of the next one.
    pub fn wake(&self) {
        self.0.wake().expect("an event descriptor can be written");
    }
}

/// Tells a thread that does not have an [`EventLoop`] when there is something to do for it.
pub struct Watch {
    poll: Poll,
    events: Events,
    /// Keeps what is waited for, so that a [`Waker`] ends the wait also when the loop is gone.
    _watched: Registry,
}

impl Watch {
    /// Waits until there is something, but not longer than `wait_max`. Also returns without
    /// anything.
    pub fn wait(&mut self, wait_max: Option<Duration>) {
        ask(&mut self.poll, &mut self.events, wait_max);
    }
}

/// Has the system tell of sockets.
pub(crate) struct Registrar(Registry);

impl Registrar {
    /// Tells of a link's socket until it is closed.
    pub(crate) fn link(&self, socket: &impl AsRawFd, link: LinkId) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.0.register(&mut SourceFd(&socket.as_raw_fd()), Token(link.number()), interest)
    }
}

/// What is watched besides links.
enum Source {
    /// Woken by [`Waker`].
    Waker,
    Signals(UnixStream, Signals),
    Disk,
    Listener(Acceptor),
}

/// Runs a machine: see [`drive`](crate::drive).
///
/// The system tells of each change once. What it told is remembered until a read or write finds
/// that there is nothing more, so that each connection can be given its turn.
pub struct EventLoop {
    poll: Poll,
    events: Events,
    sources: Vec<Source>,
    waker: Waker,
    sockets: Sockets,
    connector: Connector,
    /// How many connections were accepted so far.
    accepted_count: u64,
    stalls: Stalls,
    busy_poll: BusyPoll,
    is_busy_poll_paused: bool,
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
        let waker = Waker(Arc::new(waker));
        Ok(Self {
            events: Events::with_capacity(EVENTS_MAX),
            sources: vec![Source::Waker],
            sockets: Sockets::new(Registrar(poll.registry().try_clone()?)),
            connector: Connector::new(waker.clone()),
            waker,
            poll,
            accepted_count: 0,
            stalls: Stalls::default(),
            busy_poll: BusyPoll::new(Duration::ZERO),
            is_busy_poll_paused: false,
            now: clock::now(),
        })
    }

    /// Listens at an address; `[::]` also takes IPv4, port 0 any port. Returns where it listens.
    /// A host name is looked up at once, which may take time.
    ///
    /// # Errors
    /// Those of the system, above all that the port is in use.
    pub fn listen(&mut self, address: &Address) -> io::Result<Address> {
        let listener = socket::listen(address)?;
        let local = listener.local_addr()?;
        self.source(listener.as_raw_fd(), Source::Listener(Acceptor::new(listener)))?;
        Ok(local.into())
    }

    /// Gives [`Event::Disk`] whenever a descriptor becomes readable, such as one that counts
    /// completions. It does not read from it. The descriptor stays open as long as the loop is
    /// used.
    ///
    /// # Errors
    /// If the descriptor cannot be watched.
    pub fn watch(&mut self, descriptor: RawFd) -> io::Result<()> {
        self.source(descriptor, Source::Disk)
    }

    /// Gives [`Event::Signal`] from now on: SIGTERM and SIGINT end the machine, SIGHUP and SIGUSR1
    /// flush its logs. For one loop of a process.
    ///
    /// # Errors
    /// Those of the system.
    pub fn catch_signals(&mut self) -> io::Result<()> {
        let (signals, stream) = Signals::catch()?;
        self.source(stream.as_raw_fd(), Source::Signals(stream, signals))
    }

    /// Lets other threads interrupt [`EventLoop::turn`].
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Lets another thread wait for what there is to do, while this loop takes no turn.
    ///
    /// # Errors
    /// If the system does not give the descriptors that this needs.
    pub fn watch_from_outside(&self) -> io::Result<Watch> {
        let poll = Poll::new()?;
        let own = self.poll.as_raw_fd();
        poll.registry().register(&mut SourceFd(&own), Token(0), Interest::READABLE)?;
        let _watched = self.poll.registry().try_clone()?;
        Ok(Watch { poll, events: Events::with_capacity(1), _watched })
    }

    /// Before any wait, asks the system for events for so long before it lets the thread sleep, as
    /// long as something mostly comes within that time; where it does not, it is tried now and
    /// then. Whoever else has something to do on the processor goes first. Not at all by default.
    pub fn set_busy_poll(&mut self, time: Duration) {
        self.busy_poll = BusyPoll::new(time);
    }

    /// Whether the thread is to sleep at once for now: where several answers are on their way it
    /// takes less to take them together.
    pub fn pause_busy_poll(&mut self, paused: bool) {
        self.is_busy_poll_paused = paused;
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
        let wait = self.deadline(machine).map(|deadline| deadline.saturating_sub(moment));
        let wait = wait.into_iter().chain(wait_max).min();
        self.stalls.turns.record(moment.saturating_sub(self.now.monotonic));
        self.wait_for_events(wait, moment);
        self.now = clock::now();
        machine.links().tell_time(self.now.monotonic);
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            match event.token().0.checked_sub(FIRST_SOURCE) {
                Some(index) => self.source_event(machine, index),
                None => self.link_event(machine, event),
            }
        }
        self.events = events;
        self.connector.begin(&mut self.sockets, self.now.monotonic);
        self.sockets.expire(self.now.monotonic);
        self.accept(machine);
        for _ in 0..self.sockets.readable_count() {
            if let Some(event) = self.sockets.read(machine.links()) {
                self.deliver(machine, event);
            }
        }
        while let Some(event) = self.connector.lost().or_else(|| self.sockets.resumed()) {
            self.deliver(machine, event);
        }
        if machine.deadline().is_some_and(|deadline| deadline <= clock::monotonic()) {
            self.deliver(machine, Event::Timer);
        }
        self.carry_out(machine.links());
    }

    /// Carries out what the machine wants done, without waiting for anything.
    pub fn flush<M: Machine>(&mut self, machine: &mut M) {
        self.carry_out(machine.links());
    }

    /// The moment of the monotonic clock when there is something to do, if nothing happens before:
    /// zero if there is already.
    pub fn deadline<M: Machine>(&self, machine: &mut M) -> Option<Duration> {
        if self.sockets.is_busy() || self.connector.is_busy() {
            return Some(Duration::ZERO);
        }
        let accept = self.sources.iter().filter_map(|source| match source {
            Source::Listener(acceptor) => acceptor.deadline(),
            _ => None,
        });
        let own = [self.connector.deadline(), self.sockets.deadline()];
        let machine = [machine.deadline(), machine.links().deadline()];
        own.into_iter().chain(machine).flatten().chain(accept).min()
    }

    /// Sends what is queued and closes everything, before a moment of the monotonic clock.
    pub(crate) fn finish<C>(&mut self, links: &mut Links<C>, until: Duration) {
        // Nothing is accepted or told any more.
        self.sources.truncate(1);
        let all: Vec<_> = links.ids().collect();
        for link in all {
            match self.sockets.is_open(link) {
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
    }

    fn source(&mut self, descriptor: RawFd, source: Source) -> io::Result<()> {
        let token = Token(FIRST_SOURCE + self.sources.len());
        self.poll.registry().register(&mut SourceFd(&descriptor), token, Interest::READABLE)?;
        self.sources.push(source);
        Ok(())
    }

    /// Waits until the system tells of events, but not longer than `wait`, from `moment` on. It
    /// may stay awake for the first part of it.
    fn wait_for_events(&mut self, mut wait: Option<Duration>, moment: Duration) {
        let awake = match self.is_busy_poll_paused {
            true => Duration::ZERO,
            false => self.busy_poll.begin(wait),
        };
        let mut passed = Duration::ZERO;
        while passed < awake {
            let is_first = passed.is_zero();
            self.ask_for_events(Some(Duration::ZERO));
            passed = clock::monotonic().saturating_sub(moment);
            match self.events.is_empty() {
                // What was there already would not have let the thread sleep.
                false if is_first => return,
                false => return self.busy_poll.end(passed < awake),
                true if passed >= awake => self.busy_poll.end(false),
                true => std::thread::yield_now(),
            }
        }
        wait = wait.map(|wait| wait.saturating_sub(passed));
        self.ask_for_events(wait);
    }

    fn ask_for_events(&mut self, wait: Option<Duration>) {
        ask(&mut self.poll, &mut self.events, wait);
    }

    fn deliver<M: Machine>(&mut self, machine: &mut M, event: Event) {
        let begin = clock::monotonic();
        let unix = self.now.unix + begin.saturating_sub(self.now.monotonic);
        let name = event.name();
        machine.handle(Now { monotonic: begin, unix }, event);
        let took = clock::monotonic() - begin;
        self.stalls.events.record(took);
        if took > EVENT_TIME_MAX {
            tracing::debug!(event = name, ?took, "an event held up all others");
        }
    }

    fn source_event<M: Machine>(&mut self, machine: &mut M, index: usize) {
        match self.sources.get_mut(index) {
            Some(Source::Waker) => {
                let links = machine.links();
                self.connector.resolved(&mut self.sockets, |link| links.is_open(link));
            }
            Some(Source::Disk) => self.deliver(machine, Event::Disk),
            Some(Source::Listener(acceptor)) => acceptor.note(),
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

    fn link_event<M: Machine>(&mut self, machine: &mut M, event: &mio::event::Event) {
        let link = LinkId::from_number(event.token().0);
        let readiness = Readiness {
            readable: event.is_readable(),
            writable: event.is_writable(),
            ended: event.is_read_closed() || event.is_error(),
        };
        match self.sockets.note(link, readiness) {
            Ok(None) => {}
            Ok(Some(event)) => self.deliver(machine, event),
            Err((socket, reason)) => {
                self.connector.failed(&mut self.sockets, link, socket, reason);
            }
        }
    }

    fn accept<M: Machine>(&mut self, machine: &mut M) {
        for index in 0..self.sources.len() {
            for _ in 0..ACCEPTS_MAX {
                let Source::Listener(acceptor) = &mut self.sources[index] else { break };
                let (sockets, count) = (&mut self.sockets, &mut self.accepted_count);
                let Some(event) = acceptor.accept(sockets, count, self.now.monotonic) else {
                    break;
                };
                self.deliver(machine, event);
            }
        }
    }

    fn carry_out<C>(&mut self, links: &mut Links<C>) {
        self.sockets.write_unsent(links);
        while let Some(action) = links.poll_action() {
            match action {
                Action::Connect { link, address, at } => {
                    self.connector.want(link, address, at);
                    self.connector.begin(&mut self.sockets, clock::monotonic());
                }
                Action::Transmit { link } => self.sockets.write(links, link),
                Action::Read { link, on } => self.sockets.want(link, on),
                Action::Close { link } => {
                    self.connector.forget(link);
                    self.sockets.close(link, self.now.monotonic);
                }
            }
        }
    }
}

fn ask(poll: &mut Poll, events: &mut Events, wait: Option<Duration>) {
    match poll.poll(events, wait) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        result => result.expect("the system tells of events"),
    }
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
