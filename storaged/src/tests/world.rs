//! A storage, a master and clients that do as the test says, and the bytes between them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use engine::disk::MemoryDisk;
use engine::{Engine, OpenMode, Options};
use model::{
    Cell, CellState, Nid, NodeState, NodeType, Now, Oid, PartitionId, PartitionTableId, Tid, Ttid,
};
use net::{
    Action, Address, Checksum, Data, ErrorCode, Event, IdTimestamp, Incoming, LinkId, Links,
    Machine, Message, NodeInformation, OrderedMap,
};

use crate::{Storage, StorageExit, StorageOptions};

pub(crate) const CLUSTER: &str = "test";
pub(crate) const PARTITIONS: u64 = 4;

/// One of the peers of the storage.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct PeerId(usize);

/// The other end of a connection.
struct Peer {
    links: Links<u64>,
    /// Its own name of the connection, and the storage's.
    link: LinkId,
    theirs: LinkId,
    is_open: bool,
    requests: Vec<(u32, Message)>,
    answers: BTreeMap<u64, Message>,
    /// All that were answered, in order.
    answered: Vec<u64>,
}

pub(crate) struct World {
    pub(crate) disk: MemoryDisk,
    storage: Option<Storage>,
    peers: Vec<Peer>,
    master: Option<PeerId>,
    now: Duration,
    next: u64,
    clock: f64,
    pub(crate) exit: Option<StorageExit>,
    /// What the storage's master says of clients.
    clients: u32,
    is_disk_held: bool,
}

pub(crate) fn oid(number: u64) -> Oid {
    Oid::new(number)
}

pub(crate) fn tid(number: u64) -> Tid {
    Tid::new(number)
}

pub(crate) fn ttid(number: u64) -> Ttid {
    Ttid::new(number)
}

pub(crate) fn own() -> Nid {
    Nid::of(NodeType::Storage, 1)
}

pub(crate) fn rows(state: CellState) -> Vec<Vec<Cell>> {
    (0..PARTITIONS).map(|_| vec![Cell { nid: own(), state }]).collect()
}

pub(crate) fn engine_options() -> Options {
    Options {
        segment_length: 64 << 10,
        reserve_length: 4 << 10,
        group_length: 4 << 10,
        table_items_max: 256,
        table_log_max: 64 << 10,
        block_length: 512,
        ..Options::default()
    }
}

pub(crate) fn options() -> StorageOptions {
    let address = |port| Address { host: "127.0.0.1".into(), port };
    StorageOptions {
        cluster: CLUSTER.into(),
        address: address(1),
        masters: vec![address(2)],
        nid: None,
        device_path: vec!["host".into(), "disk".into()],
        new_nid: false,
        disable_pack: false,
        disable_drop_partitions: false,
        reconnect_delay: Duration::from_millis(10),
    }
}

impl World {
    /// A storage on an empty database, that nobody has talked to.
    pub(crate) fn new() -> Self {
        let disk = MemoryDisk::new(1);
        let arc = Arc::new(disk.clone());
        let engine = Engine::create(arc, engine_options(), [1; 16], Vec::new()).unwrap();
        Self::on(disk, engine, options())
    }

    /// A storage on the database of a disk.
    pub(crate) fn reopen(disk: MemoryDisk) -> Self {
        let arc = Arc::new(disk.clone());
        let engine = Engine::open(arc, engine_options(), OpenMode::ReadWrite).unwrap();
        Self::on(disk, engine, options())
    }

    pub(crate) fn on(disk: MemoryDisk, engine: Engine, options: StorageOptions) -> Self {
        let storage = Storage::open(options, engine, Now::default()).unwrap();
        Self {
            disk,
            storage: Some(storage),
            peers: Vec::new(),
            master: None,
            now: Duration::ZERO,
            next: 0,
            clock: 1000.0,
            exit: None,
            clients: 0,
            is_disk_held: false,
        }
    }

    /// A storage that serves, with all cells up to date.
    pub(crate) fn operating() -> Self {
        let mut world = Self::new();
        world.begin();
        world
    }

    /// Brings a storage from where it begins to where it serves.
    pub(crate) fn begin(&mut self) {
        self.join();
        self.send_table(1, rows(CellState::UpToDate));
        self.start();
    }

