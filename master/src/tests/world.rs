//! The small world of these tests: one master, a clock, a disk, and peers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use engine::disk::{Disk, MemoryDisk};
use model::{Nid, NodeType, Now, PartitionCount, Tid, UtcTime};
use net::{Action, Address, Event, Extra, Incoming, LinkId, Links, Machine, Message, Value};

use crate::{Error, Master, MasterExit, MasterOptions};

/// When the tests begin: 2026-01-05 12:33:21.5 UTC.
pub(super) const START: Duration = Duration::from_millis(1_767_616_401_500);

/// What came to a peer.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Came {
    /// A request with its id, or a notification.
    Request(u32, Message),
    /// An answer to the request that was noted so.
    Answer(&'static str, Message),
    /// The master closed the connection.
    Closed,
}

/// A peer that the test plays.
pub(super) struct Peer {
    links: Links<&'static str>,
    link: LinkId,
    remote: LinkId,
    pub(super) came: VecDeque<Came>,
    /// Whether the master reads nothing from it.
    pub(super) is_paused: bool,
    pub(super) nid: Option<Nid>,
}

/// Everything.
pub(super) struct World {
    pub(super) master: Master,
    pub(super) now: Now,
    peers: BTreeMap<&'static str, Peer>,
    accepted: u64,
    pub(super) exit: Option<MasterExit>,
}

pub(super) fn address(port: u16) -> Address {
    Address { host: "127.0.0.1".to_owned(), port }
}

pub(super) fn options() -> MasterOptions {
    MasterOptions {
        cluster: Some("test".to_owned()),
        address: address(1000),
        masters: vec![address(1000)],
        partitions: PartitionCount::new(4).unwrap(),
        replicas: 0,
        autostart: None,
        nid: None,
        reconnect_delay: Duration::from_secs(1),
        seed: 1,
    }
}

pub(super) fn storage(number: u32) -> Nid {
    Nid::of(NodeType::Storage, number)
}

impl World {
    pub(super) fn new(options: MasterOptions) -> Self {
        Self::open(options, None, Duration::ZERO).unwrap()
    }

    /// Opens a master so long after the beginning of time.
    pub(super) fn open(
        options: MasterOptions,
        disk: Option<&MemoryDisk>,
        after: Duration,
    ) -> Result<Self, Error> {
        let now = Now { monotonic: after, unix: START + after };
        let disk = disk.map(|disk| Arc::new(disk.clone()) as Arc<dyn Disk>);
        let master = Master::open(options, disk, now)?;
        Ok(Self { master, now, peers: BTreeMap::new(), accepted: 0, exit: None })
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, duration: Duration) {
        self.now.monotonic += duration;
        self.now.unix += duration;
        self.master.handle(self.now, Event::Timer);
        self.pump();
    }

    /// The tid of the present time.
    pub(super) fn present(&self) -> Tid {
        Tid::at(UtcTime::from_unix(self.now.unix).unwrap())
    }

    /// Connects a peer that has not said who it is.
    pub(super) fn connect(&mut self, name: &'static str) {
        let mut links = Links::new(Duration::ZERO);
        let link = links.connect(Duration::ZERO, &address(1000));
        links.identified(link);
        self.accepted += 1;
        let remote = LinkId::accepted(self.accepted);
        links.feed(Event::Connected { link });
        let peer = Peer { links, link, remote, came: VecDeque::new(), is_paused: false, nid: None };
        self.peers.insert(name, peer);
        let event = Event::Accepted { link: remote, address: address(2000) };
        self.master.handle(self.now, event);
        self.pump();
    }

    /// Connects a peer and has it introduce itself.
    pub(super) fn identify(
        &mut self,
        name: &'static str,
        node_type: NodeType,
        nid: Option<Nid>,
        port: Option<u16>,
        extra: Extra,
    ) {
        self.connect(name);
        let address = port.map(address);
        let cluster = "test".to_owned();
        let request = Message::RequestIdentification {
            node_type,
            nid,
            address,
            cluster,
            id_timestamp: None,
            extra,
        };
        self.ask(name, request);
    }

