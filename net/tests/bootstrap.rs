//! How a node finds the primary master.

use std::time::Duration;

use bytes::BytesMut;
use model::{Nid, NodeState, NodeType};
use net::{
    Action, Address, Bootstrap, BootstrapStep, ErrorCode, Event, HANDSHAKE, IdTimestamp, Identity,
    Incoming, LinkId, Links, Message, NodeInformation, NodeTable, OrderedMap,
};

const NOW: Duration = Duration::from_secs(100);

fn address(port: u16) -> Address {
    Address { host: "127.0.0.1".to_owned(), port }
}

fn identity() -> Identity {
    Identity {
        node_type: NodeType::Storage,
        nid: None,
        address: Some(address(9)),
        cluster: "test".to_owned(),
        id_timestamp: None,
        extra: OrderedMap::default(),
    }
}

/// A node that searches, with the masters played by the test.
struct Search {
    bootstrap: Bootstrap,
    links: Links<()>,
}

impl Search {
    fn begin(ports: &[u16]) -> Self {
        let masters = ports.iter().map(|port| address(*port)).collect();
        let bootstrap = Bootstrap::new(identity(), masters);
        let mut search = Self { bootstrap, links: Links::new(Duration::ZERO) };
        search.bootstrap.start(NOW, &mut search.links, ());
        search
    }

    /// The connection that it opens: port and name. All that it had before is closed.
    fn opens(&mut self) -> (u16, LinkId) {
        let mut opened = None;
        while let Some(action) = self.links.poll_action() {
            if let Action::Connect { link, address, .. } = action {
                opened = Some((address.port, link));
            }
        }
        let opened = opened.expect("a master is tried");
        assert_eq!(Some(opened.1), self.bootstrap.link());
        assert_eq!(self.links.ids().collect::<Vec<_>>(), [opened.1], "one at a time");
        opened
    }

    fn answers(&mut self, link: LinkId, message: &Message) -> BootstrapStep {
        self.links.feed(Event::Connected { link });
        assert_eq!(self.links.poll_action(), Some(Action::Transmit { link }));
        let sent = self.links.queue(link).unwrap().take(usize::MAX);
        let expected = [&HANDSHAKE[..], &identity().request().to_packet(0)].concat();
        assert_eq!(sent[..], expected);
        let bytes = [&HANDSHAKE[..], &message.to_packet(0)].concat();
        self.links.feed(Event::Received { link, bytes: BytesMut::from(&bytes[..]) });
        let message = match self.links.next().unwrap() {
            Incoming::Answer { message, .. } | Incoming::Request { message, .. } => message,
            other => panic!("{other:?}"),
        };
        self.bootstrap.packet(NOW, &mut self.links, message, ())
    }

    fn loses(&mut self, link: LinkId) {
        self.links.feed(Event::Closed { link, reason: "refused".to_owned() });
        let Some(Incoming::Closed { link: closed, reason, .. }) = self.links.next() else {
            panic!("it is told");
        };
        assert_eq!(closed, link);
        self.bootstrap.lost(NOW, &mut self.links, &reason, ());
    }
}

fn accepted(nid: i32) -> Message {
    Message::AcceptIdentification {
        node_type: NodeType::Master,
        nid: Some(Nid::new(-0x1000_0000)),
        your_nid: Some(Nid::new(nid)),
    }
}

#[test]
fn masters_are_tried_in_turn_until_one_is_primary() {
    let mut search = Search::begin(&[1, 2]);
    let (port, link) = search.opens();
    assert_eq!(port, 1);
    search.loses(link);
    let (port, link) = search.opens();
    assert_eq!(port, 2);
    // It knows one more, and which one is primary.
    let masters = vec![address(1), address(2), address(3)];
    let step = search.answers(link, &Message::NotPrimaryMaster { primary: Some(2), masters });
    assert_eq!(step, BootstrapStep::Searching);
    let (port, link) = search.opens();
    assert_eq!(port, 3);
    assert_eq!(search.bootstrap.masters(), [address(1), address(2), address(3)]);
    let (master, nid) = (Nid::new(-0x1000_0000), Nid::new(7));
    assert_eq!(search.answers(link, &accepted(7)), BootstrapStep::Found { link, master, nid });
    assert_eq!(search.bootstrap.link(), None, "it is the owner's now");
    assert_eq!(search.bootstrap.identity().nid, Some(nid));

    // When it is lost, the one that was primary is tried first.
    search.links.abort(link);
    search.bootstrap.start(NOW, &mut search.links, ());
    assert_eq!(search.opens().0, 3);
}

