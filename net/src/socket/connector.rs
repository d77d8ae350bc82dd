//! Opens connections.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::link_socket::{LinkSocket, State};
use super::options;
use super::resolver::Resolver;
use super::table::Sockets;
use crate::address::Address;
use crate::event::Event;
use crate::event_loop::Waker;
use crate::links::LinkId;

/// Connections that are to be opened. Hosts with names are looked up on a thread of its own, and
/// their addresses are tried one after the other.
pub(crate) struct Connector {
    delayed: BTreeMap<(Duration, LinkId), Address>,
    resolver: Option<Resolver>,
    waker: Waker,
    /// What could not be opened.
    lost: VecDeque<(LinkId, String)>,
}

impl Connector {
    pub(crate) fn new(waker: Waker) -> Self {
        Self { delayed: BTreeMap::new(), resolver: None, waker, lost: VecDeque::new() }
    }

    /// Whether something is to be told without waiting.
    pub(crate) fn is_busy(&self) -> bool {
        !self.lost.is_empty()
    }

    /// When the next connection is to be opened.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.delayed.keys().next().map(|(at, _)| *at)
    }

    /// Notes that a connection is wanted.
    pub(crate) fn want(&mut self, link: LinkId, address: Address, at: Duration) {
        self.delayed.insert((at, link), address);
    }

    /// Notes that it is not wanted any more.
    pub(crate) fn forget(&mut self, link: LinkId) {
        self.delayed.retain(|(_, delayed), _| *delayed != link);
    }

    /// Begins to open what is due.
    pub(crate) fn begin(&mut self, sockets: &mut Sockets, now: Duration) {
        while let Some(first) = self.delayed.first_entry() {
            if first.key().0 > now {
                break;
            }
            let ((_, link), address) = first.remove_entry();
            match address.to_socket() {
                Some(address) => self.connect(sockets, link, vec![address]),
                None => self.resolve(link, address),
            }
        }
    }

    /// Takes what was looked up. `is_wanted` tells whether a link is still there.
    pub(crate) fn resolved(&mut self, sockets: &mut Sockets, is_wanted: impl Fn(LinkId) -> bool) {
        while let Some((link, found)) = self.resolver.as_ref().and_then(Resolver::answer) {
            match found {
                Ok(addresses) if is_wanted(link) => self.connect(sockets, link, addresses),
                Ok(_) => {}
                Err(error) => self.lost.push_back((link, error.to_string())),
            }
        }
    }

    /// Goes on after an attempt has failed.
    pub(crate) fn failed(
        &mut self,
        sockets: &mut Sockets,
        link: LinkId,
        failed: LinkSocket,
        reason: String,
    ) {
        match failed.state {
            State::Connecting(others) if !others.is_empty() => self.connect(sockets, link, others),
            _ => self.lost.push_back((link, reason)),
        }
    }

    /// What could not be opened.
    pub(crate) fn lost(&mut self) -> Option<Event> {
        self.lost.pop_front().map(|(link, reason)| Event::Closed { link, reason })
    }

    fn resolve(&mut self, link: LinkId, address: Address) {
        let waker = self.waker.clone();
        let resolver = match self.resolver.take() {
            Some(resolver) => Ok(resolver),
            None => Resolver::start(move || waker.wake()),
        };
        match resolver {
            Ok(resolver) => self.resolver.insert(resolver).ask(link, address),
            Err(error) => self.lost.push_back((link, error.to_string())),
        }
    }

    /// Connects to the first of these that takes it.
    fn connect(&mut self, sockets: &mut Sockets, link: LinkId, mut addresses: Vec<SocketAddr>) {
        let mut reason = "the host has no address".to_owned();
        while !addresses.is_empty() {
            let first = addresses.remove(0);
            let begun = options::connect(first).and_then(|socket| {
                sockets.insert(link, socket, State::Connecting(addresses.clone()))
            });
            match begun {
                Ok(()) => return,
                Err(error) => reason = error.to_string(),
            }
        }
        self.lost.push_back((link, reason));
    }
}
