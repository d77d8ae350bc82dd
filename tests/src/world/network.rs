//! Connections between processes: two streams of bytes each, in order.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use net::{Address, LinkId};

use super::process::ProcessId;

/// Bytes that may be on their way in one direction before the sender has to wait.
pub(super) const WINDOW: usize = 256 << 10;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct ConnectionId(u64);

/// One of the two ends of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Side {
    /// Who opened it.
    Opener,
    /// Who accepted it.
    Acceptor,
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Opener => Self::Acceptor,
            Self::Acceptor => Self::Opener,
        }
    }
}

/// Something on its way.
pub(super) enum Piece {
    Bytes(Bytes),
    /// The other side closed.
    End(String),
}

/// What one process has of a connection.
pub(super) struct End {
    pub(super) process: ProcessId,
    pub(super) link: LinkId,
    /// On its way to it, in order.
    pub(super) inbox: VecDeque<Piece>,
    /// When the last piece that was sent arrives.
    pub(super) last_arrival: Duration,
    /// Pieces that arrived and are not read.
    pub(super) unread: usize,
    pub(super) reads: bool,
    /// Whether the other side has bytes that did not fit.
    pub(super) sender_waits: bool,
}

impl End {
    fn new(process: ProcessId, link: LinkId) -> Self {
        Self {
            process,
            link,
            inbox: VecDeque::new(),
            last_arrival: Duration::ZERO,
            unread: 0,
            reads: true,
            sender_waits: false,
        }
    }

    /// Bytes that are on their way.
    pub(super) fn in_flight(&self) -> usize {
        let lengths = self.inbox.iter().map(|piece| match piece {
            Piece::Bytes(bytes) => bytes.len(),
            Piece::End(_) => 0,
        });
        lengths.sum()
    }
}

/// A connection; an end that is `None` is not there yet, or closed.
pub(super) struct Connection {
    pub(super) target: Address,
    pub(super) opened_by: ProcessId,
    /// One end has broken and the other one does not know.
    pub(super) is_half_open: bool,
    opener: Option<End>,
    acceptor: Option<End>,
}

impl Connection {
    pub(super) fn end(&mut self, side: Side) -> Option<&mut End> {
        match side {
            Side::Opener => self.opener.as_mut(),
            Side::Acceptor => self.acceptor.as_mut(),
        }
    }

    /// Which end a process has.
    pub(super) fn side_of(&self, process: ProcessId) -> Option<Side> {
        let has = |end: &Option<End>| end.as_ref().is_some_and(|end| end.process == process);
        match (has(&self.opener), has(&self.acceptor)) {
            (true, _) => Some(Side::Opener),
            (false, true) => Some(Side::Acceptor),
            (false, false) => None,
        }
    }

    fn slot(&mut self, side: Side) -> &mut Option<End> {
        match side {
            Side::Opener => &mut self.opener,
            Side::Acceptor => &mut self.acceptor,
        }
    }
}

/// All connections.
#[derive(Default)]
pub(super) struct Network {
    connections: BTreeMap<ConnectionId, Connection>,
    ends: BTreeMap<(ProcessId, LinkId), (ConnectionId, Side)>,
    opened: u64,
}

impl Network {
    /// A connection that is not there yet.
    pub(super) fn open(
        &mut self,
        process: ProcessId,
        link: LinkId,
        target: Address,
    ) -> ConnectionId {
        self.opened += 1;
        let id = ConnectionId(self.opened);
        let opener = Some(End::new(process, link));
        let connection =
            Connection { target, opened_by: process, is_half_open: false, opener, acceptor: None };
        self.connections.insert(id, connection);
        self.ends.insert((process, link), (id, Side::Opener));
        id
    }

    /// The other side takes it, under a link of its own.
    pub(super) fn accept(&mut self, id: ConnectionId, process: ProcessId) -> LinkId {
        let link = LinkId::accepted(id.0);
        let connection = self.connections.get_mut(&id).expect("it was opened");
        connection.acceptor = Some(End::new(process, link));
        self.ends.insert((process, link), (id, Side::Acceptor));
        link
    }

    pub(super) fn get(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.get_mut(&id)
    }

    pub(super) fn find(&self, process: ProcessId, link: LinkId) -> Option<(ConnectionId, Side)> {
        self.ends.get(&(process, link)).copied()
    }

    /// The links of a process.
    pub(super) fn links(&self, process: ProcessId) -> Vec<LinkId> {
        let from = (process, LinkId::accepted(0));
        let links = self.ends.range(from..).take_while(|((other, _), _)| *other == process);
        links.map(|((_, link), _)| *link).collect()
    }

    /// Whether some process has one end of a connection that is broken, and does not know.
    pub(super) fn has_half_open(&self) -> bool {
        self.connections.values().any(|connection| connection.is_half_open)
    }

    /// Connections between two processes.
    pub(super) fn between(&mut self, a: ProcessId, b: ProcessId) -> Vec<ConnectionId> {
        let joins = |connection: &Connection| {
            let ends = [&connection.opener, &connection.acceptor]
                .map(|end| end.as_ref().map(|end| end.process));
            ends == [Some(a), Some(b)] || ends == [Some(b), Some(a)]
        };
        self.connections.iter().filter(|(_, found)| joins(found)).map(|(id, _)| *id).collect()
    }

    /// Closes one end, which loses what was on its way to it.
    pub(super) fn close(&mut self, id: ConnectionId, side: Side) -> Option<End> {
        let connection = self.connections.get_mut(&id)?;
        let end = connection.slot(side).take()?;
        self.ends.remove(&(end.process, end.link));
        if connection.opener.is_none() && connection.acceptor.is_none() {
            self.connections.remove(&id);
        }
        Some(end)
    }
}
