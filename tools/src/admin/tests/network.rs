//! The other ends of the admin's connections.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::BytesMut;
use model::{Nid, NodeType, Now};
use net::{
    Action, Address, Event, Identity, Incoming, LinkId, Links, Machine, Message, OrderedMap,
};

use super::super::{Admin, AdminOptions};

/// Port of the only master.
pub(super) const MASTER: u16 = 10_000;

/// The other end of a connection.
struct Peer {
    /// Of a request its number is noted.
    links: Links<u32>,
    link: LinkId,
    received: VecDeque<(u32, Message)>,
    is_closed: bool,
}

/// An admin, and everybody that it is connected to. What is sent arrives at once.
pub(super) struct Network {
    pub(super) admin: Admin,
    pub(super) now: Now,
    /// Ports that the admin connected to.
    pub(super) connections: Vec<u16>,
    /// By the connection as the admin has it.
    peers: BTreeMap<LinkId, Peer>,
    master: Option<LinkId>,
    accepted: u64,
}

fn address(port: u16) -> Address {
    Address { host: String::from("127.0.0.1"), port }
}

/// What a node of the cluster says of itself.
pub(super) fn identification(node_type: NodeType) -> Message {
    Identity {
        node_type,
        nid: None,
        address: None,
        cluster: String::from("test"),
        id_timestamp: None,
        extra: OrderedMap::default(),
    }
    .request()
}

impl Network {
    /// With an admin that searches its master.
    pub(super) fn new() -> Self {
        let now = Now { monotonic: Duration::from_secs(100), unix: Duration::ZERO };
        let options = AdminOptions {
            cluster: String::from("test"),
            address: address(9999),
            masters: vec![address(MASTER)],
            nid: None,
            reconnect_delay: Duration::from_secs(1),
        };
        let admin = Admin::new(options, now);
        let mut network = Self {
            admin,
            now,
            connections: Vec::new(),
            peers: BTreeMap::new(),
            master: None,
            accepted: 0,
        };
        network.settle();
        network
    }

    /// The master takes the admin in.
    pub(super) fn accept(&mut self) {
        let asked = self.take_asked();
        assert!(matches!(asked[..], [(0, Message::RequestIdentification { .. })]), "{asked:?}");
        let accepted = Message::AcceptIdentification {
            node_type: NodeType::Master,
            nid: Some(Nid::of(NodeType::Master, 1)),
            your_nid: Some(Nid::of(NodeType::Admin, 1)),
        };
        self.master_answers(0, &accepted);
        assert!(self.has_master());
    }

    pub(super) fn has_master(&self) -> bool {
        self.admin.nid().is_some()
    }

    /// What the admin asked or told the master since this was asked last.
    pub(super) fn take_asked(&mut self) -> Vec<(u32, Message)> {
        self.master_peer().received.drain(..).collect()
    }

    pub(super) fn master_says(&mut self, message: &Message) {
        let peer = self.master_peer();
        peer.links.send(peer.link, message);
        self.settle();
    }

    pub(super) fn master_answers(&mut self, id: u32, message: &Message) {
        let peer = self.master_peer();
        peer.links.answer(peer.link, id, message);
        self.settle();
    }

    pub(super) fn lose_master(&mut self) {
        let link = self.master.take().expect("there is one");
        self.peers.remove(&link);
        let reason = String::from("closed by the peer");
        self.admin.handle(self.now, Event::Closed { link, reason });
        self.settle();
    }

    /// Somebody connects to the admin.
    pub(super) fn operator(&mut self) -> LinkId {
        let admin_link = LinkId::accepted(self.accepted);
        self.accepted += 1;
        let mut links = Links::new(Duration::ZERO);
        let link = links.connect(Duration::ZERO, &address(9999));
        links.feed(Event::Connected { link });
        let peer = Peer { links, link, received: VecDeque::new(), is_closed: false };
        self.peers.insert(admin_link, peer);
        let event = Event::Accepted { link: admin_link, address: address(1) };
        self.admin.handle(self.now, event);
        self.settle();
        admin_link
    }

