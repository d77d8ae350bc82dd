//! A client, and the peers that it connects to, on a network in memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use model::{
    Cell, CellState, Nid, NodeState, NodeType, Now, Oid, PartitionId, PartitionTableId, Tid, Ttid,
};
use net::{
    Action, Address, Checksum, Data, ErrorCode, Event, IdTimestamp, Incoming, LinkId, Links,
    Machine, Message, NodeInformation,
};

use crate::{Answer, Client, ClientOptions, Completion, Error, Metadata, Payload, Request, Token};

/// The primary master.
pub(super) const MASTER: u32 = 0;

pub(super) fn storage(number: u32) -> Nid {
    Nid::of(NodeType::Storage, number)
}

pub(super) fn oid(number: u64) -> Oid {
    Oid::new(number)
}

pub(super) fn tid(number: u64) -> Tid {
    Tid::new(number)
}

pub(super) fn payload(text: &str) -> Payload {
    Payload::plain(Bytes::copy_from_slice(text.as_bytes()))
}

/// A request that came to a peer.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) id: u32,
    pub(super) message: Message,
}

struct Peer {
    links: Links<()>,
    /// The connection of the client, and its other end.
    connection: Option<(LinkId, LinkId)>,
    inbox: VecDeque<Asked>,
    is_up: bool,
}

pub(super) struct World {
    pub(super) client: Client,
    pub(super) now: Now,
    peers: BTreeMap<u32, Peer>,
    accepted: u64,
    pub(super) completions: VecDeque<Completion>,
    /// Connections to open, by when.
    delayed: BTreeSet<(Duration, LinkId, u32)>,
    timestamp: f64,
}

impl World {
    /// A cluster with partitions of which each row names storages and the states of their cells.
    /// The client has joined.
    pub(super) fn new(rows: &[&[(u32, CellState)]]) -> Self {
        let mut world = Self::unconnected(|_| {});
        world.join(rows, tid(1000));
        assert_eq!(world.completion(), Completion::Connected { last_tid: tid(1000) });
        world
    }

