//! Links against one another, with the test as the network between them.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use model::{Oid, Tid, Ttid};
use net::{
    Action, Address, Checksum, CloseReason, Data, ErrorCode, Event, HANDSHAKE, Incoming, LinkId,
    Links, Malformed, Message,
};

const ACCEPTED: LinkId = LinkId::accepted(1);
const NODE: &str = "127.0.0.1:2051";
/// Data of a load that is answered by much more than is asked.
const DATA_LENGTH: usize = 1 << 20;

/// Links with one connection, which takes what is sent to it.
struct Side {
    links: Links<u32>,
    link: LinkId,
    actions: Vec<Action>,
}

impl Side {
    fn accepted() -> Self {
        let mut links = Links::new(Duration::ZERO);
        links.feed(Event::Accepted { link: ACCEPTED, address: NODE.parse().unwrap() });
        assert!(matches!(links.next(), Some(Incoming::Accepted { link: ACCEPTED, .. })));
        Self { links, link: ACCEPTED, actions: Vec::new() }
    }

    fn opened() -> Self {
        let mut links = Links::new(Duration::ZERO);
        let link = links.connect(Duration::ZERO, &NODE.parse().unwrap());
        let at = Duration::ZERO;
        let connect = Action::Connect { link, address: NODE.parse().unwrap(), at };
        assert_eq!(links.poll_action(), Some(connect));
        links.feed(Event::Connected { link });
        Self { links, link, actions: Vec::new() }
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.links.feed(Event::Received { link: self.link, bytes: BytesMut::from(bytes) });
    }

    /// Carries out all actions; returns what was sent, at most so many bytes of it.
    fn send(&mut self, length_max: usize) -> Bytes {
        let mut sent = BytesMut::new();
        while let Some(action) = self.links.poll_action() {
            match action {
                Action::Transmit { link } => {
                    assert_eq!(link, self.link);
                    let left = length_max - sent.len();
                    let Some(queue) = self.links.queue(link) else { continue };
                    sent.extend_from_slice(&queue.take(left));
                    self.links.transmitted(link);
                }
                action => self.actions.push(action),
            }
        }
        sent.freeze()
    }

    fn is_closed(&self) -> bool {
        self.actions.contains(&Action::Close { link: self.link })
            && self.links.ids().next().is_none()
    }

    /// The reason why the connection was closed, after everything else was taken.
    fn closed(&mut self) -> Option<CloseReason> {
        std::iter::from_fn(|| self.links.next()).find_map(|incoming| match incoming {
            Incoming::Closed { reason, .. } => Some(reason),
            _ => None,
        })
    }
}

fn load(oid: u64) -> Message {
    Message::AskObject { oid: Oid::new(oid), at: None, before: None }
}

fn loaded(oid: u64, data: Bytes) -> Message {
    Message::AnswerObject {
        oid: Oid::new(oid),
        serial: Tid::new(1),
        next_serial: None,
        compression: Some(0),
        checksum: Checksum::of(&data),
        data: Data::new(data),
        data_serial: None,
    }
}

/// The bytes of packets, without the handshake before them.
fn packets(send: impl FnOnce(&mut Links<u32>, LinkId)) -> Bytes {
    let mut side = Side::accepted();
    send(&mut side.links, side.link);
    let mut bytes = side.send(usize::MAX);
    assert_eq!(bytes.split_to(HANDSHAKE.len())[..], HANDSHAKE);
    bytes
}

#[test]
fn requests_come_and_answers_come_back_with_their_contexts() {
    let (mut client, mut server) = (Side::opened(), Side::accepted());
    for context in [7, 8, 9] {
        client.links.ask(client.link, &load(u64::from(context)), context);
    }
    client.links.send(client.link, &Message::NotifyReady {});
    server.receive(&client.send(usize::MAX));
    let mut ids = BTreeMap::new();
    while let Some(Incoming::Request { id, message, .. }) = server.links.next() {
        ids.insert(id, message);
    }
    assert_eq!(ids.len(), 4, "ids of requests and notifications differ");
    assert_eq!(ids[&3], Message::NotifyReady {});

    // Answers come in any order.
    let answer = loaded(8, Bytes::from_static(b"data"));
    server.links.answer(ACCEPTED, 1, &answer);
    server.links.refuse(ACCEPTED, 2, ErrorCode::OidNotFound, "none");
    client.receive(&server.send(usize::MAX));
    assert!(matches!(client.links.next(), Some(Incoming::Answer { context: 8, message, .. })
        if message == answer));
    assert!(matches!(
        client.links.next(),
        Some(Incoming::Answer {
            context: 9,
            message: Message::Error { code: ErrorCode::OidNotFound, .. },
            ..
        })
    ));
    assert!(client.links.next().is_none());
    assert_eq!(client.links.asked(client.link).collect::<Vec<_>>(), [&7]);

    // What is not answered when the connection is lost comes back.
    client.links.feed(Event::Closed { link: client.link, reason: "gone".to_owned() });
    let Some(Incoming::Closed { reason, requests, .. }) = client.links.next() else { panic!() };
    assert_eq!((reason, requests), (CloseReason::Lost("gone".to_owned()), vec![7]));
    assert!(!client.links.is_open(client.link));
    assert_eq!(client.links.ids().count(), 0);
}

