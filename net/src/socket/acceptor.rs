//! Accepts connections.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use super::link_socket::State;
use super::table::Sockets;
use crate::address::Address;
use crate::event::Event;
use crate::links::LinkId;
use crate::warnings::WarningLimit;

/// Connections that are accepted and open. One more is closed at once.
const OPEN_MAX: usize = 16 << 10;
/// How long nothing is accepted after the system had no descriptor or memory left. Whoever wants
/// to connect waits in the system's queue.
const PAUSE: Duration = Duration::from_millis(200);
/// How often it is warned about what cannot be accepted.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// A socket that listens.
pub(crate) struct Acceptor {
    listener: TcpListener,
    /// There may be more to accept.
    is_pending: bool,
    /// Nothing is accepted before.
    at: Duration,
    warnings: WarningLimit,
}

impl Acceptor {
    pub(crate) fn new(listener: TcpListener) -> Self {
        let warnings = WarningLimit::new(WARNING_INTERVAL);
        Self { listener, is_pending: false, at: Duration::ZERO, warnings }
    }

    /// Takes note that there is something to accept.
    pub(crate) fn note(&mut self) {
        self.is_pending = true;
    }

    /// When [`Acceptor::accept`] is due.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.is_pending.then_some(self.at)
    }

    /// Accepts one connection.
    pub(crate) fn accept(
        &mut self,
        sockets: &mut Sockets,
        accepted_count: &mut u64,
        now: Duration,
    ) -> Option<Event> {
        while self.is_pending && self.at <= now {
            let (stream, address) = match self.listener.accept() {
                Ok((stream, address)) => (stream, Address::from(address)),
                Err(error) => {
                    self.refused(&error, now);
                    continue;
                }
            };
            if sockets.accepted_count() >= OPEN_MAX {
                if let Some(more) = self.warnings.pass(now) {
                    tracing::warn!(%address, more, "refused: too many connections");
                }
                continue;
            }
            *accepted_count += 1;
            let link = LinkId::accepted(*accepted_count);
            match sockets.insert(link, stream.into(), State::Open) {
                Ok(()) => return Some(Event::Accepted { link, address }),
                Err(error) => tracing::debug!(%address, %error, "lost while it was accepted"),
            }
        }
        None
    }

    fn refused(&mut self, error: &io::Error, now: Duration) {
        use io::ErrorKind::{
            ConnectionAborted, ConnectionReset, Interrupted, TimedOut, WouldBlock,
        };
        match error.kind() {
            WouldBlock => self.is_pending = false,
            // The connection failed before it was accepted; there may be others.
            ConnectionAborted | ConnectionReset | Interrupted | TimedOut => {}
            _ => {
                self.at = now + PAUSE;
                if let Some(more) = self.warnings.pass(now) {
                    tracing::warn!(%error, more, "no connection can be accepted for now");
                }
            }
        }
    }
}