    /// An operator asks or tells something; the answer is kept with this number.
    pub(super) fn operator_asks(&mut self, operator: LinkId, id: u32, message: &Message) {
        let peer = self.peers.get_mut(&operator).expect("it is connected");
        match message {
            Message::FlushLog {} | Message::CloseClient {} => peer.links.send(peer.link, message),
            message => peer.links.ask(peer.link, message, id),
        }
        self.settle();
    }

    pub(super) fn operator_leaves(&mut self, operator: LinkId) {
        self.peers.remove(&operator);
        let reason = String::from("closed by the peer");
        self.admin.handle(self.now, Event::Closed { link: operator, reason });
        self.settle();
    }

    /// What an operator got since this was asked last.
    pub(super) fn answers(&mut self, operator: LinkId) -> Vec<(u32, Message)> {
        let peer = self.peers.get_mut(&operator).expect("it was connected");
        peer.received.drain(..).collect()
    }

    pub(super) fn is_closed(&self, operator: LinkId) -> bool {
        self.peers.get(&operator).is_some_and(|peer| peer.is_closed)
    }

    pub(super) fn timer(&mut self) {
        self.admin.handle(self.now, Event::Timer);
        self.settle();
    }

    fn master_peer(&mut self) -> &mut Peer {
        let link = self.master.expect("the admin has connected to the master");
        self.peers.get_mut(&link).expect("it is connected")
    }

    /// Carries bytes until nobody has anything to send.
    fn settle(&mut self) {
        loop {
            let mut is_quiet = true;
            while let Some(action) = self.admin.links().poll_action() {
                is_quiet = false;
                self.carry_out(action);
            }
            let links: Vec<LinkId> = self.peers.keys().copied().collect();
            for link in links {
                is_quiet &= !self.carry_to_admin(link);
            }
            if is_quiet {
                return;
            }
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Connect { link, address, .. } => {
                self.connections.push(address.port);
                self.master = Some(link);
                let mut links = Links::new(Duration::ZERO);
                let accepted = LinkId::accepted(0);
                links.feed(Event::Accepted { link: accepted, address });
                let received = VecDeque::new();
                let peer = Peer { links, link: accepted, received, is_closed: false };
                self.peers.insert(link, peer);
                self.admin.handle(self.now, Event::Connected { link });
            }
            Action::Transmit { link } => {
                let Some(queue) = self.admin.links().queue(link) else { return };
                let bytes = BytesMut::from(&queue.take(usize::MAX)[..]);
                self.admin.links().transmitted(link);
                if let Some(peer) = self.peers.get_mut(&link) {
                    peer.receive(bytes);
                }
            }
            Action::Close { link } => {
                if let Some(peer) = self.peers.get_mut(&link) {
                    peer.is_closed = true;
                }
            }
            Action::Read { .. } => {}
        }
    }

    /// Whether there was something.
    fn carry_to_admin(&mut self, link: LinkId) -> bool {
        let Some(peer) = self.peers.get_mut(&link).filter(|peer| !peer.is_closed) else {
            return false;
        };
        while peer.links.poll_action().is_some() {}
        let Some(queue) = peer.links.queue(peer.link) else { return false };
        let bytes = BytesMut::from(&queue.take(usize::MAX)[..]);
        if bytes.is_empty() {
            return false;
        }
        self.admin.handle(self.now, Event::Received { link, bytes });
        true
    }
}

impl Peer {
    fn receive(&mut self, bytes: BytesMut) {
        if bytes.is_empty() {
            return;
        }
        self.links.feed(Event::Received { link: self.link, bytes });
        while let Some(incoming) = self.links.next() {
            match incoming {
                Incoming::Request { id, message, .. } => self.received.push_back((id, message)),
                Incoming::Answer { context, message, .. } => {
                    self.received.push_back((context, message));
                }
                Incoming::Accepted { .. } => {}
                other => panic!("not expected here: {other:?}"),
            }
        }
    }
}