#[test]
fn ping_is_answered_behind_what_was_queued_also_before_anything_else_is_said() {
    let mut server = Side::accepted();
    server.links.send(ACCEPTED, &Message::NotifyReady {});
    server.receive(&[&HANDSHAKE[..], &[0x93, 5, 2, 0x90]].concat());
    assert!(server.links.next().is_none(), "nobody has to handle it");
    let sent = server.send(usize::MAX);
    let expected = [&HANDSHAKE[..], &[0x93, 0, 0x3b, 0x90], &[0x93, 5, 0xcd, 0x80, 2, 0x90]];
    assert_eq!(sent[..], expected.concat());
}

/// What peers may send that is wrong, and what is said about it.
const WRONG: [(&str, &[u8], &str); 13] = [
    (
        "HTTP",
        b"GET / HTTP/1.0\r\n\r\n",
        "the peer does not speak NEO (but HTTP, perhaps): \
        GET / HTTP/1.0\\r\\n\\r\\n",
    ),
    (
        "TLS",
        b"\x16\x03\x01\x00",
        "the peer does not speak NEO (but TLS, perhaps): \
        \\x16\\x03\\x01\\x00",
    ),
    (
        "an old NEO",
        b"\0\0\0\x04\0\0\0\0\0\x01",
        "the peer does not speak NEO (but its version \
        before 5, perhaps): \\x00\\x00\\x00\\x04\\x00\\x00\\x00\\x00\\x00\\x01",
    ),
    (
        "version 4",
        b"\x92\xa3NEO\x04",
        "the peer speaks version 4 of the protocol, this node \
        version 5",
    ),
    (
        "version 6 and more",
        b"\x92\xa3NEO\x06\x93\x00",
        "the peer speaks version 6 of the \
        protocol, this node version 5",
    ),
    ("no list", b"\x92\xa3NEO\x05\xc1", "malformed packet: expected a list of 3 values"),
    ("text", b"\x92\xa3NEO\x05\xa3str", "malformed packet: expected a list of 3 values"),
    ("an unknown code", b"\x92\xa3NEO\x05\x93\x00\xcd\x7f\xfe\x90", "unknown packet code 0x7ffe"),
    ("an unknown answer", b"\x92\xa3NEO\x05\x93\x00\xcd\x80\x03\x90", "unknown packet code 0x8003"),
    (
        "an answer that nobody asked for",
        b"\x92\xa3NEO\x05\x93\x00\xcd\x80\x02\x90",
        "unexpected answer Pong",
    ),
    (
        "too few arguments",
        b"\x92\xa3NEO\x05\x93\x00\x01\x92\x01\x02",
        "malformed packet: expected another number of fields",
    ),
    (
        "nil for a cluster",
        b"\x92\xa3NEO\x05\x93\x00\x01\x96\xd4\x04\x02\xc0\xc0\xc0\xc0\x80",
        "malformed packet: expected a string of bytes",
    ),
    (
        "a long string",
        b"\x92\xa3NEO\x05\x93\x00\x01\x96\xd4\x04\x02\xc0\xc0\xc6\xff\xff\xff\xff",
        "a string of length 4294967295, but the limit is 65536",
    ),
];

#[test]
fn who_breaks_the_protocol_loses_the_connection() {
    for (name, bytes, expected) in WRONG {
        let mut server = Side::accepted();
        server.receive(bytes);
        assert_eq!(server.closed().expect(name).to_string(), expected, "{name}");
        assert!(!server.links.is_open(ACCEPTED));
        let sent = server.send(usize::MAX);
        assert!(sent.starts_with(&HANDSHAKE), "{name}: it is told what this speaks");
        let is_told = name == "an answer that nobody asked for";
        assert_eq!(sent.len() > HANDSHAKE.len(), is_told, "{name}: {sent:?}");
        assert!(server.is_closed(), "{name}");
    }
}

#[test]
fn what_was_asked_before_something_wrong_is_still_answered() {
    let mut server = Side::accepted();
    server.receive(&[&HANDSHAKE[..], &[0x93, 5, 2, 0x90, 0xc1]].concat());
    assert!(matches!(server.closed(), Some(CloseReason::Malformed(Malformed::Expected(_)))));
    server.links.answer(ACCEPTED, 6, &Message::Pong {});
    let sent = server.send(usize::MAX);
    assert_eq!(sent[HANDSHAKE.len()..], [0x93, 5, 0xcd, 0x80, 2, 0x90]);
    assert!(server.is_closed());
}