    /// The storage finds its master and is taken in.
    pub(crate) fn join(&mut self) -> Message {
        self.settle();
        let master = self.master();
        let (id, message) = self.take_request(master);
        assert!(matches!(message, Message::RequestIdentification { .. }), "{message:?}");
        let answer = Message::AcceptIdentification {
            node_type: NodeType::Master,
            nid: Some(Nid::of(NodeType::Master, 1)),
            your_nid: Some(own()),
        };
        self.reply(master, id, &answer);
        let timestamp = self.tick();
        let node = self.information(NodeType::Storage, own(), NodeState::Running, timestamp);
        self.tell_nodes(vec![node]);
        message
    }

    pub(crate) fn send_table(&mut self, table_id: u64, rows: Vec<Vec<Cell>>) {
        let table_id = Some(PartitionTableId::new(table_id));
        self.tell(&Message::SendPartitionTable { table_id, replicas: 0, rows });
    }

    pub(crate) fn start(&mut self) {
        self.tell(&Message::StartOperation { backup: false });
        let master = self.master();
        let (_, ready) = self.take_request(master);
        assert_eq!(ready, Message::NotifyReady {});
    }

    pub(crate) fn master(&self) -> PeerId {
        self.master.expect("the storage has connected")
    }

    /// Takes the storage away, as it is: a process that is killed.
    pub(crate) fn kill(mut self) -> MemoryDisk {
        self.storage = None;
        self.disk
    }

    /// Ends the storage in good order.
    pub(crate) fn close(mut self) -> MemoryDisk {
        self.storage.take().unwrap().close().unwrap();
        self.disk
    }

    pub(crate) fn tick(&mut self) -> IdTimestamp {
        self.clock += 1.0;
        IdTimestamp(self.clock)
    }

    pub(crate) fn information(
        &self,
        node_type: NodeType,
        nid: Nid,
        state: NodeState,
        timestamp: IdTimestamp,
    ) -> NodeInformation {
        let (nid, id_timestamp) = (Some(nid), Some(timestamp));
        NodeInformation { node_type, address: None, nid, state, id_timestamp }
    }

    pub(crate) fn tell_nodes(&mut self, nodes: Vec<NodeInformation>) {
        let timestamp = self.tick();
        self.tell(&Message::NotifyNodeInformation { timestamp, nodes });
    }

    /// A client that the master has announced, and that is taken in.
    pub(crate) fn client(&mut self) -> PeerId {
        self.clients += 1;
        let nid = Nid::of(NodeType::Client, self.clients);
        let timestamp = self.tick();
        let node = self.information(NodeType::Client, nid, NodeState::Running, timestamp);
        self.tell_nodes(vec![node]);
        self.node(NodeType::Client, nid, timestamp)
    }

    /// A storage that the master has announced, and that is taken in.
    pub(crate) fn other_storage(&mut self) -> PeerId {
        let nid = Nid::of(NodeType::Storage, 2);
        let timestamp = self.tick();
        let node = self.information(NodeType::Storage, nid, NodeState::Running, timestamp);
        self.tell_nodes(vec![node]);
        self.node(NodeType::Storage, nid, timestamp)
    }

    fn node(&mut self, node_type: NodeType, nid: Nid, timestamp: IdTimestamp) -> PeerId {
        let peer = self.connect();
        let answer = self.ask(peer, &introduction(node_type, Some(nid), Some(timestamp)));
        let accepted = Message::AcceptIdentification {
            node_type: NodeType::Storage,
            nid: Some(own()),
            your_nid: Some(nid),
        };
        assert_eq!(answer, accepted);
        peer
    }

    /// A connection to the storage.
    pub(crate) fn connect(&mut self) -> PeerId {
        let address = Address { host: "127.0.0.1".into(), port: 3 };
        let mut links = Links::new(Duration::ZERO);
        let link = links.connect(Duration::ZERO, &address);
        links.identified(link);
        self.next += 1;
        let theirs = LinkId::accepted(self.next);
        links.feed(Event::Connected { link });
        let peer = self.add_peer(links, link, theirs);
        self.handle(Event::Accepted { link: theirs, address });
        self.settle();
        peer
    }

    fn add_peer(&mut self, links: Links<u64>, link: LinkId, theirs: LinkId) -> PeerId {
        let (requests, answers, answered) = (Vec::new(), BTreeMap::new(), Vec::new());
        self.peers.push(Peer { links, link, theirs, is_open: true, requests, answers, answered });
        PeerId(self.peers.len() - 1)
    }