#[test]
fn whatever_else_a_master_says_the_next_one_is_tried() {
    let nonsense = Message::NotPrimaryMaster { primary: Some(77), masters: Vec::new() };
    let not_ready = Message::error(ErrorCode::NotReady, "later");
    let of_a_storage = Message::AcceptIdentification {
        node_type: NodeType::Storage,
        nid: Some(Nid::new(1)),
        your_nid: None,
    };
    for message in [nonsense, not_ready, of_a_storage, Message::NotifyReady {}] {
        let mut search = Search::begin(&[1, 2]);
        let (_, link) = search.opens();
        assert_eq!(search.answers(link, &message), BootstrapStep::Searching, "{message:?}");
        assert_eq!(search.opens().0, 2, "{message:?}");
    }
    let mut search = Search::begin(&[1, 2]);
    let (_, link) = search.opens();
    let message = Message::error(ErrorCode::ProtocolError, "invalid cluster name");
    let (address, text) = (address(1), "invalid cluster name".to_owned());
    assert_eq!(search.answers(link, &message), BootstrapStep::Refused { address, text });
    assert_eq!(search.opens().0, 2, "it may be mended");
}

#[test]
fn an_id_that_is_of_no_such_node_is_not_taken() {
    for nid in [0, -0x2000_0001, -0x1000_0001] {
        let mut search = Search::begin(&[1]);
        let (_, link) = search.opens();
        assert_eq!(search.answers(link, &accepted(nid)), BootstrapStep::Searching, "{nid}");
        assert_eq!(search.bootstrap.identity().nid, None);
        search.opens();
    }
}

#[test]
fn a_request_on_a_connection_that_just_failed_comes_back() {
    let mut links = Links::<u32>::new(Duration::ZERO);
    let link = links.connect(NOW, &address(1));
    links.ask(link, &Message::AskRecovery {}, 1);
    links.feed(Event::Closed { link, reason: "gone".to_owned() });
    links.ask(link, &Message::AskLastIDs {}, 2);
    let Some(Incoming::Closed { requests, .. }) = links.next() else { panic!("it is told") };
    assert_eq!(requests, [1, 2]);
}

#[test]
fn nodes_are_known_as_the_master_tells_and_unknown_ones_forgotten() {
    let node = |nid: Option<i32>, node_type, port, state| NodeInformation {
        node_type,
        address: Some(address(port)),
        nid: nid.map(Nid::new),
        state,
        id_timestamp: Some(IdTimestamp(1.5)),
    };
    let mut table = NodeTable::default();
    let first = [
        node(Some(1), NodeType::Storage, 1, NodeState::Running),
        node(Some(2), NodeType::Storage, 2, NodeState::Down),
        node(None, NodeType::Master, 3, NodeState::Down),
    ];
    table.replace(IdTimestamp(1.0), &first);
    let [one, two] = [1, 2].map(Nid::new);
    assert_eq!(table.iter().map(|(nid, _)| nid).collect::<Vec<_>>(), [one, two]);
    assert!(table.is_running(one) && !table.is_running(two));
    assert_eq!(table.masters(), [address(3)]);
    assert_eq!(table.information().collect::<Vec<_>>(), first[..2]);

    let changes = [
        node(Some(1), NodeType::Storage, 1, NodeState::Unknown),
        node(Some(2), NodeType::Storage, 2, NodeState::Running),
        node(Some(-0x1000_0000), NodeType::Master, 3, NodeState::Running),
    ];
    table.update(IdTimestamp(2.0), &changes);
    assert_eq!(table.get(one), None);
    assert!(table.is_running(two) && !table.is_running(one));
    assert_eq!(table.masters(), [address(3)], "the same one");
    assert_eq!(table.timestamp(), Some(IdTimestamp(2.0)));
    table.replace(IdTimestamp(3.0), &[]);
    assert_eq!(table.iter().count(), 0);
}

#[test]
fn addresses_are_written_as_they_are_read() {
    for text in ["127.0.0.1:1", "[::1]:65535", "localhost:24573"] {
        let address: Address = text.parse().unwrap();
        assert_eq!(address.to_string(), text);
        assert_eq!(address.to_socket().is_some(), !text.starts_with('l'));
    }
    for text in ["", ":1", "::1:1", "[::1]", "[::1:1", "host", "host:65536", "host:-1", "[]:1"] {
        let refused = text.parse::<Address>();
        assert!(refused.is_err(), "{text}: {refused:?}");
    }
    let mapped = "[::ffff:127.0.0.1]:5".parse::<std::net::SocketAddr>().unwrap();
    assert_eq!(Address::from(mapped).to_string(), "127.0.0.1:5");
}