#[test]
fn an_answer_of_the_wrong_kind_ends_the_connection_and_an_error_is_always_taken() {
    let mut client = Side::opened();
    client.links.ask(client.link, &load(1), 1);
    client.receive(&HANDSHAKE);
    client.receive(&packets(|links, link| {
        links.answer(link, 77, &Message::error(ErrorCode::Denied, "stray"));
    }));
    assert!(matches!(client.links.next(), Some(Incoming::Stray { .. })));
    client.receive(&packets(|links, link| {
        links.answer(link, 0, &Message::AnswerStoreObject { conflict: None });
    }));
    assert_eq!(client.closed(), Some(CloseReason::UnexpectedAnswer("AnswerStoreObject")));
}

#[test]
fn refusals_that_end_the_connection_are_sent_first() {
    for (code, closes) in [
        (ErrorCode::ProtocolError, true),
        (ErrorCode::NotReady, true),
        (ErrorCode::Denied, false),
        (ErrorCode::OidNotFound, false),
    ] {
        let mut server = Side::accepted();
        server.links.refuse(ACCEPTED, 3, code, "no");
        assert_eq!(server.links.is_open(ACCEPTED), !closes);
        // It goes out in two parts.
        let first = server.send(7);
        assert_eq!(first.len(), 7);
        assert!(!server.is_closed());
        server.links.feed(Event::Writable { link: ACCEPTED });
        let rest = server.send(usize::MAX);
        assert_eq!(
            rest[..],
            [0x93, 3, 0xcd, 0x80, 0, 0x92, code.number(), 0xc4, 2, b'n', b'o'][1..]
        );
        assert_eq!(server.is_closed(), closes, "{code:?}");
    }
}

#[test]
fn what_comes_while_a_connection_is_closed_is_dropped() {
    let mut server = Side::accepted();
    server.receive(&HANDSHAKE);
    server.links.send(ACCEPTED, &Message::StopOperation {});
    server.links.close(ACCEPTED);
    for _ in 0..100 {
        server.receive(&[0x93; 1 << 16]);
    }
    assert!(server.links.next().is_none());
    server.links.feed(Event::Closed { link: ACCEPTED, reason: "gone".to_owned() });
    assert!(server.links.next().is_none(), "who closes is not told");
    assert_eq!(server.links.ids().count(), 0);
    server.links.feed(Event::Writable { link: ACCEPTED });
    assert!(server.send(usize::MAX).is_empty());
}

#[test]
fn a_connection_that_is_not_open_yet_is_closed_at_once() {
    let mut links = Links::<()>::new(Duration::ZERO);
    let link = links.connect(Duration::ZERO, &NODE.parse().unwrap());
    links.send(link, &Message::NotifyReady {});
    links.close(link);
    assert!(matches!(links.poll_action(), Some(Action::Connect { .. })));
    assert_eq!(links.poll_action(), Some(Action::Close { link }));
    assert_eq!(links.poll_action(), None);
    assert_eq!(links.ids().count(), 0);
}

#[test]
fn who_asks_more_than_it_takes_is_not_read_and_then_read_again() {
    let mut server = Side::accepted();
    server.links.identified(ACCEPTED);
    server.receive(&HANDSHAKE);
    let data = Bytes::from(vec![7; DATA_LENGTH]);
    let requests = packets(|links, link| (0..100).for_each(|oid| links.ask(link, &load(oid), 0)));
    server.receive(&requests);
    let mut answered = 0;
    let mut answer = |server: &mut Side| {
        let before = answered;
        while let Some(Incoming::Request { link, id, .. }) = server.links.next() {
            server.links.answer(link, id, &loaded(answered, data.clone()));
            answered += 1;
        }
        answered - before
    };
    assert_eq!(answer(&mut server), 16, "until more than 16 MiB wait");
    server.send(0);
    assert_eq!(server.actions, [Action::Read { link: ACCEPTED, on: false }]);

    // A bit is taken: it is still too much.
    server.links.feed(Event::Writable { link: ACCEPTED });
    server.send(1 << 20);
    assert_eq!(answer(&mut server), 0);
    server.links.feed(Event::Writable { link: ACCEPTED });
    server.send(12 << 20);
    assert_eq!(server.actions.last(), Some(&Action::Read { link: ACCEPTED, on: true }));
    assert!(server.links.queued(ACCEPTED) <= 4 << 20);

    // What had come before is handled with the next event.
    server.links.feed(Event::Writable { link: ACCEPTED });
    assert_eq!(answer(&mut server), 13);
    let mut total = 29;
    while total < 100 {
        server.send(usize::MAX);
        server.links.feed(Event::Writable { link: ACCEPTED });
        total += answer(&mut server);
    }
    assert_eq!(total, 100);
}