    pub(crate) fn is_open(&self, peer: PeerId) -> bool {
        self.peers[peer.0].is_open
    }

    /// Cuts a connection.
    pub(crate) fn cut(&mut self, peer: PeerId) {
        let found = &mut self.peers[peer.0];
        found.is_open = false;
        let (link, theirs) = (found.link, found.theirs);
        found.links.abort(link);
        self.handle(Event::Closed { link: theirs, reason: "cut".into() });
        self.settle();
    }

    /// Sends raw bytes.
    pub(crate) fn send_bytes(&mut self, peer: PeerId, bytes: &[u8]) {
        let link = self.peers[peer.0].theirs;
        self.handle(Event::Received { link, bytes: BytesMut::from(bytes) });
        self.settle();
    }

    /// Asks without waiting for the answer.
    pub(crate) fn post(&mut self, peer: PeerId, message: &Message) -> u64 {
        let token = self.post_only(peer, message);
        self.settle();
        token
    }

    /// The same, and nothing happens yet.
    pub(crate) fn post_only(&mut self, peer: PeerId, message: &Message) -> u64 {
        self.next += 1;
        let (token, found) = (self.next, &mut self.peers[peer.0]);
        let link = found.link;
        found.links.ask(link, message, token);
        token
    }

    /// Asks for several things at once, in what is received as one piece.
    pub(crate) fn post_all(&mut self, peer: PeerId, messages: &[Message]) -> Vec<u64> {
        let mut tokens = Vec::new();
        for message in messages {
            self.next += 1;
            tokens.push(self.next);
            let found = &mut self.peers[peer.0];
            found.links.ask(found.link, message, self.next);
        }
        self.settle();
        tokens
    }

    /// How often the log was synced.
    pub(crate) fn syncs(&self) -> u64 {
        self.storage.as_ref().map_or(0, |storage| storage.figures().groups_synced)
    }

    /// Takes an answer that came.
    pub(crate) fn answer(&mut self, peer: PeerId, token: u64) -> Option<Message> {
        self.peers[peer.0].answers.remove(&token)
    }

    /// What was answered so far, in order.
    pub(crate) fn answered(&self, peer: PeerId) -> &[u64] {
        &self.peers[peer.0].answered
    }

    #[track_caller]
    pub(crate) fn ask(&mut self, peer: PeerId, message: &Message) -> Message {
        let token = self.post(peer, message);
        self.answer(peer, token).unwrap_or_else(|| panic!("no answer to {message:?}"))
    }

    #[track_caller]
    pub(crate) fn ask_master(&mut self, message: &Message) -> Message {
        let master = self.master();
        self.ask(master, message)
    }

    /// Asks for what is to be refused.
    #[track_caller]
    pub(crate) fn refused(&mut self, peer: PeerId, message: &Message) -> ErrorCode {
        match self.ask(peer, message) {
            Message::Error { code, .. } => code,
            other => panic!("not refused: {other:?}"),
        }
    }

    pub(crate) fn notify(&mut self, peer: PeerId, message: &Message) {
        let found = &mut self.peers[peer.0];
        let link = found.link;
        found.links.send(link, message);
        self.settle();
    }

    /// The master says something.
    pub(crate) fn tell(&mut self, message: &Message) {
        let master = self.master();
        self.notify(master, message);
    }

    /// The same, and nothing happens afterwards yet.
    pub(crate) fn tell_only(&mut self, message: &Message) {
        let master = self.master();
        let found = &mut self.peers[master.0];
        let link = found.link;
        found.links.send(link, message);
        self.deliver();
    }

    /// Whether transactions that are over still have locks.
    pub(crate) fn is_releasing(&self) -> bool {
        self.storage.as_ref().is_some_and(|storage| storage.endings.is_ready())
    }

    pub(crate) fn reply(&mut self, peer: PeerId, id: u32, message: &Message) {
        let found = &mut self.peers[peer.0];
        let link = found.link;
        found.links.answer(link, id, message);
        self.settle();
    }

    /// The oldest request or notification of the storage.
    #[track_caller]
    pub(crate) fn take_request(&mut self, peer: PeerId) -> (u32, Message) {
        let requests = &mut self.peers[peer.0].requests;
        assert!(!requests.is_empty(), "the storage said nothing");
        requests.remove(0)
    }

