//! The sockets of all links.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::time::Duration;

use bytes::BytesMut;
use socket2::Socket;

use super::link_socket::{Connected, LinkSocket, Readiness, State};
use super::options;
use crate::event::Event;
use crate::event_loop::Registrar;
use crate::links::{LinkId, Links};

/// How long a connection that was closed here waits for the peer to close it too. If it were gone
/// while something comes in, the system would reset it, and the peer not get our last words.
const LINGER_TIME: Duration = Duration::from_secs(1);
/// Connections that wait so. Beyond, the oldest is given up.
const LINGERING_MAX: usize = 256;

/// All sockets of links, and which of them have to be seen to.
pub(crate) struct Sockets {
    watch: Registrar,
    sockets: BTreeMap<LinkId, LinkSocket>,
    accepted_count: usize,
    /// To be read from.
    readable: VecDeque<LinkId>,
    /// To be written to, as the last write was only interrupted for the others.
    unsent: VecDeque<LinkId>,
    lingering: VecDeque<(Duration, LinkId)>,
    /// To be read again: what was read before waits to be handled.
    resumed: VecDeque<LinkId>,
    buffer: BytesMut,
}

impl Sockets {
    pub(crate) fn new(watch: Registrar) -> Self {
        Self {
            watch,
            sockets: BTreeMap::new(),
            accepted_count: 0,
            readable: VecDeque::new(),
            unsent: VecDeque::new(),
            lingering: VecDeque::new(),
            resumed: VecDeque::new(),
            buffer: BytesMut::new(),
        }
    }

    /// How many there are that were accepted.
    pub(crate) fn accepted_count(&self) -> usize {
        self.accepted_count
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// Whether some are to be seen to without waiting.
    pub(crate) fn is_busy(&self) -> bool {
        !(self.readable.is_empty() && self.unsent.is_empty() && self.resumed.is_empty())
    }

    /// When [`Sockets::expire`] is due.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.lingering.front().map(|(until, _)| *until)
    }

    /// Whether a link is connected and not closed.
    pub(crate) fn is_open(&self, link: LinkId) -> bool {
        self.sockets.get(&link).is_some_and(|socket| socket.state == State::Open)
    }

    pub(crate) fn insert(&mut self, link: LinkId, socket: Socket, state: State) -> io::Result<()> {
        if state == State::Open {
            options::tune(&socket)?;
        }
        self.watch.link(&socket, link)?;
        self.accepted_count += usize::from(!link.is_opened_here());
        self.sockets.insert(link, LinkSocket::new(socket, state));
        Ok(())
    }

    /// Forgets a connection; the system closes it.
    pub(crate) fn remove(&mut self, link: LinkId) -> Option<LinkSocket> {
        let socket = self.sockets.remove(&link)?;
        self.accepted_count -= usize::from(!link.is_opened_here());
        Some(socket)
    }

    /// Takes note of what the system tells. The failure of an attempt to connect comes with the
    /// socket, which is no longer in the table.
    pub(crate) fn note(
        &mut self,
        link: LinkId,
        readiness: Readiness,
    ) -> Result<Option<Event>, (LinkSocket, String)> {
        let Some(socket) = self.sockets.get_mut(&link) else { return Ok(None) };
        let mut event = None;
        if matches!(socket.state, State::Connecting(_)) {
            match socket.connected() {
                Connected::NotYet => return Ok(None),
                Connected::Yes => event = Some(Event::Connected { link }),
                Connected::No(reason) => {
                    let socket = self.remove(link).expect("it was just there");
                    return Err((socket, reason));
                }
            }
        } else if socket.note(readiness) {
            event = Some(Event::Writable { link });
        }
        list(&mut self.readable, link, socket);
        Ok(event)
    }

    /// How many connections are to be read from now.
    pub(crate) fn readable_count(&self) -> usize {
        self.readable.len()
    }

    /// Reads once from the connection whose turn it is.
    pub(crate) fn read<C>(&mut self, links: &mut Links<C>) -> Option<Event> {
        let link = self.readable.pop_front()?;
        let socket = self.sockets.get_mut(&link)?;
        socket.listed = false;
        if !socket.is_readable() {
            return None;
        }
        let reason = match socket.read(links.room(link), &mut self.buffer) {
            Ok(bytes) if !bytes.is_empty() => {
                let is_dropped = socket.state == State::Lingering;
                list(&mut self.readable, link, socket);
                return (!is_dropped).then_some(Event::Received { link, bytes });
            }
            Ok(_) => socket.reason(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                list(&mut self.readable, link, socket);
                return None;
            }
            Err(error) => error.to_string(),
        };
        let socket = self.remove(link).expect("it was just there");
        (socket.state != State::Lingering).then_some(Event::Closed { link, reason })
    }

    /// Reads from a connection, or lets what comes wait.
    pub(crate) fn want(&mut self, link: LinkId, on: bool) {
        if let Some(socket) = self.sockets.get_mut(&link) {
            socket.wanted = on;
            if on {
                self.resumed.push_back(link);
            }
            list(&mut self.readable, link, socket);
        }
    }

    /// A connection that is read again, after it was not.
    pub(crate) fn resumed(&mut self) -> Option<Event> {
        self.resumed.pop_front().map(|link| Event::Writable { link })
    }

    /// Goes on where writing was interrupted for the sake of others.
    pub(crate) fn write_unsent<C>(&mut self, links: &mut Links<C>) {
        for link in std::mem::take(&mut self.unsent) {
            self.write(links, link);
        }
    }

    /// Writes what waits on a connection.
    pub(crate) fn write<C>(&mut self, links: &mut Links<C>, link: LinkId) {
        let Some(socket) = self.sockets.get_mut(&link) else { return };
        let Some(queue) = links.queue(link) else { return };
        if socket.write(queue) {
            self.unsent.push_back(link);
        }
        if socket.state == State::Open {
            links.transmitted(link);
        }
        list(&mut self.readable, link, socket);
    }

    /// Closes a connection, of which nothing is told any more.
    pub(crate) fn close(&mut self, link: LinkId, now: Duration) {
        let Some(socket) = self.sockets.get_mut(&link) else { return };
        if !socket.end() {
            self.remove(link);
            return;
        }
        list(&mut self.readable, link, socket);
        self.lingering.push_back((now + LINGER_TIME, link));
    }

    /// Gives up what was closed long ago.
    pub(crate) fn expire(&mut self, now: Duration) {
        while let Some((until, link)) = self.lingering.front().copied() {
            if until > now && self.lingering.len() <= LINGERING_MAX {
                break;
            }
            self.lingering.pop_front();
            self.remove(link);
        }
    }
}

/// Has a connection read from, if there may be something.
fn list(readable: &mut VecDeque<LinkId>, link: LinkId, socket: &mut LinkSocket) {
    if socket.is_readable() && !socket.listed {
        socket.listed = true;
        readable.push_back(link);
    }
}
