//! What the wire costs: packets, connections without I/O, and a round trip through sockets.

use std::hint::black_box;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use model::{Now, Oid, Tid};
use net::{
    Action, Address, Checksum, Data, Event, EventLoop, HANDSHAKE, Incoming, Limits, LinkId, Links,
    Machine, Message, PacketStream,
};

const DATA_LENGTH: usize = 4096;
const LINK: LinkId = LinkId::accepted(1);

fn ask() -> Message {
    Message::AskObject { oid: Oid::new(0x1234), at: None, before: Some(Tid::new(1 << 58)) }
}

fn answer(data: Bytes) -> Message {
    Message::AnswerObject {
        oid: Oid::new(0x1234),
        serial: Tid::new(1 << 57),
        next_serial: None,
        compression: Some(0),
        // The engine knows it.
        checksum: Checksum::ZERO,
        data: Data::new(data),
        data_serial: None,
    }
}

/// Answers loads with the same data.
struct Server {
    links: Links<()>,
    data: Bytes,
    ends: bool,
}

impl Server {
    fn new() -> Self {
        let links = Links::new(Duration::ZERO);
        Self { links, data: Bytes::from(vec![7; DATA_LENGTH]), ends: false }
    }
}

impl Machine for Server {
    type Context = ();
    type Exit = ();

    fn handle(&mut self, _now: Now, event: Event) {
        self.links.feed(event);
        while let Some(incoming) = self.links.next() {
            match incoming {
                Incoming::Request { link, id, message: Message::AskObject { .. } } => {
                    self.links.answer(link, id, &answer(self.data.clone()));
                }
                Incoming::Accepted { link, .. } => self.links.identified(link),
                Incoming::Closed { .. } => self.ends = true,
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

    fn exit(&mut self) -> Option<()> {
        self.ends.then_some(())
    }
}

/// Loads so many times, one after the other.
struct Client {
    links: Links<()>,
    link: LinkId,
    left: u64,
}

impl Client {
    fn new(address: &Address, count: u64) -> Self {
        let mut links = Links::new(Duration::ZERO);
        let link = links.connect(Duration::ZERO, address);
        links.identified(link);
        links.ask(link, &ask(), ());
        Self { links, link, left: count }
    }
}

impl Machine for Client {
    type Context = ();
    type Exit = ();

    fn handle(&mut self, _now: Now, event: Event) {
        self.links.feed(event);
        while let Some(incoming) = self.links.next() {
            let Incoming::Answer { message, .. } = incoming else { panic!("{incoming:?}") };
            black_box(message);
            self.left -= 1;
            if self.left > 0 {
                self.links.ask(self.link, &ask(), ());
            }
        }
    }

    fn links(&mut self) -> &mut Links<()> {
        &mut self.links
    }

    fn deadline(&self) -> Option<Duration> {
        None
    }

    fn exit(&mut self) -> Option<()> {
        (self.left == 0).then_some(())
    }
}

fn packets(criterion: &mut Criterion) {
    let data = Bytes::from(vec![7; DATA_LENGTH]);
    for (name, message) in [("AskObject", ask()), ("AnswerObject of 4 KiB", answer(data))] {
        criterion.bench_function(&format!("encode {name}"), |bencher| {
            bencher.iter(|| black_box(&message).to_packet(7));
        });
        let packet = message.to_packet(7);
        let decode = |packet| {
            let mut stream = PacketStream::default();
            stream.feed(packet);
            stream.next(Limits::NODE)
        };
        let copy = || BytesMut::from(&packet[..]);
        criterion.bench_function(&format!("decode {name}"), |bencher| {
            bencher.iter_batched(copy, decode, BatchSize::SmallInput);
        });
    }
}

/// Bytes in, packets handled, bytes out: what a load costs a storage besides the engine.
fn links(criterion: &mut Criterion) {
    for (name, count) in [("1 load", 1), ("64 loads at once", 64)] {
        let mut server = Server::new();
        let address = "127.0.0.1:1".parse().expect("an address");
        server.handle(Now::default(), Event::Accepted { link: LINK, address });
        let bytes = BytesMut::from(&HANDSHAKE[..]);
        server.handle(Now::default(), Event::Received { link: LINK, bytes });
        // As many connections as a busy storage has.
        for number in 2..200 {
            let address = "127.0.0.1:1".parse().expect("an address");
            let link = LinkId::accepted(number);
            server.handle(Now::default(), Event::Accepted { link, address });
        }
        drain(&mut server);
        let requests = ask().to_packet(7).repeat(count);
        criterion.bench_function(&format!("links: {name}"), |bencher| {
            bencher.iter_batched(
                || BytesMut::from(&requests[..]),
                |bytes| {
                    server.handle(Now::default(), Event::Received { link: LINK, bytes });
                    drain(&mut server)
                },
                BatchSize::SmallInput,
            );
        });
    }
}

/// Carries out what is to be sent, without sending it; returns how much that is.
fn drain(server: &mut Server) -> usize {
    let mut sent = 0;
    while let Some(action) = server.links.poll_action() {
        let Action::Transmit { link } = action else { continue };
        let Some(queue) = server.links.queue(link) else { continue };
        while !queue.is_empty() {
            let length = queue.slices(64).iter().map(|slice| slice.len()).sum();
            queue.advance(length);
            sent += length;
        }
        server.links.transmitted(link);
    }
    sent
}

/// A load of 4 KiB through two event loops on loopback.
fn round_trip(criterion: &mut Criterion) {
    criterion.bench_function("round trip of a load through sockets", |bencher| {
        bencher.iter_custom(|count| {
            let mut event_loop = EventLoop::new().expect("descriptors");
            let any = "127.0.0.1:0".parse().expect("an address");
            let address = event_loop.listen(&any).expect("a port");
            let server = std::thread::spawn(move || {
                net::drive(&mut event_loop, &mut Server::new());
            });
            let mut event_loop = EventLoop::new().expect("descriptors");
            let mut client = Client::new(&address, count);
            let begin = net::now().monotonic;
            while client.exit().is_none() {
                event_loop.turn(&mut client, None);
            }
            let taken = net::now().monotonic - begin;
            drop((client, event_loop));
            server.join().expect("the server ends in good order");
            taken
        });
    });
}

criterion_group!(benches, packets, links, round_trip);
criterion_main!(benches);