    /// What the storage said by itself since this was asked last.
    pub(crate) fn said(&mut self, peer: PeerId) -> Vec<Message> {
        let requests = std::mem::take(&mut self.peers[peer.0].requests);
        requests.into_iter().map(|(_, message)| message).collect()
    }

    pub(crate) fn advance(&mut self, duration: Duration) {
        self.now += duration;
        self.handle(Event::Timer);
        self.settle();
    }

    pub(crate) fn handle(&mut self, event: Event) {
        let now = Now { monotonic: self.now, unix: self.now };
        let Some(storage) = &mut self.storage else { return };
        if self.exit.is_none() {
            storage.handle(now, event);
            self.exit = storage.exit();
        }
    }

    /// Moves bytes and passes time until nothing happens any more.
    pub(crate) fn settle(&mut self) {
        // What waits for a disk that does nothing never comes to rest.
        let steps = if self.is_disk_held { 200 } else { 100_000 };
        for _ in 0..steps {
            let moved = self.carry_out() | self.deliver() | self.pass_time();
            if !moved {
                return;
            }
        }
        assert!(self.is_disk_held, "it never comes to rest");
    }

    /// Lets things happen until something is so.
    pub(crate) fn settle_until(&mut self, is_so: impl Fn(&Self) -> bool) {
        while !is_so(self) {
            let moved = self.carry_out() | self.deliver() | self.pass_time();
            assert!(moved, "it came to rest before");
        }
    }

    /// Has the disk do nothing, or all that it was asked for.
    pub(crate) fn hold_disk(&mut self, hold: bool) {
        self.disk.hold_requests(hold);
        self.is_disk_held = hold;
        self.settle();
    }

    fn carry_out(&mut self) -> bool {
        let Some(storage) = &mut self.storage else { return false };
        let Some(action) = storage.links().poll_action() else { return false };
        match action {
            Action::Connect { link, at, .. } => {
                self.now = self.now.max(at);
                let mut links = Links::new(Duration::ZERO);
                let here = LinkId::accepted(1);
                let address = Address { host: "127.0.0.1".into(), port: 1 };
                links.feed(Event::Accepted { link: here, address });
                links.identified(here);
                self.master = Some(self.add_peer(links, here, link));
                self.handle(Event::Connected { link });
            }
            Action::Transmit { link } => {
                let Some(queue) = storage.links().queue(link) else { return true };
                let bytes = queue.take(usize::MAX);
                storage.links().transmitted(link);
                self.receive(link, bytes);
            }
            Action::Close { link } => {
                let peer = self.peers.iter_mut().find(|peer| peer.theirs == link);
                if let Some(peer) = peer {
                    peer.is_open = false;
                }
            }
            Action::Read { link, on } => {
                if on {
                    self.handle(Event::Writable { link });
                }
            }
        }
        true
    }

    fn receive(&mut self, theirs: LinkId, bytes: Bytes) {
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.theirs == theirs) else { return };
        if bytes.is_empty() {
            return;
        }
        let (link, bytes) = (peer.link, BytesMut::from(&bytes[..]));
        peer.links.feed(Event::Received { link, bytes });
        while let Some(incoming) = peer.links.next() {
            match incoming {
                Incoming::Request { id, message, .. } => peer.requests.push((id, message)),
                Incoming::Answer { context, message, .. } => {
                    peer.answers.insert(context, message);
                    peer.answered.push(context);
                }
                Incoming::Closed { reason, .. } => panic!("the storage sends nonsense: {reason}"),
                Incoming::Accepted { .. } | Incoming::Stray { .. } => {}
            }
        }
    }

    /// From the peers to the storage.
    fn deliver(&mut self) -> bool {
        let mut moved = false;
        for index in 0..self.peers.len() {
            let peer = &mut self.peers[index];
            while peer.links.poll_action().is_some() {}
            let Some(queue) = peer.links.queue(peer.link) else { continue };
            let bytes = queue.take(usize::MAX);
            if bytes.is_empty() || !peer.is_open {
                continue;
            }
            let link = peer.theirs;
            self.handle(Event::Received { link, bytes: BytesMut::from(&bytes[..]) });
            moved = true;
        }
        moved
    }

    fn pass_time(&mut self) -> bool {
        let Some(storage) = &self.storage else { return false };
        let soon = self.now + Duration::from_millis(60);
        let deadline = storage.deadline().filter(|at| *at <= soon && self.exit.is_none());
        let Some(deadline) = deadline else { return false };
        self.now = self.now.max(deadline);
        self.handle(Event::Timer);
        true
    }
}