/// Two ends that both waited until the other one has read would wait for ever.
#[test]
fn who_asks_reads_whatever_is_still_to_be_sent() {
    let mut client = Side::opened();
    client.send(usize::MAX);
    client.receive(&HANDSHAKE);
    (0..1_500_000).for_each(|oid| client.links.ask(client.link, &load(oid), 0));
    assert!(client.links.queued(client.link) > 16 << 20);
    client.send(0);
    assert!(!client.actions.contains(&Action::Read { link: client.link, on: false }));
    let answers = packets(|links, link| links.answer(link, 0, &loaded(0, Bytes::new())));
    client.receive(&answers);
    assert!(matches!(client.links.next(), Some(Incoming::Answer { .. })));
}

#[test]
fn who_takes_nothing_of_what_it_did_not_ask_for_is_given_up() {
    let mut server = Side::accepted();
    let data = Bytes::from(vec![7; 64 << 20]);
    for oid in 0..40 {
        server.links.answer(ACCEPTED, 1, &loaded(oid, data.clone()));
    }
    assert_eq!(server.closed(), Some(CloseReason::Congested));
    assert!(server.send(0).is_empty());
    assert!(server.is_closed());
}

#[test]
fn who_takes_nothing_of_the_last_words_is_given_up() {
    let mut server = Side::accepted();
    let time = |seconds| Duration::from_secs(seconds);
    server.links.tell_time(time(100));
    server.links.answer(ACCEPTED, 1, &loaded(1, Bytes::from(vec![7; 1 << 20])));
    server.links.close(ACCEPTED);
    assert_eq!(server.send(1000).len(), 1000);
    server.links.tell_time(time(109));
    assert_eq!(server.send(1).len(), 0, "nothing is to be carried out");
    server.links.tell_time(time(110));
    assert!(!server.is_closed(), "it took something");
    server.links.tell_time(time(120));
    server.send(0);
    assert!(server.is_closed());
}

#[test]
fn an_address_is_not_connected_to_again_before_the_delay() {
    let second = Duration::from_secs(1);
    let mut links = Links::<()>::new(second);
    let (one, other): (Address, Address) = (NODE.parse().unwrap(), "[::1]:1".parse().unwrap());
    let at = |links: &mut Links<()>, now: u32, address: &Address| {
        links.connect(second * now, address);
        match links.poll_action() {
            Some(Action::Connect { at, .. }) => at.as_secs(),
            action => panic!("{action:?}"),
        }
    };
    assert_eq!(at(&mut links, 10, &one), 10);
    assert_eq!(at(&mut links, 10, &other), 10);
    assert_eq!(at(&mut links, 10, &one), 11, "counted from the last attempt");
    assert_eq!(at(&mut links, 11, &one), 12);
    assert_eq!(at(&mut links, 20, &one), 20);
    links.forget_attempt(&one);
    assert_eq!(at(&mut links, 20, &one), 20);
}

#[test]
fn a_stream_means_the_same_however_it_is_cut() {
    let long = Bytes::from_iter((0..=250).cycle().take(200_000));
    let stream = packets(|links, link| {
        links.ask(link, &load(1), 0);
        links.ask(
            link,
            &Message::AskStoreObject {
                oid: Oid::MAX,
                serial: Tid::ZERO,
                compression: 1,
                checksum: Checksum::of(&long),
                data: Data::new(long.clone()),
                data_serial: None,
                ttid: Ttid::new(5),
            },
            0,
        );
        links.ask(link, &Message::AskNewOIDs { count: 1000 }, 0);
    });
    let stream = [&HANDSHAKE[..], &stream].concat();
    let mut random = model::Random::from_seed(1);
    for round in 0..60 {
        let mut server = Side::accepted();
        server.links.identified(ACCEPTED);
        let mut found = Vec::new();
        let mut rest = &stream[..];
        let step_max = [1, 2, 7, 100, 5000, 300_000][round % 6];
        while !rest.is_empty() {
            let step = match step_max {
                1 => 1,
                max => usize::try_from(random.below(max) + 1).unwrap(),
            };
            let (piece, behind) = rest.split_at(step.min(rest.len()));
            server.receive(piece);
            rest = behind;
            found.extend(std::iter::from_fn(|| server.links.next()));
        }
        let [
            Incoming::Request { message: Message::AskObject { .. }, .. },
            Incoming::Request { message: Message::AskStoreObject { data, checksum, .. }, .. },
            Incoming::Request { message: Message::AskNewOIDs { count: 1000 }, .. },
        ] = &found[..]
        else {
            panic!("{found:?}");
        };
        assert_eq!(data.bytes, long);
        assert_eq!(data.checksum(), *checksum);
    }
}