    /// Rows of readable cells.
    pub(super) fn readable(rows: &[&[u32]]) -> Self {
        let rows: Vec<Vec<_>> = rows
            .iter()
            .map(|row| row.iter().map(|number| (*number, CellState::UpToDate)).collect())
            .collect();
        Self::new(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    pub(super) fn unconnected(change: impl FnOnce(&mut ClientOptions)) -> Self {
        let now = Now { monotonic: Duration::from_secs(100), unix: Duration::from_secs(1) };
        let mut options = ClientOptions::new("test", vec![address(MASTER)]);
        options.avoid_delay = Duration::from_secs(5);
        change(&mut options);
        let client = Client::new(options, now);
        let peer = |_| Peer {
            links: Links::new(Duration::ZERO),
            connection: None,
            inbox: VecDeque::new(),
            is_up: true,
        };
        let peers = (0..5).map(|number| (number, peer(number))).collect();
        let (completions, delayed) = (VecDeque::new(), BTreeSet::new());
        let mut world =
            Self { client, now, peers, accepted: 0, completions, delayed, timestamp: 1.0 };
        world.run();
        world
    }

    /// Takes the client in, as a primary master does.
    pub(super) fn join(&mut self, rows: &[&[(u32, CellState)]], last_tid: Tid) {
        let id = self.take(MASTER, "RequestIdentification").id;
        let (master, client) = (Nid::of(NodeType::Master, 1), Nid::of(NodeType::Client, 1));
        let accept = Message::AcceptIdentification {
            node_type: NodeType::Master,
            nid: Some(master),
            your_nid: Some(client),
        };
        self.answer(MASTER, id, accept);
        let mut nodes = vec![information(NodeType::Client, client, None, NodeState::Running)];
        for number in 1..5 {
            nodes.push(storage_information(number, NodeState::Running));
        }
        self.tell_nodes(nodes);
        let rows = rows
            .iter()
            .map(|row| {
                row.iter().map(|(number, state)| Cell { nid: storage(*number), state: *state })
            })
            .map(Iterator::collect)
            .collect();
        let table_id = Some(PartitionTableId::new(1));
        self.tell(MASTER, Message::SendPartitionTable { table_id, replicas: 1, rows });
        let id = self.take(MASTER, "AskLastTransaction").id;
        self.answer(MASTER, id, Message::AnswerLastTransaction { tid: last_tid });
    }

    pub(super) fn tell_state(&mut self, number: u32, state: NodeState) {
        self.tell_nodes(vec![storage_information(number, state)]);
    }

    fn tell_nodes(&mut self, nodes: Vec<NodeInformation>) {
        self.timestamp += 1.0;
        let timestamp = IdTimestamp(self.timestamp);
        self.tell(MASTER, Message::NotifyNodeInformation { timestamp, nodes });
    }

    pub(super) fn submit(&mut self, request: Request) -> Token {
        let token = self.client.submit(self.now, request);
        self.run();
        token
    }

    /// Submits a request that is accepted at once.
    pub(super) fn accepted(&mut self, request: Request) {
        let token = self.submit(request);
        self.assert_done(token, Ok(Answer::Accepted));
    }

    pub(super) fn begin(&mut self, ttid: u64) -> Ttid {
        let ttid = Ttid::new(ttid);
        let token = self.submit(Request::Begin { tid: None });
        let id = self.take(MASTER, "AskBeginTransaction").id;
        self.answer(MASTER, id, Message::AnswerBeginTransaction { ttid });
        self.assert_done(token, Ok(Answer::Begun(ttid)));
        ttid
    }

    pub(super) fn store(&mut self, ttid: Ttid, oid: Oid, serial: Tid, text: &str) {
        self.accepted(Request::Store { ttid, oid, serial, data: Some(payload(text)) });
    }

    pub(super) fn vote(&mut self, ttid: Ttid) -> Token {
        self.submit(Request::Vote { ttid, metadata: Metadata::default(), pack: None })
    }

    /// The next request that came to a peer, of the kind that is expected.
    pub(super) fn take(&mut self, number: u32, name: &str) -> Asked {
        let peer = self.peers.get_mut(&number).expect("there is such a peer");
        let asked = peer.inbox.pop_front();
        let asked = asked.unwrap_or_else(|| unreachable!("peer {number}: no {name} came"));
        assert_eq!(asked.message.name(), name, "peer {number}: {:?}", asked.message);
        asked
    }

    /// Asserts that a peer was asked nothing more.
    pub(super) fn assert_idle(&self, number: u32) {
        let inbox = &self.peers[&number].inbox;
        assert!(inbox.is_empty(), "peer {number}: {inbox:?}");
    }

    pub(super) fn asked(&self, number: u32) -> usize {
        self.peers[&number].inbox.len()
    }

    pub(super) fn answer(&mut self, number: u32, id: u32, message: Message) {
        let peer = self.peers.get_mut(&number).expect("there is such a peer");
        let (_, theirs) = peer.connection.expect("it is connected");
        peer.links.answer(theirs, id, &message);
        self.run();
    }

    /// Takes a request of a peer and answers it.
    pub(super) fn reply(&mut self, number: u32, name: &str, answer: Message) -> Message {
        let asked = self.take(number, name);
        self.answer(number, asked.id, answer);
        asked.message
    }

    pub(super) fn refuse(&mut self, number: u32, name: &str, code: ErrorCode) {
        let id = self.take(number, name).id;
        let peer = self.peers.get_mut(&number).expect("there is such a peer");
        let (_, theirs) = peer.connection.expect("it is connected");
        peer.links.refuse(theirs, id, code, "refused");
        self.run();
    }

    /// Answers stores or votes of several storages with success.
    pub(super) fn reply_ok(&mut self, numbers: &[u32], name: &str) {
        let answer = match name {
            "AskStoreObject" => Message::AnswerStoreObject { conflict: None },
            "AskCheckCurrentSerial" => Message::AnswerCheckCurrentSerial { conflict: None },
            "AskStoreTransaction" => Message::AnswerStoreTransaction {},
            "AskVoteTransaction" => Message::AnswerVoteTransaction {},
            name => unreachable!("{name} is not of transactions"),
        };
        for number in numbers {
            self.reply(*number, name, answer.clone());
        }
    }

    pub(super) fn tell(&mut self, number: u32, message: Message) {
        let peer = self.peers.get_mut(&number).expect("there is such a peer");
        let (_, theirs) = peer.connection.expect("it is connected");
        peer.links.send(theirs, &message);
        self.run();
    }

    /// Has a peer leave what comes, pings too, until told otherwise.
    pub(super) fn hold(&mut self, number: u32, held: bool) {
        let peer = self.peers.get_mut(&number).expect("there is such a peer");
        let (_, theirs) = peer.connection.expect("it is connected");
        peer.links.hold(theirs, held);
        self.run();
    }

    pub(super) fn is_connected(&self, number: u32) -> bool {
        self.peers[&number].connection.is_some()
    }

    /// The connection of a peer is lost; it takes the next one only if it is up.
    pub(super) fn cut(&mut self, number: u32, is_up: bool) {
        let peer = self.peers.get_mut(&number).expect("there is such a peer");
        peer.is_up = is_up;
        peer.inbox.clear();
        if let Some((ours, theirs)) = peer.connection.take() {
            let reason = "cut".to_owned();
            peer.links.feed(Event::Closed { link: theirs, reason: reason.clone() });
            while peer.links.next().is_some() {}
            self.handle(Event::Closed { link: ours, reason });
        }
        self.run();
    }

    pub(super) fn set_up(&mut self, number: u32) {
        self.peers.get_mut(&number).expect("there is such a peer").is_up = true;
    }

    pub(super) fn advance(&mut self, duration: Duration) {
        self.now.monotonic += duration;
        self.handle(Event::Timer);
        self.run();
    }

    pub(super) fn completion(&mut self) -> Completion {
        self.completions.pop_front().expect("something came of it")
    }

    #[track_caller]
    pub(super) fn assert_done(&mut self, token: Token, result: Result<Answer, Error>) {
        assert_eq!(self.completion(), Completion::Done { token, result });
    }

    #[track_caller]
    pub(super) fn assert_nothing(&self) {
        assert!(self.completions.is_empty(), "{:?}", self.completions);
    }

    fn handle(&mut self, event: Event) {
        self.client.handle(self.now, event);
    }

    /// Moves bytes and opens connections until nothing happens any more.
    fn run(&mut self) {
        loop {
            while let Some(completion) = self.client.poll_completion() {
                self.completions.push_back(completion);
            }
            let mut idle = !self.open_delayed();
            while let Some(action) = self.client.links().poll_action() {
                idle = false;
                self.carry_out(action);
            }
            for number in 0..5 {
                idle &= !self.run_peer(number);
            }
            if idle {
                return;
            }
        }
    }

    fn open_delayed(&mut self) -> bool {
        let Some(&(at, link, number)) = self.delayed.first() else { return false };
        if at > self.now.monotonic {
            return false;
        }
        self.delayed.pop_first();
        let peer = self.peers.get_mut(&number).expect("only peers are connected to");
        if !peer.is_up {
            self.handle(Event::Closed { link, reason: "refused".to_owned() });
            return true;
        }
        self.accepted += 1;
        let theirs = LinkId::accepted(self.accepted);
        peer.links.feed(Event::Accepted { link: theirs, address: address(99) });
        peer.connection = Some((link, theirs));
        self.handle(Event::Connected { link });
        true
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Connect { link, address, at } => {
                self.delayed.insert((at, link, u32::from(address.port)));
            }
            Action::Transmit { link } => {
                let peer = self.peers.values_mut().find_map(|peer| match peer.connection {
                    Some((ours, theirs)) if ours == link => Some((peer, theirs)),
                    _ => None,
                });
                // What is sent before a connection is open waits.
                let Some((peer, theirs)) = peer else { return };
                let Some(queue) = self.client.links().queue(link) else { return };
                let bytes = queue.take(usize::MAX);
                self.client.links().transmitted(link);
                if !bytes.is_empty() {
                    let bytes = BytesMut::from(bytes);
                    peer.links.feed(Event::Received { link: theirs, bytes });
                }
            }
            Action::Read { .. } => {}
            Action::Close { link } => {
                self.delayed.retain(|(_, other, _)| *other != link);
                for peer in self.peers.values_mut() {
                    if peer.connection.is_some_and(|(ours, _)| ours == link) {
                        peer.connection = None;
                    }
                }
            }
        }
    }

    /// Storages take the client in by themselves.
    fn run_peer(&mut self, number: u32) -> bool {
        let peer = self.peers.get_mut(&number).expect("there is such a peer");
        let mut busy = false;
        while let Some(incoming) = peer.links.next() {
            busy = true;
            match incoming {
                Incoming::Request { link, id, message } => match message {
                    Message::RequestIdentification { node_type, nid, .. } if number != MASTER => {
                        assert_eq!(node_type, NodeType::Client);
                        peer.links.identified(link);
                        let accept = Message::AcceptIdentification {
                            node_type: NodeType::Storage,
                            nid: Some(storage(number)),
                            your_nid: nid,
                        };
                        peer.links.answer(link, id, &accept);
                    }
                    message => {
                        peer.links.identified(link);
                        peer.inbox.push_back(Asked { id, message });
                    }
                },
                Incoming::Accepted { .. } => {}
                other => assert!(matches!(other, Incoming::Closed { .. }), "{other:?}"),
            }
        }
        while let Some(action) = peer.links.poll_action() {
            let Some((ours, theirs)) = peer.connection else { continue };
            match action {
                Action::Transmit { link } if link == theirs => {
                    let Some(queue) = peer.links.queue(link) else { continue };
                    let bytes = queue.take(usize::MAX);
                    peer.links.transmitted(link);
                    if !bytes.is_empty() {
                        busy = true;
                        let bytes = BytesMut::from(bytes);
                        self.client.handle(self.now, Event::Received { link: ours, bytes });
                    }
                }
                Action::Close { link } if link == theirs => {
                    busy = true;
                    peer.connection = None;
                    let reason = "closed".to_owned();
                    self.client.handle(self.now, Event::Closed { link: ours, reason });
                }
                _ => {}
            }
        }
        busy
    }
}

fn address(number: u32) -> Address {
    Address { host: "::1".to_owned(), port: u16::try_from(number).expect("few peers") }
}

fn information(
    node_type: NodeType,
    nid: Nid,
    address: Option<Address>,
    state: NodeState,
) -> NodeInformation {
    let id_timestamp = Some(IdTimestamp(1.0));
    NodeInformation { node_type, address, nid: Some(nid), state, id_timestamp }
}

fn storage_information(number: u32, state: NodeState) -> NodeInformation {
    information(NodeType::Storage, storage(number), Some(address(number)), state)
}

/// The answer to a load.
pub(super) fn object(oid: Oid, serial: Tid, text: &str) -> Message {
    let data = Data::new(Bytes::copy_from_slice(text.as_bytes()));
    Message::AnswerObject {
        oid,
        serial,
        next_serial: None,
        compression: Some(0),
        checksum: data.checksum(),
        data,
        data_serial: None,
    }
}

/// The answer to a load of a revision without data.
pub(super) fn deleted(oid: Oid, serial: Tid) -> Message {
    Message::AnswerObject {
        oid,
        serial,
        next_serial: None,
        compression: Some(0),
        checksum: Checksum::ZERO,
        data: Data::default(),
        data_serial: None,
    }
}

/// A change of the table.
pub(super) fn change(id: u64, changes: &[(u32, u32, CellState)]) -> Message {
    let changes = changes.iter().map(|(partition, number, state)| model::CellChange {
        partition: PartitionId::new(*partition),
        nid: storage(*number),
        state: *state,
    });
    Message::NotifyPartitionChanges {
        table_id: PartitionTableId::new(id),
        replicas: 1,
        changes: changes.collect(),
    }
}