pub(crate) fn introduction(
    node_type: NodeType,
    nid: Option<Nid>,
    id_timestamp: Option<IdTimestamp>,
) -> Message {
    Message::RequestIdentification {
        node_type,
        nid,
        address: None,
        cluster: CLUSTER.into(),
        id_timestamp,
        extra: OrderedMap::default(),
    }
}

pub(crate) fn store(ttid: Ttid, oid: Oid, serial: Tid, data: &str) -> Message {
    let bytes = Bytes::from(data.to_owned());
    let checksum = Checksum::of(&bytes);
    let (compression, data_serial) = (0, None);
    let data = Data::new(bytes);
    Message::AskStoreObject { oid, serial, compression, checksum, data, data_serial, ttid }
}

pub(crate) fn vote(ttid: Ttid, oids: &[Oid]) -> Message {
    Message::AskStoreTransaction {
        ttid,
        user: Bytes::from_static(b"user"),
        description: Bytes::from_static(b"description"),
        extension: Bytes::new(),
        oids: oids.to_vec().into(),
        pack: None,
    }
}

pub(crate) fn lock(ttid: Ttid, tid: Tid) -> Message {
    Message::AskLockInformation { ttid, tid, pack_approved: false }
}

pub(crate) fn load(oid: Oid) -> Message {
    Message::AskObject { oid, at: None, before: None }
}

pub(crate) fn stored(conflict: Option<u64>) -> Message {
    Message::AnswerStoreObject { conflict: conflict.map(Tid::new) }
}

impl World {
    /// Begins and votes a transaction that stores one object.
    #[track_caller]
    pub(crate) fn vote_one(&mut self, client: PeerId, number: u64, stored_oid: u64, serial: u64) {
        let (at, data) = (ttid(number), format!("{stored_oid} of {number}"));
        let answer = self.ask(client, &store(at, oid(stored_oid), tid(serial), &data));
        assert_eq!(answer, stored(None));
        let answer = self.ask(client, &vote(at, &[oid(stored_oid)]));
        assert_eq!(answer, Message::AnswerStoreTransaction {});
    }

    #[track_caller]
    pub(crate) fn lock_one(&mut self, number: u64, as_tid: u64) {
        let answer = self.ask_master(&lock(ttid(number), tid(as_tid)));
        assert_eq!(answer, Message::AnswerInformationLocked { ttid: ttid(number) });
    }

    pub(crate) fn unlock_one(&mut self, number: u64) {
        self.tell(&Message::NotifyUnlockInformation { ttid: ttid(number) });
    }

    /// Commits a transaction that stores one object; its tid is one more than its ttid.
    #[track_caller]
    pub(crate) fn commit(&mut self, client: PeerId, number: u64, stored_oid: u64, serial: u64) {
        self.vote_one(client, number, stored_oid, serial);
        self.lock_one(number, number + PARTITIONS);
        self.unlock_one(number);
    }

    /// The newest revision of an object, and its data.
    #[track_caller]
    pub(crate) fn newest(&mut self, client: PeerId, number: u64) -> Option<(u64, String)> {
        match self.ask(client, &load(oid(number))) {
            Message::AnswerObject { serial, data, next_serial: None, .. } => {
                Some((serial.get(), String::from_utf8(data.bytes.to_vec()).unwrap()))
            }
            Message::Error { code: ErrorCode::OidDoesNotExist, .. } => None,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn partition(number: u32) -> PartitionId {
        PartitionId::new(number)
    }
}

impl World {
    /// A connection on which the test itself says everything.
    pub(crate) fn connect_raw(&mut self) -> PeerId {
        let address = Address { host: "127.0.0.1".into(), port: 3 };
        let mut links = Links::new(Duration::ZERO);
        let link = links.connect(Duration::ZERO, &address);
        if let Some(queue) = links.queue(link) {
            queue.clear();
        }
        self.next += 1;
        let theirs = LinkId::accepted(self.next);
        let peer = self.add_peer(links, link, theirs);
        self.handle(Event::Accepted { link: theirs, address });
        peer
    }
}