    /// A storage joins; returns its id.
    pub(super) fn join_storage(&mut self, name: &'static str, nid: Option<Nid>, port: u16) -> Nid {
        let extra = net::OrderedMap(vec![(Bytes::from_static(b"new_nid"), Value::List(vec![]))]);
        self.identify(name, NodeType::Storage, nid, Some(port), extra);
        self.accepted_nid(name)
    }

    /// An admin joins.
    pub(super) fn join_admin(&mut self) {
        self.identify("admin", NodeType::Admin, None, Some(3000), Extra::default());
        self.accepted_nid("admin");
        self.skip("admin");
    }

    /// A client joins.
    pub(super) fn join_client(&mut self, name: &'static str) -> Nid {
        self.identify(name, NodeType::Client, None, None, Extra::default());
        let nid = self.accepted_nid(name);
        self.skip(name);
        nid
    }

    pub(super) fn accepted_nid(&mut self, name: &'static str) -> Nid {
        let came = self.next(name);
        let Came::Answer(_, Message::AcceptIdentification { your_nid: Some(nid), .. }) = came
        else {
            panic!("{name}: {came:?}");
        };
        self.peer(name).nid = Some(nid);
        nid
    }

    pub(super) fn ask(&mut self, name: &'static str, message: Message) {
        let peer = self.peer(name);
        let (link, note) = (peer.link, message.name());
        peer.links.ask(link, &message, note);
        self.pump();
    }

    /// The master's side of a peer's connection.
    pub(super) fn remote(&mut self, name: &'static str) -> LinkId {
        self.peer(name).remote
    }

    /// Has a peer ask, and the master hear it, once.
    pub(super) fn send_only(&mut self, name: &'static str, message: Message) {
        let peer = self.peer(name);
        let (link, note) = (peer.link, message.name());
        peer.links.ask(link, &message, note);
        self.pump_peer(name);
    }

    pub(super) fn send(&mut self, name: &'static str, message: Message) {
        let peer = self.peer(name);
        let link = peer.link;
        peer.links.send(link, &message);
        self.pump();
    }

    pub(super) fn answer(&mut self, name: &'static str, id: u32, message: Message) {
        let peer = self.peer(name);
        let link = peer.link;
        peer.links.answer(link, id, &message);
        self.pump();
    }

    /// A peer's connection is lost.
    pub(super) fn lose(&mut self, name: &'static str) {
        let peer = self.peers.remove(name).unwrap();
        let event = Event::Closed { link: peer.remote, reason: "reset".to_owned() };
        self.master.handle(self.now, event);
        self.pump();
    }

    pub(super) fn peer(&mut self, name: &'static str) -> &mut Peer {
        self.peers.get_mut(name).unwrap_or_else(|| panic!("no peer {name}"))
    }

    /// The next thing that came to a peer.
    pub(super) fn next(&mut self, name: &'static str) -> Came {
        self.peer(name).came.pop_front().unwrap_or_else(|| panic!("nothing came to {name}"))
    }

    /// The next request; whoever asks answers with the id.
    pub(super) fn request(&mut self, name: &'static str) -> (u32, Message) {
        match self.next(name) {
            Came::Request(id, message) => (id, message),
            other => panic!("{name}: {other:?}"),
        }
    }

    /// The next answer.
    pub(super) fn answered(&mut self, name: &'static str) -> Message {
        match self.next(name) {
            Came::Answer(_, message) => message,
            other => panic!("{name}: {other:?}"),
        }
    }

    /// Forgets what came; returns it.
    pub(super) fn skip(&mut self, name: &'static str) -> Vec<Came> {
        std::mem::take(&mut self.peer(name).came).into()
    }

