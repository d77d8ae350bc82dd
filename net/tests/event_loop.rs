//! Machines over real sockets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use model::{Now, Oid, Tid};
use net::{
    Address, Checksum, CloseReason, Data, Event, EventLoop, HANDSHAKE, Incoming, LinkId, Links,
    Machine, Message,
};

/// Answers loads with data of a length that the oid tells, and ends when asked to.
struct Server {
    links: Links<()>,
    ends: bool,
    closed: Vec<CloseReason>,
}

impl Server {
    fn new() -> Self {
        Self { links: Links::new(Duration::ZERO), ends: false, closed: Vec::new() }
    }
}

fn object(oid: Oid, length: u64) -> Message {
    let length = usize::try_from(length).unwrap();
    let data = Bytes::from_iter((0..=250).cycle().take(length));
    Message::AnswerObject {
        oid,
        serial: Tid::MAX,
        next_serial: None,
        compression: Some(0),
        checksum: Checksum::of(&data),
        data: Data::new(data),
        data_serial: None,
    }
}

impl Machine for Server {
    type Context = ();
    type Exit = usize;

    fn handle(&mut self, _now: Now, event: Event) {
        self.links.feed(event);
        while let Some(incoming) = self.links.next() {
            match incoming {
                Incoming::Request { link, id, message: Message::AskObject { oid, .. } } => {
                    self.links.identified(link);
                    self.links.answer(link, id, &object(oid, oid.get()));
                }
                Incoming::Request { link, id, message: Message::AskStoreObject { data, .. } } => {
                    let conflict = Some(Tid::new(data.bytes.len() as u64));
                    self.links.answer(link, id, &Message::AnswerStoreObject { conflict });
                }
                Incoming::Request { link, id, message: Message::AskLastTransaction {} } => {
                    self.links.answer(link, id, &object(Oid::new(1), 5 << 20));
                    self.ends = true;
                }
                Incoming::Closed { reason, .. } => self.closed.push(reason),
                _ => {}
            }
        }
    }

    fn links(&mut self) -> &mut Links<()> {
        &mut self.links
    }

    fn deadline(&self) -> Option<Duration> {
        None
    }

    fn exit(&mut self) -> Option<usize> {
        self.ends.then_some(self.closed.len())
    }
}

/// Loads objects of some lengths, one after the other.
struct Loader {
    links: Links<u64>,
    link: LinkId,
    lengths: Vec<u64>,
    loaded: Vec<u64>,
    closed: Option<CloseReason>,
}

impl Loader {
    fn new(address: &Address, lengths: &[u64]) -> Self {
        let mut links = Links::new(Duration::ZERO);
        let link = links.connect(Duration::ZERO, address);
        links.identified(link);
        let mut lengths = lengths.to_vec();
        lengths.reverse();
        let mut loader = Self { links, link, lengths, loaded: Vec::new(), closed: None };
        loader.ask();
        loader
    }

    fn ask(&mut self) {
        if let Some(length) = self.lengths.pop() {
            let message = Message::AskObject { oid: Oid::new(length), at: None, before: None };
            self.links.ask(self.link, &message, length);
        }
    }
}

impl Machine for Loader {
    type Context = u64;
    type Exit = Vec<u64>;

    fn handle(&mut self, _now: Now, event: Event) {
        self.links.feed(event);
        while let Some(incoming) = self.links.next() {
            match incoming {
                Incoming::Answer { context, message, .. } => {
                    assert_eq!(message, object(Oid::new(context), context));
                    let Message::AnswerObject { data, checksum, .. } = message else { panic!() };
                    assert_eq!(data.checksum(), checksum);
                    self.loaded.push(context);
                    self.ask();
                }
                Incoming::Closed { reason, .. } => self.closed = Some(reason),
                other => panic!("{other:?}"),
            }
        }
    }

    fn links(&mut self) -> &mut Links<u64> {
        &mut self.links
    }

    fn deadline(&self) -> Option<Duration> {
        None
    }

    fn exit(&mut self) -> Option<Vec<u64>> {
        let is_done = self.lengths.is_empty() && self.links.asked(self.link).count() == 0;
        (is_done || self.closed.is_some()).then(|| std::mem::take(&mut self.loaded))
    }
}

/// A server on a thread of its own, at an address.
fn serve(at: &str) -> (Address, std::thread::JoinHandle<usize>) {
    let mut event_loop = EventLoop::new().unwrap();
    let address = event_loop.listen(&at.parse().unwrap()).unwrap();
    let run = move || net::drive(&mut event_loop, &mut Server::new());
    (address, std::thread::spawn(run))
}

fn load(address: &Address, lengths: &[u64]) -> Vec<u64> {
    let mut event_loop = EventLoop::new().unwrap();
    net::drive(&mut event_loop, &mut Loader::new(address, lengths))
}

#[test]
fn objects_of_all_lengths_over_all_kinds_of_addresses() {
    let lengths = [0, 1, 100, 2047, 2048, 4096, 16 << 10, 70_000, 1 << 20, 20 << 20, 5, 300_000];
    for (at, reached) in [
        ("127.0.0.1:0", "127.0.0.1"),
        ("[::1]:0", "::1"),
        ("[::]:0", "127.0.0.1"),
        ("[::]:0", "::1"),
        ("0.0.0.0:0", "localhost"),
    ] {
        let (address, server) = serve(at);
        let reached = Address { host: reached.to_owned(), port: address.port };
        assert_eq!(load(&reached, &lengths), lengths, "{at} by {reached}");
        end(&reached, server);
    }
}

/// Ends a server; what it has still to say comes as a whole.
fn end(address: &Address, server: std::thread::JoinHandle<usize>) {
    let mut stream = TcpStream::connect((address.host.as_str(), address.port)).unwrap();
    stream.write_all(&HANDSHAKE).unwrap();
    stream.write_all(&[0x93, 0, 0x3c, 0x90]).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.len() > 5 << 20, "{} bytes came", answer.len());
    drop(stream);
    server.join().unwrap();
}

#[test]
fn who_does_not_listen_or_exist_is_told_of() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [Address::from(unused), "no-such-host.invalid:1".parse().unwrap()] {
        let mut event_loop = EventLoop::new().unwrap();
        let mut loader = Loader::new(&address, &[1]);
        net::drive(&mut event_loop, &mut loader);
        assert!(matches!(loader.closed, Some(CloseReason::Lost(_))), "{:?}", loader.closed);
    }
}
