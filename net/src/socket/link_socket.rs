//! The socket of one link.

use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr};

use bytes::BytesMut;
use socket2::Socket;

use crate::send_queue::SendQueue;

/// Bytes that are read at once from one connection, before the others have their turn: hundreds
/// of small requests, which take about a millisecond.
const READ_LENGTH: usize = 16 << 10;
/// The same, of one long string: there is little to do with it but to sum it up.
const READ_LENGTH_LARGE: usize = 128 << 10;
/// A buffer that several reads share: what one does not fill is the next one's.
const BUFFER_LENGTH: usize = 64 << 10;
/// What is read up to this length is copied out of that buffer: a few bytes that stay somewhere
/// should not keep all of it.
const COPIED_LENGTH_MAX: usize = 1 << 10;
/// Bytes that are written at once to one connection.
const WRITE_LENGTH_MAX: usize = 1 << 20;
/// Buffers that are written at once; the most that the system takes is 1024.
const WRITE_SLICES: usize = 64;

/// What a connection is at.
#[derive(PartialEq, Eq)]
pub(crate) enum State {
    /// Being connected; these are other addresses of the host, to try if it fails.
    Connecting(Vec<SocketAddr>),
    /// At work.
    Open,
    /// Closed here, not yet there: what comes is dropped.
    Lingering,
}

/// What the system told about a socket.
#[derive(Clone, Copy)]
pub(crate) struct Readiness {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// Nothing comes any more, or there is an error.
    pub(crate) ended: bool,
}

/// What came of an attempt to connect.
pub(crate) enum Connected {
    NotYet,
    Yes,
    No(String),
}

/// A socket with what is known of it. What the system told once is remembered until a read or
/// write finds that there is nothing more: it does not tell again.
pub(crate) struct LinkSocket {
    pub(crate) socket: Socket,
    pub(crate) state: State,
    /// The machine wants to read it.
    pub(crate) wanted: bool,
    /// It is in the list of those that are read from.
    pub(crate) listed: bool,
    readable: bool,
    writable: bool,
    /// Its end, or an error, is behind what there is to read.
    ended: bool,
    /// Why it could not be written to.
    failure: Option<io::Error>,
}

impl LinkSocket {
    pub(crate) fn new(socket: Socket, state: State) -> Self {
        let writable = state == State::Open;
        Self {
            socket,
            state,
            wanted: true,
            listed: false,
            readable: false,
            writable,
            ended: false,
            failure: None,
        }
    }

    /// Takes note of what the system tells; true if it can be written to again.
    pub(crate) fn note(&mut self, readiness: Readiness) -> bool {
        self.ended |= readiness.ended;
        self.readable |= readiness.readable || readiness.ended;
        let was_writable = self.writable;
        self.writable |= readiness.writable;
        readiness.writable && !was_writable
    }

    /// Whether it is to be read from.
    pub(crate) fn is_readable(&self) -> bool {
        self.readable && (self.wanted || self.failure.is_some())
    }

    /// Reads once: to the capacity of `room`, if there is any, else of `buffer`. What they hold
    /// means nothing. Nothing is read at the end.
    pub(crate) fn read(
        &mut self,
        room: Option<&mut BytesMut>,
        buffer: &mut BytesMut,
    ) -> io::Result<BytesMut> {
        let (space, length_max, copied_max) = match room {
            Some(room) => (room, READ_LENGTH_LARGE, 0),
            None => (buffer, READ_LENGTH, COPIED_LENGTH_MAX),
        };
        if copied_max > 0 && space.capacity() < READ_LENGTH {
            *space = BytesMut::zeroed(BUFFER_LENGTH);
        }
        let wanted = length_max.min(space.capacity());
        if space.len() < wanted {
            // A large buffer is not cleared in one go.
            space.resize(wanted, 0);
        }
        let length = match (&self.socket).read(&mut space[..wanted]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                return Err(error);
            }
            result => result?,
        };
        // A short read of a stream leaves nothing behind, unless that is its end.
        self.readable = length == wanted || self.ended;
        Ok(match length <= copied_max {
            true => BytesMut::from(&space[..length]),
            false => space.split_to(length),
        })
    }

    /// Why nothing can be read any more.
    pub(crate) fn reason(&mut self) -> String {
        let failure = self.failure.take().map(|error| error.to_string());
        failure.unwrap_or_else(|| "closed by the peer".to_owned())
    }

    /// Writes as much as the socket takes; true if it may take more, but others have their turn.
    pub(crate) fn write(&mut self, queue: &mut SendQueue) -> bool {
        let mut sent = 0;
        while self.state == State::Open && self.writable && !queue.is_empty() {
            if sent >= WRITE_LENGTH_MAX {
                return true;
            }
            let written = match queue.whole() {
                Some(bytes) => self.socket.send_with_flags(bytes, libc::MSG_NOSIGNAL),
                None => {
                    let slices = queue.slices(WRITE_SLICES);
                    self.socket.send_vectored_with_flags(&slices, libc::MSG_NOSIGNAL)
                }
            };
            match written {
                Ok(length) => {
                    queue.advance(length);
                    sent += length;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) => {
                    // What the peer said last is still to be read.
                    self.failure = Some(error);
                    (self.writable, self.readable, self.ended) = (false, true, true);
                }
            }
        }
        false
    }

    /// Tells the peer that nothing comes any more; false if there is nobody to tell.
    pub(crate) fn end(&mut self) -> bool {
        let is_open = self.state == State::Open && self.failure.is_none();
        let is_ended = is_open && self.socket.shutdown(Shutdown::Write).is_ok();
        if is_ended {
            (self.state, self.wanted) = (State::Lingering, true);
        }
        is_ended
    }

    /// Looks what became of an attempt to connect.
    pub(crate) fn connected(&mut self) -> Connected {
        match self.socket.take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => return Connected::No(error.to_string()),
        }
        let peer = match self.socket.peer_addr() {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return Connected::NotYet,
            Err(error) => return Connected::No(error.to_string()),
            Ok(peer) => peer,
        };
        // Where nobody listens at a port that the system may choose for the connecting side, it
        // connects a socket to itself now and then.
        if self.socket.local_addr().is_ok_and(|local| local.as_socket() == peer.as_socket()) {
            return Connected::No("nobody listens".to_owned());
        }
        self.state = State::Open;
        (self.readable, self.writable) = (true, true);
        Connected::Yes
    }
}