    /// The first request of a name among what came; what is before it is forgotten.
    pub(super) fn until(&mut self, name: &'static str, wanted: &str) -> (u32, Message) {
        loop {
            match self.next(name) {
                Came::Request(id, message) if message.name() == wanted => return (id, message),
                Came::Closed => panic!("{name}: closed before {wanted}"),
                _ => {}
            }
        }
    }

    /// The first answer among what came.
    pub(super) fn until_answer(&mut self, name: &'static str) -> Message {
        loop {
            if let Came::Answer(_, message) = self.next(name) {
                return message;
            }
        }
    }

    /// Names of what came, and forgets it.
    pub(super) fn names(&mut self, name: &'static str) -> Vec<&'static str> {
        let came = self.skip(name).into_iter();
        came.map(|came| match came {
            Came::Request(_, message) | Came::Answer(_, message) => message.name(),
            Came::Closed => "closed",
        })
        .collect()
    }

    pub(super) fn is_closed(&mut self, name: &'static str) -> bool {
        self.peer(name).came.back() == Some(&Came::Closed)
    }

    /// Moves bytes until nobody has anything to say.
    pub(super) fn pump(&mut self) {
        loop {
            let mut moved = false;
            while let Some(action) = self.master.links().poll_action() {
                moved = true;
                self.master_action(action);
            }
            let names: Vec<&'static str> = self.peers.keys().copied().collect();
            for name in names {
                moved |= self.pump_peer(name);
            }
            if self.master.deadline().is_some_and(|deadline| deadline <= self.now.monotonic) {
                self.master.handle(self.now, Event::Disk);
                moved = true;
            }
            self.exit = self.exit.take().or(self.master.exit());
            if !moved || self.exit.is_some() {
                break;
            }
        }
        while let Some(action) = self.master.links().poll_action() {
            self.master_action(action);
        }
    }

    fn master_action(&mut self, action: Action) {
        let by_remote = |peers: &mut BTreeMap<&'static str, Peer>, remote: LinkId| {
            let found = peers.iter().find(|(_, peer)| peer.remote == remote);
            found.map(|(name, _)| *name)
        };
        match action {
            Action::Transmit { link } => {
                let Some(queue) = self.master.links().queue(link) else { return };
                let bytes = BytesMut::from(&queue.take(usize::MAX)[..]);
                self.master.links().transmitted(link);
                let Some(name) = by_remote(&mut self.peers, link) else { return };
                let peer = self.peer(name);
                if !bytes.is_empty() {
                    peer.links.feed(Event::Received { link: peer.link, bytes });
                }
                peer.receive();
            }
            Action::Close { link } => {
                let Some(name) = by_remote(&mut self.peers, link) else { return };
                self.peer(name).came.push_back(Came::Closed);
            }
            Action::Read { link, on } => {
                let Some(name) = by_remote(&mut self.peers, link) else { return };
                self.peer(name).is_paused = !on;
            }
            Action::Connect { .. } => {}
        }
    }

    fn pump_peer(&mut self, name: &'static str) -> bool {
        let peer = self.peers.get_mut(name).unwrap();
        let mut moved = false;
        while let Some(action) = peer.links.poll_action() {
            if let Action::Transmit { link } = action
                && let Some(queue) = peer.links.queue(link)
            {
                let bytes = BytesMut::from(&queue.take(usize::MAX)[..]);
                peer.links.transmitted(link);
                if !bytes.is_empty() {
                    moved = true;
                    let event = Event::Received { link: peer.remote, bytes };
                    self.master.handle(self.now, event);
                }
            }
        }
        moved
    }
}

impl Peer {
    fn receive(&mut self) {
        while let Some(incoming) = self.links.next() {
            self.came.push_back(match incoming {
                Incoming::Request { id, message, .. } => Came::Request(id, message),
                Incoming::Answer { context, message, .. } => Came::Answer(context, message),
                Incoming::Stray { message, .. } => Came::Answer("", message),
                Incoming::Closed { .. } => Came::Closed,
                Incoming::Accepted { .. } => continue,
            });
        }
    }
}
